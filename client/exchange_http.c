/* A query by HTTP: POST /_query. */
#include "client/exchange_kind.h"
#include "client/transport.h"

#include <stdlib.h>

typedef struct http_exchange {
    gp_exchange x;
    gp_client *client;
    gp_call call;
    gp_buf path;
    bool running;
    CURLcode outcome;
} http_exchange;

static void stop_transfer(http_exchange *h)
{
    if (h->running)
        gp_loop_remove_transfer(h->x.loop, h->client->curl);
    h->running = false;
}

/* Closing the connection is how an HTTP server learns that nobody waits any more. */
static void end(gp_exchange *x)
{
    http_exchange *h = (http_exchange *)x;
    stop_transfer(h);
    gp_call_end(&h->call);
    gp_buf_free(&h->path);
    gp_client_free(h->client);
    free(h);
}

static gp_code begin(gp_loop *l, const gp_exchange_config *cfg, gp_exchange **out, gp_error *err)
{
    http_exchange *h = calloc(1, sizeof *h);
    if (!h)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking %s", cfg->addr);
    h->x = (gp_exchange){.kind = &gp_exchange_http, .loop = l, .owner = cfg->owner};
    const gp_client_config client = {.addr = cfg->addr,
                                     .access = cfg->access,
                                     .request_id = cfg->request_id,
                                     .timeout_ns = cfg->timeout_ns,
                                     .max_response = cfg->max_response};
    gp_code rc = gp_client_new(&h->client, &client, err);
    gp_buf_puts(&h->path, "/_query");
    if (cfg->v4_params && *cfg->v4_params)
        gp_buf_printf(&h->path, "?%s", cfg->v4_params);
    if (rc == GP_OK && h->path.failed)
        rc = gp_fail(err, GP_ENOMEM, "out of memory for asking %s", cfg->addr);
    h->call = (gp_call){.method = "POST",
                        .path = h->path.data,
                        .body = cfg->v4_args,
                        .max_rows = cfg->max_rows,
                        .in_flight = cfg->in_flight};
    if (rc == GP_OK)
        rc = gp_result_reader_new(&h->call.reader, err);
    if (rc == GP_OK)
        rc = gp_client_begin(h->client, &h->call, err);
    if (rc == GP_OK) {
        rc = gp_loop_add_transfer(l, h->client->curl, &h->x, err);
        h->running = rc == GP_OK;
    }
    if (rc != GP_OK) {
        end(&h->x);
        return rc;
    }
    *out = &h->x;
    return GP_OK;
}

static void on_transfer(gp_exchange *x, CURLcode outcome)
{
    http_exchange *h = (http_exchange *)x;
    h->outcome = outcome;
    gp_loop_done(x);
}

static gp_code result(gp_exchange *x, gp_result *out, gp_problem *problem, gp_error *err)
{
    http_exchange *h = (http_exchange *)x;
    h->call.problem = problem;
    gp_code rc = gp_client_finish(h->client, &h->call, h->outcome, err);
    stop_transfer(h); /* gives the connection to the next exchange */
    return rc == GP_OK ? gp_client_take_result(h->client, &h->call, out, err) : rc;
}

const gp_exchange_kind gp_exchange_http = {
    .begin = begin, .on_transfer = on_transfer, .result = result, .end = end};
