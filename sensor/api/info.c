/* /metrics, and failures of the API's own. */
#include "sensor/api/internal.h"

void gp_api_fail(const gp_http_request *req, gp_http_response *res, int status, const char *detail,
                 const char *message)
{
    gp_problem p = GP_PROBLEM_INIT;
    gp_problem_set(&p, status, "%s", detail);
    gp_problem_add(&p, NULL, NULL, "%s", message);
    gp_http_answer_problem(req, res, &p);
    gp_problem_free(&p);
}

void gp_api_metrics(gp_http_request *req, gp_http_response *res, void *api)
{
    (void)req;
    gp_sensor_api *a = api;
    gp_http_metrics_write(a->metrics, &res->body);
    gp_manager_metrics(a->cfg.manager, !a->limits.disable_iface_metrics, &res->body);
    gp_api_nanomsg_metrics(a, &res->body);
    gp_process_metrics_write(&res->body);
    res->status = 200;
    res->content_type = GP_METRICS_CONTENT_TYPE;
}
