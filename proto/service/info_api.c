#include "proto/service/info_api.h"

#include "proto/base/version.h"
#include "proto/http/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const gp_http_schema health_schema = GP_HTTP_SCHEMA("GetHealthOutputBody");
static const gp_http_schema ready_schema = GP_HTTP_SCHEMA("GetReadyOutputBody");
static const gp_http_schema info_schema = GP_HTTP_SCHEMA("GetInfoOutputBody");

static bool commit_known(void)
{
    return strcmp(gp_version_commit(), "unknown") != 0;
}

void gp_info_version(char *dst, size_t size)
{
    snprintf(dst, size, "%s%s%.8s", gp_version(), commit_known() ? "-" : "",
             commit_known() ? gp_version_commit() : "");
}

void gp_info_api_health(gp_http_request *req, gp_http_response *res, void *info)
{
    (void)info;
    gp_buf json = GP_BUF_INIT;
    gp_buf_puts(&json, "{\"status\":\"healthy\"}");
    gp_http_answer(req, res, 200, &health_schema, &json);
}

void gp_info_api_ready(gp_http_request *req, gp_http_response *res, void *info)
{
    (void)info;
    gp_buf json = GP_BUF_INIT;
    gp_buf_puts(&json, "{\"status\":\"ready\"}");
    gp_http_answer(req, res, 200, &ready_schema, &json);
}

/* In Kubernetes, the name of the pod comes in one of these variables. */
static const char *pod_name(void)
{
    static const char *const variables[] = {"POD_NAME", "POD", "PODNAME"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *name = getenv(variables[i]);
        if (name && *name)
            return name;
    }
    return NULL;
}

void gp_info_api_info(gp_http_request *req, gp_http_response *res, void *info)
{
    const gp_service_info *s = info;
    char version[64];
    const char *pod = pod_name();
    gp_buf json = GP_BUF_INIT;
    gp_info_version(version, sizeof version);
    gp_buf_puts(&json, "{\"name\":");
    gp_buf_json_str(&json, s->name);
    gp_buf_puts(&json, ",\"version\":");
    gp_buf_json_str(&json, version);
    if (commit_known()) {
        gp_buf_puts(&json, ",\"commit\":");
        gp_buf_json_str(&json, gp_version_commit());
    }
    if (pod) {
        gp_buf_puts(&json, ",\"pod\":");
        gp_buf_json_str(&json, pod);
    }
    gp_buf_putc(&json, '}');
    gp_http_answer(req, res, 200, &info_schema, &json);
}
