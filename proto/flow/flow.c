#include "proto/flow/flow.h"

#include <arpa/inet.h>
#include <string.h>

bool gp_addr_is_mapped(const gp_addr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return a->len == 16 && memcmp(a->bytes, prefix, sizeof prefix) == 0;
}

static char *put_decimal(char *at, unsigned v)
{
    if (v >= 100)
        *at++ = (char)('0' + v / 100);
    if (v >= 10)
        *at++ = (char)('0' + v / 10 % 10);
    *at++ = (char)('0' + v % 10);
    return at;
}

/* inet_ntop(3) works by way of sprintf, which was most of what a row of text took. */
static char *put_ipv4(char *at, const uint8_t *bytes)
{
    at = put_decimal(at, bytes[0]);
    for (size_t i = 1; i < 4; i++) {
        *at++ = '.';
        at = put_decimal(at, bytes[i]);
    }
    return at;
}

enum { GROUPS = 8 };

static unsigned group(const gp_addr *a, size_t i)
{
    return (unsigned)(a->bytes[2 * i] << 8 | a->bytes[2 * i + 1]);
}

static char *put_hex(char *at, unsigned v)
{
    unsigned shift = v > 0xfff ? 12 : v > 0xff ? 8 : v > 0xf ? 4 : 0;
    for (;; shift -= 4) {
        *at++ = "0123456789abcdef"[v >> shift & 0xf];
        if (shift == 0)
            return at;
    }
}

/* Groups that are written as "::" (RFC 5952, 4.2): the longest run of zeros, the first of equals, never one
 * alone. */
typedef struct zeros {
    size_t first, behind;
} zeros;

static zeros find_zeros(const gp_addr *a)
{
    zeros best = {GROUPS, GROUPS};
    size_t most = 1;
    for (size_t i = 0, run = 0; i < GROUPS; i++) {
        run = group(a, i) ? 0 : run + 1;
        if (run <= most)
            continue;
        most = run;
        best = (zeros){i + 1 - run, i + 1};
    }
    return best;
}

static char *put_ipv6(char *at, const gp_addr *a)
{
    zeros z = find_zeros(a);
    for (size_t i = 0; i < GROUPS; i++) {
        if (i == z.first) {
            *at++ = ':';
            *at++ = ':';
            i = z.behind;
        } else if (i > 0) {
            *at++ = ':';
        }
        if (i == GROUPS)
            break;
        at = put_hex(at, group(a, i));
    }
    return at;
}

static size_t end_text(const char *dst, char *end)
{
    *end = '\0';
    return (size_t)(end - dst);
}

size_t gp_addr_format_hex(const gp_addr *a, char *dst)
{
    return end_text(dst, a->len == 4 ? put_ipv4(dst, a->bytes) : a->len == 16 ? put_ipv6(dst, a) : dst);
}

size_t gp_addr_format(const gp_addr *a, char *dst)
{
    static const char mapped[] = "::ffff:";
    if (!gp_addr_is_mapped(a))
        return gp_addr_format_hex(a, dst);
    memcpy(dst, mapped, sizeof mapped);
    return end_text(dst, put_ipv4(dst + sizeof mapped - 1, a->bytes + 12));
}

bool gp_addr_parse(const char *text, size_t len, gp_addr *out)
{
    char copy[GP_ADDR_STRLEN];
    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    gp_addr a = {.len = memchr(copy, ':', len) ? 16 : 4};
    if (inet_pton(a.len == 4 ? AF_INET : AF_INET6, copy, a.bytes) != 1)
        return false;
    *out = a;
    return true;
}

int gp_addr_cmp(const gp_addr *a, const gp_addr *b)
{
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

gp_addr gp_addr_from_bytes(const uint8_t *bytes, size_t len)
{
    gp_addr a = {.len = (uint8_t)len};
    memcpy(a.bytes, bytes, len);
    return a;
}
