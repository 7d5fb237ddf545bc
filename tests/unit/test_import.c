/* `goprobe import`: files of one capture, directions, clocks that are wrong, what a database holds already.
 */
#include "sensor/capture/import.h"
#include "sensor/godb/reader.h"
#include "tests/support/packets.h"
#include "tests/support/program.h"
#include "tests/support/tempdir.h"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { T0 = 1700000100, STEP = 300, DAY = 86400, MAX_BLOCKS = 16 }; /* T0 is on the grid */

static const gp_test_packet ask = {"10.0.0.1", "10.0.0.9", 40000, 22, 6, 0x02};
static const gp_test_packet reply = {"10.0.0.9", "10.0.0.1", 22, 40000, 6, 0x12};

typedef struct fixture {
    char dir[GP_TEMPDIR_LEN];
    gp_test_ran ran;
    struct {
        int64_t ts;
        size_t flows;
        gp_counters c;
    } blocks[MAX_BLOCKS];
    size_t n;
    gp_import_stats stats; /* of all files */
    gp_import_totals totals;
    gp_error problem; /* the last */
    unsigned polls_left;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    gp_tempdir_make(f->dir);
    *state = f;
    return chdir(f->dir);
}

static int tear_down(void **state)
{
    fixture *f = *state;
    gp_tempdir_remove(f->dir);
    gp_test_ran_free(&f->ran);
    free(f);
    return 0;
}

static gp_code record(void *ctx, const char *iface, int64_t ts, gp_flow *flows, size_t n,
                      const gp_capture_stats *stats, gp_error *err)
{
    fixture *f = ctx;
    (void)stats;
    (void)err;
    assert_string_equal(iface, "eth0");
    assert_true(f->n < MAX_BLOCKS);
    f->blocks[f->n].ts = ts;
    f->blocks[f->n].flows = n;
    for (size_t i = 0; i < n; i++)
        gp_counters_add(&f->blocks[f->n].c, &flows[i].c);
    f->n++;
    return GP_OK;
}

static void add_left(gp_import_left *to, const gp_import_left *left)
{
    if (left->packets && !to->packets)
        *to = *left;
    else
        to->packets += left->packets;
}

static void file_done(void *ctx, const char *path, const gp_import_stats *stats, const gp_error *problem)
{
    fixture *f = ctx;
    (void)path;
    f->stats.packets += stats->packets;
    f->stats.out_of_order += stats->out_of_order;
    add_left(&f->stats.old, &stats->old);
    add_left(&f->stats.wrong, &stats->wrong);
    if (problem)
        f->problem = *problem;
}

static bool stop(void *ctx)
{
    fixture *f = ctx;
    return f->polls_left > 0 && --f->polls_left == 0;
}

static gp_code import_with(fixture *f, const char *const *files, size_t n, const char *local)
{
    gp_import_net *nets = NULL;
    gp_import_job job = {.iface = "eth0",
                         .files = files,
                         .n_files = n,
                         .store = {.write = record, .ctx = f},
                         .file_done = file_done,
                         .stop = stop,
                         .ctx = f};
    gp_error err = GP_ERROR_INIT;
    if (local)
        assert_int_equal(gp_import_nets_parse(local, &nets, &job.n_local, &err), GP_OK);
    job.local = nets;
    memset(f->blocks, 0, sizeof f->blocks);
    f->n = 0;
    f->stats = (gp_import_stats){0};
    f->problem = (gp_error)GP_ERROR_INIT;
    gp_code code = gp_capture_import(&job, &f->totals, &err);
    free(nets);
    assert_int_equal(f->totals.blocks, f->n);
    assert_true(code == GP_OK || err.msg[0]);
    return code;
}

static gp_code import_file(fixture *f, const char *path)
{
    return import_with(f, &path, 1, NULL);
}

/* Packets of one conversation at these times. */
static void write_times(const char *path, const int64_t *times, size_t n)
{
    gp_test_pcap *p = gp_test_pcap_create(path);
    for (size_t i = 0; i < n; i++)
        gp_test_pcap_add(p, times[i], &ask);
    gp_test_pcap_close(p);
}

/* A file of the n seconds from T0 + from on, a packet in each, and each to a host of its own. */
static void write_seconds(const char *path, unsigned from, unsigned n)
{
    gp_test_pcap *p = gp_test_pcap_create(path);
    for (unsigned i = from; i < from + n; i++) {
        char dip[32];
        snprintf(dip, sizeof dip, "10.1.%u.%u", i / 250, i % 250);
        const gp_test_packet packet = {"10.0.0.1", dip, 40000, 22, 6, 0x02};
        gp_test_pcap_add(p, T0 + i, &packet);
    }
    gp_test_pcap_close(p);
}

static void cut(const char *path, off_t bytes)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - bytes), 0);
}

/* ---- files --------------------------------------------------------------------------------------------- */

static void a_file_becomes_blocks(void **state)
{
    fixture *f = *state;
    gp_test_pcap *p = gp_test_pcap_create("t.pcap");
    gp_test_pcap_add(p, T0 + 299, &ask);
    gp_test_pcap_add(p, T0 + 300, &reply); /* on the grid: the next interval */
    gp_test_pcap_add(p, T0 + 301, &ask);
    gp_test_pcap_add(p, T0 + 290, &ask); /* late: counted where we are */
    gp_test_pcap_add(p, T0 + 3000, &ask);
    gp_test_pcap_close(p);
    assert_int_equal(import_file(f, "t.pcap"), GP_OK);
    assert_int_equal(f->stats.packets, 5);
    assert_int_equal(f->stats.out_of_order, 1);
    assert_int_equal(f->n, 3);
    assert_int_equal(f->blocks[0].ts, T0 + 300);
    assert_int_equal(f->blocks[1].ts, T0 + 600);
    assert_int_equal(f->blocks[2].ts, T0 + 3300);
    assert_int_equal(f->blocks[1].flows, 1);
    assert_int_equal(f->blocks[1].c.pkts_rcvd, 3);
    cut("t.pcap", 70 + 10); /* the last packet, and a part of the one before */
    assert_int_equal(import_file(f, "t.pcap"), GP_OK);
    assert_int_equal(f->problem.code, GP_ECORRUPT);
    assert_int_equal(f->totals.problems, 1);
    assert_int_equal(f->n, 2); /* what was whole is not lost */
}

/* As `tcpdump -G 60` makes them: off the grid, in any order, one of them missing, one not whole. */
static void files_of_one_capture_are_one(void **state)
{
    fixture *f = *state;
    static const char *const files[] = {"7", "1", "nosuch", "0", "3", "4", "./3", "6", "5", "2", "8"};
    enum { N = sizeof files / sizeof *files, MINUTES = 9 };
    for (unsigned i = 0; i < MINUTES; i++) {
        char name[8];
        snprintf(name, sizeof name, "%u", i);
        write_seconds(name, i * 60, 60);
    }
    assert_int_equal(import_with(f, files, N, NULL), GP_OK);
    assert_int_equal(f->totals.problems, 2); /* the file that is not there, and the one that is named twice */
    assert_int_equal(f->n, 2);
    assert_int_equal(f->blocks[0].ts, T0 + STEP);
    assert_int_equal(f->blocks[0].c.pkts_rcvd, 300);
    assert_int_equal(f->blocks[0].flows, 300);
    assert_int_equal(f->blocks[1].c.pkts_rcvd, 240);
    assert_int_equal(f->stats.out_of_order + f->stats.old.packets, 0);
    cut("2", 5); /* the last packet is not whole: a tcpdump that was killed */
    assert_int_equal(unlink("6"), 0);
    assert_int_equal(import_with(f, files, N, NULL), GP_OK);
    assert_int_equal(f->totals.problems, 4);
    assert_int_equal(f->n, 2);
    assert_int_equal(f->blocks[0].c.pkts_rcvd, 299);
    assert_int_equal(f->blocks[1].c.pkts_rcvd, 180);
}

/* The direction of a conversation is known from the file before. */
static void directions_go_on_in_the_next_file(void **state)
{
    fixture *f = *state;
    static const gp_test_packet high = {"10.0.0.9", "10.0.0.1", 40001, 40000, 6, 0x10};
    static const gp_test_packet syn = {"10.0.0.1", "10.0.0.9", 40000, 40001, 6, 0x02};
    static const char *const files[] = {"a", "b"};
    gp_test_pcap *p = gp_test_pcap_create("a");
    gp_test_pcap_add(p, T0 + 299, &syn);
    gp_test_pcap_close(p);
    p = gp_test_pcap_create("b");
    gp_test_pcap_add(p, T0 + 301, &high);
    gp_test_pcap_close(p);
    assert_int_equal(import_with(f, files, 2, NULL), GP_OK);
    assert_int_equal(f->n, 2);
    /* A file of standard input is like any other, and is put in its place. */
    int keep = dup(STDIN_FILENO);
    int fd = open("a", O_RDONLY);
    assert_true(keep >= 0 && fd >= 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    static const char *const mixed[] = {"b", "-"};
    assert_int_equal(import_with(f, mixed, 2, NULL), GP_OK);
    assert_int_equal(dup2(keep, STDIN_FILENO), STDIN_FILENO);
    close(keep);
    close(fd);
    assert_int_equal(f->n, 2);
    assert_int_equal(f->stats.out_of_order, 0);
}

/* A repeated import is to find the interval that was interrupted missing, not half there; what comes from a
 * pipe comes once. */
static void an_interrupted_import_goes_on(void **state)
{
    fixture *f = *state;
    static const char *const files[] = {"0", "1", "2"};
    for (unsigned i = 0; i < 3; i++)
        write_seconds(files[i], i * 200, 200);
    f->polls_left = 2; /* in the second file */
    assert_int_equal(import_with(f, files, 3, NULL), GP_ECANCELED);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->blocks[0].c.pkts_rcvd, 300);
    char data[32768];
    char path[32];
    int ends[2];
    int fd = open("0", O_RDONLY);
    ssize_t len = read(fd, data, sizeof data);
    assert_true(len > 0 && (size_t)len < sizeof data);
    close(fd);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], data, (size_t)len), len);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    f->polls_left = 1;
    assert_int_equal(import_file(f, path), GP_ECANCELED);
    close(ends[0]);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->blocks[0].c.pkts_rcvd, 200);
}

/* ---- clocks -------------------------------------------------------------------------------------------- */

static void wrong_clocks_cost_only_their_packets(void **state)
{
    fixture *f = *state;
    enum { MOST = 8 };
    static const struct {
        int64_t times[MOST];
        size_t n;
        uint64_t late, old, wrong;
        int64_t ends[MOST]; /* of blocks */
        uint64_t packets[MOST];
    } cases[] = {
        /* reordered by up to an interval: counted as now */
        {{T0, T0 + 301, T0 + 299, T0, T0 + 302}, 5, 2, 0, 0, {T0 + 300, T0 + 600}, {1, 4}},
        /* and by more: left out */
        {{T0, T0 + 600, T0 + 601, T0 + 299, T0 + 300, T0 + 602}, 6, 1, 1, 0, {T0 + 300, T0 + 900}, {1, 4}},
        /* a little ahead: what comes behind is not lost */
        {{T0, T0 + 600, T0 + 299, T0 + 300, T0 + 601}, 5, 0, 0, 1, {T0 + 300, T0 + 600, T0 + 900}, {2, 1, 1}},
        {{T0, T0 + 72000, T0 + 1, T0 + 300}, 4, 0, 0, 1, {T0 + 300, T0 + 600}, {2, 1}},
        {{T0 + 600, T0, T0 + 1, T0 + 300}, 4, 0, 0, 1, {T0 + 300, T0 + 600}, {2, 1}},
        /* one ahead, in the middle, at the end, and as the first */
        {{T0, T0 + 9 * DAY, T0 + 1, T0 + 300}, 4, 0, 0, 1, {T0 + 300, T0 + 600}, {2, 1}},
        {{T0, T0 + 1, T0 + 9 * DAY}, 3, 0, 0, 1, {T0 + 300}, {2}},
        {{INT32_MAX, T0, T0 + 1, T0 + 300}, 4, 0, 0, 1, {T0 + 300, T0 + 600}, {2, 1}},
        /* ahead, and the others as well: the capture paused. A day may pass at once */
        {{T0, T0 + 9 * DAY, T0 + 9 * DAY - 1, T0 + 9 * DAY + 1},
         4,
         1,
         0,
         0,
         {T0 + 300, T0 + 9 * DAY + 300},
         {1, 3}},
        {{T0, T0 + 2 * DAY, T0 + 4 * DAY, T0 + 4 * DAY},
         4,
         0,
         0,
         0,
         {T0 + 300, T0 + 2 * DAY + 300, T0 + 4 * DAY + 300},
         {1, 1, 2}},
        {{T0, T0 + DAY}, 2, 0, 0, 0, {T0 + 300, T0 + DAY + 300}, {1, 1}},
        /* days in reverse: none of them ends up in another's block */
        {{T0 + 3 * DAY, T0 + 2 * DAY, T0 + DAY, T0}, 4, 0, 1, 2, {T0 + DAY + 300}, {1}},
        /* no block has such a time, not even alone */
        {{UINT32_MAX, T0}, 2, 0, 0, 1, {T0 + 300}, {1}},
        {{UINT32_MAX}, 1, 0, 0, 1, {0}, {0}},
        /* seconds are unsigned: 2038 goes by */
        {{INT64_C(0x80000000) - 8, INT64_C(0x80000000) + 92}, 2, 0, 0, 0, {2147483700, 2147484000}, {1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_times("t", cases[i].times, cases[i].n);
        assert_int_equal(import_file(f, "t"), GP_OK);
        if (f->stats.out_of_order != cases[i].late || f->stats.old.packets != cases[i].old ||
            f->stats.wrong.packets != cases[i].wrong)
            fail_msg("case %zu: %d late, %d old, %d wrong", i, (int)f->stats.out_of_order,
                     (int)f->stats.old.packets, (int)f->stats.wrong.packets);
        size_t n = 0;
        for (; n < MOST && cases[i].ends[n]; n++) {
            if (n >= f->n || f->blocks[n].ts != cases[i].ends[n] ||
                f->blocks[n].c.pkts_rcvd != cases[i].packets[n])
                fail_msg("case %zu, block %zu: ends %+d", i, n, (int)(f->blocks[n].ts - T0));
        }
        assert_int_equal(f->n, n);
    }
}

/* A packet at the end of a file is confirmed, or not, by the file behind it. */
static void clocks_are_judged_across_files(void **state)
{
    fixture *f = *state;
    static const int64_t first[] = {T0, T0 + 1, T0 + 2 * DAY};
    static const int64_t second[] = {T0 + 2 * DAY + 1, T0 + 2 * DAY + 2};
    static const int64_t other[] = {T0 + 3, T0 + 4};
    static const char *const files[] = {"b", "a"};
    write_times("a", first, 3);
    write_times("b", second, 2);
    assert_int_equal(import_with(f, files, 2, NULL), GP_OK);
    assert_int_equal(f->stats.wrong.packets, 0);
    assert_int_equal(f->n, 2);
    assert_int_equal(f->blocks[1].c.pkts_rcvd, 3);
    write_times("b", other, 2);
    assert_int_equal(import_with(f, files, 2, NULL), GP_OK);
    assert_int_equal(f->stats.wrong.packets, 1);
    assert_int_equal(f->stats.wrong.first, T0 + 2 * DAY);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->blocks[0].c.pkts_rcvd, 4);
}

/* ---- directions ---------------------------------------------------------------------------------------- */

/* A question that this host sent, and two answers; frames of Linux cooked captures. */
static void write_cooked(const char *path, int dlt)
{
    gp_test_pcap *p = gp_test_pcap_create_link(path, dlt);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t frame[GP_TEST_FRAME_MAX] = {0};
        bool v2 = dlt == DLT_LINUX_SLL2;
        size_t header = v2 ? 20 : 16;
        frame[v2 ? 0 : 14] = 0x08; /* IPv4 */
        frame[v2 ? 10 : 1] = i == 0 ? 4 : 0;
        size_t len = header + gp_test_ip(i == 0 ? &ask : &reply, frame + header);
        gp_test_pcap_add_frame(p, T0 + i, frame, len);
    }
    gp_test_pcap_close(p);
}

static void expect_sent(const fixture *f, uint64_t sent, uint64_t rcvd)
{
    assert_int_equal(f->n, 1);
    assert_int_equal(f->blocks[0].flows, 1);
    assert_int_equal(f->blocks[0].c.pkts_sent, sent);
    assert_int_equal(f->blocks[0].c.pkts_rcvd, rcvd);
}

static void cooked_captures_state_directions(void **state)
{
    fixture *f = *state;
    static const int links[] = {DLT_LINUX_SLL, DLT_LINUX_SLL2};
    const char *file = "c";
    for (size_t i = 0; i < 2; i++) {
        write_cooked(file, links[i]);
        assert_int_equal(import_file(f, file), GP_OK);
        expect_sent(f, 1, 2);
        /* and know better than whoever guesses */
        assert_int_equal(import_with(f, &file, 1, "10.0.0.9"), GP_OK);
        expect_sent(f, 1, 2);
    }
}

static void local_networks_tell_directions(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *local;
        unsigned sent;
    } cases[] = {{NULL, 0},
                 {"10.0.0.1", 2},
                 {"10.0.0.9", 1},
                 {"10.0.0.8/29", 1},
                 {"10.0.0.8/31", 1},
                 {"10.0.0.10/31", 0},
                 {"fd00::/8,10.0.0.0/30", 2},
                 {"0.0.0.0/0", 3},
                 {"::/0", 0}};
    const char *file = "e";
    gp_test_pcap *p = gp_test_pcap_create(file);
    gp_test_pcap_add(p, T0, &ask);
    gp_test_pcap_add(p, T0, &reply);
    gp_test_pcap_add(p, T0, &ask);
    gp_test_pcap_close(p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(import_with(f, &file, 1, cases[i].local), GP_OK);
        expect_sent(f, cases[i].sent, 3 - cases[i].sent);
    }
    static const char *const bad[] = {"",          "x",           "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1",
                                      "10.0.0.1,", "10.0.0.1/8x", "::/129",    "::1/0x8",     "10.0.0.1 "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gp_import_net *nets = NULL;
        size_t n = 0;
        gp_error err = GP_ERROR_INIT;
        assert_int_equal(gp_import_nets_parse(bad[i], &nets, &n, &err), GP_EINVAL);
        assert_null(nets);
        assert_non_null(strstr(err.msg, "is neither an address nor a network"));
    }
}

/* ---- the program --------------------------------------------------------------------------------------- */

/* Searching for leaks asks for what the sandbox forbids. */
static void run(fixture *f, const char *args)
{
    gp_test_run(&f->ran, "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 %s import -d db -i eth0 %s", GOPROBE,
                args);
}

static void expect(const fixture *f, int exit_code, const char *says)
{
    gp_test_expect(&f->ran, exit_code, says);
}

static void expect_stored(size_t blocks, uint64_t packets)
{
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, "db", "eth0", T0 / DAY * DAY, NULL), GP_OK);
    const gp_blockmeta *m = gp_day_meta(day);
    assert_int_equal(m->n_blocks, blocks);
    assert_int_equal(m->sum.c.pkts_rcvd + m->sum.c.pkts_sent, packets);
    gp_day_close(day);
}

static void nothing_is_stored_twice(void **state)
{
    fixture *f = *state;
    for (unsigned i = 0; i < 4; i++) {
        char name[2] = {(char)('0' + i), '\0'};
        write_seconds(name, i * 300 + 50, 300);
    }
    run(f, "0 1");
    expect(f, 0,
           "1: 300 packets, 16200 bytes\neth0: 600 flows in 3 blocks, the last of 2023-11-14T22:30:00Z\n");
    expect_stored(3, 600);
    run(f, "0 1");
    expect(f, 1,
           "eth0: 0 flows in 0 blocks\ngoprobe: eth0: 3 blocks not stored (2023-11-14T22:20:00Z to "
           "2023-11-14T22:30:00Z; 600 packets): the database holds these intervals already");
    expect_stored(3, 600);
    run(f, "0 1 2 3"); /* the rest of the interval that was the last is lost, and is said to be */
    expect(f, 1, "eth0: 350 flows in 2 blocks, ");
    expect(f, 1, "3 blocks not stored (2023-11-14T22:20:00Z to 2023-11-14T22:30:00Z; 850 packets)");
    expect_stored(5, 950);
}

static void what_is_wrong_is_named(void **state)
{
    fixture *f = *state;
    static const int64_t unsorted[] = {T0 + 3000, T0 + 3001, T0, T0 + 9 * DAY, T0 + 3002};
    write_seconds("later", 4000, 10);
    write_times("unsorted", unsorted, 5);
    run(f, "later");
    expect(f, 0, "eth0: 10 flows in 1 block,");
    run(f, "unsorted nosuch");
    expect(f, 1, "unsorted: 3 packets, ");
    expect(f, 1,
           "unsorted: 1 packet left out (2023-11-14T22:15:00Z): more than five minutes older than those "
           "before; sort the file with reordercap");
    expect(f, 1, "unsorted: 1 packet left out (2023-11-23T22:15:00Z): the clock was ahead of that of");
    expect(f, 1, "cannot open capture file 'nosuch'");
    expect(f, 1, "1 block not stored (2023-11-14T23:10:00Z; 3 packets): the database holds later blocks");
    expect_stored(1, 10);
    write_seconds("short", 5000, 10);
    cut("short", 3);
    run(f, "short");
    expect(f, 1, "only got 51; what is before that was read\n");
    expect(f, 1, "short: 9 packets");
    run(f, "--local 10.0.0.0/40 short");
    expect(f, 1, "--local: '10.0.0.0/40' is neither an address nor a network");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_becomes_blocks),
        TEST(files_of_one_capture_are_one),
        TEST(directions_go_on_in_the_next_file),
        TEST(an_interrupted_import_goes_on),
        TEST(wrong_clocks_cost_only_their_packets),
        TEST(clocks_are_judged_across_files),
        TEST(cooked_captures_state_directions),
        TEST(local_networks_tell_directions),
        TEST(nothing_is_stored_twice),
        TEST(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
