#include "proto/flow/flow.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool gp_addr_is_mapped(const gp_addr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return a->len == 16 && memcmp(a->bytes, prefix, sizeof prefix) == 0;
}

/* ::/96 with more than the last group set. inet_ntop takes these for the long deprecated IPv4-compatible
 * addresses and gives them dots; RFC 5952 and v4 do not. */
static bool is_compatible(const gp_addr *a)
{
    static const uint8_t zeros[12];
    return a->len == 16 && memcmp(a->bytes, zeros, sizeof zeros) == 0 && (a->bytes[12] || a->bytes[13]);
}

static unsigned group(const gp_addr *a, size_t i)
{
    return (unsigned)(a->bytes[2 * i] << 8 | a->bytes[2 * i + 1]);
}

static char *put_byte(char *at, unsigned v)
{
    if (v >= 100)
        *at++ = (char)('0' + v / 100);
    if (v >= 10)
        *at++ = (char)('0' + v / 10 % 10);
    *at++ = (char)('0' + v % 10);
    return at;
}

/* inet_ntop(3) does this by way of sprintf, which is most of what a row of text costs. */
static size_t format_ipv4(const gp_addr *a, char *dst)
{
    char *at = put_byte(dst, a->bytes[0]);
    for (size_t i = 1; i < 4; i++) {
        *at++ = '.';
        at = put_byte(at, a->bytes[i]);
    }
    *at = '\0';
    return (size_t)(at - dst);
}

size_t gp_addr_format(const gp_addr *a, char *dst)
{
    if (a->len == 4)
        return format_ipv4(a, dst);
    dst[0] = '\0';
    if (is_compatible(a))
        snprintf(dst, GP_ADDR_STRLEN, "::%x:%x", group(a, 6), group(a, 7));
    else if (a->len == 16)
        (void)inet_ntop(AF_INET6, a->bytes, dst, GP_ADDR_STRLEN);
    return strlen(dst);
}

size_t gp_addr_format_hex(const gp_addr *a, char *dst)
{
    if (!gp_addr_is_mapped(a))
        return gp_addr_format(a, dst);
    snprintf(dst, GP_ADDR_STRLEN, "::ffff:%x:%x", group(a, 6), group(a, 7));
    return strlen(dst);
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
