/*
 * fanout.h - one query to many hosts at a time.
 *
 * A thread drives any number of hosts through one loop (exchange.h), so a thousand open requests cost a
 * thousand sockets and no thread. A query that keeps the calling thread busy is continued by as many threads
 * as there are processors that no other query uses, each of which receives, reads and hands on the answers of
 * its part of the hosts. A gp_fanout keeps the loops of finished queries, and with them their open
 * connections, for the next ones. How a host is reached follows from its address.
 *
 * A host that could not be reached, broke off, or had no time (HTTP 429, 503) is asked again, after a pause
 * that doubles and is drawn at random from its second half, so that many askers do not come back in step. A
 * query is safe to repeat. All attempts together take no longer than the host's timeout.
 *
 * Answers under way share max_in_flight bytes: each host may always use an equal part of one half, the other
 * half goes to whoever needs more. A host that finds none left is too large, and fails alone.
 *
 * Thread-safety: any number of queries at a time on one gp_fanout. Callbacks of a query come one at a time,
 * from any of its threads, so that they need no lock; but `share` may come at any time.
 */
#ifndef GP_CLIENT_FANOUT_H
#define GP_CLIENT_FANOUT_H

#include "client/gpclient.h"

typedef struct gp_fanout gp_fanout;
gp_code gp_fanout_new(gp_fanout **out, gp_error *err);
void gp_fanout_free(gp_fanout *f); /* no query may be running */

typedef struct gp_fanout_host {
    const char *name; /* for messages and statuses */
    const char *addr; /* NULL: not known; `why` then says so */
    const char *why;
    gp_client_access access;
    int64_t timeout_ns;  /* of this host's answer; 0: none */
    const gp_args *args; /* NULL: those of the call */
    uint64_t max_rows;   /* of its answer; 0: no limit */
} gp_fanout_host;

typedef struct gp_fanout_options {
    unsigned threads;           /* that ask, from the beginning; 0: see above */
    size_t max_concurrent;      /* hosts asked at a time; 0: all */
    size_t (*share)(void *ctx); /* at most so many right now; asked again and again; NULL: no matter */
    size_t max_response;        /* bytes per host; 0: 256 MiB */
    size_t max_in_flight;       /* bytes of all answers under way; 0: no limit */
    unsigned retries;           /* per host */
    uint64_t *retried;          /* counts them; NULL: nobody does */
    int64_t retry_pause_ns;     /* before the first one; 0: 200 ms */
    const char *request_id;     /* by which the query is known in logs, sent along; NULL: none */
    int64_t deadline_ns;        /* of the whole query; 0: none */
    bool (*canceled)(void *ctx);
    void (*tick)(void *ctx); /* called at least every 100 ms while hosts are still out; NULL: none */
    void *ctx;
} gp_fanout_options;

/* The answer of one host: result (the callee may take its content and leave an initialised one), or NULL and
 * the error of that host. took_ns: since it was asked first; 0: it never was. */
typedef void (*gp_fanout_fn)(void *ctx, const gp_fanout_host *host, gp_result *result, int64_t took_ns,
                             const gp_error *err);

/*
 * Asks all hosts and calls on_answer once for each, as they come. Hosts that do not answer by the deadline
 * get GP_ETIMEOUT. GP_ECANCELED ends early; the hosts that are still out get no call then.
 */
gp_code gp_fanout_query(gp_fanout *f, const gp_fanout_host *hosts, size_t n, const gp_args *args,
                        const gp_fanout_options *opt, gp_fanout_fn on_answer, void *ctx, gp_error *err);

#endif
