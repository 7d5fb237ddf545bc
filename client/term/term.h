/*
 * term.h - how the command-line tools show things to people: quantities, durations, times, aligned text,
 * boxed tables and colours. Layout and units are those of goProbe v4's tools.
 *
 * Everything appends to a gp_buf; nothing here writes to a file or keeps state, so all of it is
 * thread-safe for distinct buffers.
 */
#ifndef GP_CLIENT_TERM_H
#define GP_CLIENT_TERM_H

#include "proto/base/buf.h"

#include <stdint.h>

/* Counts in steps of 1000 with two decimals: "1.50 k", "530.00  " (the unit of plain counts is a blank). */
void gp_fmt_count(gp_buf *out, uint64_t n);
/* As gp_fmt_count, but numbers below 1000 without decimals; `align` adds the room of the unit. */
void gp_fmt_count_small(gp_buf *out, uint64_t n, bool align);
/* Bytes in steps of 1024: "1.50 kB", "100.00  B"; 1024 itself is still bytes. */
void gp_fmt_size(gp_buf *out, uint64_t bytes);
void gp_fmt_size_small(gp_buf *out, uint64_t bytes, bool align);
/* A duration as Go writes it: "1h2m3.5s", "250ms", "0s". */
void gp_fmt_duration_exact(gp_buf *out, int64_t ns);
/* Rounded to milliseconds, with days in front where there are any: "2d1h0m0s". */
void gp_fmt_duration(gp_buf *out, int64_t ns);
/* What others have named or said: control characters, which a terminal would obey, are shown as in JSON
 * ("\u001b"). */
void gp_fmt_text(gp_buf *out, const char *s);
/* ns rounded to a multiple of unit (> 0), halves away from zero. */
int64_t gp_round_ns(int64_t ns, int64_t unit);
/* Local time: "2006-01-02 15:04:05". */
void gp_fmt_time(gp_buf *out, int64_t unix_sec);

/* SIGINT and SIGTERM are blocked from then on: that one of them is pending says that the user gave up. Call
 * it before threads are started. gp_interrupted takes and ignores what hooks pass. */
void gp_block_interrupts(void);
/* From then on they end the program again; at once, if one is pending. */
void gp_unblock_interrupts(void);
bool gp_interrupted(void *ctx);

/* A field of CSV, in quotes where RFC 4180 asks for them (and where it begins with a blank). */
void gp_csv_field(gp_buf *out, const char *s);

/* Columns that text takes on a terminal: code points, colour sequences not counted. */
size_t gp_text_width(const char *s, size_t len);

typedef enum gp_style {
    GP_STYLE_NONE = 0,
    GP_STYLE_BOLD = 1 << 0,
    GP_STYLE_RED = 1 << 1,
    GP_STYLE_GREEN = 1 << 2,
    GP_STYLE_YELLOW = 1 << 3,
    GP_STYLE_BLUE = 1 << 4,
    GP_STYLE_CYAN = 1 << 5,
    GP_STYLE_GRAY = 1 << 6
} gp_style;

/* Whether to colour what goes to fd: a terminal, TERM is not "dumb" and NO_COLOR (no-color.org) is not
 * set. */
bool gp_term_colored(int fd);
/* Appends formatted text in a style (several may be or-ed) when `on`, otherwise plain. */
void gp_styled(gp_buf *out, bool on, unsigned style, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * Columns from tabs: each '\t' ends a cell; the text behind a line's last tab is not aligned. A cell is as
 * wide as the widest of the cells above and below it in adjacent lines, plus `padding` blanks. (The rules
 * are those of elastic tab stops, which the reference's printers use.)
 */
typedef struct gp_tabs {
    size_t min_width;
    size_t padding;
    bool align_right;
} gp_tabs;
/* Appends the aligned text; out->failed is set when memory runs out. */
void gp_tabs_format(const char *text, size_t len, const gp_tabs *opt, gp_buf *out);

/* A table in a box of line-drawing characters. */
typedef enum gp_align { GP_ALIGN_LEFT, GP_ALIGN_RIGHT, GP_ALIGN_CENTER } gp_align;
typedef struct gp_table gp_table;

gp_table *gp_table_new(size_t columns, const char *title); /* NULL: out of memory */
void gp_table_free(gp_table *t);
void gp_table_align(gp_table *t, size_t column, gp_align align);
/* n cells, copied; with fewer cells than columns the last one spans the rest and is centred. */
void gp_table_row(gp_table *t, const char *const *cells, size_t n);
void gp_table_separator(gp_table *t);
void gp_table_render(const gp_table *t, gp_buf *out); /* out->failed if any step ran out of memory */

#endif
