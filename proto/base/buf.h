/*
 * buf.h - a growable byte buffer, for building text (JSON, tables, metrics) and binary blocks.
 *
 * A zeroed gp_buf is an empty buffer. Appending never fails visibly: when memory runs out (or `limit`
 * would be exceeded) the buffer turns `failed`, keeps what it has and ignores further appends; check
 * once at the end. The text is always NUL-terminated when data is not NULL (the NUL is not counted).
 *
 * Ownership: the buffer owns data until gp_buf_free or gp_buf_detach. Not thread-safe.
 */
#ifndef GP_BASE_BUF_H
#define GP_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gp_buf {
    char *data;
    size_t len;
    size_t cap;
    size_t limit; /* greatest len allowed; 0: no limit */
    bool failed;
} gp_buf;

#define GP_BUF_INIT                                                                                          \
    {                                                                                                        \
        NULL, 0, 0, 0, false                                                                                 \
    }

/* Makes room for `extra` more bytes (and the NUL). False when the buffer has failed. */
bool gp_buf_reserve(gp_buf *b, size_t extra);
void gp_buf_add(gp_buf *b, const void *data, size_t len);
void gp_buf_puts(gp_buf *b, const char *s);
void gp_buf_putc(gp_buf *b, char c);
void gp_buf_u64(gp_buf *b, uint64_t v);       /* decimal */
void gp_buf_i64(gp_buf *b, int64_t v);        /* decimal */
void gp_buf_pad(gp_buf *b, char c, size_t n); /* n times c */
void gp_buf_printf(gp_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with quotes; bytes that are not valid UTF-8 become U+FFFD (RFC 8259, 8.1). */
void gp_buf_json_str(gp_buf *b, const char *s);
void gp_buf_json_strn(gp_buf *b, const char *s, size_t len);

/* Writes v as decimal digits, 20 at most and no NUL; the place behind them. */
char *gp_u64_format(char *dst, uint64_t v);

void gp_buf_clear(gp_buf *b);   /* len = 0, keeps the memory and resets `failed` */
void gp_buf_free(gp_buf *b);    /* releases the memory; the buffer is empty and usable again */
char *gp_buf_detach(gp_buf *b); /* the NUL-terminated text, now the caller's (free()); NULL if failed */

#endif
