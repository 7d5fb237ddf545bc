#include "sensor/godb/bitpack.h"

#include <string.h>

static unsigned width_of(uint64_t max)
{
    unsigned width = 1;
    while (width < 8 && max >> (8 * width))
        width++;
    return width;
}

size_t gp_bitpack_size(size_t n, uint64_t max)
{
    return 1 + n * width_of(max);
}

/* Each value is stored as eight bytes, of which the next one overwrites what is too much. */
size_t gp_bitpack(const uint64_t *values, size_t stride, size_t n, uint64_t max, uint8_t *dst)
{
    unsigned width = width_of(max);
    const char *from = (const char *)values;
    uint8_t *at = dst;
    *at++ = (uint8_t)width;
    for (size_t i = 0; i < n; i++, from += stride, at += width)
        memcpy(at, from, sizeof *values);
    return (size_t)(at - dst);
}

int64_t gp_bitpack_count(const uint8_t *data, size_t len)
{
    if (len == 0 || data[0] == 0 || data[0] > 8 || (len - 1) % data[0] != 0)
        return -1;
    return (int64_t)((len - 1) / data[0]);
}

/* Values are loaded eight bytes at a time and masked; the last ones, where that would read beyond the
 * column, byte by byte. Inlined once for each width so that strides and masks are constants. */
static inline __attribute__((always_inline)) void unpack(const uint8_t *p, size_t n, unsigned width,
                                                         uint64_t *v)
{
    uint64_t mask = width == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1;
    size_t slack = (8 - width + width - 1) / width; /* values whose 8-byte load would leave the column */
    size_t fast = n > slack ? n - slack : 0;
    size_t i = 0;
    for (; i < fast; i++) {
        uint64_t word;
        memcpy(&word, p + i * width, sizeof word);
        v[i] = word & mask;
    }
    for (; i < n; i++) {
        v[i] = 0;
        for (unsigned byte = 0; byte < width; byte++)
            v[i] |= (uint64_t)p[i * width + byte] << (8 * byte);
    }
}

void gp_bitunpack(const uint8_t *data, size_t len, uint64_t *values)
{
    unsigned width = data[0];
    const uint8_t *p = data + 1;
    size_t n = (len - 1) / width;
    switch (width) {
    case 1:
        for (size_t i = 0; i < n; i++)
            values[i] = p[i];
        break;
    case 2:
        unpack(p, n, 2, values);
        break;
    case 3:
        unpack(p, n, 3, values);
        break;
    case 4:
        unpack(p, n, 4, values);
        break;
    case 5:
        unpack(p, n, 5, values);
        break;
    case 6:
        unpack(p, n, 6, values);
        break;
    case 7:
        unpack(p, n, 7, values);
        break;
    default:
        unpack(p, n, 8, values);
    }
}

gp_packed_column gp_packed(const uint8_t *data)
{
    unsigned width = data[0];
    return (gp_packed_column){data + 1, UINT64_MAX >> (64 - 8 * width), width};
}

uint64_t gp_bitpack_sum(const uint8_t *data, size_t len)
{
    const gp_packed_column c = gp_packed(data);
    size_t n = (len - 1) / c.width;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += gp_packed_at(&c, i);
    return sum;
}

static const char digits[62] = {
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k',
    'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'A', 'B', 'C', 'D', 'E', 'F',
    'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z'};

size_t gp_bitpack_text(uint64_t v, char *dst)
{
    size_t n = 0;
    do {
        dst[n++] = digits[v % 62];
        v /= 62;
    } while (v);
    return n;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 36;
    return -1;
}

bool gp_bitunpack_text(const char *text, size_t len, uint64_t *out)
{
    uint64_t v = 0;
    if (len == 0)
        return false;
    for (size_t i = len; i-- > 0;) {
        int d = digit_value(text[i]);
        if (d < 0 || __builtin_mul_overflow(v, UINT64_C(62), &v) ||
            __builtin_add_overflow(v, (uint64_t)d, &v))
            return false;
    }
    *out = v;
    return true;
}
