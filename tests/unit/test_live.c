/* What is in the database and what is not yet add up, whenever one asks: a capture on a link of our own, a
 * writer that takes its time, and the engine asked again and again across rotations. */
#include "sensor/capture/manager.h"
#include "sensor/dbsink/dbsink.h"
#include "sensor/godb/engine.h"
#include "tests/support/netns.h"
#include "tests/support/packets.h"
#include "tests/support/questions.h"
#include "tests/support/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MS = 1000, PORT = 5432 };

/* A disk on which a block is there some time before its writer is told so. */
typedef struct slow_store {
    gp_dbsink *sink;
    atomic_bool fails; /* full, for the time being */
} slow_store;

static gp_code write_slowly(void *ctx, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                            const gp_capture_stats *stats, gp_error *err)
{
    slow_store *s = ctx;
    usleep(40 * MS);
    if (atomic_load(&s->fails))
        return gp_fail(err, GP_EIO, "no room");
    gp_code code = gp_dbsink_write(s->sink, iface, ts, flows, n, stats, err);
    usleep(40 * MS);
    return code;
}

static gp_code place(void *ctx, const char *iface, int64_t *ts, gp_error *err)
{
    return gp_dbsink_place(((slow_store *)ctx)->sink, iface, ts, err);
}

static gp_code holds(void *ctx, const char *iface, int64_t ts, bool *held, gp_error *err)
{
    return gp_dbsink_holds(((slow_store *)ctx)->sink, iface, ts, held, err);
}

static uint64_t written(void *ctx)
{
    return gp_manager_written(ctx);
}

/* At times long after the database was looked at: a block may have been written in between. */
static gp_code live_flows(void *ctx, const char *iface, const gp_live_sink *sink, gp_error *err)
{
    if (sink->written % 2)
        usleep(60 * MS);
    return gp_manager_live_flows(ctx, iface, sink, err);
}

static gp_code live_ifaces(void *ctx, char ***out, size_t *n, gp_error *err)
{
    return gp_manager_ifaces(ctx, out, n, err);
}

typedef struct fixture {
    char db[GP_TEMPDIR_LEN];
    slow_store store;
    gp_capture_manager *m;
    gp_engine *e;
    int sender;
} fixture;

static void start(fixture *f)
{
    gp_config_update up;
    gp_capconfig cfg;
    gp_capconfig_map map = {0};
    *f = (fixture){0};
    gp_tempdir_make(f->db);
    gp_netns_add_pair("va", "vb");
    const gp_dbsink_config sink = {.db = f->db, .codec = GP_CODEC_LZ4, .no_sync = true};
    assert_int_equal(gp_dbsink_new(&f->store.sink, &sink, NULL), GP_OK);
    const gp_manager_config config = {
        .store = {.write = write_slowly, .place = place, .holds = holds, .ctx = &f->store}, .interval_s = 1};
    assert_int_equal(gp_manager_new(&f->m, &config, NULL), GP_OK);
    gp_capconfig_default(&cfg);
    assert_int_equal(gp_capconfig_map_put(&map, "vb", &cfg, NULL), GP_OK);
    assert_int_equal(gp_manager_apply(f->m, &map, &up, NULL), GP_OK);
    gp_config_update_free(&up);
    gp_capconfig_map_free(&map);
    const gp_engine_config engine = {
        .db = f->db, .threads = 2, .live = {f->m, written, live_flows, live_ifaces}};
    assert_int_equal(gp_engine_new(&f->e, &engine, NULL), GP_OK);
    f->sender = gp_netns_sender("va");
}

static void stop(fixture *f)
{
    close(f->sender);
    gp_engine_free(f->e);
    gp_manager_close(f->m);
    gp_dbsink_free(f->store.sink);
    gp_tempdir_remove(f->db);
    gp_netns_ip("link del va");
}

static void send_packet(const fixture *f)
{
    const gp_test_packet p = {"10.0.0.1", "10.0.0.2", 40000, PORT, 6, 0x10};
    uint8_t frame[GP_TEST_FRAME_MAX];
    gp_netns_send(f->sender, frame, gp_test_frame(&p, frame));
}

static uint64_t ask(const fixture *f, const char *type)
{
    gp_args a;
    gp_stmt stmt;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    gp_args_init(&a);
    gp_args_set(&a.query, type, NULL);
    gp_args_set(&a.ifaces, "vb", NULL);
    gp_args_set(&a.first, "-1h", NULL);
    gp_args_set(&a.format, "json", NULL);
    a.live = true;
    gp_test_prepare(&a, &stmt);
    if (gp_engine_run(f->e, &stmt, NULL, &r, &err) != GP_OK)
        fail_msg("%s: %s", type, err.msg);
    uint64_t packets = r.totals.pkts_rcvd + r.totals.pkts_sent;
    gp_result_free(&r);
    gp_stmt_free(&stmt);
    return packets;
}

/* Asks while packets are sent; sees none twice, and none that was seen no more. */
static uint64_t ask_across_rotations(const fixture *f, uint64_t sent, uint64_t seen, double seconds)
{
    static const char *const types[] = {"sip,dip,dport,proto", "dport", "time", "dport,proto"};
    struct timespec start;
    struct timespec now;
    unsigned round = 0;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        send_packet(f);
        sent++;
        uint64_t got = ask(f, types[round++ % 4]);
        if (got < seen || got > sent)
            fail_msg("%s: %llu packets; %llu were seen before, %llu sent", types[(round - 1) % 4],
                     (unsigned long long)got, (unsigned long long)seen, (unsigned long long)sent);
        seen = got;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
    for (unsigned tries = 0; tries < 500 && seen < sent; tries++) {
        usleep(10 * MS);
        seen = ask(f, "proto");
    }
    assert_int_equal(seen, sent);
    return sent;
}

static void every_packet_is_seen_once(void **state)
{
    (void)state;
    fixture f;
    start(&f);
    (void)ask_across_rotations(&f, 0, 0, 6);
    stop(&f);
}

/* Blocks that cannot be written are part of the answer, and then of the database. */
static void what_waits_for_the_disk_is_seen(void **state)
{
    (void)state;
    fixture f;
    start(&f);
    atomic_store(&f.store.fails, true);
    uint64_t sent = ask_across_rotations(&f, 0, 0, 4);
    atomic_store(&f.store.fails, false);
    (void)ask_across_rotations(&f, sent, sent, 6);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_is_seen_once),
        cmocka_unit_test(what_waits_for_the_disk_is_seen),
    };
    if (!gp_netns_enter()) {
        print_message("live answers are not tested\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
