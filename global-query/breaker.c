#include "global-query/breaker.h"

#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHY_SIZE = 256 };

typedef struct host_record {
    char *host;
    unsigned failures; /* in a row */
    int64_t until;     /* not asked before; 0: it may be asked */
    char why[WHY_SIZE];
    struct host_record *next;
} host_record;

struct gp_breaker {
    pthread_mutex_t lock;
    unsigned failures;
    int64_t pause_ns;
    void *tree; /* entries by host, tsearch(3) */
    host_record *first;
    uint64_t opened;
};

gp_code gp_breaker_new(gp_breaker **out, unsigned failures, int64_t pause_ns, gp_error *err)
{
    gp_breaker *b = calloc(1, sizeof *b);
    if (!b)
        return gp_fail(err, GP_ENOMEM, "out of memory for the circuit breaker");
    pthread_mutex_init(&b->lock, NULL);
    b->failures = failures;
    b->pause_ns = pause_ns;
    *out = b;
    return GP_OK;
}

static int by_host(const void *a, const void *b)
{
    return strcmp(((const host_record *)a)->host, ((const host_record *)b)->host);
}

void gp_breaker_free(gp_breaker *b)
{
    if (!b)
        return;
    while (b->first) {
        host_record *e = b->first;
        b->first = e->next;
        tdelete(e, &b->tree, by_host);
        free(e->host);
        free(e);
    }
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static host_record *find(gp_breaker *b, const char *host)
{
    const host_record key = {.host = (char *)(uintptr_t)host};
    host_record *const *node = tfind(&key, &b->tree, by_host);
    return node ? *node : NULL;
}

/* NULL when out of memory: the host is then not watched. */
static host_record *find_or_add(gp_breaker *b, const char *host)
{
    host_record *e = find(b, host);
    if (e)
        return e;
    e = calloc(1, sizeof *e);
    if (e)
        e->host = strdup(host);
    if (!e || !e->host || !tsearch(e, &b->tree, by_host)) {
        free(e ? e->host : NULL);
        free(e);
        return NULL;
    }
    e->next = b->first;
    b->first = e;
    return e;
}

static int64_t pause_after(const gp_breaker *b, unsigned failures)
{
    int64_t pause = b->pause_ns;
    for (unsigned i = b->failures; i < failures && pause < GP_BREAKER_MAX_PAUSE_NS; i++)
        pause *= 2;
    return pause < GP_BREAKER_MAX_PAUSE_NS ? pause : GP_BREAKER_MAX_PAUSE_NS;
}

/* A trial moves the end of the pause, so that no other query tries meanwhile, and one that never reports does
 * not matter. */
bool gp_breaker_allows(gp_breaker *b, const char *host, int64_t now_ns, gp_error *err)
{
    if (!b || b->failures == 0)
        return true;
    pthread_mutex_lock(&b->lock);
    host_record *e = find(b, host);
    bool resting = e && e->until > now_ns;
    if (resting)
        gp_fail(err, GP_EBUSY,
                "not asked: it failed %u times in a row and is tried again in %lld s; last: %s", e->failures,
                (long long)((e->until - now_ns) / 1000000000 + 1), e->why);
    else if (e && e->until)
        e->until = now_ns + pause_after(b, e->failures);
    pthread_mutex_unlock(&b->lock);
    return !resting;
}

void gp_breaker_report(gp_breaker *b, const char *host, bool reached, const char *why, int64_t now_ns)
{
    if (!b || b->failures == 0)
        return;
    pthread_mutex_lock(&b->lock);
    host_record *e = reached ? find(b, host) : find_or_add(b, host);
    if (e && reached) {
        e->failures = 0;
        e->until = 0;
    } else if (e) {
        e->failures++;
        snprintf(e->why, sizeof e->why, "%s", why ? why : "");
        if (e->failures >= b->failures) {
            b->opened += e->until == 0;
            e->until = now_ns + pause_after(b, e->failures);
        }
    }
    pthread_mutex_unlock(&b->lock);
}

void gp_breaker_metrics(gp_breaker *b, int64_t now_ns, gp_buf *out)
{
    pthread_mutex_lock(&b->lock);
    gp_buf_puts(out,
                "# HELP global_query_host_circuit_open Hosts that are not asked because they kept failing\n"
                "# TYPE global_query_host_circuit_open gauge\n");
    for (const host_record *e = b->first; e; e = e->next) {
        if (e->until <= now_ns)
            continue;
        gp_buf_puts(out, "global_query_host_circuit_open{host=");
        gp_buf_json_str(out, e->host);
        gp_buf_puts(out, "} 1\n");
    }
    gp_buf_puts(out, "# HELP global_query_circuit_opened_total How often a host was left alone\n"
                     "# TYPE global_query_circuit_opened_total counter\nglobal_query_circuit_opened_total ");
    gp_buf_u64(out, b->opened);
    gp_buf_putc(out, '\n');
    pthread_mutex_unlock(&b->lock);
}
