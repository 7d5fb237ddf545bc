/* Status and configuration of the captures: /status and /config. */
#include "sensor/api/internal.h"

#include <stdlib.h>
#include <string.h>

static const gp_http_schema status_schema = GP_HTTP_SCHEMA("StatusResponse");
static const gp_http_schema config_schema = GP_HTTP_SCHEMA("ConfigResponse");
static const gp_http_schema update_schema = GP_HTTP_SCHEMA("ConfigUpdateResponse");

/* Names in a request: pointers into one copy of the text. n == 0: all interfaces. */
typedef struct names {
    char *text;
    const char **items;
    size_t n;
} names;

static void names_free(names *l)
{
    free(l->text);
    free(l->items);
}

/* "eth0,eth1" */
static bool split(const char *text, names *out)
{
    size_t most = 1;
    *out = (names){0};
    if (!text || !*text)
        return true;
    for (const char *c = text; *c; c++)
        most += *c == ',';
    out->text = strdup(text);
    out->items = calloc(most, sizeof *out->items);
    if (!out->text || !out->items)
        return false;
    char *rest = NULL;
    for (char *t = strtok_r(out->text, ",", &rest); t; t = strtok_r(NULL, ",", &rest))
        out->items[out->n++] = t;
    return true;
}

/* The {iface} of the path; false when the answer is given. */
static bool path_iface(const gp_http_request *req, gp_http_response *res, const char **out)
{
    *out = gp_http_path_param(req);
    if (*out && strlen(*out) >= 2)
        return true;
    gp_problem p = GP_PROBLEM_INIT;
    gp_buf value = GP_BUF_INIT;
    gp_buf_json_str(&value, *out ? *out : "");
    gp_problem_set(&p, 422, "validation failed");
    gp_problem_add(&p, "path.iface", value.failed ? NULL : value.data, "expected length >= 2");
    gp_http_answer_problem(req, res, &p);
    gp_buf_free(&value);
    gp_problem_free(&p);
    return false;
}

static void answer_status(gp_sensor_api *a, const gp_http_request *req, gp_http_response *res,
                          const char *const *ifaces, size_t n)
{
    gp_status status = {0};
    gp_error err = GP_ERROR_INIT;
    if (gp_manager_status(a->cfg.manager, ifaces, n, &status, &err) != GP_OK) {
        gp_api_fail(req, res, 500, "unexpected error occurred", err.msg);
        return;
    }
    gp_buf json = GP_BUF_INIT;
    status.status_code = status.n_ifaces ? 200 : 204;
    gp_status_to_json(&status, &json);
    gp_http_answer(req, res, status.status_code, &status_schema, &json);
    gp_status_free(&status);
}

void gp_api_status(gp_http_request *req, gp_http_response *res, void *api)
{
    names ifaces;
    if (split(gp_http_query(req, "ifaces"), &ifaces))
        answer_status(api, req, res, ifaces.items, ifaces.n);
    else
        gp_http_error(res, 500, "out of memory");
    names_free(&ifaces);
}

void gp_api_status_one(gp_http_request *req, gp_http_response *res, void *api)
{
    const char *iface;
    if (path_iface(req, res, &iface))
        answer_status(api, req, res, &iface, 1);
}

/* Entries of `all` that are asked for, borrowed. */
static gp_code pick(const gp_capconfig_map *all, const char *const *ifaces, size_t n, gp_capconfig_map *out)
{
    if (n == 0) {
        *out = *all;
        return GP_OK;
    }
    *out = (gp_capconfig_map){.entries = calloc(all->n ? all->n : 1, sizeof *out->entries)};
    if (!out->entries)
        return GP_ENOMEM;
    for (size_t i = 0; i < all->n; i++)
        for (size_t j = 0; j < n; j++)
            if (strcmp(all->entries[i].name, ifaces[j]) == 0) {
                out->entries[out->n++] = all->entries[i];
                break;
            }
    return GP_OK;
}

static void answer_config(gp_sensor_api *a, const gp_http_request *req, gp_http_response *res,
                          const char *const *ifaces, size_t n)
{
    gp_capconfig_map all = {0};
    gp_capconfig_map chosen = {0};
    gp_error err = GP_ERROR_INIT;
    gp_code rc = gp_manager_config_get(a->cfg.manager, &all, &err);
    if (rc == GP_OK)
        rc = pick(&all, ifaces, n, &chosen);
    if (rc == GP_OK) {
        gp_buf json = GP_BUF_INIT;
        int status = chosen.n ? 200 : 204;
        gp_config_response_to_json(status, &chosen, &json);
        gp_http_answer(req, res, status, &config_schema, &json);
    } else {
        gp_api_fail(req, res, 500, "unexpected error occurred", rc == GP_ENOMEM ? "out of memory" : err.msg);
    }
    if (n)
        free(chosen.entries);
    gp_capconfig_map_free(&all);
}

void gp_api_config_get(gp_http_request *req, gp_http_response *res, void *api)
{
    names ifaces;
    if (split(gp_http_query(req, "ifaces"), &ifaces))
        answer_config(api, req, res, ifaces.items, ifaces.n);
    else
        gp_http_error(res, 500, "out of memory");
    names_free(&ifaces);
}

void gp_api_config_get_one(gp_http_request *req, gp_http_response *res, void *api)
{
    const char *iface;
    if (path_iface(req, res, &iface))
        answer_config(api, req, res, &iface, 1);
}

/* For the audit log. */
static void note_update(gp_http_request *req, const gp_config_update *update)
{
    gp_buf text = {.limit = 4096};
    gp_config_update_to_text(update, &text);
    gp_http_note(req, text.len ? text.data : "nothing changed");
    if (gp_config_update_failures(update))
        gp_http_note_failure(req);
    gp_buf_free(&text);
}

static void answer_update(gp_http_request *req, gp_http_response *res, gp_config_update *update)
{
    note_update(req, update);
    gp_buf json = GP_BUF_INIT;
    update->status_code = 200;
    gp_config_update_to_json(update, &json);
    gp_http_answer(req, res, 200, &update_schema, &json);
}

static void put_config(gp_sensor_api *a, gp_http_request *req, gp_http_response *res,
                       const gp_capconfig_map *ifaces)
{
    gp_error err = GP_ERROR_INIT;
    if (gp_capconfig_map_validate(ifaces, &err) != GP_OK) {
        gp_api_fail(req, res, 422, "config validation failed", err.msg);
        return;
    }
    gp_config_update update = {0};
    if (gp_config_monitor_put(a->cfg.monitor, ifaces, &update, &err) == GP_OK)
        answer_update(req, res, &update);
    else
        gp_api_fail(req, res, 400, "config update failed", err.msg);
    gp_config_update_free(&update);
}

void gp_api_config_put(gp_http_request *req, gp_http_response *res, void *api)
{
    const char *text;
    size_t len;
    if (!gp_http_json_body(req, res, &text, &len))
        return;
    gp_capconfig_map ifaces = {0};
    gp_problem p = GP_PROBLEM_INIT;
    if (gp_capconfig_map_from_request(text, len, &ifaces, &p) == GP_OK)
        put_config(api, req, res, &ifaces);
    else
        gp_http_answer_problem(req, res, &p);
    gp_problem_free(&p);
    gp_capconfig_map_free(&ifaces);
}

void gp_api_config_reload(gp_http_request *req, gp_http_response *res, void *api)
{
    gp_sensor_api *a = api;
    gp_config_update update = {0};
    gp_error err = GP_ERROR_INIT;
    if (gp_config_monitor_reload(a->cfg.monitor, &update, &err) == GP_OK)
        answer_update(req, res, &update);
    else
        gp_api_fail(req, res, 500, "config update failed", err.msg);
    gp_config_update_free(&update);
}
