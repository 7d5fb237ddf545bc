/* Column-wise evaluation of conditions against gp_cond_match, flow by flow. */
#include "sensor/godb/select.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_ROWS = 1003 };

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

typedef struct block {
    uint8_t sip[N_ROWS * 16], dip[N_ROWS * 16], dport[N_ROWS * 2], proto[N_ROWS];
    gp_select_columns cols;
} block;

/* Addresses, ports and protocols from small sets around the constants of the conditions. */
static void make_block(block *b, bool v6, uint64_t seed)
{
    static const uint16_t ports[] = {0, 22, 53, 79, 80, 81, 443, 65535};
    static const uint8_t protos[] = {0, 1, 6, 17, 58, 255};
    size_t w = v6 ? 16 : 4;
    memset(b, 0, sizeof *b);
    for (size_t i = 0; i < N_ROWS; i++) {
        uint8_t *s = b->sip + i * w;
        uint8_t *d = b->dip + i * w;
        s[0] = v6 ? 0x20 : 10;
        s[1] = v6 ? 0x01 : (uint8_t)(next_random(&seed) % 3);
        s[w - 1] = (uint8_t)(next_random(&seed) % 4);
        memcpy(d, s, w);
        d[w - 2] = (uint8_t)(next_random(&seed) % 2 * 128);
        uint16_t port = ports[next_random(&seed) % (sizeof ports / sizeof ports[0])];
        b->dport[2 * i] = (uint8_t)(port >> 8);
        b->dport[2 * i + 1] = (uint8_t)port;
        b->proto[i] = protos[next_random(&seed) % sizeof protos];
    }
    b->cols = (gp_select_columns){b->sip, b->dip, b->dport, b->proto, v6};
}

static gp_flow flow_at(const block *b, size_t i)
{
    size_t w = b->cols.v6 ? 16 : 4;
    return (gp_flow){.sip = gp_addr_from_bytes(b->sip + i * w, w),
                     .dip = gp_addr_from_bytes(b->dip + i * w, w),
                     .dport = (uint16_t)(b->dport[2 * i] << 8 | b->dport[2 * i + 1]),
                     .proto = b->proto[i]};
}

static const char *const conditions[] = {
    "dport = 80",
    "dport != 80",
    "dport < 80",
    "dport > 80",
    "dport <= 80",
    "dport >= 80",
    "proto = 6",
    "proto != 6",
    "proto < 17",
    "proto > 17",
    "proto <= 17",
    "proto >= 17",
    "sip = 10.0.0.1",
    "sip != 10.0.0.1",
    "dip = 2001::2",
    "snet = 10.0.0.0/15",
    "snet != 10.1.0.0/16",
    "dnet = 10.0.0.0/0",
    "dnet = 10.0.0.3/32",
    "snet = 2000::/4",
    "dnet != 2001::/121",
    "host = 10.1.0.2",
    "net = 10.2.0.0/17",
    "!(dport = 80)",
    "dport = 80 & proto = 6",
    "dport = 80 | proto = 6",
    "!(dport = 80 | proto = 6) & sip = 10.0.0.1",
    "(dport = 80 | dport = 443 | dport = 53) & (proto = 6 | proto = 17) & !(snet = 10.1.0.0/16)",
    "sip = 10.0.0.1 & dport = 1",
    "proto >= 0 | dport = 80",
    "dir = in & dport = 80",
    "dir = bi",
};

static void check(const char *text, const block *b)
{
    gp_cond *cond = NULL;
    gp_selector *sel = NULL;
    uint32_t rows[N_ROWS];
    size_t n = 0;
    gp_error err = GP_ERROR_INIT;
    if (gp_cond_parse(text, 0, &cond, &err) != GP_OK)
        fail_msg("%s: %s", text, err.msg);
    gp_ip_version only = gp_cond_ip_version(cond);
    bool skipped = (only == GP_IP_V4 && b->cols.v6) || (only == GP_IP_V6 && !b->cols.v6);
    assert_int_equal(gp_selector_new(&sel, cond, NULL), GP_OK);
    assert_int_equal(gp_select(sel, &b->cols, N_ROWS, rows, &n, NULL), GP_OK);
    if (skipped)
        n = 0; /* as the scan does */
    size_t at = 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        gp_flow f = flow_at(b, i);
        bool selected = at < n && rows[at] == i;
        if (gp_cond_match(cond, &f) != selected)
            fail_msg("'%s' differs at row %zu of the %s block", text, i, b->cols.v6 ? "IPv6" : "IPv4");
        at += selected;
    }
    assert_int_equal(at, n);
    gp_selector_free(sel);
    gp_cond_free(cond);
}

static void selection_equals_match(void **state)
{
    (void)state;
    block *b = malloc(sizeof *b);
    assert_non_null(b);
    for (unsigned v6 = 0; v6 < 2; v6++) {
        make_block(b, v6, 7 + v6);
        for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++)
            check(conditions[i], b);
    }
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(selection_equals_match)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
