/* The calls of a sensor's control API, and plain GET. */
#include "client/transport.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

/* "/status", "/status/eth0" or "/status?ifaces=eth0,eth1": v4's client and server speak all three. A name
 * that does not fit into a path segment, or that v4 finds too short for one, goes into the query. */
static gp_code iface_path(gp_client *c, const char *route, const char *const *ifaces, size_t n, gp_buf *out,
                          gp_error *err)
{
    bool segment = n == 1 && strlen(ifaces[0]) >= 2 && !strchr(ifaces[0], '/') && ifaces[0][0] != '.';
    gp_buf_puts(out, route);
    for (size_t i = 0; i < n; i++) {
        char *escaped = curl_easy_escape(c->curl, ifaces[i], 0);
        if (!escaped)
            return gp_fail(err, GP_ENOMEM, "out of memory for the name of interface '%s'", ifaces[i]);
        gp_buf_puts(out, segment ? "/" : i ? "," : "?ifaces=");
        gp_buf_puts(out, escaped);
        curl_free(escaped);
    }
    return out->failed ? gp_fail(err, GP_ENOMEM, "out of memory for %zu interface names", n) : GP_OK;
}

/* GET of a route for some interfaces; 204 says that the sensor captures none of them. */
static gp_code get_ifaces(gp_client *c, gp_call *call, const char *route, const char *const *ifaces, size_t n,
                          gp_error *err)
{
    gp_buf path = GP_BUF_INIT;
    gp_code rc = iface_path(c, route, ifaces, n, &path, err);
    call->method = "GET";
    call->path = path.data;
    if (rc == GP_OK)
        rc = gp_client_call(c, call, err);
    gp_buf_free(&path);
    if (rc == GP_OK && call->status == 204)
        rc = gp_fail(err, GP_ENOTFOUND, "204 No Content: %s captures on %s", c->addr,
                     n ? "none of these interfaces" : "no interface");
    return rc;
}

static gp_code in_answer(const gp_client *c, gp_code rc, gp_error *err)
{
    return rc == GP_OK ? GP_OK : gp_error_prefix(err, "answer of %s", c->addr);
}

gp_code gp_client_status(gp_client *c, const char *const *ifaces, size_t n, gp_status *out, gp_error *err)
{
    gp_error local = GP_ERROR_INIT;
    err = err ? err : &local;
    gp_call call = {0};
    gp_code rc = get_ifaces(c, &call, "/status", ifaces, n, err);
    if (rc == GP_OK)
        rc = in_answer(c, gp_status_from_json(call.answer.data, call.answer.len, out, err), err);
    gp_buf_free(&call.answer);
    return rc;
}

gp_code gp_client_config_get(gp_client *c, const char *const *ifaces, size_t n, gp_capconfig_map *out,
                             gp_error *err)
{
    gp_error local = GP_ERROR_INIT;
    err = err ? err : &local;
    gp_call call = {0};
    gp_code rc = get_ifaces(c, &call, "/config", ifaces, n, err);
    if (rc == GP_OK)
        rc = in_answer(c, gp_config_response_from_json(call.answer.data, call.answer.len, out, err), err);
    gp_buf_free(&call.answer);
    return rc;
}

static gp_code update(gp_client *c, gp_call *call, gp_config_update *out, gp_error *err)
{
    gp_error local = GP_ERROR_INIT;
    err = err ? err : &local;
    gp_code rc = gp_client_call(c, call, err);
    if (rc == GP_OK)
        rc = in_answer(c, gp_config_update_from_json(call->answer.data, call->answer.len, out, err), err);
    gp_buf_free(&call->answer);
    return rc;
}

gp_code gp_client_config_put(gp_client *c, const gp_capconfig_map *cfg, gp_config_update *out, gp_error *err)
{
    gp_buf body = GP_BUF_INIT;
    gp_capconfig_map_to_json(cfg, &body);
    gp_call call = {.method = "PUT", .path = "/config", .body = &body};
    gp_code rc = update(c, &call, out, err);
    gp_buf_free(&body);
    return rc;
}

gp_code gp_client_reload(gp_client *c, gp_config_update *out, gp_error *err)
{
    gp_call call = {.method = "POST", .path = "/config/_reload"};
    return update(c, &call, out, err);
}

static gp_code log_level(gp_client *c, gp_call *call, char **out, gp_error *err)
{
    gp_code rc = gp_client_call(c, call, err);
    if (rc == GP_OK) {
        cJSON *root = cJSON_ParseWithLength(call->answer.data ? call->answer.data : "", call->answer.len);
        const char *level = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "level"));
        *out = level ? strdup(level) : NULL;
        if (!*out)
            rc = gp_fail(err, GP_ECORRUPT, "answer of %s: no level in it", c->addr);
        cJSON_Delete(root);
    }
    gp_buf_free(&call->answer);
    return rc;
}

gp_code gp_client_log_level(gp_client *c, char **out, gp_error *err)
{
    gp_call call = {.method = "GET", .path = "/-/logging"};
    return log_level(c, &call, out, err);
}

gp_code gp_client_set_log_level(gp_client *c, const char *level, char **out, gp_error *err)
{
    gp_buf body = GP_BUF_INIT;
    gp_buf_puts(&body, "{\"level\":");
    gp_buf_json_str(&body, level);
    gp_buf_putc(&body, '}');
    gp_call call = {.method = "PUT", .path = "/-/logging", .body = &body};
    gp_code rc = log_level(c, &call, out, err);
    gp_buf_free(&body);
    return rc;
}

gp_code gp_client_get(gp_client *c, const char *path, gp_buf *body, gp_error *err)
{
    gp_call call = {.method = "GET", .path = path};
    gp_code rc = gp_client_call(c, &call, err);
    if (rc == GP_OK)
        gp_buf_add(body, call.answer.data, call.answer.len);
    gp_buf_free(&call.answer);
    if (rc == GP_OK && body->failed)
        rc = gp_fail(err, GP_ENOMEM, "out of memory for the answer of %s", c->addr);
    return rc;
}
