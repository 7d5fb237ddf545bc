#include "proto/service/ratelimit.h"

#include <pthread.h>
#include <stdlib.h>

struct gp_ratelimit {
    pthread_mutex_t lock;
    double per_sec;
    double burst;
    double tokens;
    int64_t last_ns;
    bool started;
};

gp_code gp_ratelimit_new(gp_ratelimit **out, double per_sec, int64_t burst, gp_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return gp_fail(err, GP_ENOMEM, "out of memory for the query rate limit");
    pthread_mutex_init(&(*out)->lock, NULL);
    (*out)->per_sec = per_sec;
    (*out)->burst = (double)burst;
    (*out)->tokens = (double)burst;
    return GP_OK;
}

void gp_ratelimit_free(gp_ratelimit *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

bool gp_ratelimit_allow(gp_ratelimit *l, int64_t now_ns)
{
    if (!l)
        return true;
    pthread_mutex_lock(&l->lock);
    if (l->started && now_ns > l->last_ns)
        l->tokens += (double)(now_ns - l->last_ns) / 1e9 * l->per_sec;
    if (l->tokens > l->burst)
        l->tokens = l->burst;
    l->started = true;
    l->last_ns = now_ns;
    bool allowed = l->tokens >= 1;
    if (allowed)
        l->tokens -= 1;
    pthread_mutex_unlock(&l->lock);
    return allowed;
}
