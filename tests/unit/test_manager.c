/* Live captures through the manager, down to the flows that are written out. */
#include "proto/base/strlist.h"
#include "sensor/capture/journal.h"
#include "sensor/capture/manager.h"
#include "sensor/dbsink/dbsink.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/reader.h"
#include "tests/support/netns.h"
#include "tests/support/packets.h"
#include "tests/support/tempdir.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_BLOCKS = 64, MAX_FLOWS = 64 };

typedef struct written_block {
    char iface[16];
    int64_t ts;
    gp_flow flows[MAX_FLOWS];
    size_t n;
} written_block;

typedef struct log_book {
    pthread_mutex_t lock;
    written_block blocks[MAX_BLOCKS];
    size_t n;
} log_book;

static gp_code record(void *ctx, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                      const gp_capture_stats *stats, gp_error *err)
{
    log_book *b = ctx;
    (void)stats;
    (void)err;
    pthread_mutex_lock(&b->lock);
    if (b->n < MAX_BLOCKS) {
        written_block *w = &b->blocks[b->n++];
        snprintf(w->iface, sizeof w->iface, "%s", iface);
        w->ts = ts;
        w->n = n < MAX_FLOWS ? n : MAX_FLOWS;
        memcpy(w->flows, flows, w->n * sizeof *flows);
    }
    pthread_mutex_unlock(&b->lock);
    return GP_OK;
}

/* The interval of tests that are not about rotation: they must not meet a point of the clock's grid. */
#define NO_ROTATION (INT64_C(1) << 40)

/* Sends n datagrams to a loopback port that nobody listens on. */
static void send_datagrams(unsigned n, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < n; i++)
        (void)sendto(fd, "0123456789", 10, 0, (struct sockaddr *)&to, sizeof to);
    close(fd);
}

static void sum_port(void *ctx, const gp_flow *f)
{
    gp_counters *c = ctx;
    if (f->dport == 5432)
        gp_counters_add(c, &f->c);
}

static bool any_block(void *ctx, int64_t ts)
{
    (void)ctx;
    return ts > 0;
}

/* Flows of an interface that were not written yet, by who has not looked into the database. */
static gp_counters live_counters(gp_capture_manager *m, const char *iface)
{
    gp_counters c;
    gp_code code;
    do {
        c = (gp_counters){0};
        const gp_live_sink sink = {
            .ctx = &c, .written = gp_manager_written(m), .block = any_block, .flow = sum_port};
        code = gp_manager_live_flows(m, iface, &sink, NULL);
    } while (code == GP_EBUSY);
    assert_int_equal(code, GP_OK);
    return c;
}

static gp_capconfig_map config_for(const char *iface)
{
    gp_capconfig_map map = {0};
    gp_capconfig cfg;
    gp_capconfig_default(&cfg);
    assert_int_equal(gp_capconfig_map_put(&map, iface, &cfg, NULL), GP_OK);
    return map;
}

static void live_packets_are_counted_exactly(void **state)
{
    (void)state;
    log_book book = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_capture_manager *m = NULL;
    gp_config_update up;
    gp_capconfig_map map = config_for("lo");
    if (geteuid() != 0) {
        print_message("not root: live capture skipped\n");
        gp_capconfig_map_free(&map);
        skip();
    }
    const gp_manager_config cfg = {.store = {.write = record, .ctx = &book}, .interval_s = NO_ROTATION};
    assert_int_equal(gp_manager_new(&m, &cfg, NULL), GP_OK);
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    assert_int_equal(up.enabled.n, 1);
    assert_true(up.enabled.items[0].success);
    gp_config_update_free(&up);
    send_datagrams(500, 5432);
    gp_counters live = {0};
    for (unsigned tries = 0; tries < 200 && live.pkts_sent + live.pkts_rcvd < 1000; tries++) {
        usleep(50000);
        live = live_counters(m, "lo");
    }
    /* On loopback each packet is seen leaving and arriving: 14 + 20 + 8 + 10 bytes each way. */
    assert_int_equal(live.pkts_sent, 500);
    assert_int_equal(live.bytes_sent, 500 * 52);
    gp_status st;
    assert_int_equal(gp_manager_status(m, NULL, 0, &st, NULL), GP_OK);
    assert_int_equal(st.n_ifaces, 1);
    assert_true(st.ifaces[0].stats.processed >= 1000);
    assert_int_equal(st.ifaces[0].stats.dropped, 0);
    gp_status_free(&st);
    gp_buf text = GP_BUF_INIT;
    gp_manager_metrics(m, true, &text);
    assert_non_null(strstr(text.data, "goprobe_capture_packets_processed_total{iface=\"lo\"}"));
    gp_buf_free(&text);
    /* The same settings again interrupt nothing. */
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    assert_int_equal(up.enabled.n + up.updated.n + up.disabled.n, 0);
    gp_config_update_free(&up);
    assert_int_equal(book.n, 0);
    gp_manager_close(m); /* flushes */
    assert_int_equal(book.n, 1);
    gp_counters written = {0};
    for (size_t i = 0; i < book.blocks[0].n; i++)
        sum_port(&written, &book.blocks[0].flows[i]);
    assert_memory_equal(&written, &live, sizeof live);
    gp_capconfig_map_free(&map);
}

/* ---- in a network of our own --------------------------------------------------------------------------- */

static bool own_network;

static void need_network(void)
{
    if (!own_network)
        skip();
}

static gp_capture_manager *new_manager(log_book *book, bool autodetect, const char *exclude)
{
    gp_capture_manager *m = NULL;
    const gp_manager_config cfg = {.store = {.write = record, .ctx = book},
                                   .interval_s = NO_ROTATION,
                                   .autodetect = autodetect,
                                   .exclude = &exclude,
                                   .n_exclude = exclude ? 1 : 0};
    assert_int_equal(gp_manager_new(&m, &cfg, NULL), GP_OK);
    return m;
}

static void send_packets(const char *iface, unsigned n)
{
    const gp_test_packet p = {"10.0.0.1", "10.0.0.2", 40000, 5432, 6, 0x10};
    uint8_t frame[GP_TEST_FRAME_MAX];
    size_t len = gp_test_frame(&p, frame);
    int fd = gp_netns_sender(iface);
    for (unsigned i = 0; i < n; i++)
        gp_netns_send(fd, frame, len);
    close(fd);
}

static uint64_t live_packets(gp_capture_manager *m, const char *iface)
{
    gp_counters c = live_counters(m, iface);
    return c.pkts_rcvd + c.pkts_sent;
}

static bool is_captured(gp_capture_manager *m, const char *iface)
{
    char **names = NULL;
    size_t n = 0;
    bool found = false;
    assert_int_equal(gp_manager_ifaces(m, &names, &n, NULL), GP_OK);
    for (size_t i = 0; i < n; i++)
        found = found || strcmp(names[i], iface) == 0;
    gp_strlist_free(names, n);
    return found;
}

/* What the manager notices by itself takes a few seconds. */
static bool becomes_captured(gp_capture_manager *m, const char *iface, bool wanted)
{
    for (unsigned tries = 0; tries < 100 && is_captured(m, iface) != wanted; tries++)
        usleep(100000);
    return is_captured(m, iface) == wanted;
}

static bool comes_to(gp_capture_manager *m, const char *iface, uint64_t packets)
{
    for (unsigned tries = 0; tries < 100 && live_packets(m, iface) != packets; tries++)
        usleep(20000);
    return live_packets(m, iface) == packets;
}

static void links_may_come_and_go(void **state)
{
    (void)state;
    log_book book = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_config_update up;
    char why[256];
    need_network();
    gp_capture_manager *m = new_manager(&book, false, NULL);
    gp_capconfig_map map = config_for("vb");
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    assert_false(up.enabled.items[0].success);
    gp_config_update_free(&up);
    gp_netns_add_pair("va", "vb");
    assert_true(becomes_captured(m, "vb", true));
    gp_manager_failure(m, why, sizeof why);
    assert_string_equal(why, "");
    send_packets("va", 30);
    assert_true(comes_to(m, "vb", 30));
    gp_netns_ip("link del va");
    assert_true(becomes_captured(m, "vb", false));
    gp_manager_failure(m, why, sizeof why);
    assert_non_null(strstr(why, "vb"));
    gp_netns_add_pair("va", "vb");
    assert_true(becomes_captured(m, "vb", true));
    send_packets("va", 12);
    assert_true(comes_to(m, "vb", 12));
    gp_manager_close(m);
    assert_int_equal(book.n, 2);
    assert_int_equal(book.blocks[0].flows[0].c.pkts_rcvd, 30);
    assert_int_equal(book.blocks[1].flows[0].c.pkts_rcvd, 12);
    assert_true(book.blocks[1].ts > book.blocks[0].ts);
    gp_capconfig_map_free(&map);
    gp_netns_ip("link del va");
}

static void only_changed_captures_are_interrupted(void **state)
{
    (void)state;
    log_book book = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_config_update up;
    gp_capconfig cfg;
    need_network();
    gp_netns_add_pair("va", "vb");
    gp_capture_manager *m = new_manager(&book, false, NULL);
    gp_capconfig_map map = config_for("va");
    gp_capconfig_default(&cfg);
    assert_int_equal(gp_capconfig_map_put(&map, "vb", &cfg, NULL), GP_OK);
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    assert_int_equal(up.enabled.n, 2);
    gp_config_update_free(&up);
    send_packets("va", 40);
    assert_true(comes_to(m, "va", 40));
    assert_true(comes_to(m, "vb", 40));
    gp_capconfig_default(&cfg); /* the map took the other over */
    cfg.promisc = !cfg.promisc;
    assert_int_equal(gp_capconfig_map_put(&map, "vb", &cfg, NULL), GP_OK);
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    assert_int_equal(up.enabled.n, 0);
    assert_int_equal(up.updated.n, 1);
    assert_string_equal(up.updated.items[0].iface, "vb");
    assert_true(up.updated.items[0].success);
    assert_int_equal(up.disabled.n, 0);
    gp_config_update_free(&up);
    assert_int_equal(book.n, 1); /* written by the time the call returns */
    assert_string_equal(book.blocks[0].iface, "vb");
    assert_int_equal(book.blocks[0].flows[0].c.pkts_rcvd, 40);
    assert_int_equal(live_packets(m, "va"), 40);
    assert_int_equal(live_packets(m, "vb"), 0);
    gp_status st;
    assert_int_equal(gp_manager_status(m, NULL, 0, &st, NULL), GP_OK);
    assert_int_equal(st.n_ifaces, 2);
    assert_int_equal(st.last_writeout_sec, book.blocks[0].ts);
    gp_status_free(&st);
    gp_capconfig_map_free(&map);
    map = config_for("vb");
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    assert_int_equal(up.disabled.n, 1);
    assert_string_equal(up.disabled.items[0].iface, "va");
    gp_config_update_free(&up);
    gp_capconfig_map_free(&map);
    gp_manager_close(m);
    gp_netns_ip("link del va");
}

static void patterns_select_links(void **state)
{
    (void)state;
    log_book book = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_config_update up;
    need_network();
    gp_netns_add_pair("up0", "up1");
    gp_capture_manager *m = new_manager(&book, false, NULL);
    gp_capconfig_map map = config_for("/^up[0-9]$/");
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    assert_int_equal(up.enabled.n, 2);
    gp_config_update_free(&up);
    gp_capconfig_map_free(&map);
    assert_true(is_captured(m, "up0") && is_captured(m, "up1") && !is_captured(m, "lo"));
    gp_netns_add_pair("up2", "down2");
    assert_true(becomes_captured(m, "up2", true));
    assert_false(is_captured(m, "down2"));
    gp_manager_close(m);
    /* Everything that is up, but ... */
    m = new_manager(&book, true, "/^down/");
    map = (gp_capconfig_map){0};
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    assert_int_equal(up.enabled.n, 4); /* lo up0 up1 up2 */
    gp_config_update_free(&up);
    assert_false(is_captured(m, "down2"));
    gp_netns_ip("link set up2 down");
    assert_true(becomes_captured(m, "up2", false));
    gp_manager_close(m);
    gp_netns_ip("link del up0");
    gp_netns_ip("link del up2");
}

/* ---- rotation ------------------------------------------------------------------------------------------ */

static uint64_t packets_in(const written_block *b)
{
    gp_counters c = {0};
    for (size_t i = 0; i < b->n; i++)
        sum_port(&c, &b->flows[i]);
    return c.pkts_rcvd + c.pkts_sent;
}

static size_t blocks_written(log_book *book)
{
    pthread_mutex_lock(&book->lock);
    size_t n = book->n;
    pthread_mutex_unlock(&book->lock);
    return n;
}

static bool comes_to_blocks(log_book *book, size_t n)
{
    for (unsigned tries = 0; tries < 200 && blocks_written(book) < n; tries++)
        usleep(50000);
    return blocks_written(book) >= n;
}

/* Intervals end on the clock's grid, the quiet ones, too. */
static void captures_rotate_on_the_grid(void **state)
{
    (void)state;
    enum { INTERVAL = 2 };
    log_book book = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_capture_manager *m = NULL;
    gp_config_update up;
    need_network();
    gp_netns_add_pair("va", "vb");
    const gp_manager_config cfg = {.store = {.write = record, .ctx = &book}, .interval_s = INTERVAL};
    assert_int_equal(gp_manager_new(&m, &cfg, NULL), GP_OK);
    gp_capconfig_map map = config_for("vb");
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    gp_config_update_free(&up);
    send_packets("va", 50);
    assert_true(comes_to_blocks(&book, 3));
    gp_manager_close(m);
    uint64_t packets = 0;
    for (size_t i = 0; i < book.n; i++) {
        packets += packets_in(&book.blocks[i]);
        if (i + 1 < book.n) /* the last one was cut short by the end */
            assert_int_equal(book.blocks[i].ts % INTERVAL, 0);
        if (i > 0)
            assert_true(book.blocks[i].ts > book.blocks[i - 1].ts);
    }
    assert_int_equal(packets, 50);
    assert_int_equal(book.blocks[2].n, 0);
    gp_capconfig_map_free(&map);
    gp_netns_ip("link del va");
}

typedef struct slow_disk {
    log_book book;
    pthread_mutex_t busy; /* writing waits for it */
} slow_disk;

static gp_code record_slowly(void *ctx, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                             const gp_capture_stats *stats, gp_error *err)
{
    slow_disk *d = ctx;
    pthread_mutex_lock(&d->busy);
    pthread_mutex_unlock(&d->busy);
    return record(&d->book, iface, ts, flows, n, stats, err);
}

/* While the disk hangs, intervals grow longer, but no flow is lost and nobody else waits. */
static void a_slow_disk_costs_no_flow(void **state)
{
    (void)state;
    slow_disk disk = {.book.lock = PTHREAD_MUTEX_INITIALIZER, .busy = PTHREAD_MUTEX_INITIALIZER};
    gp_capture_manager *m = NULL;
    gp_config_update up;
    need_network();
    gp_netns_add_pair("va", "vb");
    const gp_manager_config cfg = {
        .store = {.write = record_slowly, .ctx = &disk}, .interval_s = 1, .local_buffer_size = 1};
    assert_int_equal(gp_manager_new(&m, &cfg, NULL), GP_OK);
    gp_capconfig_map map = config_for("vb");
    pthread_mutex_lock(&disk.busy);
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    gp_config_update_free(&up);
    for (unsigned i = 0; i < 8; i++) {
        send_packets("va", 10);
        usleep(400000);
    }
    assert_true(comes_to(m, "vb", 80)); /* what waits for the disk, too */
    assert_int_equal(blocks_written(&disk.book), 0);
    pthread_mutex_unlock(&disk.busy);
    gp_manager_close(m);
    uint64_t packets = 0;
    for (size_t i = 0; i < disk.book.n; i++)
        packets += packets_in(&disk.book.blocks[i]);
    assert_int_equal(packets, 80);
    gp_capconfig_map_free(&map);
    gp_netns_ip("link del va");
}

/* ---- faults -------------------------------------------------------------------------------------------- */

typedef struct full_disk {
    log_book book;
    atomic_bool full;
} full_disk;

static gp_code record_unless_full(void *ctx, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                                  const gp_capture_stats *stats, gp_error *err)
{
    full_disk *d = ctx;
    if (strcmp(iface, "vb") == 0 && atomic_load(&d->full))
        return gp_fail_errno(err, ENOSPC, "cannot write '%s'", iface);
    return record(&d->book, iface, ts, flows, n, stats, err);
}

static uint64_t packets_of(const log_book *book, const char *iface, size_t *blocks)
{
    uint64_t packets = 0;
    *blocks = 0;
    for (size_t i = 0; i < book->n; i++) {
        if (strcmp(book->blocks[i].iface, iface) != 0)
            continue;
        packets += packets_in(&book->blocks[i]);
        ++*blocks;
    }
    return packets;
}

static double metric_of(gp_capture_manager *m, const char *name)
{
    gp_buf text = GP_BUF_INIT;
    gp_manager_metrics(m, false, &text);
    char *at = strstr(text.data, name);
    assert_non_null(at);
    for (at = strstr(text.data, name); at[-1] != '\n' || at[strlen(name)] != ' '; at = strstr(at + 1, name))
        assert_non_null(at);
    double value = strtod(at + strlen(name), NULL);
    gp_buf_free(&text);
    return value;
}

/* Blocks of one interface cannot be written for a while: they wait up to the limit, then its intervals run
 * on. The other interface does not notice, and in the end everything is there. */
static void a_full_disk_costs_no_flow(void **state)
{
    (void)state;
    static full_disk disk = {.book.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_capture_manager *m = NULL;
    gp_config_update up;
    gp_capconfig cfg;
    size_t blocks;
    need_network();
    atomic_store(&disk.full, true);
    gp_netns_add_pair("va", "vb");
    const gp_manager_config config = {
        .store = {.write = record_unless_full, .ctx = &disk}, .interval_s = 1, .local_buffer_size = 1};
    assert_int_equal(gp_manager_new(&m, &config, NULL), GP_OK);
    gp_capconfig_map map = config_for("va");
    gp_capconfig_default(&cfg);
    assert_int_equal(gp_capconfig_map_put(&map, "vb", &cfg, NULL), GP_OK);
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    gp_config_update_free(&up);
    for (unsigned i = 0; i < 12; i++) {
        send_packets("va", 10);
        usleep(400000);
    }
    assert_true(metric_of(m, "goprobe_writeout_failed_total") >= 2);
    assert_true(metric_of(m, "goprobe_writeout_postponed_total") >= 2);
    assert_int_equal(metric_of(m, "goprobe_writeout_waiting_blocks"), 1);
    pthread_mutex_lock(&disk.book.lock);
    assert_int_equal(packets_of(&disk.book, "vb", &blocks), 0);
    assert_true(packets_of(&disk.book, "va", &blocks) >= 80);
    assert_true(blocks >= 4);
    pthread_mutex_unlock(&disk.book.lock);
    atomic_store(&disk.full, false);
    for (unsigned tries = 0; tries < 200 && metric_of(m, "goprobe_writeout_waiting_blocks") > 0; tries++)
        usleep(50000);
    assert_int_equal(metric_of(m, "goprobe_writeout_lost_total"), 0);
    gp_manager_close(m);
    assert_int_equal(packets_of(&disk.book, "va", &blocks), 120);
    assert_int_equal(packets_of(&disk.book, "vb", &blocks), 120);
    assert_true(blocks < 7); /* fewer, and longer */
    gp_capconfig_map_free(&map);
    gp_netns_ip("link del va");
}

/* Where the first block belongs is damaged; days are short here. */
typedef struct damaged_day {
    log_book book;
    atomic_bool mended;
    atomic_llong day; /* 0: none yet */
} damaged_day;

enum { SHORT_DAY = 3 };

static bool in_other_short_day(int64_t ts, int64_t other)
{
    return ts / SHORT_DAY != other / SHORT_DAY;
}

static gp_code record_unless_damaged(void *ctx, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                                     const gp_capture_stats *stats, gp_error *err)
{
    damaged_day *d = ctx;
    long long none = 0;
    atomic_compare_exchange_strong(&d->day, &none, ts / SHORT_DAY);
    if (ts / SHORT_DAY == atomic_load(&d->day) && !atomic_load(&d->mended))
        return gp_fail(err, GP_ECORRUPT, "the day of '%s' is damaged", iface);
    return record(&d->book, iface, ts, flows, n, stats, err);
}

/* Blocks of a damaged day wait, those of the days after it do not; there is room for one only. In the end
 * everything is where it belongs. */
static void a_damaged_day_costs_no_flow_and_no_other_day(void **state)
{
    (void)state;
    static damaged_day d = {.book.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_capture_manager *m = NULL;
    gp_config_update up;
    uint64_t sent = 0;
    uint64_t packets = 0;
    need_network();
    gp_netns_add_pair("va", "vb");
    const gp_manager_config cfg = {
        .store = {.write = record_unless_damaged, .apart = in_other_short_day, .ctx = &d},
        .interval_s = 1,
        .local_buffer_size = 1};
    assert_int_equal(gp_manager_new(&m, &cfg, NULL), GP_OK);
    gp_capconfig_map map = config_for("vb");
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    gp_config_update_free(&up);
    for (unsigned i = 0; i < 60 && blocks_written(&d.book) < 3; i++) {
        send_packets("va", 10);
        sent += 10;
        usleep(200000);
    }
    assert_true(blocks_written(&d.book) >= 3);
    assert_true(metric_of(m, "goprobe_writeout_waiting_blocks") >= 1);
    atomic_store(&d.mended, true);
    gp_manager_close(m);
    for (size_t i = 0; i < d.book.n; i++)
        packets += packets_in(&d.book.blocks[i]);
    assert_int_equal(packets, sent);
    assert_int_equal(d.book.blocks[0].ts / SHORT_DAY > atomic_load(&d.day), true);
    gp_capconfig_map_free(&map);
    gp_netns_ip("link del va");
}

/* So many microseconds after the clock's next full second, or before. */
static void sleep_until_second(int offset_us)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long us = 1000000 - now.tv_nsec / 1000 + offset_us;
    usleep(us > 0 ? (unsigned)us : 0);
}

/* A stop at any moment of the interval, also in the middle of a rotation. */
static void a_stop_during_a_rotation_loses_nothing(void **state)
{
    (void)state;
    need_network();
    gp_netns_add_pair("va", "vb");
    gp_capconfig_map map = config_for("vb");
    for (unsigned i = 0; i < 12; i++) {
        log_book *book = calloc(1, sizeof *book);
        gp_capture_manager *m = NULL;
        gp_config_update up;
        size_t blocks;
        assert_non_null(book);
        pthread_mutex_init(&book->lock, NULL);
        const gp_manager_config cfg = {.store = {.write = record, .ctx = book}, .interval_s = 1};
        assert_int_equal(gp_manager_new(&m, &cfg, NULL), GP_OK);
        assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
        gp_config_update_free(&up);
        send_packets("va", 20);
        usleep(150000); /* the ring hands them over */
        sleep_until_second(-1000 + 200 * (int)i);
        gp_manager_close(m);
        assert_int_equal(packets_of(book, "vb", &blocks), 20);
        assert_true(blocks >= 1);
        free(book);
    }
    gp_capconfig_map_free(&map);
    gp_netns_ip("link del va");
}

/* ---- a clock that is set ------------------------------------------------------------------------------- */

static atomic_llong clock_offset; /* seconds ahead of the real one */

static void shifted_clock(void *ctx, struct timespec *out)
{
    (void)ctx;
    clock_gettime(CLOCK_REALTIME, out);
    out->tv_sec += atomic_load(&clock_offset);
}

/* All packets of the database; its blocks must be in order. */
static uint64_t packets_stored(const char *db, const char *iface, size_t *days)
{
    gp_day_ref *list = NULL;
    uint64_t packets = 0;
    assert_int_equal(gp_db_list_days(db, iface, 0, INT64_MAX / 2, &list, days, NULL), GP_OK);
    for (size_t i = 0; i < *days; i++) {
        gp_day *day = NULL;
        gp_error err = GP_ERROR_INIT;
        if (gp_day_open(&day, db, iface, list[i].day, &err) != GP_OK)
            fail_msg("%s", err.msg);
        const gp_blockmeta *m = gp_day_meta(day);
        for (size_t k = 0; k < m->n_blocks; k++) {
            assert_int_equal(gp_day_start(m->blocks[k].ts), list[i].day);
            assert_true(k == 0 || m->blocks[k].ts > m->blocks[k - 1].ts);
        }
        packets += m->sum.c.pkts_rcvd + m->sum.c.pkts_sent;
        gp_day_close(day);
    }
    free(list);
    return packets;
}

/* Back and forth, across rotations and midnight: no packet is lost, no block out of order, and each day has
 * what was captured while the clock showed it. */
static void a_clock_that_is_set_costs_no_flow(void **state)
{
    (void)state;
    enum { HOUR = 3600, DAY = 24 * HOUR };
    static const int64_t steps[] = {0, -HOUR, HOUR, -2, 3, DAY, -DAY, -3 * HOUR, 3 * HOUR, 40 * DAY};
    enum { STEPS = sizeof steps / sizeof steps[0] };
    char db[GP_TEMPDIR_LEN];
    gp_capture_manager *m = NULL;
    gp_config_update up;
    gp_dbsink *sink = NULL;
    size_t days = 0;
    need_network();
    gp_tempdir_make(db);
    gp_netns_add_pair("va", "vb");
    int64_t now = (int64_t)time(NULL);
    atomic_store(&clock_offset, now - now % DAY + DAY - 2 - now); /* two seconds before midnight */
    assert_int_equal(
        gp_dbsink_new(&sink, &(gp_dbsink_config){.db = db, .codec = GP_CODEC_LZ4, .no_sync = true}, NULL),
        GP_OK);
    const gp_manager_config cfg = {.store = {.write = gp_dbsink_write,
                                             .place = gp_dbsink_place,
                                             .holds = gp_dbsink_holds,
                                             .apart = gp_dbsink_apart,
                                             .ctx = sink},
                                   .journal = {.dir = db, .every_s = 0.1, .size_limit = 1 << 20},
                                   .interval_s = 1,
                                   .now = shifted_clock};
    assert_int_equal(gp_manager_new(&m, &cfg, NULL), GP_OK);
    gp_capconfig_map map = config_for("vb");
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    gp_config_update_free(&up);
    for (size_t i = 0; i < STEPS; i++) {
        atomic_fetch_add(&clock_offset, steps[i]);
        send_packets("va", 10);
        usleep(1300000);
    }
    gp_manager_close(m);
    gp_dbsink_free(sink);
    assert_int_equal(packets_stored(db, "vb", &days), 10 * STEPS);
    assert_true(days >= 3);
    gp_capconfig_map_free(&map);
    gp_tempdir_remove(db);
    gp_netns_ip("link del va");
}

/* ---- after a crash ------------------------------------------------------------------------------------- */

static void leave_journal(const char *dir, const char *iface, int64_t block_ts, uint64_t packets)
{
    gp_journalfile *f = NULL;
    const gp_journal_batch batch = {.block_ts = block_ts, .dropped = 5};
    gp_session s = {
        .sport = 40000, .dport = 5432, .proto = 6, .c = {.bytes_rcvd = 100, .pkts_rcvd = packets}};
    assert_true(gp_addr_parse("10.0.0.1", 8, &s.sip));
    assert_true(gp_addr_parse("10.0.0.2", 8, &s.dip));
    assert_int_equal(gp_journalfile_create(&f, dir, iface, NULL), GP_OK);
    assert_int_equal(gp_journalfile_append(f, &batch, &s, 1, NULL), GP_OK);
    assert_int_equal(gp_journalfile_publish(f, NULL, false, NULL), GP_OK);
    gp_journalfile_close(f);
}

static bool shows_journal(gp_capture_manager *m, const char *iface)
{
    uint64_t bytes = 0;
    for (unsigned tries = 0; tries < 100 && bytes == 0; tries++) {
        gp_status st;
        usleep(20000);
        assert_int_equal(gp_manager_status(m, &iface, 1, &st, NULL), GP_OK);
        assert_int_equal(st.n_ifaces, 1);
        bytes = st.ifaces[0].stats.journal_bytes;
        assert_true(st.ifaces[0].stats.journal_age_ms < 10000);
        gp_status_free(&st);
    }
    return bytes > 0;
}

/* What is over goes to its own block; what is running goes on, and ends on the grid. */
static void what_a_journal_holds_goes_to_its_block(void **state)
{
    (void)state;
    enum { INTERVAL = 3 };
    char dir[GP_TEMPDIR_LEN];
    log_book book = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_capture_manager *m = NULL;
    gp_config_update up;
    gp_log *log = NULL;
    need_network();
    assert_int_equal(gp_log_open(&log, "devnull", GP_LOG_INFO, GP_LOG_LOGFMT, NULL), GP_OK);
    gp_tempdir_make(dir);
    gp_netns_add_pair("va", "vb");
    int64_t now;
    do
        now = (int64_t)time(NULL);
    while (now % INTERVAL != 0); /* the beginning of an interval */
    leave_journal(dir, "vb", now - 3000, 7);
    leave_journal(dir, "vb", now + INTERVAL, 11);
    leave_journal(dir, "gone", now + INTERVAL, 13);
    const gp_manager_config cfg = {.store = {.write = record, .ctx = &book},
                                   .journal = {.dir = dir, .every_s = 0.1, .size_limit = 1 << 20},
                                   .log = log,
                                   .interval_s = INTERVAL};
    assert_int_equal(gp_manager_new(&m, &cfg, NULL), GP_OK);
    gp_capconfig_map map = config_for("vb");
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    gp_config_update_free(&up);
    send_packets("va", 30);
    assert_true(comes_to(m, "vb", 41));
    assert_true(shows_journal(m, "vb"));
    assert_true(comes_to_blocks(&book, 3));
    gp_manager_close(m);
    bool seen[3] = {false};
    for (size_t i = 0; i < book.n; i++) {
        const written_block *b = &book.blocks[i];
        seen[0] = seen[0] || (strcmp(b->iface, "vb") == 0 && b->ts == now - 3000 && packets_in(b) == 7);
        seen[1] = seen[1] || (strcmp(b->iface, "vb") == 0 && b->ts == now + INTERVAL && packets_in(b) == 41);
        seen[2] =
            seen[2] || (strcmp(b->iface, "gone") == 0 && b->ts == now + INTERVAL && packets_in(b) == 13);
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    gp_journal_recovered *left = NULL;
    size_t n = 0;
    assert_int_equal(gp_journal_recover(dir, NULL, NULL, NULL, &left, &n, NULL), GP_OK);
    assert_int_equal(n, 0);
    gp_log_close(log);
    gp_capconfig_map_free(&map);
    gp_tempdir_remove(dir);
    gp_netns_ip("link del va");
}

/* Everybody asks at the same time: for the thread sanitizer. */
typedef struct asker {
    gp_capture_manager *m;
    unsigned rounds;
} asker;

static void *ask_for_status(void *arg)
{
    asker *a = arg;
    for (unsigned i = 0; i < a->rounds; i++) {
        gp_status st;
        gp_buf text = GP_BUF_INIT;
        if (gp_manager_status(a->m, NULL, 0, &st, NULL) == GP_OK)
            gp_status_free(&st);
        gp_manager_metrics(a->m, false, &text);
        gp_buf_free(&text);
    }
    return NULL;
}

static void *ask_for_flows(void *arg)
{
    asker *a = arg;
    for (unsigned i = 0; i < a->rounds; i++)
        (void)live_counters(a->m, "vb");
    return NULL;
}

static void *change_settings(void *arg)
{
    asker *a = arg;
    for (unsigned i = 0; i < a->rounds / 20; i++) {
        gp_config_update up;
        gp_capconfig cfg;
        gp_capconfig_map map = {0};
        gp_capconfig_default(&cfg);
        cfg.promisc = i & 1;
        (void)gp_capconfig_map_put(&map, "vb", &cfg, NULL);
        if (gp_manager_apply(a->m, &map, &up, NULL) == GP_OK)
            gp_config_update_free(&up);
        gp_capconfig_map_free(&map);
    }
    return NULL;
}

static void many_may_ask_at_a_time(void **state)
{
    (void)state;
    static void *(*const work[])(void *) = {ask_for_status, ask_for_flows, change_settings, ask_for_flows};
    enum { N = sizeof work / sizeof work[0] };
    pthread_t threads[N];
    log_book book = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_config_update up;
    char dir[GP_TEMPDIR_LEN];
    asker a = {.rounds = 100};
    need_network();
    gp_tempdir_make(dir);
    gp_netns_add_pair("va", "vb");
    const gp_manager_config cfg = {.store = {.write = record, .ctx = &book},
                                   .journal = {.dir = dir, .every_s = 0.001, .size_limit = 1 << 20}};
    assert_int_equal(gp_manager_new(&a.m, &cfg, NULL), GP_OK);
    gp_capconfig_map map = config_for("vb");
    assert_int_equal(gp_manager_apply(a.m, &map, &up, NULL), GP_OK);
    gp_config_update_free(&up);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work[i], &a), 0);
    send_packets("va", 2000);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(is_captured(a.m, "vb"));
    gp_manager_close(a.m);
    assert_true(book.n > 1);
    gp_capconfig_map_free(&map);
    gp_tempdir_remove(dir);
    gp_netns_ip("link del va");
}

static void what_cannot_be_captured_is_reported(void **state)
{
    (void)state;
    log_book book = {.lock = PTHREAD_MUTEX_INITIALIZER};
    gp_capture_manager *m = NULL;
    gp_config_update up;
    char why[256];
    gp_capconfig_map map = config_for("nosuchif0");
    assert_int_equal(gp_manager_new(&m, &(gp_manager_config){.store = {.write = record, .ctx = &book}}, NULL),
                     GP_OK);
    assert_int_equal(gp_manager_apply(m, &map, &up, NULL), GP_OK);
    assert_int_equal(up.enabled.n, 1);
    assert_false(up.enabled.items[0].success);
    gp_manager_failure(m, why, sizeof why);
    assert_non_null(strstr(why, "no such interface: 'nosuchif0'"));
    gp_config_update_free(&up);
    gp_capconfig_map_free(&map);
    gp_manager_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_packets_are_counted_exactly),
        cmocka_unit_test(links_may_come_and_go),
        cmocka_unit_test(only_changed_captures_are_interrupted),
        cmocka_unit_test(patterns_select_links),
        cmocka_unit_test(captures_rotate_on_the_grid),
        cmocka_unit_test(a_slow_disk_costs_no_flow),
        cmocka_unit_test(a_full_disk_costs_no_flow),
        cmocka_unit_test(a_damaged_day_costs_no_flow_and_no_other_day),
        cmocka_unit_test(a_stop_during_a_rotation_loses_nothing),
        cmocka_unit_test(a_clock_that_is_set_costs_no_flow),
        cmocka_unit_test(what_a_journal_holds_goes_to_its_block),
        cmocka_unit_test(many_may_ask_at_a_time),
        cmocka_unit_test(what_cannot_be_captured_is_reported),
    };
    own_network = geteuid() == 0 && gp_netns_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
