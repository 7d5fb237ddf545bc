#include "proto/flow/flow.h"

#include <arpa/inet.h>
#include <string.h>

size_t gp_addr_format(const gp_addr *a, char *dst)
{
    dst[0] = '\0';
    if (a->len == 4 || a->len == 16)
        (void)inet_ntop(a->len == 4 ? AF_INET : AF_INET6, a->bytes, dst, GP_ADDR_STRLEN);
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
