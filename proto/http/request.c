/* What a handler sees of a request: everything is copied from libmicrohttpd before the handler runs. */
#include "proto/base/clock.h"
#include "proto/http/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Copies a string behind the others; its offset, or SIZE_MAX when out of memory. */
static size_t keep(gp_buf *text, const char *s)
{
    size_t at = text->len;
    gp_buf_add(text, s, strlen(s) + 1);
    return text->failed ? SIZE_MAX : at;
}

struct collect {
    gp_buf *text;
    gp_pairs *pairs;
};

static enum MHD_Result add_pair(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
    (void)kind;
    struct collect *c = cls;
    gp_pair *grown = reallocarray(c->pairs->items, c->pairs->n + 1, sizeof *grown);
    if (!grown) {
        c->pairs->failed = true;
        return MHD_NO;
    }
    c->pairs->items = grown;
    grown[c->pairs->n++] = (gp_pair){keep(c->text, key ? key : ""), keep(c->text, value ? value : "")};
    return MHD_YES;
}

static bool collect(gp_http_request *req, enum MHD_ValueKind kind, gp_pairs *pairs)
{
    struct collect c = {&req->text, pairs};
    MHD_get_connection_values(req->connection, kind, add_pair, &c);
    return !pairs->failed && !req->text.failed;
}

gp_http_request *gp_http_request_new(gp_http_server *s, struct MHD_Connection *c, const char *url,
                                     const char *method)
{
    gp_http_request *req = calloc(1, sizeof *req);
    if (!req)
        return NULL;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    req->server = s;
    req->connection = c;
    req->fd = info ? info->connect_fd : -1;
    req->body.limit = s->max_body;
    req->method_text = strdup(method);
    req->method = req->method_text;
    pthread_mutex_init(&req->lock, NULL);
    gp_clock_cond_init(&req->changed);
    req->began_ns = gp_clock_ns();
    const union MHD_ConnectionInfo *context = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    req->conn = context ? context->socket_context : NULL;
    req->path = keep(&req->text, url);
    if (!req->method || !collect(req, MHD_GET_ARGUMENT_KIND, &req->params) ||
        !collect(req, MHD_HEADER_KIND, &req->headers)) {
        gp_http_request_free(req);
        return NULL;
    }
    gp_http_take_id(req);
    return req;
}

void gp_http_request_free(gp_http_request *req)
{
    pthread_cond_destroy(&req->changed);
    pthread_mutex_destroy(&req->lock);
    free(req->method_text);
    free(req->params.items);
    free(req->headers.items);
    gp_buf_free(&req->text);
    gp_buf_free(&req->body);
    gp_buf_free(&req->note);
    gp_buf_free(&req->stream.pending);
    gp_buf_free(&req->response.body);
    free(req);
}

const char *gp_http_method(const gp_http_request *req)
{
    return req->method;
}

const char *gp_http_path(const gp_http_request *req)
{
    return req->text.data + req->path;
}

const char *gp_http_path_param(const gp_http_request *req)
{
    return req->param;
}

const char *gp_http_query(const gp_http_request *req, const char *name)
{
    for (size_t i = 0; i < req->params.n; i++)
        if (strcmp(req->text.data + req->params.items[i].key, name) == 0)
            return req->text.data + req->params.items[i].value;
    return NULL;
}

bool gp_http_params_next(void *gp_http_params_ptr, const char **key, const char **value)
{
    gp_http_params *it = gp_http_params_ptr;
    if (it->at >= it->req->params.n)
        return false;
    const gp_pair *p = &it->req->params.items[it->at++];
    *key = it->req->text.data + p->key;
    *value = it->req->text.data + p->value;
    return true;
}

const char *gp_http_header(const gp_http_request *req, const char *name)
{
    for (size_t i = 0; i < req->headers.n; i++)
        if (strcasecmp(req->text.data + req->headers.items[i].key, name) == 0)
            return req->text.data + req->headers.items[i].value;
    return NULL;
}

const char *gp_http_body(const gp_http_request *req, size_t *len)
{
    *len = req->body.len;
    return req->body.data ? req->body.data : "";
}
