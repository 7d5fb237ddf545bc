/*
 * exchange.h - asking one host one query, whatever the way. The seam between who asks (fanout.c: which hosts,
 * when, how often) and how a host is reached: HTTP or nanomsg, by its address.
 *
 * One thread drives any number of exchanges through one gp_loop:
 *
 *   gp_exchange_begin(loop, &cfg, &x, err);               as often as you like
 *   gp_loop_wait(loop, ms, &x, err);                      x: one that has its outcome
 *   gp_exchange_result(x, &result, err);                  the answer, or why there is none
 *   gp_exchange_end(x);
 *
 * Internal to libgpclient. A loop belongs to one thread at a time; it keeps connections open for its next
 * exchanges.
 */
#ifndef GP_CLIENT_EXCHANGE_H
#define GP_CLIENT_EXCHANGE_H

#include "client/connpool.h"
#include "client/gpclient.h"

#include <stdatomic.h>

typedef struct gp_loop gp_loop;
typedef struct gp_exchange gp_exchange;

/* pool: of connections that are kept for later, outlives the loop; NULL: none are. (HTTP's are libcurl's, in
 * the loop.) */
gp_code gp_loop_new(gp_loop **out, gp_connpool *pool, gp_error *err);
void gp_loop_free(gp_loop *l); /* no exchange may be left */
/* How many connections of HTTP to keep for later. libcurl's own measure is how many requests are under way,
 * so that it would close most of them whenever the last hosts of a query answer. */
void gp_loop_keep(gp_loop *l, size_t connections);

/* Bytes that answers under way may take together (fanout.h). Any number of loops may share one. */
typedef struct gp_in_flight {
    size_t own;         /* what each exchange may always take */
    atomic_size_t left; /* what is left for those that need more */
} gp_in_flight;

typedef struct gp_exchange_config {
    const char *addr; /* must outlive the exchange */
    gp_client_access access;
    /* The query as JSON; these must outlive the exchange. Services of v4 refuse members of a body that
     * they do not know and ignore parameters of a URL: where one may listen, v4_args and v4_params say the
     * same. */
    const gp_buf *args;
    const gp_buf *v4_args;
    const char *v4_params;   /* "a=b&c=d"; NULL: none */
    const char *request_id;  /* NULL: none */
    int64_t timeout_ns;      /* 0: none */
    size_t max_response;     /* bytes; 0: no limit */
    gp_in_flight *in_flight; /* NULL: no limit; must outlive the exchange */
    uint64_t max_rows;       /* 0: no limit; not for sensors of v4, which never cut */
    void *owner;             /* the caller's, see gp_exchange_owner */
} gp_exchange_config;

/* GP_EINVAL: the address is none. Whether the host can be reached shows later, as its outcome. */
gp_code gp_exchange_begin(gp_loop *l, const gp_exchange_config *cfg, gp_exchange **out, gp_error *err);
void *gp_exchange_owner(const gp_exchange *x);

/* Waits, at most max_ms, until an exchange has its outcome; *done is NULL if none has. Each comes once. */
gp_code gp_loop_wait(gp_loop *l, int max_ms, gp_exchange **done, gp_error *err);
/* The two halves of it, the second for several loops of a thread: what has its outcome by now; and waiting,
 * once there is nothing. */
enum { GP_LOOP_SLEEP_MOST = 64 };
gp_code gp_loop_next(gp_loop *l, gp_exchange **done, gp_error *err);
gp_code gp_loop_sleep(gp_loop *const *loops, size_t n, int max_ms, gp_error *err);

/* Of an exchange that gp_loop_wait gave: GP_OK with the answer (the caller's to free), or why there is none:
 * GP_ETIMEOUT, GP_ENET, GP_ECORRUPT, GP_ELIMIT, or what the host said. Call it once. Says in out->narrows
 * whether the host understands proto/query/narrow.h. */
gp_code gp_exchange_result(gp_exchange *x, gp_result *out, gp_error *err);

/* Frees. An exchange without an outcome is withdrawn, and its host told. NULL is fine. */
void gp_exchange_end(gp_exchange *x);

#endif
