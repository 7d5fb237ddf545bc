#include "client/goquery/plot.h"

#include "client/term/term.h"

#include <stdlib.h>

int64_t plot_bin(int64_t first, int64_t last, size_t columns)
{
    const int64_t step = GP_DB_WRITE_INTERVAL;
    int64_t range = last > first ? last - first : 1;
    int64_t least = range / (int64_t)(columns > 1 ? columns - 1 : 1) + 1;
    return (least + step - 1) / step * step;
}

typedef struct series {
    uint64_t *in, *out;
    size_t n;
    int64_t start; /* the first bin ends one width later */
    int64_t bin;
} series;

/* A row's time is the end of its bin. */
static void add_row(series *s, const gp_row *row)
{
    int64_t i = (row->ts - s->start - 1) / s->bin;
    if (row->ts <= s->start || (uint64_t)i >= s->n)
        return;
    s->in[i] += row->c.bytes_rcvd;
    s->out[i] += row->c.bytes_sent;
}

static uint64_t peak(const uint64_t *v, size_t n)
{
    uint64_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = v[i] > most ? v[i] : most;
    return most;
}

/* Eighths of a line's height; something is never drawn as nothing. */
static void put_blocks(gp_buf *out, const uint64_t *v, size_t n, uint64_t most)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    for (size_t i = 0; i < n; i++) {
        size_t height = most ? (size_t)((double)v[i] / (double)most * 8 + 0.5) : 0;
        gp_buf_puts(out, blocks[height == 0 && v[i] ? 1 : height > 8 ? 8 : height]);
    }
}

static void put_line(gp_buf *out, const char *name, const uint64_t *v, const series *s, uint64_t most,
                     bool color, unsigned style)
{
    gp_buf blocks = GP_BUF_INIT;
    put_blocks(&blocks, v, s->n, most);
    gp_buf_printf(out, "%5s ", name);
    if (!blocks.failed)
        gp_styled(out, color, style, "%s", blocks.data);
    gp_buf_puts(out, "  peak ");
    gp_fmt_size(out, peak(v, s->n) / (uint64_t)s->bin);
    gp_buf_puts(out, "/s\n");
    out->failed = out->failed || blocks.failed;
    gp_buf_free(&blocks);
}

/* Where the plot begins and ends. */
static void put_axis(gp_buf *out, const series *s, int64_t first, int64_t last)
{
    gp_buf from = GP_BUF_INIT;
    gp_buf to = GP_BUF_INIT;
    gp_fmt_time(&from, first);
    gp_fmt_time(&to, last);
    size_t taken = from.len + to.len;
    gp_buf_printf(out, "      %s", from.data ? from.data : "");
    gp_buf_pad(out, ' ', s->n > taken ? s->n - taken : 2);
    gp_buf_printf(out, "%s\n", to.data ? to.data : "");
    gp_buf_free(&from);
    gp_buf_free(&to);
}

static int64_t align_down(int64_t t, int64_t bin)
{
    int64_t over = t % bin;
    return over < 0 ? t - over - bin : t - over;
}

void put_plot(const gp_result *r, int64_t first, int64_t last, int64_t bin, gp_direction direction,
              bool color, gp_buf *out)
{
    series s = {.start = align_down(first - 1, bin), .bin = bin};
    s.n = (size_t)((last - s.start + bin - 1) / bin);
    s.in = calloc(2 * s.n, sizeof *s.in);
    if (!s.in) {
        out->failed = true;
        return;
    }
    s.out = s.in + s.n;
    for (size_t i = 0; i < r->n_rows; i++)
        add_row(&s, &r->rows[i]);
    uint64_t most = direction == GP_DIR_IN    ? peak(s.in, s.n)
                    : direction == GP_DIR_OUT ? peak(s.out, s.n)
                                              : peak(s.in, 2 * s.n);
    gp_buf_printf(out, "Traffic, one column for ");
    gp_fmt_duration(out, bin * INT64_C(1000000000));
    gp_buf_puts(out, ":\n\n");
    if (direction != GP_DIR_OUT)
        put_line(out, "in", s.in, &s, most, color, GP_STYLE_GREEN);
    if (direction != GP_DIR_IN)
        put_line(out, "out", s.out, &s, most, color, GP_STYLE_CYAN);
    put_axis(out, &s, first, last);
    free(s.in);
}
