/* Parsing, direction and the flow table. */
#include "sensor/capture/flowtable.h"
#include "sensor/capture/linklayer.h"
#include "tests/support/packets.h"

#include <pcap/dlt.h>
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
    b[0] = 0x44; /* header shorter than IPv4's */
    assert_int_equal(gp_packet_parse(b, (uint32_t)n, &p), GP_PACKET_INVALID_IP);
    b[0] = 0x70;
    assert_int_equal(gp_packet_parse(b, (uint32_t)n, &p), GP_PACKET_INVALID_IP);
    n = gp_test_ip(&tcp6, b);
    for (size_t cap = 0; cap < 54; cap++)
        assert_int_equal(gp_packet_parse(b, (uint32_t)cap, &p), GP_PACKET_TRUNCATED);
    assert_int_equal(gp_packet_parse(b, (uint32_t)n, &p), GP_PACKET_OK);
}

static void options_and_extension_headers_are_stepped_over(void **state)
{
    (void)state;
    gp_packet p;
    uint8_t b[GP_TEST_FRAME_MAX];
    uint8_t with[GP_TEST_FRAME_MAX] = {0};
    const gp_test_packet tcp4 = {"10.0.0.1", "10.0.0.2", 1000, 2000, TCP, SYN};
    const gp_test_packet tcp6 = {"2001:db8::1", "2001:db8::2", 1000, 2000, TCP, SYN};
    size_t n = gp_test_ip(&tcp4, b);
    memcpy(with, b, 20);
    with[0] = 0x47; /* two words of options */
    memcpy(with + 28, b + 20, n - 20);
    assert_int_equal(gp_packet_parse(with, (uint32_t)n + 8, &p), GP_PACKET_OK);
    assert_int_equal(p.dport, 2000);

    n = gp_test_ip(&tcp6, b);
    memset(with, 0, sizeof with);
    memcpy(with, b, 40);
    with[6] = 0; /* hop by hop, then destination options, then TCP */
    with[40] = 60;
    with[48] = TCP;
    memcpy(with + 56, b + 40, n - 40);
    assert_int_equal(gp_packet_parse(with, (uint32_t)n + 16, &p), GP_PACKET_OK);
    assert_int_equal(p.proto, TCP);
    assert_int_equal(p.sport, 1000);
    with[6] = 44; /* first fragment: the transport header is there */
    with[40] = TCP;
    memcpy(with + 48, b + 40, n - 40);
    assert_int_equal(gp_packet_parse(with, (uint32_t)n + 8, &p), GP_PACKET_OK);
    assert_int_equal(p.proto, TCP);
    with[43] = 0x08; /* a later fragment counts as such */
    assert_int_equal(gp_packet_parse(with, (uint32_t)n + 8, &p), GP_PACKET_OK);
    assert_int_equal(p.proto, 44);
    assert_int_equal(p.dport, 0);
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
    assert_int_equal(gp_link_ip_offset(DLT_EN10MB, f, sizeof f), 22);
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

static void add(gp_flowtable *t, const gp_flowtable *previous, const gp_test_packet *tp, bool outgoing)
{
    uint8_t bytes[GP_TEST_FRAME_MAX];
    gp_packet p = parse(tp, bytes);
    assert_true(gp_flowtable_add(t, previous, &p, 100, outgoing));
}

static void both_directions_are_one_flow(void **state)
{
    (void)state;
    gp_flowtable *t = NULL;
    gp_flow *flows = NULL;
    size_t n = 0;
    assert_int_equal(gp_flowtable_new(&t, NULL), GP_OK);
    /* The first packet that is seen is an answer: the flow still runs from the client to the server. */
    add(t, NULL, &(gp_test_packet){"10.0.0.9", "10.0.0.1", 22, 40000, TCP, ACK}, false);
    add(t, NULL, &(gp_test_packet){"10.0.0.1", "10.0.0.9", 40000, 22, TCP, ACK}, true);
    add(t, NULL, &(gp_test_packet){"10.0.0.1", "10.0.0.9", 40001, 22, TCP, SYN}, true);
    add(t, NULL, &(gp_test_packet){"2001:db8::9", "2001:db8::1", 22, 40000, TCP, SYNACK}, false);
    assert_int_equal(gp_flowtable_flows(t), 3);
    assert_int_equal(gp_flowtable_collect(t, &flows, &n, NULL), GP_OK);
    assert_int_equal(n, 2);
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
    size_t n = 0;
    assert_int_equal(gp_flowtable_new(&first, NULL), GP_OK);
    assert_int_equal(gp_flowtable_new(&second, NULL), GP_OK);
    /* A handshake against what the ports suggest: the server has the higher port. */
    const gp_test_packet syn = {"10.0.0.1", "10.0.0.9", 2000, 9000, TCP, SYN};
    const gp_test_packet data = {"10.0.0.1", "10.0.0.9", 2000, 9000, TCP, ACK};
    add(first, NULL, &syn, true);
    add(second, first, &data, true);
    assert_int_equal(gp_flowtable_collect(second, &flows, &n, NULL), GP_OK);
    assert_int_equal(flows[0].dport, 9000);
    free(flows);
    gp_flowtable_free(second);
    assert_int_equal(gp_flowtable_new(&second, NULL), GP_OK);
    add(second, NULL, &data, true); /* without memory of it, the ports decide */
    assert_int_equal(gp_flowtable_collect(second, &flows, &n, NULL), GP_OK);
    assert_int_equal(flows[0].dport, 2000);
    free(flows);
    gp_flowtable_free(first);
    gp_flowtable_free(second);
}

/* Many flows through growth, against plain sums. */
static void nothing_is_lost_while_a_table_grows(void **state)
{
    (void)state;
    enum { N = 20000 };
    gp_flowtable *t = NULL;
    gp_flowtable *copy = NULL;
    assert_int_equal(gp_flowtable_new(&t, NULL), GP_OK);
    uint8_t ip[20 + 4] = {0x45};
    ip[9] = UDP;
    ip[22] = 0x12; /* to port 0x1234 from port 0xc350 */
    ip[23] = 0x34;
    ip[20] = 0xc3;
    ip[21] = 0x50;
    for (uint32_t i = 0; i < 3 * N; i++) {
        uint32_t host = i % N;
        gp_packet p;
        memcpy(ip + 12, &host, 4);
        assert_int_equal(gp_packet_parse(ip, sizeof ip, &p), GP_PACKET_OK);
        assert_true(gp_flowtable_add(t, NULL, &p, host, i & 1));
    }
    assert_int_equal(gp_flowtable_flows(t), N);
    gp_counters sum = gp_flowtable_totals(t);
    assert_int_equal(sum.bytes_rcvd + sum.bytes_sent, 3 * (uint64_t)N * (N - 1) / 2);
    assert_int_equal(sum.pkts_rcvd + sum.pkts_sent, 3 * N);
    assert_int_equal(gp_flowtable_copy(t, &copy, NULL), GP_OK);
    gp_counters again = gp_flowtable_totals(copy);
    assert_memory_equal(&sum, &again, sizeof sum);
    gp_flowtable_free(copy);
    gp_flowtable_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_of_common_services_hide_the_client),
        cmocka_unit_test(replies_are_recognized),
        cmocka_unit_test(broken_packets_are_told_apart),
        cmocka_unit_test(options_and_extension_headers_are_stepped_over),
        cmocka_unit_test(link_layers_are_stepped_over),
        cmocka_unit_test(both_directions_are_one_flow),
        cmocka_unit_test(a_flow_keeps_its_direction_over_a_rotation),
        cmocka_unit_test(nothing_is_lost_while_a_table_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
