#include "client/gpdb/gpdb.h"

#include <stdarg.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_NS = 200000000 };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void progress_start(progress *p)
{
    *p = (progress){.on = isatty(STDERR_FILENO) == 1};
    p->next_ns = now_ns() + INTERVAL_NS; /* what is done at once needs none */
}

void progress_show(progress *p, const char *fmt, ...)
{
    if (!p->on || now_ns() < p->next_ns)
        return;
    va_list args;
    va_start(args, fmt);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fflush(stderr);
    p->shown = true;
    p->next_ns = now_ns() + INTERVAL_NS;
}

void progress_clear(progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
