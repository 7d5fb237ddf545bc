#include "proto/base/clock.h"

#include <errno.h>
#include <time.h>

int64_t gp_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * GP_NS_PER_SEC + now.tv_nsec;
}

int64_t gp_clock_after(int64_t ns)
{
    int64_t then;
    return __builtin_add_overflow(gp_clock_ns(), ns, &then) ? GP_CLOCK_NEVER : then;
}

double gp_clock_seconds_since(int64_t start_ns)
{
    return (double)(gp_clock_ns() - start_ns) / (double)GP_NS_PER_SEC;
}

void gp_clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

bool gp_clock_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / GP_NS_PER_SEC),
                                   .tv_nsec = (long)(until_ns % GP_NS_PER_SEC)};
    return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}
