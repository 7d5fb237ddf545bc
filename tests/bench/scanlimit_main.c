/*
 * gp-scanlimit DB IFACE COLUMN...: the physical limit of a scan. Reads and decompresses the stored bytes of
 * the columns, one after the other on one thread, and does nothing with them. Not installed.
 */
#include "sensor/godb/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 256 << 10 }; /* bytes; stays in the second level cache until it is decoded */

typedef struct limit {
    gp_codec *codec;
    gp_buf stored, raw;
    unsigned long long read, decoded;
} limit;

static gp_code read_all(int fd, void *dst, size_t len, uint64_t offset, gp_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)dst + done, len - done, (off_t)(offset + done));
        if (n <= 0)
            return gp_fail_errno(err, n < 0 ? errno : EIO, "cannot read a column");
        done += (size_t)n;
    }
    return GP_OK;
}

/* Blocks [at, end) are one read. */
static size_t window_end(const gp_blockmeta *m, size_t at, gp_column col)
{
    size_t end = at + 1;
    uint64_t from = m->blocks[at].col[col].offset;
    while (end < m->n_blocks && m->blocks[end].col[col].offset + m->blocks[end].col[col].len - from <= WINDOW)
        end++;
    return end;
}

static gp_code run_window(limit *l, int fd, const gp_blockmeta *m, size_t at, size_t end, gp_column col,
                          gp_error *err)
{
    uint64_t from = m->blocks[at].col[col].offset;
    const gp_block_loc *last = &m->blocks[end - 1].col[col];
    size_t len = (size_t)(last->offset + last->len - from);
    if (!gp_buf_reserve(&l->stored, len + 1))
        return gp_fail(err, GP_ENOMEM, "out of memory for %zu bytes", len);
    gp_code code = read_all(fd, l->stored.data, len, from, err);
    for (size_t i = at; i < end && code == GP_OK; i++) {
        const gp_block_loc *loc = &m->blocks[i].col[col];
        if (!gp_buf_reserve(&l->raw, loc->raw_len + 1))
            return gp_fail(err, GP_ENOMEM, "out of memory for %u bytes", loc->raw_len);
        if (loc->raw_len)
            code = gp_codec_decompress(l->codec, (gp_codec_type)loc->codec,
                                       (const uint8_t *)l->stored.data + (loc->offset - from), loc->len,
                                       (uint8_t *)l->raw.data, loc->raw_len, err);
        l->read += loc->len;
        l->decoded += loc->raw_len;
        gp_buf_clear(&l->stored);
        gp_buf_clear(&l->raw);
    }
    return code;
}

static gp_code run_column(limit *l, const gp_day *day, gp_column col, gp_error *err)
{
    char path[4200];
    const gp_blockmeta *m = gp_day_meta(day);
    snprintf(path, sizeof path, "%s/%s.gpf", gp_day_path(day), gp_column_name(col));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot open %s", path);
    gp_code code = GP_OK;
    for (size_t at = 0, end; at < m->n_blocks && code == GP_OK; at = end) {
        end = window_end(m, at, col);
        code = run_window(l, fd, m, at, end, col, err);
    }
    close(fd);
    return code;
}

static gp_code run(limit *l, const char *db, const char *iface, char **columns, gp_error *err)
{
    gp_day_ref *days = NULL;
    size_t n = 0;
    gp_code code = gp_db_list_days(db, iface, INT64_MIN, INT64_MAX, &days, &n, err);
    for (size_t i = 0; i < n && code == GP_OK; i++) {
        gp_day *day = NULL;
        code = gp_day_open(&day, db, iface, days[i].day, err);
        for (char **c = columns; *c && code == GP_OK; c++) {
            unsigned col = 0;
            while (col < GP_COL_COUNT && strcmp(*c, gp_column_name((gp_column)col)) != 0)
                col++;
            code = col < GP_COL_COUNT ? run_column(l, day, (gp_column)col, err)
                                      : gp_fail(err, GP_EINVAL, "there is no column '%s'", *c);
        }
        gp_day_close(day);
    }
    free(days);
    return code;
}

int main(int argc, char **argv)
{
    limit l = {.stored = GP_BUF_INIT, .raw = GP_BUF_INIT};
    gp_error err = GP_ERROR_INIT;
    if (argc < 4) {
        fprintf(stderr, "usage: gp-scanlimit DB IFACE COLUMN...\n");
        return 2;
    }
    gp_code code = gp_codec_new(&l.codec, &err);
    if (code == GP_OK)
        code = run(&l, argv[1], argv[2], argv + 3, &err);
    gp_codec_free(l.codec);
    gp_buf_free(&l.stored);
    gp_buf_free(&l.raw);
    if (code != GP_OK)
        fprintf(stderr, "gp-scanlimit: %s\n", err.msg);
    else
        printf("%llu %llu\n", l.read, l.decoded); /* bytes */
    return code == GP_OK ? 0 : 1;
}
