#include "global-query/endpoints_file.h"

#include <stdlib.h>

static gp_code load_content(const char *path, bool nanomsg, void **content, gp_error *err)
{
    gp_endpoints *e = calloc(1, sizeof *e);
    if (!e)
        return gp_fail(err, GP_ENOMEM, "out of memory for the endpoints");
    gp_code rc = gp_endpoints_load(path, e, err);
    if (rc == GP_OK && nanomsg)
        rc = gp_endpoints_assume_nanomsg(e, err);
    if (rc != GP_OK) {
        gp_endpoints_free(e);
        free(e);
        return rc;
    }
    *content = e;
    return GP_OK;
}

static gp_code load_http(const char *path, void **content, gp_error *err)
{
    return load_content(path, false, content, err);
}

static gp_code load_nanomsg(const char *path, void **content, gp_error *err)
{
    return load_content(path, true, content, err);
}

static void free_content(void *content)
{
    gp_endpoints_free(content);
    free(content);
}

const gp_watched_kind gp_endpoints_file = {"endpoints", load_http, free_content};
const gp_watched_kind gp_endpoints_file_nanomsg = {"endpoints", load_nanomsg, free_content};
