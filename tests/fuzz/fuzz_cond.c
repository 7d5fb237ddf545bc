/* The condition language: whatever parses must mean the same after it was written out and read again. */
#include "proto/query/cond_internal.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No DNS: every name has two addresses. */
static gp_code resolver(void *ctx, cond_host *hosts, size_t n, int64_t timeout_ns, gp_error *err)
{
    (void)ctx;
    (void)timeout_ns;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        hosts[i].addrs[0] = gp_addr_from_bytes((const uint8_t[4]){10, 0, 0, (uint8_t)i}, 4);
        hosts[i].addrs[1] = (gp_addr){.bytes = {0xfe, 0x80}, .len = 16};
        hosts[i].n_addrs = 2;
    }
    return GP_OK;
}

static gp_cond *parse(const char *text)
{
    gp_cond *c = NULL;
    gp_error err = GP_ERROR_INIT;
    cond_lookup lookup = {resolver, NULL, 0};
    gp_code code = cond_parse_with(text, &lookup, &c, &err);
    if (code != GP_OK && (c || !err.msg[0]))
        abort();
    return c;
}

static void check_same(const gp_cond *a, const char *text)
{
    gp_cond *b = parse(text);
    if (!b)
        return; /* long lists become deep nesting in writing, which may exceed the limit */
    if (strcmp(gp_cond_string(a), gp_cond_string(b)) != 0 || gp_cond_direction(a) != gp_cond_direction(b) ||
        gp_cond_columns(a) != gp_cond_columns(b) || gp_cond_ip_version(a) != gp_cond_ip_version(b))
        abort();
    for (unsigned i = 0; i < 8; i++) {
        gp_flow f = {.dport = (uint16_t)(i * 40), .proto = (uint8_t)(i * 3)};
        f.sip.len = f.dip.len = i & 1 ? 4 : 16;
        f.sip.bytes[0] = 10;
        f.dip.bytes[3] = (uint8_t)i;
        if (gp_cond_match(a, &f) != gp_cond_match(b, &f))
            abort();
    }
    gp_cond_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    gp_cond *c = parse(text);
    if (c) {
        char *canonical = NULL;
        check_same(c, gp_cond_string(c));
        if (gp_cond_canonical(text, &canonical, NULL) != GP_OK || strlen(canonical) > 2 * size)
            abort();
        check_same(c, canonical);
        free(canonical);
        gp_cond_free(c);
    }
    free(text);
    return 0;
}
