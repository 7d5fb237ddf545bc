/* The journal: its files, what is left of them after crashes at any instant, and what becomes of that. */
#include "sensor/capture/journal.h"
#include "sensor/capture/journalfile.h"
#include "sensor/dbsink/dbsink.h"
#include "sensor/godb/engine.h"
#include "tests/support/tempdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t noon = 1700049600; /* 2023-11-15T12:00:00Z */
enum { PATH = 512 };

static int setup(void **state)
{
    *state = malloc(GP_TEMPDIR_LEN);
    gp_tempdir_make(*state);
    return 0;
}

static int teardown(void **state)
{
    gp_tempdir_remove(*state);
    free(*state);
    return 0;
}

static gp_session session(unsigned i, uint64_t bytes)
{
    gp_session s = {.sport = (uint16_t)(40000 + i), .dport = 443, .proto = 6, .c = {bytes, 2 * bytes, 1, i}};
    bool v6 = i % 3 == 0;
    assert_true(v6 ? gp_addr_parse("2001:db8::1", 11, &s.sip) : gp_addr_parse("10.0.0.1", 8, &s.sip));
    assert_true(v6 ? gp_addr_parse("2001:db8::2", 11, &s.dip) : gp_addr_parse("10.0.0.2", 8, &s.dip));
    s.sip.bytes[3] = (uint8_t)(i >> 8);
    s.dip.bytes[3] = (uint8_t)i;
    return s;
}

/* ---- files --------------------------------------------------------------------------------------------- */

static size_t files_in(const char *dir, const char *prefix, char *first)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
            continue;
        if (n++ == 0 && first)
            snprintf(first, PATH, "%s/%s", dir, e->d_name);
    }
    closedir(d);
    return n;
}

static uint8_t *load(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    *len = (size_t)st.st_size;
    uint8_t *data = malloc(*len + 1);
    assert_non_null(data);
    assert_int_equal(read(fd, data, *len), *len);
    close(fd);
    return data;
}

typedef struct seen {
    uint64_t n, bytes;
} seen;

static void see(void *ctx, uint16_t lane, const gp_session *s)
{
    seen *x = ctx;
    (void)lane;
    x->n++;
    x->bytes += s->c.bytes_rcvd;
}

enum { FRAMES = 5, PER_FRAME = 7 };

/* Frame k holds PER_FRAME sessions of 100 + k bytes. */
static void write_file(const char *dir, bool publish)
{
    gp_journalfile *f = NULL;
    assert_int_equal(gp_journalfile_create(&f, dir, "eth0.7", NULL), GP_OK);
    for (unsigned k = 0; k < FRAMES; k++) {
        const gp_journal_batch batch = {.block_ts = noon + 300, .dropped = k};
        gp_session s[PER_FRAME];
        for (unsigned i = 0; i < PER_FRAME; i++)
            s[i] = session(i, 100 + k);
        assert_int_equal(gp_journalfile_append(f, &batch, s, PER_FRAME, NULL), GP_OK);
    }
    if (publish)
        assert_int_equal(gp_journalfile_publish(f, NULL, true, NULL), GP_OK);
    gp_journalfile_close(f);
}

static void a_file_says_what_was_written(void **state)
{
    const char *dir = *state;
    char path[PATH];
    seen x = {0};
    gp_journal_content c;
    write_file(dir, false);
    assert_int_equal(files_in(dir, GP_JOURNAL_PREFIX, path), 0);
    assert_int_equal(files_in(dir, GP_JOURNAL_NEW_PREFIX, path), 1);
    write_file(dir, true);
    assert_int_equal(files_in(dir, GP_JOURNAL_PREFIX, path), 1);
    assert_int_equal(gp_journal_read(path, see, &x, &c, NULL), GP_OK);
    assert_string_equal(c.iface, "eth0.7");
    assert_int_equal(c.block_ts, noon + 300);
    assert_int_equal(c.committed, 0);
    assert_int_equal(c.dropped, FRAMES - 1);
    assert_int_equal(c.sessions, FRAMES * PER_FRAME);
    assert_int_equal(x.n, FRAMES * PER_FRAME);
    assert_int_equal(x.bytes, PER_FRAME * (100 + 101 + 102 + 103 + 104));
    assert_false(c.damaged);
    gp_journalfile *f = NULL;
    assert_int_equal(gp_journalfile_claim(&f, dir, strrchr(path, '/') + 1, NULL), GP_OK);
    assert_int_equal(gp_journalfile_resume(f, c.good, c.frames, NULL), GP_OK);
    assert_int_equal(gp_journalfile_commit(f, noon + 301, true, NULL), GP_OK);
    const gp_session more = session(1, 1);
    const gp_journal_batch batch = {.block_ts = noon + 600, .lane = 63};
    assert_int_equal(gp_journalfile_append(f, &batch, &more, 1, NULL), GP_OK);
    gp_journalfile_close(f);
    assert_int_equal(gp_journal_read(path, see, &x, &c, NULL), GP_OK);
    assert_int_equal(c.committed, noon + 301);
    assert_int_equal(c.block_ts, noon + 600);
    assert_int_equal(c.sessions, FRAMES * PER_FRAME + 1);
}

/* Cut off anywhere, or with any byte changed: what lies before is read, in whole frames. */
static void damage_costs_only_what_follows(void **state)
{
    const char *dir = *state;
    char path[PATH];
    size_t len;
    gp_journal_content whole;
    gp_journal_content c;
    seen x = {0};
    write_file(dir, true);
    assert_int_equal(files_in(dir, GP_JOURNAL_PREFIX, path), 1);
    uint8_t *data = load(path, &len);
    assert_int_equal(gp_journal_parse(data, len, see, &x, &whole, NULL), GP_OK);
    assert_int_equal(whole.good, len);
    uint64_t before = 0;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1); /* so that reading beyond it is noticed */
        memcpy(part, data, cut);
        gp_code code = gp_journal_parse(part, cut, see, &x, &c, NULL);
        free(part);
        assert_true(code == GP_OK || code == GP_ECORRUPT);
        assert_int_equal(c.sessions % PER_FRAME, 0);
        assert_true(c.sessions >= before && c.sessions < whole.sessions);
        assert_true(code != GP_OK || c.damaged == (c.good < cut));
        before = c.sessions;
    }
    assert_int_equal(before, whole.sessions - PER_FRAME);
    for (size_t at = 32; at < len; at++) {
        data[at] ^= 0x41;
        gp_code code = gp_journal_parse(data, len, see, &x, &c, NULL);
        data[at] ^= 0x41;
        assert_true(code == GP_OK || code == GP_ECORRUPT);
        assert_true(c.good <= at && c.sessions < whole.sessions);
        assert_true(code == GP_ECORRUPT || c.damaged);
    }
    data[7]++;
    assert_int_equal(gp_journal_parse(data, len, see, &x, &c, NULL), GP_EUNSUPPORTED);
    free(data);
}

/* ---- intervals ----------------------------------------------------------------------------------------- */

/* In place of the manager: one running interval. */
typedef struct table {
    pthread_mutex_t lock;
    gp_flowtable *t;
    const gp_journal_interval *running;
    unsigned walks;
} table;

static gp_code take(void *ctx, const gp_journal_interval *iv, gp_flowtable_walk *w, gp_session *out,
                    size_t max, size_t *n, gp_journal_batch *batch, gp_error *err)
{
    table *x = ctx;
    gp_code code = GP_OK;
    *n = 0;
    pthread_mutex_lock(&x->lock);
    if (iv != x->running)
        code = gp_fail(err, GP_ECANCELED, "over");
    if (code == GP_OK) {
        batch->block_ts = noon + 300;
        *n = gp_flowtable_take(x->t, w, out, max);
        x->walks += w->stage == GP_WALK_END;
    }
    pthread_mutex_unlock(&x->lock);
    return code;
}

static void put(table *x, unsigned i, uint64_t bytes)
{
    const gp_session s = session(i, bytes);
    pthread_mutex_lock(&x->lock);
    assert_true(gp_flowtable_put(x->t, &s, true));
    pthread_mutex_unlock(&x->lock);
}

static void await_walks(table *x, unsigned more)
{
    unsigned walks;
    pthread_mutex_lock(&x->lock);
    unsigned until = x->walks + more;
    pthread_mutex_unlock(&x->lock);
    do {
        usleep(1000);
        pthread_mutex_lock(&x->lock);
        walks = x->walks;
        pthread_mutex_unlock(&x->lock);
    } while (walks < until);
}

static gp_journal *new_journal(const char *dir, table *x, uint64_t limit)
{
    gp_journal *j = NULL;
    const gp_journal_config cfg = {.dir = dir, .every_s = 0.005, .size_limit = limit, .take = take, .ctx = x};
    *x = (table){.lock = PTHREAD_MUTEX_INITIALIZER};
    assert_int_equal(gp_flowtable_new(&x->t, NULL, 0, NULL), GP_OK);
    assert_int_equal(gp_journal_new(&j, &cfg, NULL), GP_OK);
    return j;
}

static gp_journal_interval *begin(gp_journal *j, table *x, gp_journalfile *resumed)
{
    gp_journal_interval *iv = gp_journal_begin(j, "eth0", resumed);
    pthread_mutex_lock(&x->lock);
    x->running = iv;
    pthread_mutex_unlock(&x->lock);
    return iv;
}

static void stop_running(table *x)
{
    pthread_mutex_lock(&x->lock);
    x->running = NULL;
    pthread_mutex_unlock(&x->lock);
}

static gp_counters sum_of_recovered(const char *dir, size_t n)
{
    gp_journal_recovered *r = NULL;
    size_t found = 0;
    gp_counters sum = {0};
    assert_int_equal(gp_journal_recover(dir, NULL, NULL, NULL, &r, &found, NULL), GP_OK);
    assert_int_equal(found, n);
    for (size_t i = 0; i < found; i++) {
        gp_counters c = gp_flowtable_totals(r[i].table);
        gp_counters_add(&sum, &c);
        gp_journal_recovered_free(&r[i]);
    }
    free(r);
    return sum;
}

/* What the next start would find if the process ended now: it has locked its files. */
static gp_counters sum_after_crash(const char *dir, size_t n)
{
    char copy[GP_TEMPDIR_LEN];
    char command[2 * PATH];
    gp_tempdir_make(copy);
    snprintf(command, sizeof command, "find '%s' -maxdepth 1 -type f -exec cp -t '%s' {} +", dir, copy);
    assert_int_equal(system(command), 0);
    gp_counters sum = sum_of_recovered(copy, n);
    gp_tempdir_remove(copy);
    return sum;
}

/* What a running process keeps is not taken for what a dead one left. */
static void what_is_in_use_is_left_alone(void **state)
{
    const char *dir = *state;
    const gp_journal_batch batch = {.block_ts = noon};
    const gp_session s = session(1, 5);
    gp_journalfile *kept[2] = {0};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(gp_journalfile_create(&kept[i], dir, "eth0", NULL), GP_OK);
        assert_int_equal(gp_journalfile_append(kept[i], &batch, &s, 1, NULL), GP_OK);
    }
    assert_int_equal(gp_journalfile_publish(kept[0], NULL, false, NULL), GP_OK);
    assert_int_equal(sum_of_recovered(dir, 0).bytes_rcvd, 0);
    assert_int_equal(files_in(dir, ".journal", NULL), 2); /* also the one that has only begun */
    assert_int_equal(gp_journalfile_append(kept[0], &batch, &s, 1, NULL), GP_OK);
    gp_journalfile_close(kept[0]);
    gp_journalfile_close(kept[1]);
    assert_int_equal(sum_of_recovered(dir, 1).bytes_rcvd, 5);
    assert_int_equal(files_in(dir, ".journal", NULL), 1);
}

static void only_changes_are_written(void **state)
{
    const char *dir = *state;
    enum { SESSIONS = 20000, CHANGED = 10 };
    table x;
    gp_journal_stats before;
    gp_journal_stats after;
    gp_journal *j = new_journal(dir, &x, 64 << 20);
    gp_journal_interval *iv = begin(j, &x, NULL);
    await_walks(&x, 2);
    assert_int_equal(files_in(dir, ".journal", NULL), 0); /* nothing happened, nothing written */
    for (unsigned i = 0; i < SESSIONS; i++)
        put(&x, i, 1000);
    await_walks(&x, 3);
    gp_journal_get_stats(j, &before);
    assert_true(before.sessions >= SESSIONS);
    for (unsigned i = 0; i < CHANGED; i++)
        put(&x, i, 1);
    await_walks(&x, 3);
    gp_journal_get_stats(j, &after);
    assert_int_equal(after.sessions - before.sessions, CHANGED);
    assert_true(after.bytes - before.bytes < CHANGED * 120);
    assert_true(after.file_bytes > 0);
    assert_true(after.lag_s < 5);
    gp_counters want = gp_flowtable_totals(x.t);
    gp_counters got = sum_after_crash(dir, 1);
    assert_memory_equal(&got, &want, sizeof got);
    stop_running(&x);
    assert_int_equal(gp_journal_commit(j, iv, noon, NULL), GP_OK);
    gp_journal_end(j, iv);
    assert_int_equal(files_in(dir, ".journal", NULL), 0);
    gp_journal_free(j);
    gp_flowtable_free(x.t);
}

/* A file at its limit is written anew; where that does not help, it stays as it is. */
static void a_file_keeps_to_its_limit(void **state)
{
    const char *dir = *state;
    enum { LIMIT = 64 << 10 };
    table x;
    char path[PATH];
    struct stat st;
    gp_journal_stats s;
    gp_journal *j = new_journal(dir, &x, LIMIT);
    gp_journal_interval *iv = begin(j, &x, NULL);
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 100; i++)
            put(&x, i, 1);
        await_walks(&x, 1);
    }
    await_walks(&x, 2);
    gp_journal_get_stats(j, &s);
    assert_true(s.rewrites > 0);
    assert_int_equal(s.overflows, 0);
    assert_true(s.bytes > LIMIT);
    assert_int_equal(files_in(dir, ".journal", path), 1);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < LIMIT);
    gp_counters want = gp_flowtable_totals(x.t);
    gp_counters got = sum_after_crash(dir, 1);
    assert_memory_equal(&got, &want, sizeof got);
    for (unsigned i = 0; i < 60000; i++)
        put(&x, i, 1);
    do {
        usleep(1000);
        gp_journal_get_stats(j, &s);
    } while (s.overflows == 0);
    gp_counters kept = sum_after_crash(dir, 1);
    assert_true(kept.bytes_rcvd >= got.bytes_rcvd);
    stop_running(&x);
    gp_journal_end(j, iv);
    gp_journal_free(j);
    gp_flowtable_free(x.t);
}

/* A journal that could not be written, as long as its folder is gone, catches up. */
static void failures_are_made_up_for(void **state)
{
    const char *dir = *state;
    char db[PATH];
    table x;
    gp_journal_stats s;
    snprintf(db, sizeof db, "%s/db", dir);
    gp_journal *j = new_journal(db, &x, 1 << 20);
    gp_journal_interval *iv = begin(j, &x, NULL);
    put(&x, 1, 7);
    do {
        usleep(1000);
        gp_journal_get_stats(j, &s);
    } while (s.errors < 2);
    put(&x, 2, 7);
    assert_int_equal(mkdir(db, 0755), 0);
    await_walks(&x, 3);
    assert_int_equal(sum_after_crash(db, 1).bytes_rcvd, 14);
    stop_running(&x);
    gp_journal_end(j, iv);
    gp_journal_free(j);
    gp_flowtable_free(x.t);
}

/* A restart in the middle of an interval, and another one before and after the new file is complete. */
static void a_resumed_interval_counts_once(void **state)
{
    const char *dir = *state;
    table x;
    gp_journal_recovered *r = NULL;
    size_t n = 0;
    gp_journal *j = new_journal(dir, &x, 1 << 20);
    (void)begin(j, &x, NULL);
    for (unsigned i = 0; i < 50; i++)
        put(&x, i, 10);
    await_walks(&x, 3);
    gp_counters first = gp_flowtable_totals(x.t);
    gp_journal_free(j); /* leaves the file, as a crash would */
    gp_flowtable_free(x.t);
    assert_int_equal(gp_journal_recover(dir, NULL, NULL, NULL, &r, &n, NULL), GP_OK);
    assert_int_equal(n, 1);
    j = new_journal(dir, &x, 1 << 20);
    gp_flowtable_free(x.t);
    x.t = r[0].table;
    r[0].table = NULL;
    gp_counters got = sum_after_crash(dir, 1); /* nothing new was written yet */
    assert_memory_equal(&got, &first, sizeof got);
    (void)begin(j, &x, r[0].file);
    r[0].file = NULL;
    gp_journal_recovered_free(&r[0]);
    free(r);
    for (unsigned i = 40; i < 60; i++)
        put(&x, i, 10);
    await_walks(&x, 3);
    gp_counters want = gp_flowtable_totals(x.t);
    assert_int_equal(want.bytes_rcvd, 700);
    got = sum_after_crash(dir, 1);
    assert_memory_equal(&got, &want, sizeof got);
    gp_journal_free(j);
    gp_flowtable_free(x.t);
}

static void a_block_that_was_not_written_is_left(void **state)
{
    const char *dir = *state;
    table x;
    const gp_journal_batch batch = {.block_ts = noon + 600, .dropped = 3};
    gp_journal_recovered *r = NULL;
    size_t n = 0;
    gp_journal *j = new_journal(dir, &x, 1 << 20);
    gp_journal_interval *iv = begin(j, &x, NULL);
    put(&x, 1, 5);
    await_walks(&x, 3);
    stop_running(&x);
    put(&x, 1, 5); /* after the last write */
    put(&x, 2, 5);
    assert_int_equal(gp_journal_commit(j, iv, noon + 600, NULL), GP_OK);
    gp_journal_stop(j);
    assert_true(gp_journal_keep(j, iv, x.t, &batch));
    gp_journal_free(j);
    assert_int_equal(gp_journal_recover(dir, NULL, NULL, NULL, &r, &n, NULL), GP_OK);
    assert_int_equal(n, 1);
    assert_int_equal(r[0].block_ts, noon + 600);
    assert_int_equal(r[0].dropped, 3);
    assert_int_equal(gp_flowtable_totals(r[0].table).bytes_rcvd, 15);
    gp_journal_recovered_free(&r[0]);
    free(r);
    gp_flowtable_free(x.t);
}

/* ---- what is found at the start ------------------------------------------------------------------------ */

static gp_code holds_all(void *ctx, const char *iface, int64_t ts, bool *held, gp_error *err)
{
    (void)ctx;
    (void)err;
    assert_string_equal(iface, "eth0.7");
    assert_int_equal(ts, noon + 300);
    *held = true;
    return GP_OK;
}

static gp_code cannot_tell(void *ctx, const char *iface, int64_t ts, bool *held, gp_error *err)
{
    (void)ctx;
    (void)iface;
    (void)ts;
    *held = false;
    return gp_fail(err, GP_EIO, "the disk is gone");
}

static void commit_first(const char *dir)
{
    char path[PATH];
    gp_journalfile *f = NULL;
    gp_journal_content c;
    seen x = {0};
    assert_int_equal(files_in(dir, GP_JOURNAL_PREFIX, path), 1);
    assert_int_equal(gp_journal_read(path, see, &x, &c, NULL), GP_OK);
    assert_int_equal(gp_journalfile_claim(&f, dir, strrchr(path, '/') + 1, NULL), GP_OK);
    assert_int_equal(gp_journalfile_resume(f, c.good, c.frames, NULL), GP_OK);
    assert_int_equal(gp_journalfile_commit(f, noon + 300, false, NULL), GP_OK);
    gp_journalfile_close(f);
}

static void what_is_of_no_use_goes(void **state)
{
    const char *dir = *state;
    char path[PATH];
    gp_journal_recovered *r = NULL;
    size_t n = 0;
    write_file(dir, false); /* never published */
    assert_int_equal(sum_of_recovered(dir, 0).bytes_rcvd, 0);
    assert_int_equal(files_in(dir, ".journal", NULL), 0);
    write_file(dir, true);
    assert_int_equal(sum_of_recovered(dir, 1).bytes_rcvd, 104 * PER_FRAME); /* the last one counts */
    commit_first(dir);
    /* Whoever cannot tell whether the block was written leaves the file alone. */
    assert_int_equal(gp_journal_recover(dir, cannot_tell, NULL, NULL, &r, &n, NULL), GP_OK);
    assert_int_equal(n, 0);
    assert_int_equal(files_in(dir, GP_JOURNAL_PREFIX, NULL), 1);
    assert_int_equal(gp_journal_recover(dir, holds_all, NULL, NULL, &r, &n, NULL), GP_OK);
    assert_int_equal(n, 0);
    assert_int_equal(files_in(dir, ".journal", NULL), 0);
    /* Nothing in it is ours: kept, but not looked at again. */
    snprintf(path, sizeof path, "%s/" GP_JOURNAL_PREFIX "0123456789abcdef.eth0", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("this was never a journal", f);
    fclose(f);
    assert_int_equal(gp_journal_recover(dir, NULL, NULL, NULL, &r, &n, NULL), GP_OK);
    assert_int_equal(n, 0);
    assert_int_equal(files_in(dir, GP_JOURNAL_BAD_PREFIX, NULL), 1);
    assert_int_equal(gp_journal_recover("/nonexistent", NULL, NULL, NULL, &r, &n, NULL), GP_ENOTFOUND);
}

static void lanes_add_up(void **state)
{
    const char *dir = *state;
    gp_journalfile *f = NULL;
    assert_int_equal(gp_journalfile_create(&f, dir, "eth0", NULL), GP_OK);
    for (uint16_t round = 0; round < 2; round++) {
        for (uint16_t lane = 0; lane < 3; lane++) {
            const gp_session s[2] = {session(1, 10 + round), session(2 + lane, 1)};
            const gp_journal_batch batch = {.block_ts = noon, .lane = lane};
            assert_int_equal(gp_journalfile_append(f, &batch, s, 2, NULL), GP_OK);
        }
    }
    assert_int_equal(gp_journalfile_publish(f, NULL, false, NULL), GP_OK);
    gp_journalfile_close(f);
    assert_int_equal(sum_of_recovered(dir, 1).bytes_rcvd, 3 * 11 + 3);
}

/* Begun before a restart, going on in another ring. */
static void a_session_in_two_rings_adds_up(void **state)
{
    const char *dir = *state;
    table x;
    const gp_session s = session(1, 10);
    const gp_journal_batch batch = {.block_ts = noon + 600};
    gp_journal *j = new_journal(dir, &x, 1 << 20);
    gp_flowtable_free(x.t);
    assert_int_equal(gp_flowtable_new_lanes(&x.t, NULL, 2, 0, NULL), GP_OK);
    assert_true(gp_flowtable_put_lane(x.t, 0, &s, false));
    assert_true(gp_flowtable_put_lane(x.t, 1, &s, false));
    gp_journal_interval *iv = begin(j, &x, NULL);
    await_walks(&x, 3);
    assert_int_equal(sum_after_crash(dir, 1).bytes_rcvd, 20);
    stop_running(&x);
    assert_true(gp_flowtable_put_lane(x.t, 1, &s, true));
    gp_journal_stop(j);
    assert_true(gp_journal_keep(j, iv, x.t, &batch));
    gp_journal_free(j);
    assert_int_equal(sum_after_crash(dir, 1).bytes_rcvd, 30);
    gp_flowtable_free(x.t);
}

/* ---- killed at each step on the way of a block to the database ----------------------------------------- */

typedef struct killer {
    unsigned at, steps;
} killer;

/* As kill -9 would: nothing is cleaned up. */
static void count_step(void *ctx, const char *step)
{
    killer *k = ctx;
    (void)step;
    if (k->steps++ == k->at)
        _exit(9);
}

static gp_dbsink *open_sink(const char *db, killer *k)
{
    gp_dbsink *sink = NULL;
    const gp_dbsink_config cfg = {
        .db = db, .codec = GP_CODEC_LZ4, .before_step = k ? count_step : NULL, .before_step_ctx = k};
    assert_int_equal(gp_dbsink_new(&sink, &cfg, NULL), GP_OK);
    return sink;
}

static void write_block(gp_dbsink *sink, gp_journal *j, gp_journal_interval *iv, const gp_flowtable *t,
                        killer *k)
{
    gp_flow *flows = NULL;
    size_t n = 0;
    int64_t ts = noon + 300;
    assert_int_equal(gp_dbsink_place(sink, "eth0", &ts, NULL), GP_OK);
    count_step(k, "commit");
    assert_int_equal(gp_journal_commit(j, iv, ts, NULL), GP_OK);
    assert_int_equal(gp_flowtable_export(t, &flows, &n, NULL), GP_OK);
    n = gp_flows_merge(flows, n);
    assert_int_equal(gp_dbsink_write(sink, "eth0", ts, flows, n, NULL, NULL), GP_OK);
    count_step(k, "end");
    gp_journal_end(j, iv);
    free(flows);
}

/* Returns if it was not killed. */
static void live_until_killed(const char *db, unsigned at)
{
    killer k = {.at = at};
    table x;
    gp_journal *j = new_journal(db, &x, 1 << 20);
    gp_dbsink *sink = open_sink(db, &k);
    gp_journal_interval *iv = begin(j, &x, NULL);
    for (unsigned i = 0; i < 30; i++)
        put(&x, i, 10);
    await_walks(&x, 3);
    stop_running(&x);
    write_block(sink, j, iv, x.t, &k);
    gp_dbsink_free(sink);
    gp_journal_free(j);
    gp_flowtable_free(x.t);
}

static void replay(const char *db)
{
    killer never = {.at = 1000};
    gp_journal_recovered *r = NULL;
    size_t n = 0;
    table x;
    gp_journal *j = new_journal(db, &x, 1 << 20);
    gp_dbsink *sink = open_sink(db, NULL);
    assert_int_equal(gp_journal_recover(db, gp_dbsink_holds, sink, NULL, &r, &n, NULL), GP_OK);
    assert_true(n <= 1);
    if (n == 1) {
        gp_journal_interval *iv = gp_journal_begin(j, "eth0", r[0].file);
        r[0].file = NULL;
        write_block(sink, j, iv, r[0].table, &never);
        gp_journal_recovered_free(&r[0]);
    }
    free(r);
    gp_dbsink_free(sink);
    gp_journal_free(j);
    gp_flowtable_free(x.t);
}

static void no_kill_loses_or_doubles_a_block(void **state)
{
    const char *dir = *state;
    int status = 0;
    unsigned at = 0;
    for (; !WIFEXITED(status) || at == 0 || WEXITSTATUS(status) == 9; at++) {
        char db[PATH];
        gp_iface_totals t = {0};
        snprintf(db, sizeof db, "%s/%u", dir, at);
        assert_int_equal(mkdir(db, 0755), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            live_until_killed(db, at);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
        replay(db);
        replay(db);
        assert_int_equal(files_in(db, ".journal", NULL), 0);
        assert_int_equal(gp_db_iface_totals(db, "eth0", 0, noon + 86400, &t, NULL), GP_OK);
        assert_int_equal(t.c.bytes_rcvd, 300);
        assert_int_equal(t.c.bytes_sent, 600);
    }
    assert_true(at > 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_says_what_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_costs_only_what_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_in_use_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(only_changes_are_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_keeps_to_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_are_made_up_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_resumed_interval_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_block_that_was_not_written_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_of_no_use_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(lanes_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_in_two_rings_adds_up, setup, teardown),
        cmocka_unit_test_setup_teardown(no_kill_loses_or_doubles_a_block, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
