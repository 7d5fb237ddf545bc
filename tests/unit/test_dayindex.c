/* Indexing days: what it makes is, byte by byte, what a writer would have written with the blocks; what is
 * damaged, locked or interrupted costs nothing else. */
#include "sensor/godb/dayindex.h"
#include "sensor/godb/topports.h"
#include "sensor/godb/verify.h"
#include "sensor/godb/writer.h"
#include "tests/support/daycheck.h"
#include "tests/support/faults.h"
#include "tests/support/files.h"
#include "tests/support/gendb.h"
#include "tests/support/tempdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_FLOWS = 6000, FEW = 50, N_BLOCKS = 4, STEP = 60, N_FILES = 2, MOST = 1 << 16 };
static const int64_t t0 = 1700000100; /* 2023-11-14 */
static const char *const names[N_FILES] = {".blocksums", ".blockfilter"};

typedef struct fixture {
    char db[GP_TEMPDIR_LEN];
    char path[N_FILES][600];
    uint8_t right[N_FILES][MOST]; /* as the writer made them */
    size_t len[N_FILES];
} fixture;

static gp_day *open_day(const fixture *f)
{
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, f->db, "eth0", t0 - t0 % 86400, NULL), GP_OK);
    return day;
}

static void remove_both(const fixture *f)
{
    for (size_t i = 0; i < N_FILES; i++)
        assert_int_equal(unlink(f->path[i]), 0);
}

/* The third block is too small for a filter, the fourth is empty. */
static int setup(void **state)
{
    static const size_t flows_of[N_BLOCKS] = {N_FLOWS, N_FLOWS - 500, FEW, 0};
    fixture *f = calloc(1, sizeof *f);
    gp_flow *flows = calloc(N_FLOWS, sizeof *flows);
    gp_writer *w = NULL;
    assert_true(f && flows);
    gp_tempdir_make(f->db);
    const gp_writer_config cfg = {.db = f->db, .iface = "eth0", .codec = GP_CODEC_LZ4, .no_sync = true};
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    for (size_t b = 0; b < N_BLOCKS; b++) {
        const int64_t ts = t0 + (int64_t)b * STEP;
        size_t n = flows_of[b] ? gp_gendb_block(7, ts, flows, flows_of[b]) : 0;
        assert_int_equal(gp_writer_write(w, ts, flows, n, 0, NULL, NULL), GP_OK);
    }
    gp_writer_free(w);
    free(flows);
    gp_day *day = open_day(f);
    for (size_t i = 0; i < N_FILES; i++) {
        snprintf(f->path[i], sizeof f->path[i], "%s/%s", gp_day_path(day), names[i]);
        f->len[i] = gp_test_read(f->path[i], f->right[i], MOST);
        assert_in_range(f->len[i], 1, MOST - 1);
    }
    gp_day_close(day);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    gp_tempdir_remove(f->db);
    free(f);
    return 0;
}

static gp_code run_index(const fixture *f, bool dry_run, gp_day_index_report *report, gp_error *err)
{
    gp_codec *codec = NULL;
    gp_day *day = open_day(f);
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    gp_code code = gp_day_index(day, codec, dry_run, report, err);
    gp_codec_free(codec);
    gp_day_close(day);
    return code;
}

static gp_day_index_report indexed(const fixture *f, bool dry_run)
{
    gp_day_index_report report;
    gp_error err = GP_ERROR_INIT;
    if (run_index(f, dry_run, &report, &err) != GP_OK)
        fail_msg("%s", err.msg);
    return report;
}

static void expect_right(const fixture *f)
{
    static uint8_t bytes[MOST];
    for (size_t i = 0; i < N_FILES; i++) {
        assert_int_equal(gp_test_read(f->path[i], bytes, MOST), f->len[i]);
        assert_memory_equal(bytes, f->right[i], f->len[i]);
    }
}

static struct stat stat_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st;
}

enum { ALL_RECORDS = 3 + 2 };

static void what_is_missing_is_made(void **state)
{
    const fixture *f = *state;
    remove_both(f);
    assert_int_equal(indexed(f, true).added, ALL_RECORDS);
    assert_int_equal(access(f->path[0], F_OK) & access(f->path[1], F_OK), -1);
    const gp_day_index_report r = indexed(f, false);
    assert_int_equal(r.added, ALL_RECORDS);
    assert_int_equal(r.bytes, f->len[0] + f->len[1]);
    assert_int_equal(r.damaged, 0);
    expect_right(f);
    assert_int_equal(stat_of(f->path[0]).st_mode & 0777, 0644);
    const struct stat before = stat_of(f->path[0]);
    assert_int_equal(indexed(f, false).added, 0);
    assert_int_equal(stat_of(f->path[0]).st_ino, before.st_ino);
}

/* Days that v4 and we wrote in turns have holes; a file may be short, and a byte wrong. */
static void holes_are_filled(void **state)
{
    const fixture *f = *state;
    static uint8_t wrong[MOST];
    for (size_t i = 0; i < N_FILES; i++) {
        for (size_t at = 0; at < f->len[i]; at += 1 + f->len[i] / 20) {
            memcpy(wrong, f->right[i], f->len[i]);
            wrong[at] ^= 0x10;
            gp_test_write(f->path[i], wrong, f->len[i]);
            assert_int_equal(indexed(f, false).added, 1);
            expect_right(f);
            gp_test_write(f->path[i], f->right[i], at);
            assert_true(indexed(f, false).added > 0);
            expect_right(f);
        }
    }
}

/* A block of its own for each number; uncompressed, so that few make a large day. */
static void append_block(const fixture *f, unsigned number)
{
    gp_flow *flows = calloc(N_FLOWS, sizeof *flows);
    gp_writer *w = NULL;
    const gp_writer_config cfg = {.db = f->db, .iface = "eth0", .codec = GP_CODEC_NULL, .no_sync = true};
    const int64_t ts = t0 + (int64_t)(N_BLOCKS + number) * STEP;
    assert_non_null(flows);
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    const size_t n = gp_gendb_block(7, ts, flows, N_FLOWS);
    assert_int_equal(gp_writer_write(w, ts, flows, n, 0, NULL, NULL), GP_OK);
    gp_writer_free(w);
    free(flows);
}

/* It is made for large days, goes stale with the next block, and is checked against the columns. */
static void large_days_get_a_list_of_ports(void **state)
{
    enum { MANY = 70 };
    fixture *f = *state;
    gp_codec *codec = NULL;
    gp_portsums *sums = NULL;
    gp_buf file = GP_BUF_INIT;
    char path[700];
    for (unsigned i = 0; i < MANY; i++)
        append_block(f, i);
    assert_int_equal(indexed(f, true).added, 1);
    assert_int_equal(indexed(f, false).added, 1);
    assert_int_equal(indexed(f, false).added, 0);
    assert_int_equal(gp_test_notes_of_check(f->db, ".topports"), 0);
    append_block(f, MANY);
    assert_int_equal(gp_test_notes_of_check(f->db, ".topports"), 1);
    assert_int_equal(indexed(f, false).added, 1);
    assert_int_equal(gp_test_notes_of_check(f->db, ".topports"), 0);
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    gp_day *day = open_day(f);
    assert_int_equal(gp_portsums_of_day(day, codec, &sums, NULL), GP_OK);
    gp_portsums_chunk *https = sums->chunks[(6 << 16 | 443) / GP_PORTSUMS_CHUNK];
    https->sums[443].bytes_rcvd--; /* a list that counts, and is wrong */
    https->sums[80].bytes_rcvd++;
    assert_int_equal(gp_topports_encode(sums, 50, gp_day_meta(day), codec, &file, NULL), GP_OK);
    snprintf(path, sizeof path, "%s/.topports", gp_day_path(day));
    gp_test_write(path, (const uint8_t *)file.data, file.len);
    assert_int_equal(gp_test_notes_of_check(f->db, ".topports"), 1);
    https->sums[80].bytes_rcvd++;
    assert_int_equal(gp_topports_encode(sums, 50, gp_day_meta(day), codec, &file, NULL), GP_ECORRUPT);
    gp_day_close(day);
    gp_portsums_free(sums);
    gp_codec_free(codec);
    gp_buf_free(&file);
}

static void a_damaged_block_costs_its_own_records_only(void **state)
{
    const fixture *f = *state;
    static const char *const columns[] = {"sip.gpf", "bytes_sent.gpf"};
    char path[700];
    remove_both(f);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%.*s%s", (int)(strrchr(f->path[0], '/') + 1 - f->path[0]), f->path[0],
                 columns[i]);
        gp_day *day = open_day(f);
        const gp_block_loc loc =
            gp_day_meta(day)->blocks[0].col[i ? GP_COL_BYTES_SENT : GP_COL_SIP]; /* the first block */
        gp_day_close(day);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        for (off_t at = 0; at < (off_t)loc.len; at++)
            assert_int_equal(pwrite(fd, "\xff", 1, at), 1);
        close(fd);
    }
    gp_day_index_report r = indexed(f, false);
    assert_int_equal(r.damaged, 1);
    assert_int_equal(r.added, ALL_RECORDS - 2);
    assert_non_null(strstr(r.damage.msg, "block 1700000100"));
    gp_day *day = open_day(f);
    assert_null(gp_day_block_sum(day, 0));
    assert_non_null(gp_day_block_sum(day, 1));
    assert_int_equal(gp_day_block_filter(day, 0).size, 0);
    assert_true(gp_day_block_filter(day, 1).size > 0);
    gp_day_close(day);
    r = indexed(f, false);
    assert_int_equal(r.added, 0);
    assert_int_equal(r.bytes, 0);
}

static void contradicted_totals_give_no_sums(void **state)
{
    const fixture *f = *state;
    char path[700];
    gp_day_index_report r;
    gp_error err = GP_ERROR_INIT;
    remove_both(f);
    snprintf(path, sizeof path, "%.*s.blockmeta", (int)(strrchr(f->path[0], '/') + 1 - f->path[0]),
             f->path[0]);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "\x01", 1, 5 * 8), 1); /* bytes received of the day */
    close(fd);
    assert_int_equal(run_index(f, false, &r, &err), GP_ECORRUPT);
    assert_non_null(strstr(err.msg, ".blockmeta"));
    assert_int_equal(access(f->path[0], F_OK), -1);
    assert_int_equal(access(f->path[1], F_OK), 0);
}

static void one_at_a_time(void **state)
{
    const fixture *f = *state;
    gp_day_index_report r;
    gp_day *other = open_day(f);
    remove_both(f);
    assert_int_equal(flock(gp_day_fd(other), LOCK_EX), 0);
    assert_int_equal(run_index(f, false, &r, NULL), GP_EBUSY);
    gp_day_close(other);
    assert_int_equal(indexed(f, false).added, ALL_RECORDS);
}

static void a_file_that_cannot_be_replaced_is_an_error(void **state)
{
    const fixture *f = *state;
    gp_day_index_report r;
    gp_error err = GP_ERROR_INIT;
    remove_both(f);
    assert_int_equal(mkdir(f->path[1], 0755), 0);
    assert_int_equal(run_index(f, false, &r, &err), GP_EIO);
    assert_non_null(strstr(err.msg, "cannot replace"));
    assert_int_equal(rmdir(f->path[1]), 0);
    assert_int_equal(indexed(f, false).added, ALL_RECORDS);
    expect_right(f);
}

/* ---- interrupted --------------------------------------------------------------------------------------- */

/* Each file is whole or not there. */
static void expect_whole_or_missing(const fixture *f)
{
    static uint8_t bytes[MOST];
    for (size_t i = 0; i < N_FILES; i++) {
        if (access(f->path[i], F_OK) != 0)
            continue;
        assert_int_equal(gp_test_read(f->path[i], bytes, MOST), f->len[i]);
        assert_memory_equal(bytes, f->right[i], f->len[i]);
    }
}

static void start_over(const fixture *f)
{
    expect_whole_or_missing(f);
    assert_int_equal(indexed(f, true).damaged, 0);
    (void)indexed(f, false);
    expect_right(f);
    remove_both(f);
}

static void kill_9_at_every_call(void **state)
{
    const fixture *f = *state;
    bool killed = true;
    unsigned at = 0;
    remove_both(f);
    for (; killed; at++) {
        int status = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            gp_day_index_report r;
            gp_faults_arm(GP_FAULT_KILL, at);
            _exit(run_index(f, false, &r, NULL) == GP_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        assert_true(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
        start_over(f);
    }
    assert_true(at > 2 * 5);
}

static void each_call_may_fail(void **state)
{
    const fixture *f = *state;
    static const gp_fault kinds[] = {GP_FAULT_EIO, GP_FAULT_FULL};
    remove_both(f);
    for (size_t k = 0; k < 2; k++) {
        unsigned failed = 0;
        unsigned calls = 1;
        for (unsigned at = 0; at < calls; at++) {
            gp_day_index_report r;
            gp_error err = GP_ERROR_INIT;
            gp_faults_arm(kinds[k], at);
            failed += run_index(f, false, &r, &err) != GP_OK;
            calls = gp_faults_disarm();
            start_over(f);
        }
        assert_true(failed >= 2);
    }
}

#define WITH_DAY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DAY(what_is_missing_is_made),
        WITH_DAY(holes_are_filled),
        WITH_DAY(large_days_get_a_list_of_ports),
        WITH_DAY(a_damaged_block_costs_its_own_records_only),
        WITH_DAY(contradicted_totals_give_no_sums),
        WITH_DAY(one_at_a_time),
        WITH_DAY(a_file_that_cannot_be_replaced_is_an_error),
        WITH_DAY(kill_9_at_every_call),
        WITH_DAY(each_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
