/* What single hosts and fleets are both described with. */
#include "client/gpctl/gpctl.h"
#include "client/term/term.h"

#define SEC INT64_C(1000000000)

void put_names(gp_buf *out, const char *const *names, size_t n)
{
    gp_buf_putc(out, '[');
    for (size_t i = 0; i < n; i++) {
        gp_buf_puts(out, i ? " " : "");
        gp_buf_puts(out, names[i]);
    }
    gp_buf_putc(out, ']');
}

void put_age(gp_buf *out, int64_t sec, int32_t nsec, const struct timespec *now)
{
    int64_t age;
    if (__builtin_sub_overflow((int64_t)now->tv_sec, sec, &age) || __builtin_mul_overflow(age, SEC, &age) ||
        __builtin_add_overflow(age, (int64_t)now->tv_nsec - nsec, &age)) {
        gp_buf_putc(out, '-');
        return;
    }
    gp_fmt_duration_exact(out, gp_round_ns(age, SEC));
}

gp_capture_stats status_sum(const gp_status *s)
{
    gp_capture_stats sum = {0};
    for (size_t i = 0; i < s->n_ifaces; i++) {
        const gp_capture_stats *st = &s->ifaces[i].stats;
        sum.received += st->received;
        sum.received_total += st->received_total;
        sum.processed += st->processed;
        sum.processed_total += st->processed_total;
        sum.dropped += st->dropped;
        sum.dropped_total += st->dropped_total;
    }
    return sum;
}
