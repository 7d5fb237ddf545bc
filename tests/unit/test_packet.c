/* Parsing, direction and the flow table. */
#include "sensor/capture/flowtable.h"
#include "sensor/capture/linklayer.h"
#include "tests/support/packets.h"

#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TCP = 6, UDP = 17, SYN = 0x02, SYNACK = 0x12, ACK = 0x10 };

static gp_packet parse(const gp_test_packet *t, uint8_t *bytes)
{
    gp_packet p;
    size_t n = gp_test_ip(t, bytes);
    /* Exactly as much memory as there are bytes, so that the sanitizer sees a read beyond. */
    assert_int_equal(gp_packet_parse(bytes, (uint32_t)n, &p), GP_PACKET_OK);
    return p;
}

static void ports_of_common_services_hide_the_client(void **state)
{
    (void)state;
    static const struct {
        uint8_t proto;
        uint16_t sport, dport, want_sport, want_dport;
    } cases[] = {
        {TCP, 50000, 443, 0, 443}, {TCP, 443, 50000, 443, 0},   {TCP, 50000, 22, 50000, 22},
        {UDP, 50000, 53, 0, 53},   {UDP, 50000, 80, 50000, 80}, {TCP, 1234, 8080, 0, 8080},
        {TCP, 80, 443, 0, 0},      {UDP, 445, 9, 445, 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[GP_TEST_FRAME_MAX];
        gp_test_packet t = {"10.0.0.1", "10.0.0.2", cases[i].sport, cases[i].dport, cases[i].proto, 0};
        gp_packet p = parse(&t, bytes);
        assert_int_equal(p.sport, cases[i].want_sport);
        assert_int_equal(p.dport, cases[i].want_dport);
    }
}

static void replies_are_recognized(void **state)
{
    (void)state;
    static const struct {
        gp_test_packet p;
        bool reply;
    } cases[] = {
        {{"10.0.0.1", "10.0.0.2", 40000, 22, TCP, SYN}, false},
        {{"10.0.0.2", "10.0.0.1", 22, 40000, TCP, SYN}, false},
        {{"10.0.0.2", "10.0.0.1", 22, 40000, TCP, SYNACK}, true},
        {{"10.0.0.1", "10.0.0.2", 40000, 22, TCP, ACK}, false},
        {{"10.0.0.2", "10.0.0.1", 22, 40000, TCP, ACK}, true},
        {{"10.0.0.2", "10.0.0.1", 22, 1000, TCP, ACK}, true},
        {{"10.0.0.1", "10.0.0.2", 50000, 40000, UDP, 0}, false},
        {{"10.0.0.1", "10.0.0.2", 40000, 50000, UDP, 0}, true},
        {{"10.0.0.1", "10.0.0.2", 5000, 5000, UDP, 0}, false},
        {{"10.0.0.1", "255.255.255.255", 67, 68, UDP, 0}, false},
        {{"10.0.0.1", "224.0.0.251", 53, 50000, UDP, 0}, false},
        {{"10.0.0.1", "10.0.0.2", 0, 0, 1, 8}, false},
        {{"10.0.0.1", "10.0.0.2", 0, 0, 1, 0}, true},
        {{"10.0.0.1", "10.0.0.2", 0, 0, 1, 11}, true},
        {{"2001:db8::1", "2001:db8::2", 0, 0, 58, 128}, false},
        {{"2001:db8::1", "2001:db8::2", 0, 0, 58, 129}, true},
        {{"2001:db8::1", "ff02::1", 0, 0, 58, 129}, false},
        {{"10.0.0.1", "10.0.0.2", 0, 0, 47, 0}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[GP_TEST_FRAME_MAX];
        gp_packet p = parse(&cases[i].p, bytes);
        if (gp_packet_is_reply(&p) != cases[i].reply)
            fail_msg("case %zu: %s -> %s", i, cases[i].p.sip, cases[i].p.dip);
    }
}

static void broken_packets_are_told_apart(void **state)
{
    (void)state;
    gp_packet p;
    uint8_t b[GP_TEST_FRAME_MAX];
    const gp_test_packet tcp4 = {"10.0.0.1", "10.0.0.2", 1, 2, TCP, SYN};
    const gp_test_packet tcp6 = {"::1", "::2", 1, 2, TCP, SYN};
    size_t n = gp_test_ip(&tcp4, b);
    for (size_t cap = 0; cap < 34; cap++) {
        uint8_t *exact = malloc(cap ? cap : 1);
        assert_non_null(exact);
        memcpy(exact, b, cap);
        assert_int_equal(gp_packet_parse(exact, (uint32_t)cap, &p), GP_PACKET_TRUNCATED);
        free(exact);
    }
    assert_int_equal(gp_packet_parse(b, (uint32_t)n, &p), GP_PACKET_OK);
    b[6] = 0x00;
    b[7] = 0x08; /* a later fragment */
    assert_int_equal(gp_packet_parse(b, (uint32_t)n, &p), GP_PACKET_FRAGMENT);
    b[9] = GP_IPPROTO_ESP;
    assert_int_equal(gp_packet_parse(b, (uint32_t)n, &p), GP_PACKET_OK);
    b[0] = 0x70;
    assert_int_equal(gp_packet_parse(b, (uint32_t)n, &p), GP_PACKET_INVALID_IP);
    n = gp_test_ip(&tcp6, b);
    for (size_t cap = 0; cap < 54; cap++)
        assert_int_equal(gp_packet_parse(b, (uint32_t)cap, &p), GP_PACKET_TRUNCATED);
    assert_int_equal(gp_packet_parse(b, (uint32_t)n, &p), GP_PACKET_OK);
}

/* As goProbe v4 does, so that the flows are the same: see packet.h. */
static void options_and_extension_headers_are_not_stepped_over(void **state)
{
    (void)state;
    gp_packet p;
    uint8_t b[GP_TEST_FRAME_MAX];
    uint8_t with[GP_TEST_FRAME_MAX] = {0};
    const gp_test_packet tcp4 = {"10.0.0.1", "10.0.0.2", 1000, 2000, TCP, SYN};
    const gp_test_packet tcp6 = {"2001:db8::1", "2001:db8::2", 1000, 2000, TCP, SYN};
    size_t n = gp_test_ip(&tcp4, b);
    memcpy(with, b, 20);
    with[0] = 0x46; /* one word of options: router alert */
    with[20] = 0x94;
    with[21] = 0x04;
    memcpy(with + 24, b + 20, n - 20);
    assert_int_equal(gp_packet_parse(with, (uint32_t)n + 4, &p), GP_PACKET_OK);
    assert_int_equal(p.sport, 0x9404);
    assert_int_equal(p.dport, 0);

    n = gp_test_ip(&tcp6, b);
    memset(with, 0, sizeof with);
    memcpy(with, b, 40);
    with[6] = 60; /* destination options, then TCP */
    with[40] = TCP;
    memcpy(with + 48, b + 40, n - 40);
    assert_int_equal(gp_packet_parse(with, (uint32_t)n + 8, &p), GP_PACKET_OK);
    assert_int_equal(p.proto, 60);
    assert_int_equal(p.sport, 0);
    assert_int_equal(p.dport, 0);
    with[6] = 44; /* fragments of IPv6 all count, under the number of the fragment header */
    with[43] = 0x08;
    assert_int_equal(gp_packet_parse(with, (uint32_t)n + 8, &p), GP_PACKET_OK);
    assert_int_equal(p.proto, 44);
}

static void link_layers_are_stepped_over(void **state)
{
    (void)state;
    uint8_t f[64] = {0};
    f[12] = 0x08;
    assert_int_equal(gp_link_ip_offset(DLT_EN10MB, f, sizeof f), 14);
    assert_int_equal(gp_link_ip_offset(DLT_EN10MB, f, 13), -1);
    static const uint8_t qinq[] = {0x88, 0xa8, 0, 1, 0x81, 0x00, 0, 2, 0x86, 0xdd};
    memcpy(f + 12, qinq, sizeof qinq);
    assert_int_equal(gp_link_ip_offset(DLT_EN10MB, f, sizeof f), 22);
    static const uint8_t pppoe[] = {0x88, 0x64, 0x11, 0, 0, 1, 0, 40, 0x00, 0x21};
    memcpy(f + 12, pppoe, sizeof pppoe);
    assert_int_equal(gp_link_ip_offset(DLT_EN10MB, f, sizeof f), 14); /* no IP header there, as in v4 */
    f[20] = 0xc0;                                                     /* LCP */
    assert_int_equal(gp_link_ip_offset(DLT_EN10MB, f, sizeof f), -1);
    f[13] = 0x06; /* ARP */
    assert_int_equal(gp_link_ip_offset(DLT_EN10MB, f, sizeof f), -1);
    assert_int_equal(gp_link_ip_offset(DLT_RAW, f, sizeof f), 0);
    f[0] = 0x86;
    f[1] = 0xdd;
    assert_int_equal(gp_link_ip_offset(DLT_LINUX_SLL2, f, sizeof f), 20);
    f[4] = 0x60;
    assert_int_equal(gp_link_ip_offset(DLT_NULL, f, sizeof f), 4);
    assert_int_equal(gp_link_ip_offset(9999, f, sizeof f), -1);
}

/* Runs the filter as the kernel would, save for what only the kernel knows. */
static unsigned run_filter(int dlt, const gp_capconfig *cfg, const uint8_t *f, size_t n)
{
    struct sock_fprog prog = {0};
    assert_int_equal(gp_link_filter(dlt, cfg, &prog, NULL), GP_OK);
    unsigned rc = bpf_filter((const struct bpf_insn *)(void *)prog.filter, f, (unsigned)n, (unsigned)n);
    free(prog.filter);
    return rc;
}

static void put_types(uint8_t *f, unsigned n, const uint16_t *types)
{
    memset(f + 12, 0, 20);
    for (unsigned i = 0; i < n; i++) {
        f[12 + 4 * i] = (uint8_t)(types[i] >> 8);
        f[13 + 4 * i] = (uint8_t)types[i];
    }
}

static void the_filter_lets_ip_through(void **state)
{
    (void)state;
    static const struct {
        uint16_t types[3];
        unsigned n;
        bool passes;
    } cases[] = {
        {{0x0800}, 1, true},
        {{0x86dd}, 1, true},
        {{0x0806}, 1, false},
        {{0x8100, 0x0800}, 2, true},
        {{0x88a8, 0x86dd}, 2, true},
        {{0x8100, 0x0806}, 2, false},
        {{0x88a8, 0x8100, 0x0800}, 3, true},
        {{0x88a8, 0x8100, 0x0806}, 3, false},
        {{0x0026}, 1, false},
    };
    gp_capconfig cfg;
    uint8_t f[64] = {0};
    gp_capconfig_default(&cfg);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_types(f, cases[i].n, cases[i].types);
        unsigned enough = cases[i].types[0] == 0x0800 ? 14 + 20 + 14 : 14 + 2 * 4 + 40 + 14;
        assert_int_equal(run_filter(DLT_EN10MB, &cfg, f, sizeof f), cases[i].passes ? enough : 0);
        assert_int_equal(gp_link_ip_offset(DLT_EN10MB, f, sizeof f) >= 0, cases[i].passes);
    }
    static const uint8_t pppoe[] = {0x88, 0x64, 0x11, 0, 0, 1, 0, 40, 0x00, 0x21};
    memcpy(f + 12, pppoe, sizeof pppoe);
    assert_int_equal(run_filter(DLT_EN10MB, &cfg, f, sizeof f), 76);
    f[20] = 0xc0;
    assert_int_equal(run_filter(DLT_EN10MB, &cfg, f, sizeof f), 0);
    f[0] = 0x45;
    assert_int_equal(run_filter(DLT_RAW, &cfg, f, sizeof f), 110);
    f[0] = 0x15;
    assert_int_equal(run_filter(DLT_RAW, &cfg, f, sizeof f), 0);
}

/* The layout of goProbe v4: falling off the end of the extra instructions accepts, one further drops. */
static void extra_instructions_stand_before_the_verdict(void **state)
{
    (void)state;
    static gp_bpf_insn drop_ipv6[] = {{.op = 0x15, .jt = 1, .jf = 0, .k = 0x86dd}}; /* jeq #0x86dd: drop */
    static gp_bpf_insn only_tcp[] = {{.op = 0x30, .k = 23}, {.op = 0x15, .jt = 0, .jf = 1, .k = 6}};
    gp_capconfig cfg;
    uint8_t f[64] = {0};
    gp_capconfig_default(&cfg);
    cfg.extra_bpf = drop_ipv6;
    cfg.n_extra_bpf = 1;
    put_types(f, 1, (const uint16_t[]){0x0800});
    assert_int_equal(run_filter(DLT_EN10MB, &cfg, f, sizeof f), 110);
    put_types(f, 1, (const uint16_t[]){0x86dd});
    assert_int_equal(run_filter(DLT_EN10MB, &cfg, f, sizeof f), 0);
    cfg.extra_bpf = only_tcp;
    cfg.n_extra_bpf = 2;
    put_types(f, 1, (const uint16_t[]){0x0800});
    assert_int_equal(run_filter(DLT_EN10MB, &cfg, f, sizeof f), 0);
    f[23] = TCP;
    assert_int_equal(run_filter(DLT_EN10MB, &cfg, f, sizeof f), 110);
    put_types(f, 1, (const uint16_t[]){0x0806});
    assert_int_equal(run_filter(DLT_EN10MB, &cfg, f, sizeof f), 0);
}

static void add(gp_flowtable *t, const gp_flowtable *previous, const gp_test_packet *tp, bool outgoing)
{
    uint8_t bytes[GP_TEST_FRAME_MAX];
    const gp_counted c = {parse(tp, bytes), 100, outgoing};
    gp_flowtable_add(t, 0, previous, &c, 1);
}

static size_t collect(const gp_flowtable *t, gp_flow **flows)
{
    size_t n = 0;
    assert_int_equal(gp_flowtable_export(t, flows, &n, NULL), GP_OK);
    return gp_flows_merge(*flows, n);
}

static void both_directions_are_one_flow(void **state)
{
    (void)state;
    gp_flowtable *t = NULL;
    gp_flow *flows = NULL;
    assert_int_equal(gp_flowtable_new(&t, NULL, 0, NULL), GP_OK);
    /* The first packet that is seen is an answer: the flow still runs from the client to the server. */
    add(t, NULL, &(gp_test_packet){"10.0.0.9", "10.0.0.1", 22, 40000, TCP, ACK}, false);
    add(t, NULL, &(gp_test_packet){"10.0.0.1", "10.0.0.9", 40000, 22, TCP, ACK}, true);
    add(t, NULL, &(gp_test_packet){"10.0.0.1", "10.0.0.9", 40001, 22, TCP, SYN}, true);
    add(t, NULL, &(gp_test_packet){"2001:db8::9", "2001:db8::1", 22, 40000, TCP, SYNACK}, false);
    assert_int_equal(gp_flowtable_flows(t), 3);
    assert_int_equal(collect(t, &flows), 2);
    assert_int_equal(flows[0].sip.bytes[3], 1);
    assert_int_equal(flows[0].dport, 22);
    assert_int_equal(flows[0].c.pkts_sent, 2);
    assert_int_equal(flows[0].c.pkts_rcvd, 1);
    assert_int_equal(flows[0].c.bytes_sent, 200);
    assert_int_equal(flows[1].sip.bytes[15], 1);
    assert_int_equal(flows[1].c.pkts_rcvd, 1);
    free(flows);
    gp_flowtable_free(t);
}

static void a_flow_keeps_its_direction_over_a_rotation(void **state)
{
    (void)state;
    gp_flowtable *first = NULL;
    gp_flowtable *second = NULL;
    gp_flow *flows = NULL;
    assert_int_equal(gp_flowtable_new(&first, NULL, 0, NULL), GP_OK);
    assert_int_equal(gp_flowtable_new(&second, first, 0, NULL), GP_OK);
    /* A handshake against what the ports suggest: the server has the higher port. */
    const gp_test_packet syn = {"10.0.0.1", "10.0.0.9", 2000, 9000, TCP, SYN};
    const gp_test_packet data = {"10.0.0.1", "10.0.0.9", 2000, 9000, TCP, ACK};
    add(first, NULL, &syn, true);
    add(second, first, &data, true);
    assert_int_equal(collect(second, &flows), 1);
    assert_int_equal(flows[0].dport, 9000);
    free(flows);
    gp_flowtable_free(second);
    assert_int_equal(gp_flowtable_new(&second, first, 0, NULL), GP_OK);
    add(second, NULL, &data, true); /* without memory of it, the ports decide */
    assert_int_equal(collect(second, &flows), 1);
    assert_int_equal(flows[0].dport, 2000);
    free(flows);
    gp_flowtable_free(first);
    gp_flowtable_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_of_common_services_hide_the_client),
        cmocka_unit_test(replies_are_recognized),
        cmocka_unit_test(broken_packets_are_told_apart),
        cmocka_unit_test(options_and_extension_headers_are_not_stepped_over),
        cmocka_unit_test(link_layers_are_stepped_over),
        cmocka_unit_test(the_filter_lets_ip_through),
        cmocka_unit_test(extra_instructions_stand_before_the_verdict),
        cmocka_unit_test(both_directions_are_one_flow),
        cmocka_unit_test(a_flow_keeps_its_direction_over_a_rotation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
