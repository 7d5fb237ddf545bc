#include "client/gpdb/gpdb.h"
#include "proto/base/clock.h"

#include <stdarg.h>
#include <unistd.h>

enum { INTERVAL_NS = 200000000 };

void progress_start(progress *p)
{
    *p = (progress){.on = isatty(STDERR_FILENO) == 1};
    p->next_ns = gp_clock_after(INTERVAL_NS); /* what is done at once needs none */
}

void progress_show(progress *p, const char *fmt, ...)
{
    if (!p->on || gp_clock_ns() < p->next_ns)
        return;
    va_list args;
    va_start(args, fmt);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fflush(stderr);
    p->shown = true;
    p->next_ns = gp_clock_after(INTERVAL_NS);
}

void progress_clear(progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
