#include "client/term/term.h"
#include "proto/query/timeparse.h"

#include <time.h>

static void scaled(gp_buf *out, double v, uint64_t whole, uint64_t step, uint64_t above,
                   const char *const *units)
{
    size_t unit = 0;
    for (; whole > above; whole /= step, unit++)
        v /= (double)step;
    gp_buf_printf(out, "%.2f %s", v, units[unit]);
}

void gp_fmt_count(gp_buf *out, uint64_t n)
{
    static const char *const units[] = {" ", "k", "M", "G", "T", "P", "E", "Z"};
    scaled(out, (double)n, n, 1000, 999, units);
}

void gp_fmt_count_small(gp_buf *out, uint64_t n, bool align)
{
    if (n >= 1000) {
        gp_fmt_count(out, n);
        return;
    }
    gp_buf_u64(out, n);
    gp_buf_pad(out, ' ', align ? 2 : 0);
}

void gp_fmt_size(gp_buf *out, uint64_t bytes)
{
    static const char *const units[] = {" B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB"};
    scaled(out, (double)bytes, bytes, 1024, 1024, units);
}

void gp_fmt_size_small(gp_buf *out, uint64_t bytes, bool align)
{
    if (bytes > 1024) {
        gp_fmt_size(out, bytes);
        return;
    }
    gp_buf_u64(out, bytes);
    gp_buf_pad(out, ' ', align ? 3 : 0);
}

void gp_fmt_duration_exact(gp_buf *out, int64_t ns)
{
    char text[64];
    gp_duration_format(ns, text, sizeof text);
    gp_buf_puts(out, text);
}

int64_t gp_round_ns(int64_t ns, int64_t unit)
{
    int64_t rest = ns % unit;
    int64_t down = ns - rest;
    int64_t step = 0;
    if (rest >= unit - rest)
        step = unit;
    else if (rest < 0 && -rest >= unit + rest)
        step = -unit;
    int64_t rounded;
    return __builtin_add_overflow(down, step, &rounded) ? down : rounded;
}

void gp_fmt_duration(gp_buf *out, int64_t ns)
{
    const int64_t ms = 1000000;
    const int64_t day = INT64_C(86400) * 1000 * ms;
    int64_t days = ns / day;
    if (days)
        gp_buf_printf(out, "%lldd", (long long)days);
    gp_fmt_duration_exact(out, gp_round_ns(ns - days * day, ms));
}

void gp_fmt_time(gp_buf *out, int64_t unix_sec)
{
    struct tm tm;
    char text[64];
    time_t t = (time_t)unix_sec;
    if (localtime_r(&t, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) > 0)
        gp_buf_puts(out, text);
    else
        gp_buf_i64(out, unix_sec);
}

/* The control character at s: of ASCII, or one of U+0080 to U+009F; 0: none. *len is its length. */
static unsigned control_at(const unsigned char *s, size_t *len)
{
    *len = s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f ? 2 : 1;
    if (*len == 2)
        return s[1];
    return s[0] < 0x20 || s[0] == 0x7f ? s[0] : 0;
}

void gp_fmt_text(gp_buf *out, const char *s)
{
    const char *plain = s;
    while (*s) {
        size_t len;
        unsigned control = control_at((const unsigned char *)s, &len);
        if (control) {
            gp_buf_add(out, plain, (size_t)(s - plain));
            gp_buf_printf(out, "\\u%04x", control);
            plain = s + len;
        }
        s += len;
    }
    gp_buf_add(out, plain, (size_t)(s - plain));
}
