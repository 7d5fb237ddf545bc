#include "client/gather.h"

#include "proto/base/clock.h"

#include <pthread.h>
#include <stdlib.h>

enum { MOST = 16, MOST_BYTES = 16 << 20 };
static const int64_t poll_ns = GP_NS_PER_SEC / 10;

typedef struct outcome {
    const gp_fanout_host *host;
    bool answered;
    gp_result result; /* if it answered */
    gp_error err;     /* otherwise */
    int64_t took_ns;
} outcome;

struct gp_gather {
    gp_gather_hooks hooks;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t room, news;
    bool busy;    /* a thread is in a callback */
    bool stopped; /* no more is wanted */
    size_t helpers;
    size_t left; /* not told yet */
    size_t first, n, bytes;
    outcome ring[MOST];
};

gp_code gp_gather_new(gp_gather **out, size_t n, const gp_gather_hooks *hooks, gp_error *err)
{
    gp_gather *g = calloc(1, sizeof *g);
    if (!g)
        return gp_fail(err, GP_ENOMEM, "out of memory for the answers of hosts");
    g->hooks = *hooks;
    g->left = n;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->room, NULL);
    gp_clock_cond_init(&g->news);
    *out = g;
    return GP_OK;
}

void gp_gather_free(gp_gather *g)
{
    if (!g)
        return;
    for (; g->n; g->n--, g->first++)
        gp_result_free(&g->ring[g->first % MOST].result);
    pthread_cond_destroy(&g->room);
    pthread_cond_destroy(&g->news);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static size_t bytes_of(const gp_result *r)
{
    return r->cap_rows * sizeof *r->rows + r->n_digest * sizeof *r->digest;
}

/* However large, one may always wait. */
static bool has_room(const gp_gather *g, size_t bytes)
{
    return g->n == 0 || (g->n < MOST && g->bytes + bytes <= MOST_BYTES);
}

static void push(gp_gather *g, const gp_fanout_host *host, gp_result *result, int64_t took_ns,
                 const gp_error *err)
{
    outcome *o = &g->ring[(g->first + g->n++) % MOST];
    o->host = host;
    o->answered = result != NULL;
    o->took_ns = took_ns;
    gp_result_init(&o->result);
    if (result) {
        o->result = *result;
        gp_result_init(result);
        g->bytes += bytes_of(&o->result);
    } else {
        o->err = *err;
    }
}

static void pop(gp_gather *g, outcome *out)
{
    *out = g->ring[g->first++ % MOST];
    g->n--;
    g->bytes -= bytes_of(&out->result);
    pthread_cond_broadcast(&g->room); /* before the callback: there is room already */
}

static void stop(gp_gather *g)
{
    g->stopped = true;
    pthread_cond_broadcast(&g->room);
    pthread_cond_broadcast(&g->news);
}

/* After a callback, with the lock held. Whoever waits for room may have to make it: what is told of last may
 * have left too little for a large answer. */
static void end_callback(gp_gather *g, bool enough)
{
    g->busy = false;
    if (enough)
        stop(g);
    pthread_cond_broadcast(&g->room);
}

/* With the lock held, and nobody busy: tells of the first, without the lock. */
static void tell_one(gp_gather *g)
{
    outcome o;
    pop(g, &o);
    g->busy = true;
    pthread_mutex_unlock(&g->lock);
    g->hooks.tell(g->hooks.tell_ctx, o.host, o.answered ? &o.result : NULL, o.took_ns,
                  o.answered ? NULL : &o.err);
    gp_result_free(&o.result);
    bool enough = g->hooks.poll(g->hooks.poll_ctx);
    pthread_mutex_lock(&g->lock);
    end_callback(g, enough);
    if (--g->left == 0)
        pthread_cond_broadcast(&g->news);
}

static bool can_tell(const gp_gather *g)
{
    return g->n && !g->busy && !g->stopped;
}

/* Whoever finds others' outcomes there does a share of them, and no more: its own hosts must not wait while
 * others bring theirs. */
void gp_gather_put(gp_gather *g, const gp_fanout_host *host, gp_result *result, int64_t took_ns,
                   const gp_error *err)
{
    enum { SHARE = 2 };
    size_t bytes = result ? bytes_of(result) : 0;
    pthread_mutex_lock(&g->lock);
    while (!g->stopped && !has_room(g, bytes)) {
        if (can_tell(g))
            tell_one(g);
        else
            pthread_cond_wait(&g->room, &g->lock);
    }
    if (!g->stopped)
        push(g, host, result, took_ns, err);
    for (size_t i = 0; i < SHARE && can_tell(g); i++)
        tell_one(g);
    if (g->n && g->helpers)
        pthread_cond_signal(&g->news);
    pthread_mutex_unlock(&g->lock);
}

/* With the lock held. */
static void poll_hooks(gp_gather *g)
{
    if (g->busy || g->stopped)
        return;
    g->busy = true;
    pthread_mutex_unlock(&g->lock);
    bool enough = g->hooks.poll(g->hooks.poll_ctx);
    pthread_mutex_lock(&g->lock);
    end_callback(g, enough);
}

bool gp_gather_poll(gp_gather *g)
{
    pthread_mutex_lock(&g->lock);
    poll_hooks(g);
    bool stopped = g->stopped;
    pthread_mutex_unlock(&g->lock);
    return stopped;
}

bool gp_gather_tell(gp_gather *g)
{
    pthread_mutex_lock(&g->lock);
    bool can = can_tell(g);
    if (can)
        tell_one(g);
    pthread_mutex_unlock(&g->lock);
    return can;
}

void gp_gather_stop(gp_gather *g)
{
    pthread_mutex_lock(&g->lock);
    stop(g);
    pthread_mutex_unlock(&g->lock);
}

void gp_gather_help(gp_gather *g)
{
    pthread_mutex_lock(&g->lock);
    g->helpers++;
    while (g->left && !g->stopped) {
        if (can_tell(g))
            tell_one(g);
        else if (!gp_clock_wait(&g->news, &g->lock, gp_clock_after(poll_ns)))
            poll_hooks(g);
    }
    g->helpers--;
    pthread_mutex_unlock(&g->lock);
}

bool gp_gather_is_complete(gp_gather *g)
{
    pthread_mutex_lock(&g->lock);
    bool complete = g->left == 0;
    pthread_mutex_unlock(&g->lock);
    return complete;
}
