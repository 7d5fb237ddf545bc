#include "proto/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_CAP = 256 };

bool gp_buf_reserve(gp_buf *b, size_t extra)
{
    if (b->failed)
        return false;
    if (extra >= SIZE_MAX - b->len || (b->limit && b->len + extra > b->limit)) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + extra + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    char *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    b->data[b->len] = '\0';
    return true;
}

void gp_buf_add(gp_buf *b, const void *data, size_t len)
{
    if (len == 0 || !gp_buf_reserve(b, len))
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void gp_buf_puts(gp_buf *b, const char *s)
{
    gp_buf_add(b, s, strlen(s));
}

void gp_buf_putc(gp_buf *b, char c)
{
    gp_buf_add(b, &c, 1);
}

enum { U64_DIGITS = 20 };

char *gp_u64_format(char *dst, uint64_t v)
{
    char digits[U64_DIGITS];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    memcpy(dst, digits + at, sizeof digits - at);
    return dst + (sizeof digits - at);
}

void gp_buf_u64(gp_buf *b, uint64_t v)
{
    char digits[U64_DIGITS];
    gp_buf_add(b, digits, (size_t)(gp_u64_format(digits, v) - digits));
}

void gp_buf_i64(gp_buf *b, int64_t v)
{
    if (v < 0)
        gp_buf_putc(b, '-');
    gp_buf_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void gp_buf_pad(gp_buf *b, char c, size_t n)
{
    if (n == 0 || !gp_buf_reserve(b, n))
        return;
    memset(b->data + b->len, c, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void gp_buf_printf(gp_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    else if (gp_buf_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

/* Length of the UTF-8 sequence at s (RFC 3629, section 4), 0 if it is not one. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    bool too_large = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || too_large ? 0 : n;
}

static void json_escape(gp_buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        gp_buf_puts(b, "\\\"");
        break;
    case '\\':
        gp_buf_puts(b, "\\\\");
        break;
    case '\n':
        gp_buf_puts(b, "\\n");
        break;
    case '\r':
        gp_buf_puts(b, "\\r");
        break;
    case '\t':
        gp_buf_puts(b, "\\t");
        break;
    default:
        gp_buf_printf(b, "\\u%04x", c);
    }
}

void gp_buf_json_strn(gp_buf *b, const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    gp_buf_putc(b, '"');
    for (size_t i = 0; i < len;) {
        size_t plain = i;
        while (plain < len && p[plain] >= 0x20 && p[plain] < 0x80 && p[plain] != '"' && p[plain] != '\\')
            plain++;
        gp_buf_add(b, p + i, plain - i);
        i = plain;
        if (i == len)
            break;
        if (p[i] < 0x80) {
            json_escape(b, p[i++]);
            continue;
        }
        size_t n = utf8_len(p + i, len - i);
        if (n == 0)
            gp_buf_puts(b, "\xef\xbf\xbd");
        else
            gp_buf_add(b, p + i, n);
        i += n ? n : 1;
    }
    gp_buf_putc(b, '"');
}

void gp_buf_json_str(gp_buf *b, const char *s)
{
    gp_buf_json_strn(b, s, strlen(s));
}

void gp_buf_clear(gp_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

void gp_buf_free(gp_buf *b)
{
    free(b->data);
    *b = (gp_buf){.limit = b->limit};
}

char *gp_buf_detach(gp_buf *b)
{
    if (b->failed || !gp_buf_reserve(b, 0)) {
        gp_buf_free(b);
        return NULL;
    }
    char *data = b->data;
    *b = (gp_buf){.limit = b->limit};
    return data;
}
