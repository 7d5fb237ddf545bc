/* Logs: files that are rotated, levels, audit lines, journald. */
#include "proto/base/log.h"
#include "tests/support/files.h"
#include "tests/support/tempdir.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[GP_TEMPDIR_LEN];

static int set_up(void **state)
{
    (void)state;
    gp_tempdir_make(dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gp_tempdir_remove(dir);
    return 0;
}

static const char *in_dir(char *dst, size_t size, const char *name)
{
    snprintf(dst, size, "%s/%s", dir, name);
    return dst;
}

static char *text_of(const char *path)
{
    static char text[1 << 20];
    gp_test_read_text(path, text, sizeof text);
    return text;
}

static size_t lines_of(const char *path)
{
    size_t n = 0;
    for (const char *c = text_of(path); *c; c++)
        n += *c == '\n';
    return n;
}

static void levels(void **state)
{
    (void)state;
    char path[96];
    gp_log *log = NULL;
    gp_log_level level;
    in_dir(path, sizeof path, "log");
    assert_int_equal(gp_log_open(&log, path, GP_LOG_ERROR, GP_LOG_LOGFMT, NULL), GP_OK);
    gp_log_warn(log, "hidden");
    gp_log_audit(log, "control call", GP_F_STR("who", "alice"));
    gp_log_set_level(log, GP_LOG_DEBUG);
    gp_log_debug(log, "seen");
    gp_log_close(log);
    const char *text = text_of(path);
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "level=audit msg=\"control call\" who=alice\n"));
    assert_non_null(strstr(text, "level=debug msg=seen\n"));
    assert_false(gp_log_level_parse("audit", &level));
    assert_true(gp_log_level_parse("WARNING", &level) && level == GP_LOG_WARN);
}

enum { WRITERS = 4, LINES = 500 };

static void *write_lines(void *log)
{
    for (int i = 0; i < LINES; i++)
        gp_log_info(log, "a line", GP_F_I64("i", i));
    return NULL;
}

/* What logrotate does, while others write: nothing is lost, nothing mixed. */
static void rotation(void **state)
{
    (void)state;
    char path[96];
    char old[96];
    pthread_t writers[WRITERS];
    gp_log *log = NULL;
    in_dir(path, sizeof path, "log");
    assert_int_equal(gp_log_open(&log, path, GP_LOG_INFO, GP_LOG_JSON, NULL), GP_OK);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_lines, log), 0);
    size_t rotated = 0;
    for (; rotated < 20; rotated++) {
        char name[24];
        snprintf(name, sizeof name, "log.%zu", rotated);
        assert_int_equal(rename(path, in_dir(old, sizeof old, name)), 0);
        assert_int_equal(gp_log_reopen(log, NULL), GP_OK);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    gp_log_info(log, "the end");
    size_t n = lines_of(path);
    for (size_t i = 0; i < rotated; i++) {
        char name[24];
        snprintf(name, sizeof name, "log.%zu", i);
        n += lines_of(in_dir(old, sizeof old, name));
    }
    assert_int_equal(n, WRITERS * LINES + 1);
    gp_tempdir_remove(dir);
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_log_reopen(log, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, path));
    gp_log_info(log, "to the file that is gone");
    gp_log_close(log);
    gp_tempdir_make(dir);
    assert_int_equal(gp_log_reopen(NULL, NULL), GP_OK);
}

static int listen_at(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(s >= 0);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    assert_int_equal(bind(s, (const struct sockaddr *)&sun, sizeof sun), 0);
    return s;
}

static void journald(void **state)
{
    (void)state;
    char path[96];
    char destination[128];
    char got[4096];
    gp_log *log = NULL;
    gp_error err = GP_ERROR_INIT;
    in_dir(path, sizeof path, "sock");
    snprintf(destination, sizeof destination, "journald:%s", path);
    assert_int_equal(gp_log_open(&log, destination, GP_LOG_INFO, GP_LOG_LOGFMT, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, path));

    int s = listen_at(path);
    assert_int_equal(gp_log_open(&log, destination, GP_LOG_INFO, GP_LOG_LOGFMT, &err), GP_OK);
    gp_log_warn(log, "disk full", GP_F_STR("db.path", "/x y"), GP_F_U64("free", 0), GP_F_STR("why", "a\nb"));
    ssize_t n = recv(s, got, sizeof got, 0);
    static const char expected[] = "PRIORITY=4\nSYSLOG_IDENTIFIER=test_log\n"
                                   "MESSAGE=disk full db.path=\"/x y\" free=0 why=\"a\\nb\"\n"
                                   "GP_DB_PATH=/x y\nGP_FREE=0\n"
                                   "GP_WHY\n\3\0\0\0\0\0\0\0a\nb\n";
    assert_int_equal(n, sizeof expected - 1);
    assert_memory_equal(got, expected, (size_t)n);

    close(s); /* journald is restarted: lines are lost, we are not */
    gp_log_info(log, "lost");
    assert_int_equal(unlink(path), 0);
    s = listen_at(path);
    gp_log_info(log, "found by itself");
    n = recv(s, got, sizeof got, MSG_DONTWAIT);
    assert_true(n > 0);
    got[n] = '\0';
    assert_non_null(strstr(got, "MESSAGE=found by itself\n"));
    assert_int_equal(gp_log_reopen(log, &err), GP_OK);
    for (int i = 0; i < 10000; i++) /* nobody reads: we do not wait */
        gp_log_info(log, "many");
    assert_true(recv(s, got, sizeof got, 0) > 0);
    gp_log_close(log);
    close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(levels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rotation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(journald, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
