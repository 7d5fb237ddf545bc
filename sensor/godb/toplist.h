/*
 * toplist.h - the first of a ranking by port and protocol, from the lists of whole days (topports.h);
 * internal to the engine.
 *
 * A threshold algorithm in three phases (Cao and Wang, "Efficient top-K query calculation in distributed
 * networks", PODC 2004, with days in the place of nodes). First all lists are added up, with what days
 * without a list, the running interval and days cut by the range give when they are scanned. The k-th largest
 * sum is then a lower bound of what a group in the answer has. A group that days have but do not list can
 * still reach it only if its sum and the bounds of those days do. Where there are such groups, these days are
 * scanned in place of their lists. So the rows, and their order, are those of a scan of everything, and at
 * worst that is what is done.
 *
 * How many groups there are, and their totals, is known from the lists, too.
 *
 * Thread-safety: the caller's thread; workers only load and scan.
 */
#ifndef GP_GODB_TOPLIST_H
#define GP_GODB_TOPLIST_H

#include "sensor/godb/queryrun.h"

/* Whether lists can answer the statement: it groups by port, protocol or both and by nothing else, has no
 * condition, and, unless it groups by protocol alone, wants not too many of the largest. */
bool gp_toplist_suits(const query_run *q);
/* All days, by lists where there are such, else by scans. Live flows were added before. */
gp_code gp_toplist_scan(query_run *q, gp_error *err);
/* Groups and traffic that no table has. */
void gp_toplist_add_rest(const query_run *q, gp_result *out);
void gp_toplist_free(query_run *q);

#endif
