#include "global-query/runner.h"

#include "global-query/endpoints_file.h"
#include "global-query/topk.h"
#include "proto/base/clock.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const int64_t partial_interval_ns = INT64_C(100000000);

/* A host of a query under way. */
typedef struct asked_host {
    const char *name;
    const char *addr;            /* by the resolver; NULL: the endpoint's */
    const gp_endpoint *endpoint; /* NULL: unknown */
    gp_buf below;                /* hosts below it that are asked, if it is asked for some only */
    const char *token;           /* of its own; NULL: none */
    gp_watched *token_file;      /* of that; NULL: not of a file */
    gp_watched_content *token_handle;
    gp_args args; /* what it is asked in this round, where that is its own */
    gp_status_code failure;
    char *why; /* NULL: it has not failed */
    bool done; /* in this round */
} asked_host;

/* When a host's turn comes. */
typedef struct turn {
    size_t host;
    uint32_t pace; /* pace.h */
} turn;

/* A query under way. */
typedef struct fleet_query {
    gp_runner *runner;
    const gp_endpoints *endpoints;
    gp_watched **tokens;                  /* of the endpoints; NULL: they say themselves */
    gp_watched_content *endpoints_handle; /* NULL: not of a file */
    gp_client_access access;              /* of hosts that have none of their own */
    gp_watched_content *token_handle;     /* of that; NULL: not of a file */
    const gp_stmt *stmt;
    const gp_query_hooks *hooks;
    gp_args args; /* what hosts are asked in the first round */
    gp_topk *topk;
    asked_host *hosts;
    size_t n_hosts;
    const char **names; /* of the hosts, sorted */
    turn *turns;
    gp_fanout_host *list; /* of this round */
    size_t *index;        /* of the list's hosts in `hosts` */
    size_t n_done;        /* hosts that answered or failed in the first round */
    gp_code code;         /* what stops the whole query: lack of memory */
    gp_error err;
    int64_t start; /* gp_clock_ns() */
    gp_time wall_start;
    int64_t next_keepalive, next_partial; /* since start */
    bool news;                            /* not told yet by a partial result */
} fleet_query;

static int64_t elapsed_ns(const fleet_query *q)
{
    return gp_clock_ns() - q->start;
}

/* ---- hosts --------------------------------------------------------------------------------------------- */

static gp_code all_hosts(const gp_endpoints *e, gp_host_list *out, gp_error *err)
{
    gp_code rc = GP_OK;
    *out = (gp_host_list){0};
    for (size_t i = 0; i < e->n && rc == GP_OK; i++)
        rc = gp_host_list_add(out, e->items[i].host, NULL, err);
    return rc;
}

/* "any" is every host that we know how to reach, unless a resolver is to say what it means. */
static gp_code resolve_hosts(const fleet_query *q, const gp_args *args, gp_host_list *out, gp_error *err)
{
    const char *query = args->query_hosts + strspn(args->query_hosts, " \t\r\n");
    const char *type = args->query_hosts_resolver_type;
    bool by_name = !type || !*type || strcmp(type, gp_resolver_string.name) == 0;
    if (by_name && strcasecmp(query, "any") == 0)
        return all_hosts(q->endpoints, out, err);
    return gp_resolvers_resolve(q->runner->resolvers, type, query, out, err);
}

static const char *either(const char *own, const char *common)
{
    return own ? own : common;
}

static gp_client_access access_of(const asked_host *h, const gp_client_access *common)
{
    const gp_endpoint *at = h->endpoint;
    bool own_cert = at->tls_cert != NULL; /* a key belongs to its certificate */
    return (gp_client_access){.token = either(h->token, common->token),
                              .ca_file = either(at->tls_ca, common->ca_file),
                              .cert_file = own_cert ? at->tls_cert : common->cert_file,
                              .key_file = own_cert ? at->tls_key : common->key_file};
}

/* What its file says now is its token for the whole query. */
static void take_token(const fleet_query *q, asked_host *h)
{
    if (!h->endpoint)
        return;
    h->token = h->endpoint->token;
    h->token_file = q->tokens ? q->tokens[h->endpoint - q->endpoints->items] : NULL;
    if (h->token_file)
        h->token = gp_watched_take(h->token_file, &h->token_handle);
}

/* The first named come first among those that are equally slow. */
static int slowest_first(const void *a, const void *b)
{
    const turn *x = a;
    const turn *y = b;
    if (x->pace != y->pace)
        return x->pace > y->pace ? -1 : 1;
    return x->host < y->host ? -1 : 1;
}

/* Where hosts have to wait for others, the slowest must not take all places: fast hosts take turns with them,
 * so that something is there to show. What is not known, or failed, stays behind. */
static void mix_turns(turn *turns, size_t n)
{
    size_t known = 0;
    while (known < n && turns[known].pace)
        known++;
    turn *sorted = malloc((known + 1) * sizeof *sorted);
    if (!sorted)
        return; /* no worse than slowest first */
    memcpy(sorted, turns, known * sizeof *sorted);
    for (size_t i = 0; i < known; i++)
        turns[i] = sorted[i % 2 ? known - 1 - i / 2 : i / 2];
    free(sorted);
}

static void take_turns(const fleet_query *q)
{
    const gp_runner *r = q->runner;
    size_t places = r->limits.max_concurrent;
    bool wait = places && q->n_hosts > places;
    bool may_be_cut = wait && r->limits.deadline_ns > 0; /* then slow hosts have no claim to be first */
    for (size_t i = 0; i < q->n_hosts; i++)
        q->turns[i] = (turn){i, r->pace && !may_be_cut ? gp_pace_of(r->pace, q->hosts[i].name) : 0};
    qsort(q->turns, q->n_hosts, sizeof *q->turns, slowest_first);
    if (wait)
        mix_turns(q->turns, q->n_hosts);
}

/* The endpoint before the first slash of a name; NULL: there is none. */
static const gp_endpoint *find_above(const gp_endpoints *e, const char *name, const char **below)
{
    char above[256];
    const char *slash = strchr(name, '/');
    size_t len = slash ? (size_t)(slash - name) : 0;
    if (len == 0 || len >= sizeof above || slash[1] == '\0')
        return NULL;
    memcpy(above, name, len);
    above[len] = '\0';
    *below = slash + 1;
    return gp_endpoints_find(e, above);
}

/* The aggregator with these hosts below it: one question asks for all of them. */
static asked_host *find_group(const fleet_query *q, const gp_endpoint *above)
{
    for (size_t i = 0; i < q->n_hosts; i++)
        if (q->hosts[i].endpoint == above && q->hosts[i].below.len)
            return &q->hosts[i];
    return NULL;
}

static gp_code add_host(fleet_query *q, const gp_named_host *named, gp_error *err)
{
    const char *below = NULL;
    const gp_endpoint *e = gp_endpoints_find(q->endpoints, named->name);
    const gp_endpoint *above = e || named->addr ? NULL : find_above(q->endpoints, named->name, &below);
    asked_host *h = above ? find_group(q, above) : NULL;
    if (!h) {
        h = &q->hosts[q->n_hosts++];
        h->name = above ? above->host : named->name;
        h->addr = named->addr;
        h->endpoint = above ? above : e;
        take_token(q, h);
    }
    if (below)
        gp_buf_printf(&h->below, "%s%s", h->below.len ? "," : "", below);
    return h->below.failed ? gp_fail(err, GP_ENOMEM, "out of memory for the names of hosts") : GP_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_asked(const fleet_query *q, const char *name)
{
    return bsearch(&name, q->names, q->n_hosts, sizeof *q->names, by_text) != NULL;
}

static gp_code find_hosts(fleet_query *q, const gp_host_list *list, gp_error *err)
{
    size_t n = list->n;
    gp_code rc = GP_OK;
    q->hosts = calloc(n + 1, sizeof *q->hosts);
    q->names = calloc(n + 1, sizeof *q->names);
    q->turns = calloc(n + 1, sizeof *q->turns);
    q->list = calloc(n + 1, sizeof *q->list);
    q->index = calloc(n + 1, sizeof *q->index);
    if (!q->hosts || !q->names || !q->turns || !q->list || !q->index)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking %zu hosts", n);
    for (size_t i = 0; i < n && rc == GP_OK; i++)
        rc = add_host(q, &list->items[i], err);
    for (size_t i = 0; i < q->n_hosts; i++)
        q->names[i] = q->hosts[i].name;
    qsort(q->names, q->n_hosts, sizeof *q->names, by_text);
    take_turns(q);
    return rc;
}

/* ---- the way of a question through aggregators --------------------------------------------------------- */

static bool has_id(const char *via, const char *id)
{
    size_t len = strlen(id);
    for (const char *at = via; (at = strstr(at, id)); at += len)
        if ((at == via || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

static size_t count_ids(const char *via)
{
    size_t n = *via != '\0';
    for (; *via; via++)
        n += *via == ',';
    return n;
}

static gp_code check_way(const gp_runner *r, const char *via, gp_problem *problem, gp_error *err)
{
    enum { LOOP_DETECTED = 508 };
    bool plain =
        strspn(via, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,-_.") == strlen(via);
    if (!plain)
        gp_problem_set(problem, 422, "via: expected ids of aggregators, separated by commas");
    else if (r->id && has_id(via, r->id))
        gp_problem_set(
            problem, LOOP_DETECTED,
            "this query came through this aggregator before: aggregators ask each other in a circle");
    else if (count_ids(via) >= GP_MAX_DEPTH)
        gp_problem_set(problem, LOOP_DETECTED, "this query came through more than %d aggregators",
                       GP_MAX_DEPTH - 1);
    else
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "%s", problem->detail ? problem->detail : "refused");
}

/* What hosts are asked: of those that are aggregators, for all of their hosts. */
static gp_code make_args(fleet_query *q, const gp_args *args, gp_error *err)
{
    gp_buf via = GP_BUF_INIT;
    gp_code rc = gp_args_copy(args, &q->args, err);
    if (rc == GP_OK)
        rc = gp_args_set(&q->args.query_hosts, "any", err);
    if (rc == GP_OK)
        rc = gp_args_set(&q->args.query_hosts_resolver_type, NULL, err);
    if (rc == GP_OK)
        rc = gp_args_set(&q->args.only_rows, NULL, err);
    q->args.skip_results = q->args.min_value = 0;
    q->args.digest = false;
    q->args.keepalive_ns = 0;
    if (rc != GP_OK || !q->runner->id)
        return rc;
    gp_buf_printf(&via, "%s%s%s", args->via ? args->via : "", args->via && *args->via ? "," : "",
                  q->runner->id);
    rc = via.failed ? gp_fail(err, GP_ENOMEM, "out of memory for a query")
                    : gp_args_set(&q->args.via, via.data, err);
    gp_buf_free(&via);
    return rc;
}

/* ---- results ------------------------------------------------------------------------------------------- */

/* A sensor speaks for itself, and gives its name; aggregators speak for those below them, and do not. */
static bool is_of_sensor(const gp_result *answer)
{
    return answer->hostname && *answer->hostname;
}

/* By what name to ask for this host only: that of the endpoint, and of a host below another aggregator, the
 * aggregator's name for it behind the endpoint's. Aggregators of v4 have no such names. */
static void put_endpoint(const fleet_query *q, size_t i, const gp_host_status *s, gp_buf *out)
{
    const gp_result *answer = gp_topk_summary(q->topk, i);
    bool is_below = answer && answer->narrows && answer->n_hosts > 0 && !is_of_sensor(answer);
    gp_buf_puts(out, q->hosts[i].name);
    if (is_below)
        gp_buf_printf(out, "/%s", s->endpoint ? s->endpoint : s->host);
}

/* What we know of a host that we asked is not for another one to say. */
static bool is_anothers(const fleet_query *q, size_t i, const char *name)
{
    return strcmp(name, q->hosts[i].name) != 0 && is_asked(q, name);
}

/* A host's status under its own name; where another host has that name, behind the name by which it was
 * asked. */
static gp_code add_status(const fleet_query *q, size_t i, const gp_host_status *s, gp_result *out,
                          gp_error *err)
{
    gp_buf name = GP_BUF_INIT;
    gp_buf endpoint = GP_BUF_INIT;
    bool taken = gp_result_host(out, s->host) || is_anothers(q, i, s->host);
    gp_buf_printf(&name, "%s%s%s", taken ? q->hosts[i].name : "", taken ? "/" : "", s->host);
    put_endpoint(q, i, s, &endpoint);
    gp_code rc = GP_OK;
    if (name.failed || endpoint.failed)
        rc = gp_fail(err, GP_ENOMEM, "out of memory for the status of a host");
    else
        rc = gp_result_set_status(
            out,
            &(gp_host_status){.host = name.data,
                              .code = s->code,
                              .message = s->message,
                              .endpoint = strcmp(name.data, endpoint.data) != 0 ? endpoint.data : NULL},
            err);
    gp_buf_free(&name);
    gp_buf_free(&endpoint);
    return rc;
}

/* A host that says nothing of itself, or of those below it, is told all the same. */
static gp_host_status own_status(const fleet_query *q, size_t i, const gp_result *answer)
{
    const char *name = is_of_sensor(answer) ? answer->hostname : q->hosts[i].name;
    const gp_host_status *said = is_of_sensor(answer) ? gp_result_host(answer, name) : NULL;
    return said ? *said
                : (gp_host_status){.host = name, .code = answer->status, .message = answer->status_message};
}

/* What we have seen ourselves: of hosts that failed, and of sensors. */
static gp_code add_own_status(const fleet_query *q, size_t i, gp_result *out, gp_error *err)
{
    const gp_result *answer = gp_topk_summary(q->topk, i);
    gp_code rc = GP_OK;
    if (answer && (is_of_sensor(answer) || answer->n_hosts == 0)) {
        const gp_host_status s = own_status(q, i, answer);
        rc = add_status(q, i, &s, out, err);
    }
    if (rc == GP_OK && q->hosts[i].why) {
        const gp_host_status s = {
            .host = q->hosts[i].name, .code = q->hosts[i].failure, .message = q->hosts[i].why};
        rc = add_status(q, i, &s, out, err);
    }
    return rc;
}

/* What aggregators say of hosts below them. */
static gp_code add_statuses_below(const fleet_query *q, size_t i, gp_result *out, gp_error *err)
{
    const gp_result *answer = gp_topk_summary(q->topk, i);
    gp_code rc = GP_OK;
    if (!answer || is_of_sensor(answer))
        return rc;
    for (size_t k = 0; k < answer->n_hosts && rc == GP_OK; k++)
        rc = add_status(q, i, &answer->hosts[k], out, err);
    return rc;
}

static gp_code add_statuses(const fleet_query *q, gp_result *out, gp_error *err)
{
    gp_code rc = GP_OK;
    for (size_t i = 0; i < q->n_hosts && rc == GP_OK; i++)
        rc = add_own_status(q, i, out, err);
    for (size_t i = 0; i < q->n_hosts && rc == GP_OK; i++)
        rc = add_statuses_below(q, i, out, err);
    return rc;
}

static bool has_bins(const gp_stmt *s)
{
    return (s->type.label_mask & GP_LABEL_TIME) && s->bin_size > GP_DB_WRITE_INTERVAL;
}

/* What another aggregator asked for of all rows (narrow.h). */
static gp_code narrow(const gp_stmt *s, gp_result *r, gp_error *err)
{
    const gp_narrow *n = &s->narrow;
    size_t kept = 0;
    if (n->digest) {
        r->digest = calloc(r->n_rows + 1, sizeof *r->digest);
        if (!r->digest)
            return gp_fail(err, GP_ENOMEM, "out of memory for the digest of %zu rows", r->n_rows);
        r->has_digest = true;
        for (size_t i = 0; i < r->n_rows; i++)
            r->digest[r->n_digest++] = gp_row_fingerprint(&r->rows[i]);
        gp_fingerprints_sort(r->digest, r->n_digest);
    }
    uint64_t skipped = 0;
    for (size_t i = 0; i < r->n_rows && kept < s->num_results; i++) {
        const gp_row *row = &r->rows[i];
        if (gp_row_value(row, s->sort_by, s->direction) < n->min_value ||
            (n->only && !gp_narrow_has(n, gp_row_fingerprint(row))) || skipped++ < n->skip)
            continue;
        r->rows[kept++] = *row;
    }
    r->n_rows = kept;
    return GP_OK;
}

static gp_progress progress_of(const fleet_query *q)
{
    return (gp_progress){q->n_hosts, q->n_done, gp_topk_rows(q->topk), elapsed_ns(q)};
}

/* What is known so far as a result: sorted, binned, cut. */
static gp_code make_result(const fleet_query *q, uint64_t limit, gp_result *out, gp_error *err)
{
    const gp_stmt *s = q->stmt;
    bool narrows = gp_narrow_any(&s->narrow);
    gp_code rc = gp_topk_result(q->topk, narrows || has_bins(s) ? UINT64_MAX : limit, out, err);
    if (rc != GP_OK)
        return rc;
    rc = add_statuses(q, out, err);
    if (rc == GP_OK && has_bins(s)) {
        rc = gp_result_bin_time(out, s->bin_size, err);
        gp_result_sort(out, s->sort_by, s->direction, s->sort_ascending, narrows ? 0 : limit);
    }
    if (rc == GP_OK && narrows)
        rc = narrow(s, out, err);
    if (rc != GP_OK) {
        gp_result_free(out);
        return rc;
    }
    out->query_start = q->wall_start;
    out->query_duration_ns = elapsed_ns(q);
    out->progress = progress_of(q);
    gp_result_finish(out);
    return GP_OK;
}

/* Partial results come at intervals: each costs as much as all rows that are there. */
static void send_partial(fleet_query *q)
{
    gp_result partial;
    uint64_t limit = q->stmt->num_results < GP_STREAM_ROWS ? q->stmt->num_results : GP_STREAM_ROWS;
    int64_t now = elapsed_ns(q);
    bool last = q->n_done == q->n_hosts; /* the final result follows */
    if (!q->hooks->partial || !q->news || last || now < q->next_partial)
        return;
    if (make_result(q, limit, &partial, NULL) != GP_OK)
        return;
    partial.has_progress = true;
    q->hooks->partial(q->hooks->ctx, &partial);
    gp_result_free(&partial);
    q->news = false;
    int64_t cost = elapsed_ns(q) - now;
    q->next_partial = now + (cost * 10 > partial_interval_ns ? cost * 10 : partial_interval_ns);
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static void fail_query(fleet_query *q, gp_code code, const gp_error *err)
{
    if (q->code != GP_OK)
        return;
    q->code = code;
    q->err = *err;
}

static void lose_host(fleet_query *q, size_t i, gp_status_code status, const char *why)
{
    asked_host *h = &q->hosts[i];
    gp_topk_lose(q->topk, i);
    free(h->why);
    h->failure = status;
    h->why = strdup(why ? why : "it failed");
    gp_log_error(q->runner->log, "query failed", GP_F_STR("hostname", h->name), GP_F_STR("error", why),
                 GP_F_STR("request_id", q->hooks->request_id));
    if (!h->why)
        fail_query(q, GP_ENOMEM, &(gp_error){.msg = "out of memory for the status of a host"});
}

/* A sensor that had no time for the query says so in an answer without rows. */
static bool is_refusal(const gp_result *r)
{
    return r->status == GP_STATUS_TOO_MANY_REQUESTS || r->status == GP_STATUS_ERROR;
}

/* A sensor answers for itself, whichever hosts are asked for, and gives its name. */
static bool is_no_aggregator(const asked_host *h, const gp_result *r)
{
    return h->below.len && is_of_sensor(r);
}

static void take_answer(fleet_query *q, size_t i, gp_result *result)
{
    gp_error err = GP_ERROR_INIT;
    if (is_refusal(result)) {
        lose_host(q, i, result->status,
                  result->status_message ? result->status_message : gp_status_name(result->status));
        return;
    }
    if (is_no_aggregator(&q->hosts[i], result)) {
        lose_host(q, i, GP_STATUS_ERROR, "has no hosts below it: it is a sensor");
        return;
    }
    gp_code rc = gp_topk_add(q->topk, i, result, &err);
    if (rc == GP_ECORRUPT || rc == GP_EUNSUPPORTED)
        lose_host(q, i, GP_STATUS_ERROR, err.msg);
    else if (rc != GP_OK)
        fail_query(q, rc, &err);
}

/* What says something of the host rather than of the query. A host that refuses, of whatever reason, is there
 * and speaks: another query may be answered. */
static bool is_hosts_fault(gp_code code)
{
    return code == GP_ENET || code == GP_ETIMEOUT || code == GP_ECORRUPT;
}

/* Who was cut short by the deadline of the query had no fair chance. */
static void report_to_breaker(const fleet_query *q, size_t i, const gp_error *why)
{
    int64_t deadline = q->runner->limits.deadline_ns;
    bool cut_short = why && why->code == GP_ETIMEOUT && deadline > 0 && elapsed_ns(q) >= deadline;
    if (q->hosts[i].endpoint && !cut_short)
        gp_breaker_report(q->runner->breaker, q->hosts[i].name, !why || !is_hosts_fault(why->code),
                          why ? why->msg : NULL, gp_clock_ns());
}

static void note_pace(const fleet_query *q, size_t i, int64_t took_ns, bool answered)
{
    gp_pace *p = q->runner->pace;
    if (p && answered)
        gp_pace_answered(p, q->hosts[i].name, took_ns);
    else if (p)
        gp_pace_failed(p, q->hosts[i].name);
}

static void on_answer(void *ctx, const gp_fanout_host *host, gp_result *result, int64_t took_ns,
                      const gp_error *why)
{
    fleet_query *q = ctx;
    size_t i = q->index[host - q->list];
    report_to_breaker(q, i, why);
    note_pace(q, i, took_ns, result != NULL);
    if (result)
        take_answer(q, i, result);
    else
        lose_host(q, i, GP_STATUS_ERROR, why->msg);
    q->n_done += !q->hosts[i].done;
    q->hosts[i].done = true;
    q->news = true;
    if (q->code == GP_OK)
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
    send_partial(q);
    if (!q->hooks->keepalive || q->stmt->keepalive_ns <= 0 || now < q->next_keepalive)
        return;
    q->next_keepalive = now + q->stmt->keepalive_ns;
    const gp_progress progress = progress_of(q);
    q->hooks->keepalive(q->hooks->ctx, &progress);
}

/* ---- running ------------------------------------------------------------------------------------------- */

/* Which of its hosts an aggregator is to ask; NULL: all. */
static const char *hosts_below(const asked_host *h)
{
    return h->below.len ? h->below.data : h->endpoint ? h->endpoint->hosts : NULL;
}

/* The host's own arguments: what the round asks of it, and which of its hosts an aggregator is to ask. */
static gp_code set_args(fleet_query *q, asked_host *h, const gp_topk_ask *ask, gp_error *err)
{
    gp_args_free(&h->args);
    gp_code rc = gp_args_copy(&q->args, &h->args, err);
    const char *below = hosts_below(h);
    if (rc == GP_OK && below)
        rc = gp_args_set(&h->args.query_hosts, below, err);
    if (rc != GP_OK)
        return rc;
    h->args.num_results = ask->num_results;
    h->args.skip_results = ask->narrow.skip;
    h->args.min_value = ask->narrow.min_value;
    h->args.digest = ask->narrow.digest;
    if (!ask->narrow.only)
        return GP_OK;
    gp_buf text = GP_BUF_INIT;
    gp_fingerprints_to_text(ask->narrow.only, ask->narrow.n_only, &text);
    h->args.only_rows = gp_buf_detach(&text);
    return h->args.only_rows ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for asking host %s", h->name);
}

static const int64_t default_timeout_ns =
    INT64_C(30000000000); /* of hosts without an endpoint of their own */

static void reach(const fleet_query *q, const asked_host *h, gp_fanout_host *f)
{
    *f = (gp_fanout_host){.name = h->name, .why = "couldn't find endpoint configuration for host"};
    if (h->endpoint) {
        f->addr = h->endpoint->addr;
        f->timeout_ns = h->endpoint->timeout_ns;
        f->access = access_of(h, &q->access);
    } else if (h->addr) {
        f->addr = h->addr;
        f->timeout_ns = default_timeout_ns;
        f->access = q->access;
    }
}

static gp_code add_to_round(fleet_query *q, size_t i, const gp_topk_ask *ask, size_t *n, gp_error *err)
{
    asked_host *h = &q->hosts[i];
    gp_fanout_host *f = &q->list[*n];
    reach(q, h, f);
    f->max_rows = ask->num_results + 1; /* one too many shows that there are too many */
    q->index[(*n)++] = i;
    bool own = gp_narrow_any(&ask->narrow) || ask->num_results != q->args.num_results || hosts_below(h);
    if (!own)
        return GP_OK;
    f->args = &h->args;
    return set_args(q, h, ask, err);
}

/* Hosts that keep failing are named without being asked. */
static bool is_left_alone(fleet_query *q, size_t i)
{
    gp_error why = GP_ERROR_INIT;
    if (gp_breaker_allows(q->runner->breaker, q->hosts[i].name, gp_clock_ns(), &why))
        return false;
    lose_host(q, i, GP_STATUS_ERROR, why.msg);
    q->n_done += !q->hosts[i].done;
    q->hosts[i].done = true;
    atomic_fetch_add(&q->runner->counts.hosts_skipped, 1);
    return true;
}

/* An equal part of all requests that may be under way. */
static size_t share(void *ctx)
{
    const fleet_query *q = ctx;
    uint64_t running = atomic_load(&q->runner->counts.running);
    size_t mine = q->runner->limits.max_requests / (running ? running : 1);
    return mine ? mine : 1;
}

static gp_code run_round(fleet_query *q, gp_error *err)
{
    size_t n = 0;
    gp_code rc = GP_OK;
    uint64_t retried = 0;
    const gp_fleet_limits *l = &q->runner->limits;
    gp_fanout_options opt = {.threads = l->threads,
                             .max_concurrent = l->max_concurrent,
                             .share = l->max_requests ? share : NULL,
                             .max_response = l->max_response,
                             .max_in_flight = l->max_bytes,
                             .retries = l->retries,
                             .retried = &retried,
                             .request_id = q->hooks->request_id,
                             .canceled = canceled,
                             .tick = tick,
                             .ctx = q};
    for (size_t k = 0; k < q->n_hosts && rc == GP_OK; k++) {
        size_t i = q->turns[k].host;
        const gp_topk_ask *ask = gp_topk_ask_of(q->topk, i);
        if (ask && !is_left_alone(q, i))
            rc = add_to_round(q, i, ask, &n, err);
    }
    if (rc == GP_OK && l->deadline_ns > 0) {
        opt.deadline_ns = l->deadline_ns - elapsed_ns(q);
        if (opt.deadline_ns <= 0)
            opt.deadline_ns = 1;
    }
    if (rc == GP_OK)
        rc = gp_fanout_query(q->runner->fanout, q->list, n, &q->args, &opt, on_answer, q, err);
    atomic_fetch_add(&q->runner->counts.retries, retried);
    if (q->code != GP_OK)
        rc = gp_fail(err, q->code, "%s", q->err.msg);
    return rc;
}

static void count_query(const fleet_query *q, const gp_topk_stats *stats)
{
    gp_fleet_counts *c = &q->runner->counts;
    size_t failed = 0;
    for (size_t i = 0; i < q->n_hosts; i++)
        failed += q->hosts[i].why != NULL;
    atomic_fetch_add(&c->queries, 1);
    atomic_fetch_add(&c->rounds, stats->rounds);
    atomic_fetch_add(&c->rows, stats->rows_received);
    atomic_fetch_add(&c->hosts_failed, failed);
    atomic_fetch_add(&c->hosts_ok, q->n_hosts - failed);
}

static gp_code run_rounds(fleet_query *q, gp_error *err)
{
    size_t n = 0;
    gp_code rc = gp_topk_next(q->topk, &n, err);
    while (rc == GP_OK && n > 0) {
        rc = run_round(q, err);
        if (rc == GP_OK)
            rc = gp_topk_next(q->topk, &n, err);
    }
    gp_topk_stats stats = gp_topk_get_stats(q->topk);
    count_query(q, &stats);
    if (rc == GP_OK)
        gp_log_debug(q->runner->log, "asked the fleet", GP_F_U64("hosts", q->n_hosts),
                     GP_F_U64("rounds", stats.rounds), GP_F_U64("rows_received", stats.rows_received),
                     GP_F_U64("rows_left", stats.rows_left), GP_F_STR("request_id", q->hooks->request_id));
    return rc;
}

static void start_clock(fleet_query *q)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    q->start = gp_clock_ns();
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

/* Hosts that the query names wrongly are the user's to mend, unlike an inventory or a name server that fails.
 */
static gp_code unknown_hosts(const gp_args *args, gp_code code, gp_problem *problem, gp_error *err)
{
    if (code != GP_EINVAL && code != GP_ENOTFOUND)
        return gp_error_prefix(err, "failed to resolve host list");
    gp_buf value = GP_BUF_INIT;
    gp_buf_json_str(&value, args->query_hosts);
    gp_problem_set(problem, 422, "failed to resolve host list: %s", err->msg); /* all that a stream tells */
    gp_problem_add(problem, "body.query_hosts", value.data, "%s", err->msg);
    gp_buf_free(&value);
    return GP_EINVAL;
}

static void free_query(fleet_query *q)
{
    for (size_t i = 0; q->hosts && i < q->n_hosts; i++) {
        gp_args_free(&q->hosts[i].args);
        gp_buf_free(&q->hosts[i].below);
        free(q->hosts[i].why);
        if (q->hosts[i].token_file)
            gp_watched_give(q->hosts[i].token_file, q->hosts[i].token_handle);
    }
    gp_topk_free(q->topk);
    gp_args_free(&q->args);
    if (q->endpoints_handle)
        gp_watched_give(q->runner->endpoints_file, q->endpoints_handle);
    if (q->token_handle)
        gp_watched_give(q->runner->token_file, q->token_handle);
    free(q->hosts);
    free(q->names);
    free(q->turns);
    free(q->list);
    free(q->index);
}

/* What the files say now holds for the whole query. */
static void take_files(fleet_query *q)
{
    const gp_runner *r = q->runner;
    q->endpoints = r->endpoints;
    if (!q->endpoints) {
        const gp_endpoints_content *c = gp_watched_take(r->endpoints_file, &q->endpoints_handle);
        q->endpoints = &c->list;
        q->tokens = c->tokens;
    }
    q->access = r->access;
    if (r->token_file)
        q->access.token = gp_watched_take(r->token_file, &q->token_handle);
}

static gp_code run_query(fleet_query *q, const gp_args *args, gp_result *out, gp_problem *problem,
                         gp_error *err)
{
    gp_host_list hosts = {0};
    gp_error local = GP_ERROR_INIT;
    err = err ? err : &local;
    take_files(q);
    gp_code rc = resolve_hosts(q, args, &hosts, err);
    if (rc != GP_OK)
        rc = unknown_hosts(args, rc, problem, err);
    if (rc == GP_OK)
        rc = find_hosts(q, &hosts, err);
    if (rc == GP_OK)
        rc = make_args(q, args, err);
    if (rc == GP_OK)
        rc = gp_topk_new(&q->topk, q->stmt, q->n_hosts, q->runner->limits.max_bytes, err);
    if (rc == GP_OK)
        rc = run_rounds(q, err);
    if (rc == GP_OK)
        rc = make_result(q, q->stmt->num_results, out, err);
    free_query(q);
    gp_host_list_free(&hosts);
    return rc;
}

gp_code gp_runner_run(void *runner, const gp_args *args, const gp_stmt *stmt, const gp_query_hooks *hooks,
                      gp_result *out, gp_problem *problem, gp_error *err)
{
    gp_runner *r = runner;
    fleet_query q = {.runner = r, .stmt = stmt, .hooks = hooks};
    if (!args->query_hosts || !*args->query_hosts)
        return no_hosts(problem, err);
    start_clock(&q);
    gp_code rc = check_way(r, args->via ? args->via : "", problem, err);
    if (rc != GP_OK)
        return rc;
    atomic_fetch_add(&r->counts.running, 1);
    rc = run_query(&q, args, out, problem, err);
    atomic_fetch_sub(&r->counts.running, 1);
    return rc;
}

/* ---- limits and metrics -------------------------------------------------------------------------------- */

bool gp_runner_admit(void *runner)
{
    gp_runner *r = runner;
    size_t max = r->limits.max_queries;
    uint64_t others = atomic_fetch_add(&r->counts.admitted, 1);
    if ((!max || others < max) && gp_ratelimit_allow(r->rate, gp_clock_ns()))
        return true;
    atomic_fetch_sub(&r->counts.admitted, 1);
    atomic_fetch_add(&r->counts.refused, 1);
    return false;
}

/* Answers of all sizes come and go in many threads, and malloc keeps what any of them once needed. Giving
 * pages back once in a while keeps memory level through busy hours, and costs no query the clearing of new
 * ones. */
static void give_back_memory(gp_runner *r)
{
    const int64_t pause_ns = INT64_C(1000000000);
    int64_t now = gp_clock_ns();
    int_fast64_t last = atomic_load(&r->trimmed_ns);
    if (now - last >= pause_ns && atomic_compare_exchange_strong(&r->trimmed_ns, &last, now))
        (void)malloc_trim(0);
}

void gp_runner_leave(void *runner)
{
    gp_runner *r = runner;
    atomic_fetch_sub(&r->counts.admitted, 1);
    give_back_memory(r);
}

void gp_runner_metrics(gp_runner *r, gp_buf *out)
{
    gp_fleet_counts *c = &r->counts;
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } all[] = {
        {"global_query_queries_total", "counter", "Queries to the fleet that were answered",
         atomic_load(&c->queries)},
        {"global_query_queries_refused_total", "counter", "Queries refused because too many were running",
         atomic_load(&c->refused)},
        {"global_query_queries_running", "gauge", "Queries being answered", atomic_load(&c->running)},
        {"global_query_rounds_total", "counter", "Rounds in which hosts were asked", atomic_load(&c->rounds)},
        {"global_query_rows_received_total", "counter", "Rows that hosts sent", atomic_load(&c->rows)},
        {"global_query_hosts_answered_total", "counter", "Hosts that answered a query",
         atomic_load(&c->hosts_ok)},
        {"global_query_hosts_failed_total", "counter", "Hosts missing in an answer",
         atomic_load(&c->hosts_failed)},
        {"global_query_hosts_skipped_total", "counter", "Hosts not asked because they kept failing",
         atomic_load(&c->hosts_skipped)},
        {"global_query_retries_total", "counter", "Requests to hosts that were repeated",
         atomic_load(&c->retries)},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        gp_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", all[i].name, all[i].help, all[i].name,
                      all[i].type, all[i].name, (unsigned long long)all[i].value);
    if (r->breaker)
        gp_breaker_metrics(r->breaker, gp_clock_ns(), out);
}
