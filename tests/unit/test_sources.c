/* Live sources and captures over links of a network namespace: what was sent must arrive, and be told
 * apart. */
#include "sensor/capture/capture.h"
#include "sensor/capture/source.h"
#include "tests/support/netns.h"
#include "tests/support/packets.h"

#include <net/if.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

typedef gp_code (*open_fn)(gp_source **out, const char *iface, const gp_capconfig *cfg, gp_error *err);

enum { TCP = 6, UDP = 17, ETH = 14, N = 200 };

typedef struct tally {
    unsigned frames, outgoing, no_ip;
    uint64_t bytes;
} tally;

static void count(void *ctx, const gp_frame *frames, size_t n)
{
    tally *t = ctx;
    for (size_t i = 0; i < n; i++) {
        gp_packet p;
        t->frames++;
        t->bytes += frames[i].len;
        t->outgoing += frames[i].outgoing;
        t->no_ip += !frames[i].ip || gp_packet_parse(frames[i].ip, frames[i].cap, &p) != GP_PACKET_OK;
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Reads until `frames` came, and a little longer, lest there be more. */
static tally read_frames(gp_source *s, unsigned frames)
{
    tally t = {0};
    double quiet = 0;
    for (double deadline = seconds() + 10; seconds() < deadline;) {
        bool end = false;
        gp_error err = GP_ERROR_INIT;
        if (gp_source_read(s, -1, 50, count, &t, &end, &err) != GP_OK)
            fail_msg("%s", err.msg);
        if (t.frames < frames)
            continue;
        if (quiet == 0)
            quiet = seconds();
        if (seconds() - quiet > 0.3)
            break;
    }
    return t;
}

static gp_source *open_source(open_fn open, const char *iface, const gp_capconfig *cfg)
{
    gp_source *s = NULL;
    gp_error err = GP_ERROR_INIT;
    if (open(&s, iface, cfg, &err) != GP_OK)
        fail_msg("%s", err.msg);
    return s;
}

static void send_packets(const char *iface, unsigned n, const gp_test_packet *p)
{
    uint8_t frame[GP_TEST_FRAME_MAX];
    size_t len = gp_test_frame(p, frame);
    int fd = gp_netns_sender(iface);
    for (unsigned i = 0; i < n; i++)
        gp_netns_send(fd, frame, len);
    close(fd);
}

static void sends_and_receives(open_fn open)
{
    gp_capconfig cfg;
    const gp_test_packet tcp = {"10.0.0.1", "10.0.0.2", 40000, 22, TCP, 0x10};
    const gp_test_packet udp = {"2001:db8::2", "2001:db8::1", 1000, 2000, UDP, 0};
    gp_capconfig_default(&cfg);
    gp_netns_add_pair("va", "vb");
    gp_source *a = open_source(open, "va", &cfg);
    gp_source *b = open_source(open, "vb", &cfg);
    send_packets("va", N, &tcp);
    send_packets("vb", N / 2, &udp);
    tally at_a = read_frames(a, N + N / 2);
    tally at_b = read_frames(b, N + N / 2);
    uint64_t bytes = N * (ETH + 40) + N / 2 * (ETH + 48);
    assert_int_equal(at_a.frames, N + N / 2);
    assert_int_equal(at_a.outgoing, N);
    assert_int_equal(at_a.bytes, bytes);
    assert_int_equal(at_a.no_ip, 0);
    assert_int_equal(at_b.frames, N + N / 2);
    assert_int_equal(at_b.outgoing, N / 2);
    assert_int_equal(at_b.bytes, bytes);
    gp_source_counts counts;
    assert_int_equal(gp_source_stats(a, &counts, NULL), GP_OK);
    assert_int_equal(counts.received, N + N / 2);
    assert_int_equal(counts.dropped, 0);
    assert_true(open != gp_source_open_ring || counts.fill_percent > 0);
    assert_int_equal(gp_source_stats(a, &counts, NULL), GP_OK);
    assert_int_equal(counts.received, 0); /* since the last call */
    gp_source_close(a);
    gp_source_close(b);
    gp_netns_ip("link del va");
}

static void the_ring_tells_sent_from_received(void **state)
{
    (void)state;
    sends_and_receives(gp_source_open_ring);
}

static void libpcap_tells_sent_from_received(void **state)
{
    (void)state;
    sends_and_receives(gp_source_open_pcap);
}

/* One frame behind each of these headers. */
static void send_tagged(const char *iface)
{
    static const uint8_t tag[] = {0x81, 0x00, 0x40, 0x05}; /* its priority looks like IPv4's version */
    static const uint8_t qinq[] = {0x88, 0xa8, 0, 7, 0x81, 0x00, 0x60, 0x05};
    static const uint8_t arp[] = {0x08, 0x06};
    const gp_test_packet p = {"10.0.0.1", "10.0.0.2", 40000, 22, TCP, 0x10};
    uint8_t plain[GP_TEST_FRAME_MAX];
    uint8_t frame[GP_TEST_FRAME_MAX];
    size_t len = gp_test_frame(&p, plain);
    int fd = gp_netns_sender(iface);
    gp_netns_send(fd, plain, len);
    memcpy(frame, plain, len);
    memcpy(frame + 12, arp, sizeof arp);
    gp_netns_send(fd, frame, len);
    memcpy(frame, plain, 12);
    memcpy(frame + 12, tag, sizeof tag);
    memcpy(frame + 16, plain + 12, len - 12);
    gp_netns_send(fd, frame, len + sizeof tag);
    memcpy(frame + 12, qinq, sizeof qinq);
    memcpy(frame + 20, plain + 12, len - 12);
    gp_netns_send(fd, frame, len + sizeof qinq);
    close(fd);
}

static void check_tagged(open_fn open, const gp_capconfig *cfg, unsigned frames, uint64_t bytes)
{
    gp_netns_add_pair("va", "vb");
    gp_source *a = open_source(open, "va", cfg);
    gp_source *b = open_source(open, "vb", cfg);
    send_tagged("va");
    tally sent = read_frames(a, frames);
    tally received = read_frames(b, frames);
    assert_int_equal(received.frames, frames);
    assert_int_equal(received.no_ip, 0);
    assert_int_equal(received.bytes, bytes);
    assert_int_equal(received.outgoing, 0);
    assert_int_equal(sent.frames, frames);
    assert_int_equal(sent.no_ip, 0);
    assert_int_equal(sent.bytes, bytes);
    assert_int_equal(sent.outgoing, frames);
    gp_source_close(a);
    gp_source_close(b);
    gp_netns_ip("link del va");
}

static void tags_are_stepped_over_or_ignored(void **state)
{
    (void)state;
    static const open_fn opens[] = {gp_source_open_ring, gp_source_open_pcap};
    for (unsigned i = 0; i < 2; i++) {
        gp_capconfig cfg;
        gp_capconfig_default(&cfg);
        check_tagged(opens[i], &cfg, 3, 3 * (ETH + 40) + 4); /* the outermost tag never counts */
        cfg.ignore_vlans = true;
        check_tagged(opens[i], &cfg, 1, ETH + 40);
    }
}

static void extra_filters_apply(void **state)
{
    (void)state;
    static gp_bpf_insn only_udp[] = {{.op = 0x30, .k = 23}, {.op = 0x15, .jt = 0, .jf = 1, .k = UDP}};
    static const open_fn opens[] = {gp_source_open_ring, gp_source_open_pcap};
    const gp_test_packet tcp = {"10.0.0.1", "10.0.0.2", 40000, 22, TCP, 0x10};
    const gp_test_packet udp = {"10.0.0.1", "10.0.0.2", 40000, 22, UDP, 0};
    for (unsigned i = 0; i < 2; i++) {
        gp_capconfig cfg;
        gp_capconfig_default(&cfg);
        cfg.extra_bpf = only_udp;
        cfg.n_extra_bpf = 2;
        gp_netns_add_pair("va", "vb");
        gp_source *b = open_source(opens[i], "vb", &cfg);
        send_packets("va", 5, &tcp);
        send_packets("va", 3, &udp);
        assert_int_equal(read_frames(b, 3).frames, 3);
        gp_source_close(b);
        gp_netns_ip("link del va");
    }
}

static void raw_ip_links_are_read(void **state)
{
    (void)state;
    gp_capconfig cfg;
    gp_source *none = NULL;
    gp_error err = GP_ERROR_INIT;
    uint8_t ip[GP_TEST_FRAME_MAX];
    const gp_test_packet tcp = {"10.9.0.2", "10.9.0.1", 40000, 22, TCP, 0x10};
    int tun = gp_netns_open_tun("tun9");
    if (tun < 0) {
        print_message("no /dev/net/tun: skipped\n");
        skip();
    }
    gp_capconfig_default(&cfg);
    assert_int_equal(gp_source_open_ring(&none, "tun9", &cfg, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "'tun9' is not up"));
    gp_netns_up("tun9");
    gp_source *s = open_source(gp_source_open_ring, "tun9", &cfg);
    size_t len = gp_test_ip(&tcp, ip);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(write(tun, ip, len), len);
    tally t = read_frames(s, 7);
    assert_int_equal(t.frames, 7);
    assert_int_equal(t.no_ip, 0);
    assert_int_equal(t.outgoing, 0);
    assert_int_equal(t.bytes, 7 * len);
    gp_source_close(s);
    close(tun);
}

static void a_lost_link_is_reported(void **state)
{
    (void)state;
    static const open_fn opens[] = {gp_source_open_ring, gp_source_open_pcap};
    for (unsigned i = 0; i < 2; i++) {
        gp_capconfig cfg;
        gp_code code = GP_OK;
        gp_error err = GP_ERROR_INIT;
        tally t = {0};
        bool end = false;
        gp_capconfig_default(&cfg);
        gp_netns_add_pair("va", "vb");
        gp_source *b = open_source(opens[i], "vb", &cfg);
        gp_netns_ip("link del va");
        for (unsigned tries = 0; tries < 20 && code == GP_OK; tries++)
            code = gp_source_read(b, -1, 100, count, &t, &end, &err);
        assert_int_equal(code, GP_ENOTFOUND);
        assert_non_null(strstr(err.msg, "vb"));
        gp_source_close(b);
    }
}

static void refusals_say_what_is_missing(void **state)
{
    (void)state;
    gp_capconfig cfg;
    gp_source *s = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_capconfig_default(&cfg);
    assert_int_equal(gp_source_open_ring(&s, "nosuchif0", &cfg, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "nosuchif0"));
    assert_int_equal(gp_source_open_pcap(&s, "nosuchif0", &cfg, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "nosuchif0"));
    assert_int_equal(seteuid(65534), 0); /* without effective capabilities */
    gp_code ring = gp_source_open_ring(&s, "lo", &cfg, &err);
    bool named = strstr(err.msg, "CAP_NET_RAW") != NULL && strstr(err.msg, "'lo'") != NULL;
    gp_code live = gp_source_open_pcap(&s, "lo", &cfg, &err);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(ring, GP_EPERM);
    assert_true(named);
    assert_int_equal(live, GP_EPERM);
    assert_non_null(strstr(err.msg, "CAP_NET_RAW"));
}

/* ---- a capture under questions ------------------------------------------------------------------------- */

enum { SENT = 20000 };

static void *send_many(void *arg)
{
    const gp_test_packet tcp = {"10.0.0.1", "10.0.0.2", 40000, 22, TCP, 0x10};
    (void)arg;
    send_packets("va", SENT, &tcp);
    return NULL;
}

static gp_counters rotate_and_sum(gp_capture *c)
{
    gp_table_ref *table = NULL;
    gp_capture_stats stats;
    assert_int_equal(gp_capture_rotate(c, &table, &stats, NULL), GP_OK);
    gp_counters sum = gp_flowtable_totals(gp_table_ref_get(table));
    assert_int_equal(stats.processed, sum.pkts_rcvd + sum.pkts_sent);
    assert_int_equal(stats.dropped, 0);
    gp_table_unref(table);
    return sum;
}

/* Rotations, live views and statistics while packets come in: every packet is in exactly one interval. */
static void rotation_loses_and_doubles_nothing(void **state)
{
    (void)state;
    pthread_t sender;
    gp_capconfig cfg;
    gp_capture *c = NULL;
    gp_counters sum = {0};
    unsigned rotations = 0;
    gp_capconfig_default(&cfg);
    gp_netns_add_pair("va", "vb");
    assert_int_equal(gp_capture_start(&c, "vb", &cfg, NULL, NULL, NULL), GP_OK);
    assert_int_equal(pthread_create(&sender, NULL, send_many, NULL), 0);
    for (double deadline = seconds() + 30; sum.pkts_rcvd < SENT && seconds() < deadline; rotations++) {
        gp_flow *flows = NULL;
        size_t n = 0;
        gp_capture_stats stats;
        assert_int_equal(gp_capture_live(c, &flows, &n, NULL), GP_OK);
        assert_true(n <= 1);
        free(flows);
        assert_int_equal(gp_capture_status(c, &stats, NULL), GP_OK);
        gp_counters part = rotate_and_sum(c);
        gp_counters_add(&sum, &part);
        usleep(500);
    }
    assert_int_equal(pthread_join(sender, NULL), 0);
    gp_capture_stop(c);
    gp_counters part = rotate_and_sum(c);
    gp_counters_add(&sum, &part);
    assert_int_equal(sum.pkts_rcvd, SENT);
    assert_int_equal(sum.bytes_rcvd, (uint64_t)SENT * (ETH + 40));
    assert_int_equal(sum.pkts_sent, 0);
    assert_true(rotations > 1);
    gp_capture_stats total;
    assert_int_equal(gp_capture_status(c, &total, NULL), GP_OK);
    assert_int_equal(total.processed_total, SENT);
    assert_int_equal(total.received_total, SENT);
    gp_capture_free(c);
    gp_netns_ip("link del va");
}

static double thread_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* No wake-up may be left behind: it would turn waiting into spinning. */
static void an_idle_capture_sleeps(void **state)
{
    (void)state;
    gp_capconfig cfg;
    gp_capture *c = NULL;
    gp_capture_stats stats;
    gp_capconfig_default(&cfg);
    gp_netns_add_pair("va", "vb");
    assert_int_equal(gp_capture_start(&c, "vb", &cfg, NULL, NULL, NULL), GP_OK);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(gp_capture_status(c, &stats, NULL), GP_OK);
    double before = thread_seconds();
    usleep(300000);
    assert_true(thread_seconds() - before < 0.1);
    gp_capture_stop(c);
    gp_capture_free(c);
    gp_netns_ip("link del va");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ring_tells_sent_from_received),
        cmocka_unit_test(libpcap_tells_sent_from_received),
        cmocka_unit_test(tags_are_stepped_over_or_ignored),
        cmocka_unit_test(extra_filters_apply),
        cmocka_unit_test(raw_ip_links_are_read),
        cmocka_unit_test(a_lost_link_is_reported),
        cmocka_unit_test(refusals_say_what_is_missing),
        cmocka_unit_test(rotation_loses_and_doubles_nothing),
        cmocka_unit_test(an_idle_capture_sleeps),
    };
    if (!gp_netns_enter()) {
        print_message("live sources are not tested\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
