#include "global-query/runner.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* A query under way. */
typedef struct fleet_query {
    gp_runner *runner;
    const gp_stmt *stmt;
    const gp_query_hooks *hooks;
    gp_merge *merge;
    gp_result failed; /* statuses of hosts without an answer */
    gp_code code;     /* what stops the whole query: lack of memory */
    gp_error err;
    struct timespec start; /* CLOCK_MONOTONIC */
    gp_time wall_start;
    int64_t next_keepalive;
} fleet_query;

static int64_t elapsed_ns(const fleet_query *q)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)(now.tv_sec - q->start.tv_sec) * 1000000000 + (now.tv_nsec - q->start.tv_nsec);
}

/* ---- hosts
 * ------------------------------------------------------------------------------------------------------- */

static gp_code all_hosts(const gp_endpoints *e, char ***hosts, size_t *n, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; i < e->n && rc == GP_OK; i++)
        rc = gp_strlist_add(hosts, n, e->items[i].host, err);
    return rc;
}

static gp_code resolve_hosts(const gp_runner *r, const gp_args *args, char ***hosts, size_t *n, gp_error *err)
{
    const char *query = args->query_hosts + strspn(args->query_hosts, " \t\r\n");
    *hosts = NULL;
    *n = 0;
    if (strcasecmp(query, "any") == 0)
        return all_hosts(r->endpoints, hosts, n, err);
    return gp_resolvers_resolve(r->resolvers, args->query_hosts_resolver_type, query, hosts, n, err);
}

static const char *either(const char *own, const char *common)
{
    return own ? own : common;
}

static gp_client_access access_of(const gp_endpoint *at, const gp_client_access *common)
{
    bool own_cert = at->tls_cert != NULL; /* a key belongs to its certificate */
    return (gp_client_access){.token = either(at->token, common->token),
                              .ca_file = either(at->tls_ca, common->ca_file),
                              .cert_file = own_cert ? at->tls_cert : common->cert_file,
                              .key_file = own_cert ? at->tls_key : common->key_file};
}

static gp_fanout_host *reach_hosts(const gp_endpoints *e, const gp_client_access *access, char *const *hosts,
                                   size_t n)
{
    gp_fanout_host *list = calloc(n ? n : 1, sizeof *list);
    for (size_t i = 0; list && i < n; i++) {
        const gp_endpoint *at = gp_endpoints_find(e, hosts[i]);
        list[i].name = hosts[i];
        list[i].why = "couldn't find endpoint configuration for host";
        if (at) {
            list[i].addr = at->addr;
            list[i].timeout_ns = at->timeout_ns;
            list[i].access = access_of(at, access);
        }
    }
    return list;
}

/* ---- answers
 * ----------------------------------------------------------------------------------------------------- */

static gp_code add_failed_hosts(const fleet_query *q, gp_result *out, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; i < q->failed.n_hosts && rc == GP_OK; i++) {
        const gp_host_status *h = &q->failed.hosts[i];
        rc = gp_result_set_host(out, h->host, h->code, h->message, err);
    }
    return rc;
}

/* What is known so far as a result: sorted, binned, cut. */
static gp_code make_result(const fleet_query *q, uint64_t limit, gp_result *out, gp_error *err)
{
    const gp_stmt *s = q->stmt;
    gp_code rc = gp_merge_result(q->merge, out, err);
    if (rc != GP_OK)
        return rc;
    rc = add_failed_hosts(q, out, err);
    if (rc == GP_OK && (s->type.label_mask & GP_LABEL_TIME) && s->bin_size > GP_DB_WRITE_INTERVAL)
        rc = gp_result_bin_time(out, s->bin_size, err);
    if (rc != GP_OK) {
        gp_result_free(out);
        return rc;
    }
    gp_result_sort(out, s->sort_by, s->direction, s->sort_ascending, limit);
    out->query_start = q->wall_start;
    out->query_duration_ns = elapsed_ns(q);
    gp_result_finish(out);
    return GP_OK;
}

static void send_partial(fleet_query *q)
{
    gp_result partial;
    uint64_t limit = q->stmt->num_results < GP_STREAM_ROWS ? q->stmt->num_results : GP_STREAM_ROWS;
    if (!q->hooks->partial || make_result(q, limit, &partial, NULL) != GP_OK)
        return;
    q->hooks->partial(q->hooks->ctx, &partial);
    gp_result_free(&partial);
}

static void fail_query(fleet_query *q, gp_code code, const gp_error *err)
{
    if (q->code != GP_OK)
        return;
    q->code = code;
    q->err = *err;
}

static void on_answer(void *ctx, const gp_fanout_host *host, const gp_result *result, const gp_error *why)
{
    fleet_query *q = ctx;
    gp_error err = GP_ERROR_INIT;
    gp_code rc;
    if (result) {
        rc = gp_merge_add(q->merge, result, &err);
    } else {
        rc = gp_result_set_host(&q->failed, host->name, GP_STATUS_ERROR, why->msg, &err);
        gp_log_error(q->runner->log, "query failed", GP_F_STR("hostname", host->name),
                     GP_F_STR("error", why->msg));
    }
    if (rc != GP_OK)
        fail_query(q, rc, &err);
    else
        send_partial(q);
}

static bool canceled(void *ctx)
{
    const fleet_query *q = ctx;
    return q->code != GP_OK || (q->hooks->canceled && q->hooks->canceled(q->hooks->ctx));
}

static void tick(void *ctx)
{
    fleet_query *q = ctx;
    int64_t now = elapsed_ns(q);
    if (!q->hooks->keepalive || q->stmt->keepalive_ns <= 0 || now < q->next_keepalive)
        return;
    q->next_keepalive = now + q->stmt->keepalive_ns;
    q->hooks->keepalive(q->hooks->ctx);
}

/* ---- running
 * ----------------------------------------------------------------------------------------------------- */

static gp_code ask_hosts(fleet_query *q, const gp_args *args, char *const *hosts, size_t n, gp_error *err)
{
    gp_fanout_host *list = reach_hosts(q->runner->endpoints, &q->runner->access, hosts, n);
    if (!list)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking %zu hosts", n);
    const gp_fanout_options opt = {
        .max_concurrent = q->runner->max_concurrent, .canceled = canceled, .tick = tick, .ctx = q};
    gp_code rc = gp_fanout_query(q->runner->fanout, list, n, args, &opt, on_answer, q, err);
    if (q->code != GP_OK)
        rc = gp_fail(err, q->code, "%s", q->err.msg);
    free(list);
    return rc;
}

static void start_clock(fleet_query *q)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &q->start);
    clock_gettime(CLOCK_REALTIME, &now);
    q->wall_start = (gp_time){.sec = now.tv_sec, .nsec = (int32_t)now.tv_nsec, .set = true};
    q->next_keepalive = q->stmt->keepalive_ns;
}

/* v4 calls this a failure of the server (500). */
static gp_code no_hosts(gp_problem *problem, gp_error *err)
{
    gp_problem_set(problem, 422, "query preparation failed");
    gp_problem_add(problem, "body.query_hosts", NULL, "query for target hosts is empty");
    return gp_fail(err, GP_EINVAL, "query for target hosts is empty");
}

gp_code gp_runner_run(void *runner, const gp_args *args, const gp_stmt *stmt, const gp_query_hooks *hooks,
                      gp_result *out, gp_problem *problem, gp_error *err)
{
    fleet_query q = {.runner = runner, .stmt = stmt, .hooks = hooks};
    char **hosts = NULL;
    size_t n = 0;
    if (!args->query_hosts || !*args->query_hosts)
        return no_hosts(problem, err);
    start_clock(&q);
    gp_result_init(&q.failed);
    gp_code rc = resolve_hosts(q.runner, args, &hosts, &n, err);
    if (rc != GP_OK)
        gp_error_prefix(err, "failed to resolve host list");
    if (rc == GP_OK)
        rc = gp_merge_new(&q.merge, err);
    if (rc == GP_OK)
        rc = ask_hosts(&q, args, hosts, n, err);
    if (rc == GP_OK)
        rc = make_result(&q, stmt->num_results, out, err);
    gp_merge_free(q.merge);
    gp_result_free(&q.failed);
    gp_strlist_free(hosts, n);
    return rc;
}
