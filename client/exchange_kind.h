/* exchange_kind.h - what a transport fills in. Internal to loop.c and the transports, exchange_<kind>.c. */
#ifndef GP_CLIENT_EXCHANGE_KIND_H
#define GP_CLIENT_EXCHANGE_KIND_H

#include "client/exchange.h"
#include "proto/query/problem.h"

#include <curl/curl.h>

typedef struct gp_exchange_kind {
    gp_code (*begin)(gp_loop *l, const gp_exchange_config *cfg, gp_exchange **out, gp_error *err);
    /* A libcurl transfer that the exchange started has ended. */
    void (*on_transfer)(gp_exchange *x, CURLcode outcome);
    /* Its socket can be read from or written to; NULL: it watches none. */
    void (*on_socket)(gp_exchange *x);
    /* The time that it set has come; NULL: it sets none. */
    void (*on_time)(gp_exchange *x, int64_t now_ns);
    gp_code (*result)(gp_exchange *x, gp_result *out, gp_problem *problem, gp_error *err);
    void (*end)(gp_exchange *x);
} gp_exchange_kind;

/* First member of every transport's own struct. */
struct gp_exchange {
    const gp_exchange_kind *kind;
    gp_loop *loop;
    void *owner;
    bool waiting; /* has its outcome, which the caller has not seen */
    gp_exchange *next_done;
    int64_t wake_ns;              /* gp_clock_ns(); 0: never */
    gp_exchange *previous, *next; /* of those that watch a socket or have set a time */
};

extern const gp_exchange_kind gp_exchange_http;
extern const gp_exchange_kind gp_exchange_sp;

/* gp_exchange_result, with the problem document of a host that refuses (may be NULL). */
gp_code gp_exchange_outcome(gp_exchange *x, gp_result *out, gp_problem *problem, gp_error *err);

gp_connpool *gp_loop_pool(const gp_loop *l); /* NULL: none */

/* The exchange is told of its socket and its time from enroll to leave. */
void gp_loop_enroll(gp_exchange *x);
void gp_loop_leave(gp_exchange *x);
void gp_loop_wake_at(gp_exchange *x, int64_t ns);
gp_code gp_loop_watch(gp_exchange *x, int fd, bool writing, gp_error *err);
gp_code gp_loop_rewatch(gp_exchange *x, int fd, bool writing, gp_error *err);
void gp_loop_unwatch(gp_exchange *x, int fd);

/* Starts a libcurl transfer whose end goes to x's on_transfer. */
gp_code gp_loop_add_transfer(gp_loop *l, CURL *easy, gp_exchange *x, gp_error *err);
void gp_loop_remove_transfer(gp_loop *l, CURL *easy);
/* The exchange has its outcome. */
void gp_loop_done(gp_exchange *x);
/* Forgets an exchange that ends before the caller has seen its outcome. */
void gp_loop_forget(gp_exchange *x);

#endif
