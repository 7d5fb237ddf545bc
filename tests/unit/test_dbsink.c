#include "proto/base/clock.h"
#include "sensor/dbsink/dbsink.h"
#include "sensor/dbsink/flowlog.h"
#include "sensor/godb/daypath.h"
#include "sensor/godb/engine.h"
#include "sensor/godb/reader.h"
#include "tests/support/files.h"
#include "tests/support/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t noon = 1700049600; /* 2023-11-15T12:00:00Z */

static int setup(void **state)
{
    char path[] = "/tmp/gp-dbsink-XXXXXX";
    *state = mkdtemp(path) ? strdup(path) : NULL;
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    gp_tempdir_remove(*state);
    free(*state);
    return 0;
}

static gp_flow one_flow(uint64_t bytes)
{
    gp_flow f = {.dport = 443, .proto = 6, .c = {.bytes_rcvd = bytes, .pkts_rcvd = 1}};
    assert_true(gp_addr_parse("10.0.0.1", 8, &f.sip));
    assert_true(gp_addr_parse("10.0.0.2", 8, &f.dip));
    return f;
}

static gp_code put(gp_dbsink *s, const char *iface, int64_t ts, uint64_t bytes, uint64_t drops, gp_error *err)
{
    gp_flow f = one_flow(bytes);
    const gp_capture_stats stats = {.dropped = drops};
    return gp_dbsink_write(s, iface, ts, &f, 1, &stats, err);
}

static void intervals_of_several_interfaces(void **state)
{
    const char *db = *state;
    const gp_dbsink_config cfg = {.db = db, .codec = GP_CODEC_LZ4, .no_sync = true};
    gp_dbsink *s = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_dbsink_new(&s, &cfg, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon, 100, 3, &err), GP_OK);
    assert_int_equal(put(s, "eth1", noon, 7, 0, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon + 300, 50, 4, &err), GP_OK);
    int64_t ts = noon + 300;
    assert_int_equal(gp_dbsink_place(s, "eth0", &ts, &err), GP_OK);
    assert_int_equal(ts, noon + 301);
    assert_int_equal(put(s, "eth0", ts, 25, 0, &err), GP_OK);
    gp_dbsink_free(s);
    gp_iface_totals t = {0};
    assert_int_equal(gp_db_iface_totals(db, "eth0", 0, noon + 86400, &t, &err), GP_OK);
    assert_int_equal(t.c.bytes_rcvd, 175);
    assert_int_equal(t.n_v4, 3);
    assert_int_equal(t.drops, 7);
    assert_int_equal(gp_db_iface_totals(db, "eth1", 0, noon + 86400, &t, &err), GP_OK);
    assert_int_equal(t.c.bytes_rcvd, 7);
}

/* What a clock that was set back does to blocks: they stay in their day, behind those that are there. */
static void blocks_find_a_place(void **state)
{
    const gp_dbsink_config cfg = {.db = *state, .codec = GP_CODEC_LZ4, .no_sync = true};
    enum { DAY = 86400 };
    const int64_t midnight = noon + DAY / 2;
    static const struct {
        int64_t written, wanted, place;
    } steps[] = {
        {0, 0, 0},             /* an empty database */
        {300, 300, 301},       /* the same time again */
        {301, -3600, -3600},   /* an hour back, in the day before: free */
        {-3600, -7200, -3599}, /* further back than its last block */
        {-3599, 7200, 7200},   /* forth */
        {-1, -600, 302},       /* a day that is full up to its last second: the next one */
        {DAY, 600, 600},       /* other days do not matter */
    };
    gp_dbsink *s = NULL;
    gp_error err = GP_ERROR_INIT;
    bool held = true;
    assert_int_equal(gp_dbsink_new(&s, &cfg, &err), GP_OK);
    assert_int_equal(gp_dbsink_holds(s, "eth0", midnight, &held, &err), GP_OK);
    assert_false(held);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int64_t ts = midnight + steps[i].wanted;
        if (i > 0)
            assert_int_equal(put(s, "eth0", midnight + steps[i].written, 1, 0, &err), GP_OK);
        assert_int_equal(gp_dbsink_place(s, "eth0", &ts, &err), GP_OK);
        assert_int_equal(ts - midnight, steps[i].place);
        assert_int_equal(gp_dbsink_holds(s, "eth0", ts, &held, &err), GP_OK);
        assert_false(held);
        if (i > 0)
            assert_int_equal(gp_dbsink_holds(s, "eth0", midnight + steps[i].written, &held, &err), GP_OK);
        assert_int_equal(held, i > 0);
    }
    gp_dbsink_free(s);
}

static void an_import_never_counts_twice(void **state)
{
    const gp_dbsink_config cfg = {.db = *state, .codec = GP_CODEC_LZ4, .no_sync = true};
    gp_dbsink *s = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_dbsink_new(&s, &cfg, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon, 1, 0, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon, 1, 0, &err), GP_EEXIST);
    assert_non_null(strstr(err.msg, "eth0: 1 flows of the interval ending at 1700049600 are not written: "));
    gp_dbsink_free(s);
}

static void sums_path(const char *db, int64_t ts, char dst[static 600])
{
    gp_day *day = NULL;
    assert_int_equal(gp_day_open(&day, db, "eth0", gp_day_start(ts), NULL), GP_OK);
    snprintf(dst, 600, "%s/" GP_BLOCKSUMS_FILE, gp_day_path(day));
    gp_day_close(day);
}

/* With the first block of a day the one before gets what it lacks, as after v4 was replaced; no earlier, and
 * a failure is none of the write. */
static void the_day_before_is_finished(void **state)
{
    enum { DAY = 86400 };
    const char *db = *state;
    const gp_dbsink_config cfg = {.db = db, .codec = GP_CODEC_LZ4, .no_sync = true};
    char path[600];
    gp_dbsink *s = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_dbsink_new(&s, &cfg, &err), GP_OK);
    assert_int_equal(put(s, "eth0", noon, 1, 0, &err), GP_OK);
    sums_path(db, noon, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(put(s, "eth0", noon + 300, 1, 0, &err), GP_OK);
    sums_path(db, noon, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(put(s, "eth0", noon + DAY, 1, 0, &err), GP_OK);
    assert_int_equal(access(path, F_OK), 0);
    sums_path(db, noon + DAY, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(put(s, "eth0", noon + 2 * DAY, 1, 0, &err), GP_OK);
    gp_dbsink_free(s);
}

static void the_database_folder_is_checked(void **state)
{
    char path[256];
    gp_error err = GP_ERROR_INIT;
    struct stat st;
    snprintf(path, sizeof path, "%s/a/b/c", (const char *)*state);
    assert_int_equal(gp_dbsink_check_db(path, &err), GP_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(gp_dbsink_check_db(path, &err), GP_OK);

    snprintf(path, sizeof path, "%s/file", (const char *)*state);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(gp_dbsink_check_db(path, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "a folder is needed"));
    snprintf(path, sizeof path, "%s/file/below", (const char *)*state);
    assert_int_not_equal(gp_dbsink_check_db(path, &err), GP_OK);
    assert_non_null(strstr(err.msg, "cannot make the folder"));
}

static void a_folder_of_somebody_else_is_refused(void **state)
{
    if (geteuid() != 0)
        skip(); /* only root can become somebody else */
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    gp_code rc = gp_dbsink_check_db(*state, &err);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(rc, GP_EPERM);
    assert_non_null(strstr(err.msg, "no permission to write to the database folder"));
    assert_non_null(strstr(err.msg, "we are user 65534"));
}

/* ---- syslog -------------------------------------------------------------------------------------------- */

static int listen_at(const char *path, int type)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    unlink(path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static void expect_line(char *got, ssize_t len, const char *want)
{
    assert_true(len > 0);
    got[len] = '\0';
    char head[64];
    char *body = strstr(got, "]: ");
    assert_non_null(body);
    snprintf(head, sizeof head, " ntm[%d]: ", (int)getpid());
    assert_memory_equal(got, "<6>", 3);
    assert_memory_equal(got + 3 + strlen("Nov  5 14:55:00"), head, strlen(head));
    assert_string_equal(body + 3, want);
}

/* As v4 writes them, but for the addresses, which it leaves as bytes. */
static void flows_go_to_syslog(void **state)
{
    const char *db = *state;
    char path[128];
    char log_path[128];
    char got[8192];
    gp_log *log = NULL;
    gp_dbsink *s = NULL;
    snprintf(path, sizeof path, "%s/.syslog", db);
    snprintf(log_path, sizeof log_path, "%s/.log", db);
    assert_int_equal(gp_log_open(&log, log_path, GP_LOG_INFO, GP_LOG_LOGFMT, NULL), GP_OK);
    const gp_dbsink_config cfg = {
        .db = db, .codec = GP_CODEC_LZ4, .no_sync = true, .log = log, .syslog_socket = path};
    assert_int_equal(gp_dbsink_new(&s, &cfg, NULL), GP_OK);
    assert_int_equal(put(s, "eth0", noon, 90, 0, NULL), GP_OK); /* nobody listens */
    assert_int_equal(put(s, "eth0", noon + 300, 91, 0, NULL), GP_OK);
    int fd = listen_at(path, SOCK_STREAM);
    assert_int_equal(put(s, "eth0", noon + 600, 100, 0, NULL), GP_OK);
    assert_int_equal(put(s, "eth1", noon + 600, 7, 0, NULL), GP_OK);
    int c = accept(fd, NULL, NULL);
    assert_true(c >= 0);
    ssize_t n = recv(c, got, sizeof got - 1, 0);
    char *second = n > 0 ? memchr(got, '\n', (size_t)n) : NULL;
    assert_non_null(second);
    expect_line(second + 1, n - (second + 1 - got),
                "1700050200,eth1,10.0.0.1,10.0.0.2,443,TCP,bytes: received=7 sent=0; packets: received=1 "
                "sent=0\n");
    expect_line(got, second + 1 - got,
                "1700050200,eth0,10.0.0.1,10.0.0.2,443,TCP,bytes: received=100 sent=0; packets: received=1 "
                "sent=0\n");
    close(c);
    close(fd);
    fd = listen_at(path, SOCK_DGRAM); /* another daemon, another kind of socket */
    assert_int_equal(put(s, "eth0", noon + 900, 100, 0, NULL), GP_OK);
    expect_line(got, recv(fd, got, sizeof got - 1, 0),
                "1700050500,eth0,10.0.0.1,10.0.0.2,443,TCP,bytes: received=100 sent=0; packets: received=1 "
                "sent=0\n");
    close(fd);
    gp_dbsink_free(s);
    gp_log_close(log);
    gp_test_read_text(log_path, got, sizeof got);
    const char *warning = strstr(got, "flows not written to syslog");
    assert_non_null(warning);
    assert_null(strstr(warning + 1, "flows not written to syslog")); /* once */
    assert_non_null(strstr(warning, "error=\"No such file or directory\""));
    const char *again = strstr(warning, "flows are written to syslog again");
    assert_non_null(again);
    assert_non_null(strstr(again, "lost=2"));
}

/* A reader that does not read costs lines and a second, of all blocks of a time together. */
static void a_slow_syslog_holds_nothing_up(void **state)
{
    enum { MANY = 20000 };
    char path[128];
    gp_flowlog *l = NULL;
    gp_flow *flows = calloc(MANY, sizeof *flows);
    assert_non_null(flows);
    for (size_t i = 0; i < MANY; i++)
        flows[i] = one_flow(i);
    snprintf(path, sizeof path, "%s/.syslog", (const char *)*state);
    int fd = listen_at(path, SOCK_STREAM);
    assert_int_equal(gp_flowlog_new(&l, path, NULL, NULL), GP_OK);
    const int64_t begin = gp_clock_ns();
    size_t sent = 0;
    for (unsigned i = 0; i < 5; i++)
        sent += gp_flowlog_write(l, "eth0", noon, flows, MANY);
    assert_in_range(sent, 1, 5 * MANY - 1);
    assert_in_range(gp_clock_ns() - begin, 1, INT64_C(10000000000)); /* a second, on a busy machine */
    gp_flowlog_free(l);
    close(fd);
    free(flows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(intervals_of_several_interfaces, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_find_a_place, setup, teardown),
        cmocka_unit_test_setup_teardown(the_day_before_is_finished, setup, teardown),
        cmocka_unit_test_setup_teardown(an_import_never_counts_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(the_database_folder_is_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(flows_go_to_syslog, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_syslog_holds_nothing_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_of_somebody_else_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
