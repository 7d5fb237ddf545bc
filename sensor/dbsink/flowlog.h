/*
 * flowlog.h - flows to a syslog daemon that listens at a UNIX socket (option syslog_flows), one line each, as
 * goProbe v4 sends them: RFC 3164 as local programs speak it, facility kern, severity info, tag "ntm", then
 * "TIME,IFACE,SIP,DIP,DPORT,PROTO,bytes: received=N sent=N; packets: received=N sent=N".
 *
 * The database is what counts: a socket that is missing or slow costs lines, which are counted and told in
 * the log, and never more than a second for all blocks of one time.
 *
 * Thread-safety: none.
 */
#ifndef GP_DBSINK_FLOWLOG_H
#define GP_DBSINK_FLOWLOG_H

#include "proto/base/log.h"
#include "proto/flow/flow.h"

#define GP_FLOWLOG_SOCKET "/var/run/goprobe.sock" /* v4's */

typedef struct gp_flowlog gp_flowlog;

/* The socket need not be there yet. */
gp_code gp_flowlog_new(gp_flowlog **out, const char *path, gp_log *log, gp_error *err);
void gp_flowlog_free(gp_flowlog *l);
/* Returns how many lines the socket took. */
size_t gp_flowlog_write(gp_flowlog *l, const char *iface, int64_t ts, const gp_flow *flows, size_t n);

#endif
