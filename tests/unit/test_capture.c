/* Captures over links of a network namespace: several rings, the limit of flows, and links that change under
 * a running capture. */
#include "sensor/capture/capture.h"
#include "sensor/capture/fanout.h"
#include "sensor/capture/source.h"
#include "tests/support/mixed_capture.h"
#include "tests/support/netns.h"
#include "tests/support/packets.h"
#include "tests/support/tempdir.h"

#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { TCP = 6, ETH = 14 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static gp_capture *start_capture(const char *iface, const gp_capconfig *cfg)
{
    gp_capture *c = NULL;
    gp_error err = GP_ERROR_INIT;
    if (gp_capture_start(&c, iface, cfg, NULL, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    return c;
}

static gp_capture_stats status_of(gp_capture *c)
{
    gp_capture_stats s;
    assert_int_equal(gp_capture_status(c, &s, NULL), GP_OK);
    return s;
}

/* Waits until so many packets were seen, and a little longer, lest there be more. */
static void await_packets(gp_capture *c, uint64_t packets)
{
    double deadline = seconds() + 20;
    while (seconds() < deadline && status_of(c).received < packets)
        usleep(20000);
    usleep(300000);
    assert_int_equal(status_of(c).received, packets);
    assert_int_equal(status_of(c).dropped, 0);
}

/* The flows of the interval in the form that is stored; the caller frees them. */
static size_t rotate(gp_capture *c, gp_flow **flows, gp_capture_stats *stats)
{
    gp_table_ref *table = NULL;
    size_t n = 0;
    assert_int_equal(gp_capture_rotate(c, &table, stats, NULL), GP_OK);
    assert_int_equal(gp_flowtable_export(gp_table_ref_get(table), flows, &n, NULL), GP_OK);
    gp_table_unref(table);
    return gp_flows_merge(*flows, n);
}

static gp_counters sum_of(const gp_flow *flows, size_t n)
{
    gp_counters sum = {0};
    for (size_t i = 0; i < n; i++)
        gp_counters_add(&sum, &flows[i].c);
    return sum;
}

static void end(gp_capture *c)
{
    gp_capture_stop(c);
    gp_capture_free(c);
}

/* n packets of as many flows. */
static void send_flows_on(int sender, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char sip[16];
        uint8_t frame[GP_TEST_FRAME_MAX];
        snprintf(sip, sizeof sip, "10.%u.%u.%u", i >> 16 & 0xff, i >> 8 & 0xff, i & 0xff);
        const gp_test_packet p = {sip, "10.200.0.1", 40000, 22, TCP, 0x02};
        size_t len = gp_test_frame(&p, frame);
        gp_netns_send(sender, frame, len);
    }
}

static void send_flows(const char *iface, unsigned n)
{
    int fd = gp_netns_sender(iface);
    send_flows_on(fd, n);
    close(fd);
}

/* ---- several rings ------------------------------------------------------------------------------------- */

/* Sends what a capture file holds, in turn from both ends. */
static void send_file(const char *path, const char *a, const char *b)
{
    char why[PCAP_ERRBUF_SIZE];
    struct pcap_pkthdr *h;
    const u_char *bytes;
    int ends[2] = {gp_netns_sender(a), gp_netns_sender(b)};
    pcap_t *p = pcap_open_offline(path, why);
    assert_non_null(p);
    for (unsigned i = 0; pcap_next_ex(p, &h, &bytes) == 1; i++)
        if (h->caplen > ETH)
            gp_netns_send(ends[i % 3 == 0], bytes, h->caplen);
    pcap_close(p);
    close(ends[0]);
    close(ends[1]);
}

/* Ends an interval of both; the statistics of the first. */
static gp_capture_stats check_same_flows(gp_capture *one, gp_capture *many)
{
    gp_flow *want = NULL;
    gp_flow *got = NULL;
    gp_flow *live = NULL;
    size_t n_live = 0;
    gp_capture_stats s1;
    gp_capture_stats s2;
    assert_int_equal(gp_capture_live(many, &live, &n_live, NULL), GP_OK);
    n_live = gp_flows_merge(live, n_live);
    size_t n = rotate(one, &want, &s1);
    assert_int_equal(rotate(many, &got, &s2), n);
    assert_int_equal(n_live, n);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(&got[i].sip, &want[i].sip, sizeof got[i].sip);
        assert_memory_equal(&got[i].dip, &want[i].dip, sizeof got[i].dip);
        assert_int_equal(got[i].dport, want[i].dport);
        assert_int_equal(got[i].proto, want[i].proto);
        assert_memory_equal(&got[i].c, &want[i].c, sizeof got[i].c);
        assert_memory_equal(&live[i].c, &want[i].c, sizeof live[i].c);
    }
    assert_int_equal(s1.processed, s2.processed);
    assert_int_equal(s1.received, s2.received);
    assert_memory_equal(s1.parse_errors, s2.parse_errors, sizeof s1.parse_errors);
    free(want);
    free(got);
    free(live);
    return s1;
}

/* Fragments, ICMP, ports that are left out, tags: all that could part the packets of a flow. Over two
 * intervals, since the second asks the first for directions. */
static void check_mixed_traffic(const gp_capconfig *single, const gp_capconfig *other)
{
    char dir[GP_TEMPDIR_LEN];
    char path[GP_TEMPDIR_LEN + 16];
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/mixed.pcap", dir);
    assert_true(gp_test_mixed_capture(path));
    gp_netns_add_pair("va", "vb");
    gp_capture *one = start_capture("vb", single);
    gp_capture *many = start_capture("vb", other);
    for (unsigned interval = 0; interval < 2; interval++) {
        uint64_t before = status_of(one).received;
        send_file(path, "va", "vb");
        for (double deadline = seconds() + 20; seconds() < deadline && status_of(one).received == before;)
            usleep(20000);
        usleep(500000);
        gp_capture_stats s = check_same_flows(one, many);
        assert_true(s.flows > 500);
        assert_true(s.parse_errors[GP_PARSE_FRAGMENT] > 0);
    }
    end(one);
    end(many);
    gp_netns_ip("link del va");
    gp_tempdir_remove(dir);
}

static void several_rings_give_the_same_flows(void **state)
{
    (void)state;
    gp_capconfig one;
    gp_capconfig many;
    gp_capconfig_default(&one);
    gp_capconfig_default(&many);
    many.num_rings = 4;
    check_mixed_traffic(&one, &many);
}

typedef struct ring_check {
    unsigned ring, rings, frames, wrong;
    uint32_t odd;
} ring_check;

static void check_ring(void *ctx, const gp_frame *frames, size_t n)
{
    ring_check *c = ctx;
    for (size_t i = 0; i < n; i++) {
        gp_packet p;
        if (!frames[i].ip || gp_packet_parse(frames[i].ip, frames[i].cap, &p) != GP_PACKET_OK)
            continue;
        gp_addr sip = gp_addr_from_bytes(p.sip, p.v6 ? 16 : 4);
        gp_addr dip = gp_addr_from_bytes(p.dip, p.v6 ? 16 : 4);
        c->frames++;
        c->wrong += gp_fanout_ring(c->odd, &sip, &dip, c->rings) != c->ring;
    }
}

/* The kernel's program and ours choose alike; every ring gets its share, nothing comes twice. */
static void packets_go_to_the_ring_of_their_addresses(void **state)
{
    (void)state;
    enum { RINGS = 3, FLOWS = 900 };
    gp_capconfig cfg;
    gp_source *rings[RINGS];
    gp_error err = GP_ERROR_INIT;
    unsigned total = 0;
    gp_capconfig_default(&cfg);
    gp_netns_add_pair("va", "vb");
    if (gp_source_open_rings(rings, RINGS, 0x9e3779b1, "vb", &cfg, &err) != GP_OK)
        fail_msg("%s", err.msg);
    send_flows("va", FLOWS);
    send_flows("vb", FLOWS);
    usleep(300000);
    for (unsigned i = 0; i < RINGS; i++) {
        bool at_end = false;
        ring_check c = {.ring = i, .rings = RINGS, .odd = 0x9e3779b1};
        assert_int_equal(gp_source_read(rings[i], -1, 0, check_ring, &c, &at_end, NULL), GP_OK);
        assert_int_equal(c.wrong, 0);
        assert_true(c.frames > 2 * FLOWS / RINGS / 2);
        total += c.frames;
    }
    assert_int_equal(total, 2 * FLOWS);
    for (unsigned i = 0; i < RINGS; i++)
        gp_source_close(rings[i]);
    gp_netns_ip("link del va");
}

/* Sessions from before a restart: their packets go on in the direction that they had, and add up. */
static void resumed_flows_go_on_in_their_rings(void **state)
{
    (void)state;
    enum { FLOWS = 300 };
    gp_capconfig cfg;
    gp_capture *c = NULL;
    gp_flowtable *resumed = NULL;
    gp_flow *flows = NULL;
    gp_capture_stats stats;
    gp_capconfig_default(&cfg);
    cfg.num_rings = 3;
    cfg.max_flows = 30; /* less than were resumed */
    assert_int_equal(gp_flowtable_new(&resumed, NULL, 0, NULL), GP_OK);
    for (unsigned i = 0; i < FLOWS; i++) { /* the other way than their packets would be classified */
        const uint8_t sip[4] = {10, 200, 0, 1};
        const uint8_t dip[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
        const gp_session s = {.sip = gp_addr_from_bytes(sip, 4),
                              .dip = gp_addr_from_bytes(dip, 4),
                              .sport = 22,
                              .dport = 40000,
                              .proto = TCP,
                              .c = {1000, 0, 10, 0}};
        assert_true(gp_flowtable_put(resumed, &s, false));
    }
    gp_netns_add_pair("va", "vb");
    assert_int_equal(gp_capture_start(&c, "vb", &cfg, resumed, NULL, NULL), GP_OK);
    send_flows("va", 6);
    await_packets(c, 6);
    size_t n = rotate(c, &flows, &stats);
    assert_int_equal(n, FLOWS);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(flows[i].dport, 40000);
        assert_int_equal(flows[i].c.pkts_rcvd, flows[i].dip.bytes[3] < 6 && !flows[i].dip.bytes[2] ? 11 : 10);
    }
    free(flows);
    end(c);
    gp_netns_ip("link del va");
}

/* ---- the limit ----------------------------------------------------------------------------------------- */

static void flows_beyond_the_limit_count_as_one(void **state)
{
    (void)state;
    enum { LIMIT = 1000, FLOWS = 5000 };
    gp_capconfig cfg;
    gp_flow *flows = NULL;
    gp_capture_stats stats;
    gp_capconfig_default(&cfg);
    cfg.max_flows = LIMIT;
    gp_netns_add_pair("va", "vb");
    gp_capture *c = start_capture("vb", &cfg);
    send_flows("va", FLOWS);
    await_packets(c, FLOWS);
    size_t n = rotate(c, &flows, &stats);
    assert_int_equal(n, LIMIT + 1);
    assert_int_equal(stats.flows, LIMIT);
    assert_int_equal(stats.overflow_packets, FLOWS - LIMIT);
    assert_int_equal(stats.overflow_bytes, (FLOWS - LIMIT) * (ETH + 40));
    assert_int_equal(flows[0].proto, GP_OVERFLOW_PROTO); /* sorted by address: 0.0.0.0 */
    assert_int_equal(flows[0].c.pkts_rcvd, FLOWS - LIMIT);
    assert_int_equal(sum_of(flows, n).pkts_rcvd, FLOWS);
    assert_int_equal(sum_of(flows, n).bytes_rcvd, FLOWS * (ETH + 40));
    free(flows);
    /* The next interval begins anew. */
    send_flows("va", 10);
    await_packets(c, 10);
    assert_int_equal(rotate(c, &flows, &stats), 10);
    assert_int_equal(stats.overflow_packets, 0);
    assert_int_equal(stats.processed_total, FLOWS + 10);
    free(flows);
    end(c);
    gp_netns_ip("link del va");
}

/* ---- links that change --------------------------------------------------------------------------------- */

/* What is sent after the link is up again is all there, as is what came before. */
static void a_capture_outlives_down_and_up(void **state)
{
    (void)state;
    gp_capconfig cfg;
    const int on = 1;
    gp_capconfig_default(&cfg);
    gp_netns_add_pair("va", "vb");
    /* The queue of a link whose peer was down takes a while to work again: around it. */
    int fd = gp_netns_sender("va");
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on), 0);
    gp_capture *c = start_capture("vb", &cfg);
    for (unsigned round = 1; round <= 3; round++) {
        send_flows_on(fd, 100);
        gp_netns_ip("link set vb down");
        usleep(200000);
        assert_false(gp_capture_failed(c, NULL));
        gp_netns_up("vb");
        send_flows_on(fd, 50);
        await_packets(c, 150 * round);
    }
    assert_int_equal(status_of(c).processed, 450);
    close(fd);
    end(c);
    gp_netns_ip("link del va");
}

static void another_mtu_changes_nothing(void **state)
{
    (void)state;
    gp_capconfig cfg;
    gp_capconfig_default(&cfg);
    gp_netns_add_pair("va", "vb");
    gp_capture *c = start_capture("vb", &cfg);
    send_flows("va", 100);
    gp_netns_ip("link set vb mtu 9000");
    send_flows("va", 100);
    gp_netns_ip("link set vb mtu 576");
    send_flows("va", 100);
    await_packets(c, 300);
    assert_false(gp_capture_failed(c, NULL));
    end(c);
    gp_netns_ip("link del va");
}

static gp_error await_failure(gp_capture *c)
{
    gp_error why = GP_ERROR_INIT;
    double deadline = seconds() + 5;
    while (!gp_capture_failed(c, &why) && seconds() < deadline)
        usleep(20000);
    assert_true(gp_capture_failed(c, &why));
    return why;
}

/* It must end: flows would be filed under a name that is no more, or another link's. */
static void a_renamed_link_ends_the_capture(void **state)
{
    (void)state;
    gp_capconfig cfg;
    gp_flow *flows = NULL;
    gp_capture_stats stats;
    gp_capconfig_default(&cfg);
    gp_netns_add_pair("va", "vb");
    gp_capture *c = start_capture("vb", &cfg);
    send_flows("va", 100);
    await_packets(c, 100);
    gp_netns_ip("link set vb down");
    gp_netns_ip("link set vb name vc");
    gp_netns_up("vc");
    gp_error why = await_failure(c);
    assert_non_null(strstr(why.msg, "'vb'"));
    assert_non_null(strstr(why.msg, "renamed"));
    gp_capture_stop(c);
    assert_int_equal(rotate(c, &flows, &stats), 100);
    free(flows);
    gp_capture_free(c);
    gp_netns_ip("link del va");
}

static void write_packets(int tun, unsigned n)
{
    const gp_test_packet p = {"10.9.0.2", "10.9.0.1", 40000, 22, TCP, 0x10};
    uint8_t ip[GP_TEST_FRAME_MAX];
    size_t len = gp_test_ip(&p, ip);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(write(tun, ip, len), len);
}

static void set_link_type(int tun, const char *name, int type)
{
    char args[64];
    snprintf(args, sizeof args, "link set %s down", name);
    gp_netns_ip(args);
    assert_int_equal(ioctl(tun, TUNSETLINK, type), 0);
    gp_netns_up(name);
}

static int need_tun(const char *name)
{
    int tun = gp_netns_open_tun(name);
    if (tun < 0) {
        print_message("no /dev/net/tun: skipped\n");
        skip();
    }
    return tun;
}

/* A tun link may pretend to be of any type. Of these, packets begin with IP. */
static void links_without_ethernet_are_captured(void **state)
{
    (void)state;
    static const int types[] = {ARPHRD_NONE,   ARPHRD_RAWIP, ARPHRD_PPP,     ARPHRD_SLIP,  ARPHRD_CSLIP,
                                ARPHRD_TUNNEL, ARPHRD_SIT,   ARPHRD_TUNNEL6, ARPHRD_IPGRE, ARPHRD_IP6GRE};
    gp_capconfig cfg;
    int tun = need_tun("tun7");
    gp_capconfig_default(&cfg);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        gp_flow *flows = NULL;
        gp_capture_stats stats;
        set_link_type(tun, "tun7", types[i]);
        gp_capture *c = start_capture("tun7", &cfg);
        write_packets(tun, 20);
        await_packets(c, 20);
        assert_int_equal(rotate(c, &flows, &stats), 1);
        assert_int_equal(flows[0].c.pkts_rcvd, 20);
        assert_int_equal(flows[0].c.bytes_rcvd, 20 * 40);
        assert_int_equal(flows[0].dport, 22);
        free(flows);
        end(c);
    }
    close(tun);
}

static void another_link_type_ends_the_capture(void **state)
{
    (void)state;
    gp_capconfig cfg;
    gp_flow *flows = NULL;
    gp_capture_stats stats;
    int tun = need_tun("tun7");
    gp_capconfig_default(&cfg);
    set_link_type(tun, "tun7", ARPHRD_NONE);
    gp_capture *c = start_capture("tun7", &cfg);
    write_packets(tun, 20);
    await_packets(c, 20);
    set_link_type(tun, "tun7", ARPHRD_PPP);
    gp_error why = await_failure(c);
    assert_non_null(strstr(why.msg, "link type"));
    gp_capture_stop(c);
    assert_int_equal(rotate(c, &flows, &stats), 1);
    assert_int_equal(flows[0].c.pkts_rcvd, 20);
    free(flows);
    gp_capture_free(c);
    close(tun);
}

/* ---- malformed packets --------------------------------------------------------------------------------- */

enum { GARBAGE = 20000 };

static void send_garbage(const char *iface)
{
    static const uint16_t types[] = {0x0800, 0x86dd, 0x8100, 0x88a8, 0x8864, 0x0806, 0x0000};
    uint32_t seed = 99;
    int fd = gp_netns_sender(iface);
    for (unsigned i = 0; i < GARBAGE; i++) {
        uint8_t frame[128];
        for (size_t k = 0; k < sizeof frame; k++) {
            seed = seed * 1664525u + 1013904223u;
            frame[k] = (uint8_t)(seed >> 24);
        }
        uint16_t type = types[frame[0] % (sizeof types / sizeof types[0])];
        frame[12] = (uint8_t)(type >> 8);
        frame[13] = (uint8_t)type;
        frame[14] = frame[1] & 1 ? frame[14] : (uint8_t)((type == 0x0800 ? 0x40 : 0x60) | (frame[14] & 15));
        gp_netns_send(fd, frame, 15 + frame[2] % (sizeof frame - 15));
    }
    close(fd);
}

/* Whatever comes is either part of a flow or counted as what it is. */
static void garbage_is_counted(void **state)
{
    (void)state;
    gp_capconfig cfg;
    gp_flow *flows = NULL;
    gp_capture_stats stats;
    gp_capconfig_default(&cfg);
    cfg.num_rings = 2;
    gp_netns_add_pair("va", "vb");
    gp_capture *c = start_capture("vb", &cfg);
    send_garbage("va");
    usleep(500000);
    size_t n = rotate(c, &flows, &stats);
    gp_counters sum = sum_of(flows, n);
    assert_true(stats.received > GARBAGE / 4);
    assert_int_equal(stats.processed + stats.parse_errors[GP_PARSE_FRAGMENT], stats.received);
    assert_int_equal(sum.pkts_rcvd + stats.parse_errors[GP_PARSE_FRAGMENT] +
                         stats.parse_errors[GP_PARSE_INVALID_IP] + stats.parse_errors[GP_PARSE_TRUNCATED],
                     stats.received);
    for (unsigned i = 0; i < GP_PARSE_ERRORS; i++)
        assert_true(stats.parse_errors[i] > 0);
    free(flows);
    end(c);
    gp_netns_ip("link del va");
}

/* ---- counting in the kernel ---------------------------------------------------------------------------- */

static gp_capconfig in_kernel(void)
{
    gp_capconfig cfg;
    gp_source *s = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_capconfig_default(&cfg);
    if (gp_source_open_ebpf(&s, "lo", &cfg, &err) != GP_OK) {
        print_message("no counting in the kernel here: %s\n", err.msg);
        skip();
    }
    gp_source_close(s);
    cfg.in_kernel = true;
    return cfg;
}

static void the_kernel_counts_the_same_flows(void **state)
{
    (void)state;
    gp_capconfig ring;
    gp_capconfig kernel = in_kernel();
    gp_capconfig_default(&ring);
    check_mixed_traffic(&ring, &kernel);
    ring.ignore_vlans = kernel.ignore_vlans = true;
    check_mixed_traffic(&ring, &kernel);
}

static void the_kernel_counts_the_same_garbage(void **state)
{
    (void)state;
    gp_capconfig ring;
    gp_capconfig kernel = in_kernel();
    gp_capconfig_default(&ring);
    gp_netns_add_pair("va", "vb");
    gp_capture *one = start_capture("vb", &ring);
    gp_capture *other = start_capture("vb", &kernel);
    for (unsigned round = 0; round < 2; round++) {
        send_garbage("va");
        usleep(500000);
        gp_capture_stats s = check_same_flows(one, other);
        assert_true(s.received > GARBAGE / 4);
    }
    end(one);
    end(other);
    gp_netns_ip("link del va");
}

/* Rotations take turns with packets of ever new flows. */
static void no_flow_is_lost_between_collections(void **state)
{
    (void)state;
    enum { FLOWS = 60000, ROUNDS = 4 };
    gp_capconfig kernel = in_kernel();
    gp_netns_add_pair("va", "vb");
    gp_capture *c = start_capture("vb", &kernel);
    gp_counters sum = {0};
    for (unsigned i = 0; i <= ROUNDS; i++) {
        gp_flow *flows = NULL;
        gp_capture_stats stats;
        if (i < ROUNDS)
            send_flows("va", FLOWS);
        size_t n = rotate(c, &flows, &stats);
        gp_counters one = sum_of(flows, n);
        gp_counters_add(&sum, &one);
        assert_int_equal(stats.overflow_packets, 0);
        free(flows);
    }
    assert_int_equal(sum.pkts_rcvd, ROUNDS * FLOWS);
    end(c);
    gp_netns_ip("link del va");
}

static void the_kernel_counts_without_ethernet(void **state)
{
    (void)state;
    gp_capconfig kernel = in_kernel();
    gp_flow *flows = NULL;
    gp_capture_stats stats;
    int tun = need_tun("tun7");
    set_link_type(tun, "tun7", ARPHRD_NONE);
    gp_capture *c = start_capture("tun7", &kernel);
    write_packets(tun, 20);
    await_packets(c, 20);
    gp_netns_ip("link set tun7 down");
    usleep(300000);
    gp_netns_up("tun7");
    usleep(300000);
    write_packets(tun, 20);
    await_packets(c, 40);
    assert_int_equal(rotate(c, &flows, &stats), 1);
    assert_int_equal(flows[0].c.pkts_rcvd, 40);
    assert_int_equal(flows[0].c.bytes_rcvd, 40 * 40);
    free(flows);
    close(tun);
    double deadline = seconds() + 5;
    while (!gp_capture_failed(c, NULL) && seconds() < deadline)
        usleep(20000);
    assert_true(gp_capture_failed(c, NULL));
    end(c);
}

static void the_ring_does_what_the_kernel_cannot(void **state)
{
    (void)state;
    gp_bpf_insn accept[] = {{.op = 0x06, .k = 0xffff}}; /* ret #0xffff */
    gp_capconfig cfg;
    gp_log *log = NULL;
    gp_capture *c = NULL;
    char dir[GP_TEMPDIR_LEN];
    char path[GP_TEMPDIR_LEN + 16];
    char text[1024] = "";
    gp_capconfig_default(&cfg);
    cfg.in_kernel = true;
    cfg.extra_bpf = accept;
    cfg.n_extra_bpf = 1;
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/log", dir);
    assert_int_equal(gp_log_open(&log, path, GP_LOG_INFO, GP_LOG_LOGFMT, NULL), GP_OK);
    gp_netns_add_pair("va", "vb");
    assert_int_equal(gp_capture_start(&c, "vb", &cfg, NULL, log, NULL), GP_OK);
    send_flows("va", 100);
    await_packets(c, 100);
    end(c);
    gp_log_close(log);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(text, "using the ring"));
    assert_non_null(strstr(text, "iface=vb"));
    gp_netns_ip("link del va");
    gp_tempdir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_rings_give_the_same_flows),
        cmocka_unit_test(packets_go_to_the_ring_of_their_addresses),
        cmocka_unit_test(resumed_flows_go_on_in_their_rings),
        cmocka_unit_test(flows_beyond_the_limit_count_as_one),
        cmocka_unit_test(a_capture_outlives_down_and_up),
        cmocka_unit_test(another_mtu_changes_nothing),
        cmocka_unit_test(a_renamed_link_ends_the_capture),
        cmocka_unit_test(links_without_ethernet_are_captured),
        cmocka_unit_test(another_link_type_ends_the_capture),
        cmocka_unit_test(garbage_is_counted),
        cmocka_unit_test(the_kernel_counts_the_same_flows),
        cmocka_unit_test(the_kernel_counts_the_same_garbage),
        cmocka_unit_test(no_flow_is_lost_between_collections),
        cmocka_unit_test(the_kernel_counts_without_ethernet),
        cmocka_unit_test(the_ring_does_what_the_kernel_cannot),
    };
    if (!gp_netns_enter()) {
        print_message("captures are not tested\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
