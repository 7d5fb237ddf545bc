/* exchange_kind.h - what a transport fills in. Internal to loop.c and the transports, exchange_<kind>.c. */
#ifndef GP_CLIENT_EXCHANGE_KIND_H
#define GP_CLIENT_EXCHANGE_KIND_H

#include "client/exchange.h"

#include <curl/curl.h>

typedef struct gp_exchange_kind {
    gp_code (*begin)(gp_loop *l, const gp_exchange_config *cfg, gp_exchange **out, gp_error *err);
    /* A libcurl transfer that the exchange started has ended. */
    void (*on_transfer)(gp_exchange *x, CURLcode outcome);
    gp_code (*result)(gp_exchange *x, gp_result *out, gp_error *err);
    void (*end)(gp_exchange *x);
} gp_exchange_kind;

/* First member of every transport's own struct. */
struct gp_exchange {
    const gp_exchange_kind *kind;
    gp_loop *loop;
    void *owner;
    bool waiting; /* has its outcome, which the caller has not seen */
    gp_exchange *next_done;
};

extern const gp_exchange_kind gp_exchange_http;

/* Starts a libcurl transfer whose end goes to x's on_transfer. */
gp_code gp_loop_add_transfer(gp_loop *l, CURL *easy, gp_exchange *x, gp_error *err);
void gp_loop_remove_transfer(gp_loop *l, CURL *easy);
/* The exchange has its outcome. */
void gp_loop_done(gp_exchange *x);
/* Forgets an exchange that ends before the caller has seen its outcome. */
void gp_loop_forget(gp_exchange *x);

#endif
