#include "proto/base/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void gp_base64_encode(const void *data, size_t len, gp_buf *out)
{
    const unsigned char *in = data;
    if (!gp_buf_reserve(out, (len + 2) / 3 * 4))
        return;
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)in[i] << 16;
        if (have > 1)
            bits |= (uint32_t)in[i + 1] << 8;
        if (have > 2)
            bits |= in[i + 2];
        const char four[] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
                             have > 1 ? alphabet[bits >> 6 & 63] : '=', have > 2 ? alphabet[bits & 63] : '='};
        gp_buf_add(out, four, sizeof four);
    }
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* `n` characters of a group of four; unused bits must be zero. */
static bool decode_group(const char *text, size_t n, gp_buf *out)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < n; i++) {
        int v = value_of(text[i]);
        if (v < 0)
            return false;
        bits |= (uint32_t)v << (18 - 6 * i);
    }
    const char bytes[] = {(char)(bits >> 16), (char)(bits >> 8 & 0xff), (char)(bits & 0xff)};
    if (n < 4 && (bits & (UINT32_C(0xffffff) >> (8 * (n - 1)))) != 0)
        return false;
    gp_buf_add(out, bytes, n - 1);
    return true;
}

bool gp_base64_decode(const char *text, size_t len, gp_buf *out)
{
    if (len % 4 != 0)
        return false;
    gp_buf_reserve(out, len / 4 * 3);
    for (size_t i = 0; i < len; i += 4) {
        size_t n = 4;
        if (i + 4 == len && text[i + 3] == '=')
            n = text[i + 2] == '=' ? 2 : 3;
        if (!decode_group(text + i, n, out))
            return false;
    }
    return true;
}
