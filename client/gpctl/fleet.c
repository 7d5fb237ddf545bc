#include "client/gpctl/fleet.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A request keeps its thread waiting for the network, not the processor. */
enum { MAX_THREADS = 64 };

typedef struct work {
    const options *o;
    const targets *t;
    answer *answers;
    atomic_size_t next;
} work;

static gp_code ask_one(const options *o, gp_client *c, answer *a)
{
    switch (o->cmd) {
    case CMD_STATUS:
        return gp_client_status(c, o->ifaces, o->n_ifaces, &a->status, &a->err);
    case CMD_LOG_LEVEL:
        return o->n_ifaces ? gp_client_set_log_level(c, o->ifaces[0], &a->level, &a->err)
                           : gp_client_log_level(c, &a->level, &a->err);
    default:
        return o->file || o->reload ? change_config(o, c, &a->update, &a->err)
                                    : gp_client_config_get(c, o->ifaces, o->n_ifaces, &a->config, &a->err);
    }
}

static void *ask_next(void *ctx)
{
    work *w = ctx;
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->t->n;) {
        answer *a = &w->answers[i];
        gp_client *c = NULL;
        a->code = gp_client_new(&c, &w->t->items[i].cfg, &a->err);
        if (a->code == GP_OK)
            a->code = ask_one(w->o, c, a);
        gp_client_free(c);
    }
    return NULL;
}

/* This thread works, too, so that it also goes on where no other can be started. */
static void ask_all(work *w)
{
    pthread_t threads[MAX_THREADS];
    size_t n = 0;
    while (n + 1 < w->t->n && n < MAX_THREADS && pthread_create(&threads[n], NULL, ask_next, w) == 0)
        n++;
    (void)ask_next(w);
    while (n > 0)
        (void)pthread_join(threads[--n], NULL);
}

static void free_answers(answer *answers, size_t n)
{
    for (size_t i = 0; answers && i < n; i++) {
        gp_status_free(&answers[i].status);
        gp_capconfig_map_free(&answers[i].config);
        gp_config_update_free(&answers[i].update);
        free(answers[i].level);
    }
    free(answers);
}

/* Also a host that did not do all that it was told has failed. */
static gp_code check_answers(answer *answers, size_t n, gp_error *err)
{
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) {
        answer *a = &answers[i];
        if (a->code == GP_OK)
            a->code = check_update(&a->update, &a->err);
        failed += a->code != GP_OK;
    }
    if (failed && n == 1)
        return gp_fail(err, answers[0].code, "%s", answers[0].err.msg);
    return failed ? gp_fail(err, GP_ENET, "%zu of %zu hosts failed", failed, n) : GP_OK;
}

gp_code run_fleet(const options *o, const targets *t, bool color, gp_buf *out, gp_error *err)
{
    work w = {.o = o, .t = t, .answers = calloc(t->n, sizeof *w.answers)};
    if (!w.answers)
        return gp_fail(err, GP_ENOMEM, "out of memory for the answers of %zu hosts", t->n);
    ask_all(&w);
    gp_code rc = GP_OK;
    if (o->format == FORMAT_TXT)
        rc = fleet_report(o, t, w.answers, color, out, err);
    else
        fleet_data(o, t, w.answers, out);
    if (rc == GP_OK)
        rc = check_answers(w.answers, t->n, err);
    free_answers(w.answers, t->n);
    return rc;
}
