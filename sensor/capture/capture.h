/*
 * capture.h - the capture of one interface: a thread for each of its rings that reads packets and counts
 * flows.
 *
 * A thread owns its source and its lane of the current flow table; nobody else touches either while it runs,
 * so the packet path takes no lock. Whoever wants something of it (rotation, statistics, a copy of the
 * running flows) leaves a request and wakes it; it answers between two batches of packets. Rotation is a swap
 * of pointers: the finished table becomes the previous one, which new flows ask for their direction, and is
 * at the same time read by the writeout. It is freed when both have let go of it.
 *
 * Thread-safety: one caller at a time (the manager's lock).
 */
#ifndef GP_CAPTURE_CAPTURE_H
#define GP_CAPTURE_CAPTURE_H

#include "proto/base/log.h"
#include "proto/control/capconfig.h"
#include "proto/control/status.h"
#include "sensor/capture/flowtable.h"

/* A flow table that no longer changes, shared. */
typedef struct gp_table_ref gp_table_ref;
/* Takes over the table; NULL, and the table stays the caller's, if there is no memory. */
gp_table_ref *gp_table_ref_new(gp_flowtable *t, gp_error *err);
const gp_flowtable *gp_table_ref_get(const gp_table_ref *r);
gp_table_ref *gp_table_share(gp_table_ref *r); /* one more to be released; any thread */
void gp_table_unref(gp_table_ref *r);          /* NULL is allowed; any thread */

typedef struct gp_capture gp_capture;

/* Opens the rings (libpcap where the kernel has none) and starts the threads. The interval begins with the
 * flows of `resumed` (taken over unless this fails; NULL: none). */
gp_code gp_capture_start(gp_capture **out, const char *iface, const gp_capconfig *cfg, gp_flowtable *resumed,
                         gp_log *log, gp_error *err);
/* Stops the threads. The flows of the running interval are still there for a last gp_capture_rotate. */
void gp_capture_stop(gp_capture *c);
void gp_capture_free(gp_capture *c); /* after gp_capture_stop */

/* True once a thread ended by itself, or the interface has another name: it is gone. `why` may be NULL,
 * otherwise holds the reason. */
bool gp_capture_failed(gp_capture *c, gp_error *why);

/* Ends the running interval: its flows (unref them) and statistics. */
gp_code gp_capture_rotate(gp_capture *c, gp_table_ref **finished, gp_capture_stats *stats, gp_error *err);
/* Statistics of the running interval, so far. */
gp_code gp_capture_status(gp_capture *c, gp_capture_stats *stats, gp_error *err);
/* A copy of the running interval's flows, as gp_flowtable_export has it (malloc'ed; gp_flows_merge is
 * yours). */
gp_code gp_capture_live(gp_capture *c, gp_flow **out, size_t *n, gp_error *err);
/* The next step of a walk over the running interval's sessions, see gp_flowtable_take: *n of them to out. The
 * packet path waits for no more than that. A walk ends at a rotation. */
gp_code gp_capture_take(gp_capture *c, gp_flowtable_walk *w, gp_session *out, size_t max, size_t *n,
                        gp_error *err);

#endif
