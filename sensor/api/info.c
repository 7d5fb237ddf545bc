/* /metrics, and failures of the API's own. */
#include "sensor/api/internal.h"
#include "sensor/retention/retention.h"

#include <inttypes.h>

void gp_api_fail(const gp_http_request *req, gp_http_response *res, int status, const char *detail,
                 const char *message)
{
    gp_problem p = GP_PROBLEM_INIT;
    gp_problem_set(&p, status, "%s", detail);
    gp_problem_add(&p, NULL, NULL, "%s", message);
    gp_http_answer_problem(req, res, &p);
    gp_problem_free(&p);
}

static void put_counter(const char *name, const char *help, uint64_t value, gp_buf *out)
{
    gp_buf_printf(out,
                  "# HELP goprobe_retention_%s %s\n# TYPE goprobe_retention_%s counter\ngoprobe_retention_%s "
                  "%" PRIu64 "\n",
                  name, help, name, name, value);
}

static void retention_metrics(const gp_retention *r, gp_buf *out)
{
    if (!r)
        return;
    const gp_retention_counters n = gp_retention_count(r);
    put_counter("removed_days_total", "Days removed because of their age or the size of all", n.days, out);
    put_counter("removed_bytes_total", "Bytes of the files of removed days", n.bytes, out);
    put_counter("errors_total", "Interfaces of which days could not be removed", n.errors, out);
}

void gp_api_metrics(gp_http_request *req, gp_http_response *res, void *api)
{
    (void)req;
    gp_sensor_api *a = api;
    gp_http_metrics_write(a->metrics, &res->body);
    gp_manager_metrics(a->cfg.manager, !a->limits.disable_iface_metrics, &res->body);
    gp_api_nanomsg_metrics(a, &res->body);
    retention_metrics(a->cfg.retention, &res->body);
    gp_process_metrics_write(&res->body);
    res->status = 200;
    res->content_type = GP_METRICS_CONTENT_TYPE;
}
