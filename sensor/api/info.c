/* What the service is and how it is: /-/health, /-/ready, /-/info, /metrics. */
#include "proto/base/version.h"
#include "sensor/api/internal.h"

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

void gp_api_version(char *dst, size_t size)
{
    snprintf(dst, size, "%s%s%.8s", gp_version(), commit_known() ? "-" : "",
             commit_known() ? gp_version_commit() : "");
}

void gp_api_fail(const gp_http_request *req, gp_http_response *res, int status, const char *detail,
                 const char *message)
{
    gp_problem p = GP_PROBLEM_INIT;
    gp_problem_set(&p, status, "%s", detail);
    gp_problem_add(&p, NULL, NULL, "%s", message);
    gp_http_answer_problem(req, res, &p);
    gp_problem_free(&p);
}

void gp_api_health(gp_http_request *req, gp_http_response *res, void *api)
{
    (void)api;
    gp_buf json = GP_BUF_INIT;
    gp_buf_puts(&json, "{\"status\":\"healthy\"}");
    gp_http_answer(req, res, 200, &health_schema, &json);
}

void gp_api_ready(gp_http_request *req, gp_http_response *res, void *api)
{
    (void)api;
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

void gp_api_info(gp_http_request *req, gp_http_response *res, void *api)
{
    (void)api;
    char version[64];
    const char *pod = pod_name();
    gp_buf json = GP_BUF_INIT;
    gp_api_version(version, sizeof version);
    gp_buf_puts(&json, "{\"name\":\"goprobe\",\"version\":");
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

void gp_api_metrics(gp_http_request *req, gp_http_response *res, void *api)
{
    (void)req;
    gp_sensor_api *a = api;
    gp_http_metrics_write(a->metrics, &res->body);
    gp_manager_metrics(a->cfg.manager, !a->limits.disable_iface_metrics, &res->body);
    gp_process_metrics_write(&res->body);
    res->status = 200;
    res->content_type = GP_METRICS_CONTENT_TYPE;
}
