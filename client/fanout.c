#include "client/fanout.h"

#include "client/transport.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { POLL_MS = 100, KEPT_MULTIS = 8, DEFAULT_MAX_RESPONSE = 256 << 20 };

struct gp_fanout {
    pthread_mutex_t lock;
    CURLM *idle[KEPT_MULTIS];
    size_t n_idle;
};

/* One host of a running query. */
typedef struct task {
    const gp_fanout_host *host;
    gp_client *client;
    gp_call call;
    bool running;
} task;

typedef struct run {
    CURLM *multi;
    task *tasks;
    size_t n, next, running, max;
    gp_buf body;
    const gp_fanout_options *opt;
    gp_fanout_fn on_answer;
    void *ctx;
    int64_t deadline; /* CLOCK_MONOTONIC, ns; 0: none */
} run;

static int64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

gp_code gp_fanout_new(gp_fanout **out, gp_error *err)
{
    gp_fanout *f = calloc(1, sizeof *f);
    if (!f)
        return gp_fail(err, GP_ENOMEM, "out of memory for asking many hosts");
    pthread_mutex_init(&f->lock, NULL);
    *out = f;
    return GP_OK;
}

void gp_fanout_free(gp_fanout *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_idle; i++)
        curl_multi_cleanup(f->idle[i]);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static CURLM *take_multi(gp_fanout *f)
{
    pthread_mutex_lock(&f->lock);
    CURLM *m = f->n_idle ? f->idle[--f->n_idle] : NULL;
    pthread_mutex_unlock(&f->lock);
    return m ? m : curl_multi_init();
}

static void give_back(gp_fanout *f, CURLM *m)
{
    pthread_mutex_lock(&f->lock);
    bool keep = f->n_idle < KEPT_MULTIS;
    if (keep)
        f->idle[f->n_idle++] = m;
    pthread_mutex_unlock(&f->lock);
    if (!keep)
        curl_multi_cleanup(m);
}

static void end_task(run *r, task *t)
{
    if (t->running) {
        curl_multi_remove_handle(r->multi, t->client->curl);
        t->running = false;
        r->running--;
    }
    gp_buf_free(&t->call.answer);
    gp_client_free(t->client);
    t->client = NULL;
}

static void report_error(run *r, task *t, const gp_error *err)
{
    r->on_answer(r->ctx, t->host, NULL, err);
    end_task(r, t);
}

static gp_code begin_task(run *r, task *t, gp_error *err)
{
    const gp_fanout_host *h = t->host;
    if (!h->addr)
        return gp_fail(err, GP_ENOTFOUND, "%s", h->why ? h->why : "no address known for this host");
    const gp_client_config cfg = {
        .addr = h->addr,
        .timeout_ns = h->timeout_ns,
        .max_response = r->opt->max_response ? r->opt->max_response : DEFAULT_MAX_RESPONSE,
    };
    gp_code rc = gp_client_new(&t->client, &cfg, err);
    if (rc != GP_OK)
        return rc;
    t->call = (gp_call){.method = "POST", .path = "/_query", .body = &r->body};
    rc = gp_client_begin(t->client, &t->call, err);
    if (rc == GP_OK && (curl_easy_setopt(t->client->curl, CURLOPT_PRIVATE, t) != CURLE_OK ||
                        curl_multi_add_handle(r->multi, t->client->curl) != CURLM_OK))
        rc = gp_fail(err, GP_EINTERNAL, "cannot start a request to %s", h->addr);
    if (rc == GP_OK) {
        t->running = true;
        r->running++;
    }
    return rc;
}

static void begin_tasks(run *r)
{
    while (r->next < r->n && r->running < r->max) {
        task *t = &r->tasks[r->next++];
        gp_error err = GP_ERROR_INIT;
        if (begin_task(r, t, &err) != GP_OK)
            report_error(r, t, &err);
    }
}

/* A host's answer, good or bad, concerns that host alone. */
static void finish_task(run *r, task *t, CURLcode outcome)
{
    gp_error err = GP_ERROR_INIT;
    gp_result result;
    gp_code rc = gp_client_finish(t->client, &t->call, outcome, &err);
    if (rc == GP_OK) {
        const gp_buf *a = &t->call.answer;
        rc = gp_client_parse_result(a->data ? a->data : "", a->len, r->opt->max_rows, &result, &err);
    }
    if (rc != GP_OK) {
        report_error(r, t, &err);
        return;
    }
    end_task(r, t); /* releases the text before the rows are merged */
    r->on_answer(r->ctx, t->host, &result, NULL);
    gp_result_free(&result);
}

static void collect(run *r)
{
    int left = 0;
    for (const CURLMsg *m; (m = curl_multi_info_read(r->multi, &left));) {
        char *private = NULL;
        CURLcode outcome = m->data.result;
        if (m->msg != CURLMSG_DONE ||
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private) != CURLE_OK)
            continue;
        finish_task(r, (task *)(void *)private, outcome);
    }
}

static void give_up(run *r)
{
    gp_error err = GP_ERROR_INIT;
    gp_fail(&err, GP_ETIMEOUT, "no answer before the deadline of the query");
    for (size_t i = 0; i < r->next; i++)
        if (r->tasks[i].running)
            report_error(r, &r->tasks[i], &err);
    for (; r->next < r->n; r->next++)
        report_error(r, &r->tasks[r->next], &err);
}

static gp_code drive(run *r, gp_error *err)
{
    begin_tasks(r);
    while (r->running) {
        int running = 0;
        CURLMcode m = curl_multi_perform(r->multi, &running);
        collect(r);
        begin_tasks(r);
        if (r->opt->canceled && r->opt->canceled(r->opt->ctx))
            return gp_fail(err, GP_ECANCELED, "the query was canceled");
        if (r->deadline && monotonic_ns() >= r->deadline) {
            give_up(r);
            break;
        }
        if (r->opt->tick)
            r->opt->tick(r->opt->ctx);
        if (m == CURLM_OK && r->running)
            m = curl_multi_poll(r->multi, NULL, 0, POLL_MS, NULL);
        if (m != CURLM_OK)
            return gp_fail(err, GP_EINTERNAL, "asking the hosts failed: %s", curl_multi_strerror(m));
    }
    return GP_OK;
}

gp_code gp_fanout_query(gp_fanout *f, const gp_fanout_host *hosts, size_t n, const gp_args *args,
                        const gp_fanout_options *opt, gp_fanout_fn on_answer, void *ctx, gp_error *err)
{
    run r = {.n = n, .opt = opt, .on_answer = on_answer, .ctx = ctx};
    r.max = opt->max_concurrent ? opt->max_concurrent : n;
    r.deadline = opt->deadline_ns > 0 ? monotonic_ns() + opt->deadline_ns : 0;
    r.tasks = calloc(n ? n : 1, sizeof *r.tasks);
    r.multi = take_multi(f);
    gp_code rc = r.tasks && r.multi ? gp_client_args_body(args, &r.body, err)
                                    : gp_fail(err, GP_ENOMEM, "out of memory for asking %zu hosts", n);
    for (size_t i = 0; i < n && rc == GP_OK; i++)
        r.tasks[i].host = &hosts[i];
    if (rc == GP_OK)
        rc = drive(&r, err);
    for (size_t i = 0; i < n && r.tasks; i++)
        end_task(&r, &r.tasks[i]);
    if (r.multi)
        give_back(f, r.multi);
    gp_buf_free(&r.body);
    free(r.tasks);
    return rc;
}
