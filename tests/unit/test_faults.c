/* What a goDB survives: a process killed, a call that fails or a disk that fills up at every single step of a
 * write, and files that are cut, flipped, missing or swapped. */
#include "sensor/godb/verify.h"
#include "sensor/godb/writer.h"
#include "tests/support/faults.h"
#include "tests/support/gendb.h"
#include "tests/support/tempdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { STEP = 300, FEW = 40, MANY = 2500 /* flows; so many make a block that has a filter */ };
static const int64_t t0 = 1700000100; /* 2023-11-14 */

static gp_code write_flows(const char *db, int64_t ts, unsigned n, bool batch, size_t n_flows, gp_error *err)
{
    const gp_writer_config cfg = {
        .db = db, .iface = "eth0", .codec = n_flows == MANY ? GP_CODEC_NULL : GP_CODEC_LZ4, .batch = batch};
    gp_writer *w = NULL;
    gp_code code = gp_writer_new(&w, &cfg, err);
    for (unsigned i = 0; i < n && code == GP_OK; i++) {
        gp_flow flows[MANY];
        size_t len = gp_gendb_block(1, ts + (int64_t)i * STEP, flows, n_flows);
        code = gp_writer_write(w, ts + (int64_t)i * STEP, flows, len, 3, NULL, err);
    }
    if (code == GP_OK)
        code = gp_writer_flush(w, err);
    gp_writer_free(w);
    return code;
}

static gp_code write_blocks(const char *db, int64_t ts, unsigned n, gp_error *err)
{
    return write_flows(db, ts, n, false, FEW, err);
}

/* ---- verdicts ------------------------------------------------------------------------------------------ */

typedef struct findings {
    size_t damages, notes, folders, blocks;
    gp_buf text;
} findings;

static void take(void *ctx, const gp_finding *f)
{
    findings *out = ctx;
    out->damages += f->damage;
    out->notes += !f->damage;
    gp_buf_printf(&out->text, "%s %lld %s\n", f->damage ? "damage" : "note", (long long)f->block, f->text);
}

/* Verifies the only interface there is; blocks: how many are intact. */
static findings verify(const char *db)
{
    findings f = {0};
    const gp_finding_sink sink = {take, &f};
    gp_day_folder *folders = NULL;
    gp_codec *codec = NULL;
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    assert_int_equal(gp_day_folders_list(db, "eth0", &sink, &folders, &f.folders, NULL), GP_OK);
    for (size_t i = 0; i < f.folders; i++) {
        gp_day_verdict v;
        assert_int_equal(gp_day_verify(&folders[i], codec, &sink, &v, NULL), GP_OK);
        f.blocks += v.n_intact;
        gp_day_verdict_free(&v);
    }
    gp_day_folders_free(folders, f.folders);
    gp_codec_free(codec);
    return f;
}

/* Between `least` and `most` blocks, of which so many as `at_once` become visible together. */
static void expect_blocks(const char *db, size_t least, size_t most, size_t at_once)
{
    findings f = verify(db);
    bool lies =
        f.text.data && (strstr(f.text.data, "other sums") || strstr(f.text.data, "pass the block over"));
    if (f.damages || lies || f.blocks < least || f.blocks > most || (f.blocks - least) % at_once != 0)
        fail_msg("%zu blocks instead of %zu to %zu\n%s", f.blocks, least, most,
                 f.text.data ? f.text.data : "");
    gp_buf_free(&f.text);
}

static void expect_intact(const char *db, size_t blocks, size_t blocks_or)
{
    expect_blocks(db, blocks, blocks_or, 1);
}

/* A block just written has its records, whatever happened to those before. */
static void expect_last_records(const char *db)
{
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % 86400, NULL), GP_OK);
    const size_t last = gp_day_meta(day)->n_blocks - 1;
    assert_non_null(gp_day_block_sum(day, last));
    assert_int_equal(gp_day_block_filter(day, last).size > 0,
                     gp_blockfilter_size(&gp_day_meta(day)->blocks[last]) > 0);
    gp_day_close(day);
}

/* ---- interrupted writes -------------------------------------------------------------------------------- */

/* A database with `before` blocks, of which one more write is interrupted at call `at`; false: it came to its
 * end. */
static bool killed_write(const char *db, unsigned before, unsigned more, bool batch, size_t n_flows,
                         unsigned at)
{
    int status = 0;
    if (before)
        assert_int_equal(write_flows(db, t0, before, false, n_flows, NULL), GP_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        gp_faults_arm(GP_FAULT_KILL, at);
        _exit(write_flows(db, t0 + (int64_t)before * STEP, more, batch, n_flows, NULL) == GP_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
                (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return WIFSIGNALED(status);
}

/* Blocks before stay; of those being written each is there or not; the next write goes on behind them. */
static unsigned kill_at_every_call(unsigned before, unsigned more, bool batch, size_t n_flows)
{
    const unsigned at_once = batch ? more : 1;
    unsigned at = 0;
    for (bool killed = true; killed; at++) {
        char db[GP_TEMPDIR_LEN];
        gp_tempdir_make(db);
        killed = killed_write(db, before, more, batch, n_flows, at);
        if (access(strcat(strcpy((char[GP_TEMPDIR_LEN + 8]){0}, db), "/eth0"), F_OK) == 0)
            expect_blocks(db, killed ? before : before + more, before + more, at_once);
        assert_int_equal(write_flows(db, t0 + 10 * STEP, 1, false, n_flows, NULL), GP_OK);
        expect_blocks(db, before + 1, before + more + 1, at_once);
        expect_last_records(db);
        gp_tempdir_remove(db);
    }
    return at - 1;
}

static void kill_9_at_every_call_of_a_write(void **state)
{
    (void)state;
    assert_true(kill_at_every_call(2, 1, false, FEW) >
                30); /* 8 columns opened, written, synced, closed; metadata */
    assert_true(kill_at_every_call(0, 1, false, FEW) > 34); /* folders, too */
    assert_true(kill_at_every_call(1, 3, true, FEW) > 40);
    assert_true(kill_at_every_call(1, 3, false, FEW) > 90); /* one writer goes on with its day */
    assert_true(kill_at_every_call(1, 1, false, MANY) >
                kill_at_every_call(1, 1, false, FEW)); /* its filter */
}

static void each_call_may_fail_with(size_t n_flows)
{
    static const gp_fault faults[] = {GP_FAULT_EIO, GP_FAULT_FULL};
    for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++) {
        unsigned failed = 0;
        unsigned calls = 1;
        for (unsigned at = 0; at < calls; at++) {
            char db[GP_TEMPDIR_LEN];
            gp_error err = GP_ERROR_INIT;
            gp_tempdir_make(db);
            assert_int_equal(write_flows(db, t0, 2, false, n_flows, NULL), GP_OK);
            gp_faults_arm(faults[k], at);
            gp_code code = write_flows(db, t0 + 2 * STEP, 1, false, n_flows, &err);
            calls = gp_faults_disarm();
            if (code != GP_OK) {
                failed++;
                assert_int_equal(code, GP_EIO);
                assert_non_null(
                    strstr(err.msg, faults[k] == GP_FAULT_EIO ? "Input/output" : "No space left"));
                assert_non_null(strstr(err.msg, "169")); /* names the day's folder */
            }
            expect_intact(db, 2, 3);
            assert_int_equal(write_flows(db, t0 + 3 * STEP, 1, false, n_flows, &err), GP_OK);
            expect_intact(db, 3, 4);
            expect_last_records(db);
            gp_tempdir_remove(db);
        }
        assert_true(failed > 16);
    }
}

static void each_call_may_fail(void **state)
{
    (void)state;
    each_call_may_fail_with(FEW);
    each_call_may_fail_with(MANY);
}

/* ---- damaged files ------------------------------------------------------------------------------------- */

static void day_path(const char *db, const char *file, char *dst)
{
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % 86400, NULL), GP_OK);
    snprintf(dst, 600, "%s/%s", gp_day_path(day), file);
    gp_day_close(day);
}

static void flip_bit(const char *path, off_t at, unsigned bit)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1u << bit);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static off_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

typedef enum harm { HARM_MISSING, HARM_EMPTY, HARM_CUT, HARM_NOISE } harm;

static void do_harm(harm h, const char *path)
{
    off_t size = size_of(path);
    if (h == HARM_MISSING) {
        assert_int_equal(unlink(path), 0);
    } else if (h == HARM_NOISE) {
        for (off_t at = 0; at < size; at += 3)
            flip_bit(path, at, 5);
    } else {
        assert_int_equal(truncate(path, h == HARM_EMPTY ? 0 : size - 1), 0);
    }
}

static void expect_damage(const char *db, const char *names)
{
    findings f = verify(db);
    if (f.damages == 0 || !strstr(f.text.data, names))
        fail_msg("no damage that names %s:\n%s", names, f.text.data ? f.text.data : "");
    gp_buf_free(&f.text);
}

static void every_harmed_file_is_named(void **state)
{
    (void)state;
    static const char *const files[] = {"sip.gpf",       "dip.gpf",        "proto.gpf",
                                        "dport.gpf",     "bytes_rcvd.gpf", "bytes_sent.gpf",
                                        "pkts_rcvd.gpf", "pkts_sent.gpf",  ".blockmeta"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        for (harm h = HARM_MISSING; h <= HARM_NOISE; h++) {
            char db[GP_TEMPDIR_LEN];
            char path[600];
            char name[32];
            gp_tempdir_make(db);
            assert_int_equal(write_blocks(db, t0, 3, NULL), GP_OK);
            day_path(db, files[i], path);
            do_harm(h, path);
            /* An attribute that decodes to something else is noticed by what depends on it. */
            snprintf(name, sizeof name, "%s", files[i][0] == '.' ? "block" : files[i]);
            if (files[i][0] != '.')
                name[strlen(name) - 4] = '\0';
            expect_damage(db, name);
            gp_tempdir_remove(db);
        }
}

static void swapped_files_are_noticed(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"sip.gpf", "dip.gpf"},
                                           {"bytes_rcvd.gpf", "bytes_sent.gpf"},
                                           {"pkts_rcvd.gpf", "pkts_sent.gpf"},
                                           {"proto.gpf", "dport.gpf"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char db[GP_TEMPDIR_LEN];
        char a[600];
        char b[600];
        char aside[620];
        gp_tempdir_make(db);
        assert_int_equal(write_blocks(db, t0, 3, NULL), GP_OK);
        day_path(db, pairs[i][0], a);
        day_path(db, pairs[i][1], b);
        snprintf(aside, sizeof aside, "%s.aside", a);
        assert_int_equal(rename(a, aside), 0);
        assert_int_equal(rename(b, a), 0);
        assert_int_equal(rename(aside, b), 0);
        expect_damage(db, "column");
        gp_tempdir_remove(db);
    }
}

/* Where .blockmeta states times: of the first block, and the seconds from block to block. */
static bool is_time(off_t at, off_t size, off_t n_blocks)
{
    enum { FIRST = 8, TRAFFIC = 16, DELTA_AT = 12 };
    off_t traffic = size - n_blocks * TRAFFIC;
    return at >= traffic - FIRST && (at < traffic || (at - traffic) % TRAFFIC >= DELTA_AT);
}

/* Every bit of the metadata is noticed, except those that move a block's time within its day. */
static void every_bit_of_the_metadata(void **state)
{
    (void)state;
    char db[GP_TEMPDIR_LEN];
    char path[600];
    gp_tempdir_make(db);
    assert_int_equal(write_blocks(db, t0, 2, NULL), GP_OK);
    day_path(db, ".blockmeta", path);
    off_t size = size_of(path);
    for (off_t at = 0; at < size; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            flip_bit(path, at, bit);
            findings f = verify(db);
            if (f.damages == 0 && !is_time(at, size, 2))
                fail_msg("bit %u of byte %lld was not noticed", bit, (long long)at);
            gp_buf_free(&f.text);
            flip_bit(path, at, bit);
        }
    expect_intact(db, 2, 2);
    gp_tempdir_remove(db);
}

/* A record that passes its check and is wrong nevertheless, in a day that has not all of them. */
static void wrong_sums_are_noted(void **state)
{
    (void)state;
    char db[GP_TEMPDIR_LEN];
    char path[600];
    gp_day *day = NULL;
    gp_buf record = GP_BUF_INIT;
    gp_tempdir_make(db);
    assert_int_equal(write_blocks(db, t0, 2, NULL), GP_OK);
    assert_int_equal(gp_day_open(&day, db, "eth0", t0 - t0 % 86400, NULL), GP_OK);
    const gp_block_info *b = &gp_day_meta(day)->blocks[0];
    gp_blocksums_put(&record, gp_block_fingerprint(GP_FINGERPRINT_START, b), b, &(gp_counters){1, 2, 3, 4});
    gp_day_close(day);
    day_path(db, ".blocksums", path);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, record.data, record.len, 0), record.len);
    close(fd);
    findings f = verify(db);
    assert_int_equal(f.damages, 0);
    assert_int_equal(f.notes, 1);
    assert_int_equal(f.blocks, 2);
    assert_non_null(strstr(f.text.data, "other sums"));
    gp_buf_free(&f.text);
    gp_buf_free(&record);
    gp_tempdir_remove(db);
}

static void two_folders_of_one_day_are_noticed(void **state)
{
    (void)state;
    char db[GP_TEMPDIR_LEN];
    char path[600];
    char other[620];
    gp_tempdir_make(db);
    assert_int_equal(write_blocks(db, t0, 1, NULL), GP_OK);
    day_path(db, "..", path);
    snprintf(other, sizeof other, "%s/1699920000", path);
    assert_int_equal(mkdir(other, 0755), 0);
    expect_damage(db, "second folder");
    gp_tempdir_remove(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_9_at_every_call_of_a_write),    cmocka_unit_test(each_call_may_fail),
        cmocka_unit_test(every_harmed_file_is_named),         cmocka_unit_test(swapped_files_are_noticed),
        cmocka_unit_test(every_bit_of_the_metadata),          cmocka_unit_test(wrong_sums_are_noted),
        cmocka_unit_test(two_folders_of_one_day_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
