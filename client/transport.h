/*
 * transport.h - one HTTP exchange over libcurl, with deadline, cancellation and a bound on what is accepted.
 * Internal to libgpclient.
 */
#ifndef GP_CLIENT_TRANSPORT_H
#define GP_CLIENT_TRANSPORT_H

#include "client/exchange.h"
#include "client/sse.h"
#include "proto/result/json_pieces.h"

#include <curl/curl.h>

struct gp_client {
    CURL *curl;
    CURLM *multi; /* of its own calls, NULL before the first: keeps the connection, and lets us wait without
                     losing sight of `canceled` */
    struct curl_slist *headers;
    char *addr; /* as the caller wrote it, for messages */
    char *url;
    char *socket;
    bool has_cert; /* we can show one */
    bool nanomsg;  /* carries queries only (exchange_sp.c), and for them needs: */
    char *token;
    int64_t timeout_ns;
    size_t max_response;
    bool (*canceled)(void *ctx);
    void *cancel_ctx;
    char reason[CURL_ERROR_SIZE];
};

typedef struct gp_call {
    /* in */
    const char *method;
    const char *path;         /* with the query string, escaped */
    const gp_buf *body;       /* NULL: none */
    gp_sse *sse;              /* receives the body of a 200 instead of answer; NULL: none */
    gp_result_reader *reader; /* receives the body of a 2xx instead of answer; NULL: none */
    uint64_t max_rows;        /* of the reader's result, if the peer can cut its answer; 0: no limit */
    gp_problem *problem;
    gp_in_flight *in_flight; /* NULL: no limit */
    /* out */
    long status;
    gp_buf answer; /* the caller's to free, whatever the outcome */
    bool narrows;  /* the peer understands narrow.h; with a reader only */
    /* during the call */
    gp_client *client;
    size_t received;     /* bytes, by the reader */
    size_t borrowed;     /* of in_flight->left */
    gp_code stream_code; /* what ended the stream from our side */
    gp_error stream_err;
} gp_call;

/*
 * The two halves of a call, for a multi handle that drives many: begin sets up c->curl; once libcurl reports
 * its outcome, finish says what came of it. Result as gp_client_call.
 */
gp_code gp_client_begin(gp_client *c, gp_call *call, gp_error *err);
gp_code gp_client_finish(gp_client *c, gp_call *call, CURLcode outcome, gp_error *err);

/* Room for an answer of `size` bytes; false: there is none. *borrowed is what the answer has of f->left. f
 * may be NULL: no limit. */
bool gp_in_flight_take(gp_in_flight *f, size_t *borrowed, size_t size);
void gp_in_flight_give(gp_in_flight *f, size_t *borrowed);

/* Frees the answer and the reader, and gives back what they took of in_flight. */
void gp_call_end(gp_call *call);

/* To the readers of JSON bad text is bad input (GP_EINVAL); here it is a peer that does not keep to the
 * format: GP_ECORRUPT. Other codes stay. */
gp_code gp_client_blame_peer(gp_code code, gp_error *err);

/* The body of a query request. Dates without a zone are replaced by what they mean here. */
gp_code gp_client_args_body(const gp_args *args, gp_buf *out, gp_error *err);
/* The same for services that may be v4's (exchange.h): a body, and parameters of the URL. */
gp_code gp_client_v4_query(const gp_args *args, gp_buf *body, gp_buf *params, gp_error *err);
/* A header of the answer, valid until the next request; NULL: none. */
const char *gp_client_header(const gp_client *c, const char *name);
/* Of a call with a reader that went well: its result, the caller's to free. */
gp_code gp_client_take_result(const gp_client *c, gp_call *call, gp_result *out, gp_error *err);

bool gp_client_addr_is_nanomsg(const char *addr);

/* What a host that refuses says, as a code and a message: `what` ("HTTP status") and the status, and its
 * words. *problem receives its problem document, if there is one; may be NULL. */
typedef struct gp_refusal {
    const char *addr;
    const char *what;
    long status;
    const char *text;
    size_t len;
    long retry_s; /* when it likes to be asked again; 0: it does not say */
} gp_refusal;
gp_code gp_client_refused(const gp_refusal *r, gp_problem *problem, gp_error *err);

/* Why a transfer failed. */
gp_code gp_client_transfer_error(const gp_client *c, const gp_call *call, CURLcode code, gp_error *err);

/* GP_OK for 2xx. Otherwise the code that fits, with the server's words in *err and *problem. */
gp_code gp_client_call(gp_client *c, gp_call *call, gp_error *err);

#endif
