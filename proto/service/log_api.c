#include "proto/service/log_api.h"

#include "proto/http/answer.h"

#include <stdio.h>

#include <cjson/cJSON.h>

static const gp_http_schema logging_schema = GP_HTTP_SCHEMA("Logging");

static void answer_level(gp_http_request *req, gp_http_response *res, const gp_log *log)
{
    gp_buf json = GP_BUF_INIT;
    gp_buf_printf(&json, "{\"level\":\"%s\"}", gp_log_level_name(gp_log_get_level(log)));
    gp_http_answer(req, res, 200, &logging_schema, &json);
}

void gp_log_api_get(gp_http_request *req, gp_http_response *res, void *log)
{
    answer_level(req, res, log);
}

static void refuse(gp_http_request *req, gp_http_response *res, const char *value)
{
    gp_problem p = GP_PROBLEM_INIT;
    gp_buf json = GP_BUF_INIT;
    gp_buf_json_str(&json, value ? value : "");
    gp_problem_set(&p, 422, "validation failed");
    gp_problem_add(&p, "body.level", json.failed ? NULL : json.data,
                   "the level must be one of debug, info, warn, error");
    gp_http_answer_problem(req, res, &p);
    gp_buf_free(&json);
    gp_problem_free(&p);
}

static void set_level(gp_http_request *req, gp_http_response *res, gp_log *log, gp_log_level level)
{
    char note[64];
    snprintf(note, sizeof note, "log level %s -> %s", gp_log_level_name(gp_log_get_level(log)),
             gp_log_level_name(level));
    gp_log_set_level(log, level);
    gp_http_note(req, note);
    answer_level(req, res, log);
}

void gp_log_api_put(gp_http_request *req, gp_http_response *res, void *log)
{
    const char *text;
    size_t len;
    gp_log_level level;
    if (!gp_http_json_body(req, res, &text, &len))
        return;
    cJSON *root = cJSON_ParseWithLength(text, len);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "level"));
    if (name && gp_log_level_parse(name, &level))
        set_level(req, res, log, level);
    else
        refuse(req, res, name);
    cJSON_Delete(root);
}
