#include "global-query/endpoints_file.h"

#include "global-query/token_file.h"

#include <stdlib.h>
#include <string.h>

/* Hosts that name the same file as the host before share it. */
static bool shares_token(const gp_endpoints *e, size_t i)
{
    return i > 0 && e->items[i - 1].token_file &&
           strcmp(e->items[i].token_file, e->items[i - 1].token_file) == 0;
}

static gp_code watch_tokens(gp_endpoints_content *c, gp_log *log, gp_error *err)
{
    const gp_endpoints *e = &c->list;
    gp_code rc = GP_OK;
    c->tokens = calloc(e->n + 1, sizeof(gp_watched *));
    if (!c->tokens)
        return gp_fail(err, GP_ENOMEM, "out of memory for the endpoints");
    for (size_t i = 0; i < e->n && rc == GP_OK; i++) {
        if (!e->items[i].token_file)
            continue;
        if (shares_token(e, i)) {
            c->tokens[i] = c->tokens[i - 1];
            continue;
        }
        rc = gp_watched_open(&c->tokens[i], &gp_token_file, e->items[i].token_file, log, err);
        if (rc != GP_OK)
            gp_error_prefix(err, "host %s", e->items[i].host);
    }
    return rc;
}

static void free_content(void *content)
{
    gp_endpoints_content *c = content;
    for (size_t i = 0; c->tokens && i < c->list.n; i++)
        if (i == 0 || c->tokens[i] != c->tokens[i - 1])
            gp_watched_close(c->tokens[i]);
    free(c->tokens);
    gp_endpoints_free(&c->list);
    free(c);
}

static gp_code load_content(const char *path, bool nanomsg, gp_log *log, void **content, gp_error *err)
{
    gp_endpoints_content *c = calloc(1, sizeof *c);
    if (!c)
        return gp_fail(err, GP_ENOMEM, "out of memory for the endpoints");
    gp_code rc = gp_endpoints_load(path, &c->list, err);
    if (rc == GP_OK && nanomsg)
        rc = gp_endpoints_assume_nanomsg(&c->list, err);
    if (rc == GP_OK)
        rc = watch_tokens(c, log, err);
    for (size_t i = 0; i < c->list.n_warnings; i++)
        gp_log_warn(log, c->list.warnings[i]);
    if (rc != GP_OK) {
        free_content(c);
        return rc;
    }
    *content = c;
    return GP_OK;
}

static gp_code load_http(const char *path, gp_log *log, void **content, gp_error *err)
{
    return load_content(path, false, log, content, err);
}

static gp_code load_nanomsg(const char *path, gp_log *log, void **content, gp_error *err)
{
    return load_content(path, true, log, content, err);
}

const gp_watched_kind gp_endpoints_file = {"endpoints", load_http, free_content};
const gp_watched_kind gp_endpoints_file_nanomsg = {"endpoints", load_nanomsg, free_content};
