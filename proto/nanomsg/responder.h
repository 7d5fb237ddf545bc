/*
 * responder.h - answers queries on nanomsg endpoints, with the semantics of POST /_query: the same arguments,
 * limits, results and problem documents.
 *
 * One raw reply socket (AF_SP_RAW, NN_REP) listens on all endpoints; a thread takes requests from it, and
 * each query runs in a thread of its own. A query ends early when it is canceled, or when the one who asked
 * promised to keep saying that it waits (a lease) and does not. A request that is sent again while it runs is
 * one request. A message that is none is answered with a problem, counted, and changes nothing else.
 *
 * Thread-safety: start and stop belong to one thread; the counters may be read by any.
 */
#ifndef GP_NANOMSG_RESPONDER_H
#define GP_NANOMSG_RESPONDER_H

#include "proto/base/unixsock.h"
#include "proto/service/query_run.h"

typedef struct gp_responder gp_responder;

typedef struct gp_responder_config {
    const char *const *addrs; /* addr.h */
    size_t n_addrs;
    gp_unix_socket_access socket;  /* of those that are UNIX sockets */
    const gp_query_runner *runner; /* must outlive the responder */
    /* Whether this token, or "" for none, may ask; otherwise 401. NULL: everybody may. */
    bool (*authorize)(void *ctx, const char *token);
    void *authorize_ctx;
    unsigned max_queries; /* at a time; more are answered with 503; 0: 256 */
    gp_log *log;
} gp_responder_config;

/* GP_EBUSY names an address in use, GP_EPERM one that may not be used. */
gp_code gp_responder_start(gp_responder **out, const gp_responder_config *cfg, gp_error *err);
/* Ends running queries (they notice the cancellation), then frees. */
void gp_responder_stop(gp_responder *r);

typedef struct gp_responder_counters {
    uint64_t queries;    /* taken */
    uint64_t answers;    /* results sent */
    uint64_t problems;   /* problem documents sent: bad queries, limits, failures */
    uint64_t malformed;  /* messages that are none of the protocol */
    uint64_t duplicates; /* requests that were running already */
    uint64_t canceled;   /* by whoever asked */
    uint64_t expired;    /* nobody said any more that they wait */
    uint64_t bytes_sent;
    uint64_t running; /* now */
} gp_responder_counters;

gp_responder_counters gp_responder_count(gp_responder *r);
#endif
