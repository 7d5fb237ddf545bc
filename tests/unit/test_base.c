#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/error.h"
#include "proto/base/fileio.h"
#include "proto/base/log.h"
#include "proto/base/strlist.h"
#include "proto/base/suggest.h"
#include "proto/flow/flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void error_carries_context(void **state)
{
    (void)state;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_fail_errno(&err, ENOENT, "cannot open '%s'", "x"), GP_ENOTFOUND);
    assert_string_equal(err.msg, "cannot open 'x': No such file or directory");
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(gp_error_prefix(&err, "interface %s", "eth0"), GP_ENOTFOUND);
    assert_string_equal(err.msg, "interface eth0: cannot open 'x': No such file or directory");
    assert_int_equal(gp_fail(NULL, GP_EIO, "ignored"), GP_EIO);
    assert_string_equal(gp_code_name(GP_ETIMEOUT), "timed out");
}

static void error_never_overflows(void **state)
{
    (void)state;
    gp_error err = GP_ERROR_INIT;
    char *longer = calloc(1, GP_ERROR_MSG_SIZE * 2);
    assert_non_null(longer);
    memset(longer, 'x', GP_ERROR_MSG_SIZE * 2 - 1);
    gp_fail_errno(&err, EIO, "%s", longer);
    gp_error_prefix(&err, "%s", longer);
    assert_int_equal(strlen(err.msg), GP_ERROR_MSG_SIZE - 1);
    free(longer);
}

static void buf_builds_text(void **state)
{
    (void)state;
    gp_buf b = GP_BUF_INIT;
    gp_buf_u64(&b, UINT64_MAX);
    gp_buf_putc(&b, ' ');
    gp_buf_i64(&b, INT64_MIN);
    gp_buf_pad(&b, '.', 3);
    gp_buf_printf(&b, "%s-%d", "a", 7);
    assert_string_equal(b.data, "18446744073709551615 -9223372036854775808...a-7");
    gp_buf_clear(&b);
    gp_buf_json_str(&b, "q\"\\\n\x01 \xc3\xa9 \xff");
    assert_string_equal(b.data, "\"q\\\"\\\\\\n\\u0001 \xc3\xa9 \xef\xbf\xbd\"");
    gp_buf_free(&b);
}

static void buf_honours_its_limit(void **state)
{
    (void)state;
    gp_buf b = {.limit = 8};
    gp_buf_puts(&b, "12345678");
    assert_false(b.failed);
    gp_buf_putc(&b, '9');
    assert_true(b.failed);
    assert_null(gp_buf_detach(&b));
}

/* Text of addresses is ours, not inet_ntop's: the same for every byte of IPv4, and for every choice of groups
 * of IPv6 that are zero. */
static void addresses_are_written_as_by_inet_ntop(void **state)
{
    (void)state;
    static const uint8_t values[][2] = {{0, 1}, {0, 0xab}, {0x0c, 0x3d}, {0xff, 0xff}};
    char out[GP_ADDR_STRLEN];
    char want[GP_ADDR_STRLEN];
    for (unsigned v = 0; v < 256; v++) {
        const uint8_t bytes[] = {(uint8_t)v, (uint8_t)(255 - v), (uint8_t)v, (uint8_t)(v ^ 0x55)};
        gp_addr a = gp_addr_from_bytes(bytes, sizeof bytes);
        assert_non_null(inet_ntop(AF_INET, bytes, want, sizeof want));
        assert_int_equal(gp_addr_format(&a, out), strlen(want));
        assert_string_equal(out, want);
    }
    for (unsigned mask = 0; mask < 256; mask++)
        for (size_t v = 0; v < 4; v++) {
            uint8_t bytes[16] = {0};
            for (size_t g = 0; g < 8; g++)
                if (mask >> g & 1)
                    memcpy(bytes + 2 * g, values[(v + g) % 4], 2);
            gp_addr a = gp_addr_from_bytes(bytes, sizeof bytes);
            gp_addr again;
            assert_non_null(inet_ntop(AF_INET6, bytes, want, sizeof want));
            size_t len = gp_addr_format(&a, out);
            assert_int_equal(len, strlen(out));
            if (gp_addr_is_mapped(&a) || !strchr(want, '.')) /* others have no dots with us */
                assert_string_equal(out, want);
            assert_true(gp_addr_parse(out, strlen(out), &again));
            assert_memory_equal(again.bytes, bytes, sizeof bytes);
            len = gp_addr_format_hex(&a, out);
            assert_int_equal(len, strlen(out));
            assert_null(strchr(out, '.'));
            assert_true(gp_addr_parse(out, strlen(out), &again));
            assert_memory_equal(again.bytes, bytes, sizeof bytes);
        }
    const gp_addr none = {.len = 0};
    assert_int_equal(gp_addr_format(&none, out), 0);
    assert_string_equal(out, "");
}

static void addresses_round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "10.0.0.1", "255.255.255.255", "::1", "2001:db8::8:800:200c:417a", "::ffff:16",
        "::1:2",    "::ffff:1.2.3.4",  "::",  "64:ff9b::102:304"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        gp_addr a;
        char out[GP_ADDR_STRLEN];
        assert_true(gp_addr_parse(texts[i], strlen(texts[i]), &a));
        assert_int_equal(gp_addr_format(&a, out), strlen(texts[i]));
        assert_string_equal(out, texts[i]);
    }
    gp_addr mapped;
    char hex[GP_ADDR_STRLEN];
    assert_true(gp_addr_parse("::ffff:1.2.3.4", 14, &mapped));
    assert_true(gp_addr_is_mapped(&mapped));
    assert_int_equal(gp_addr_format_hex(&mapped, hex), 14);
    assert_string_equal(hex, "::ffff:102:304");
    gp_addr bad;
    assert_false(gp_addr_parse("300.1.1.1", 9, &bad));
    assert_false(gp_addr_parse("", 0, &bad));
    assert_false(gp_addr_parse("1.2.3.4/8", 9, &bad));
}

static void log_writes_one_line_per_event(void **state)
{
    (void)state;
    char path[] = "/tmp/gp_log_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    gp_log *log;
    assert_int_equal(gp_log_open(&log, path, GP_LOG_INFO, GP_LOG_LOGFMT, NULL), GP_OK);
    gp_log_debug(log, "hidden");
    gp_log_info(log, "flows written", GP_F_STR("iface", "eth 0"), GP_F_U64("flows", 42));
    gp_log_close(log);
    assert_int_equal(gp_log_open(&log, path, GP_LOG_INFO, GP_LOG_JSON, NULL), GP_OK);
    gp_log_warn(log, "drops", GP_F_BOOL("kernel", true));
    gp_log_close(log);
    char text[512] = {0};
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "level=info msg=\"flows written\" iface=\"eth 0\" flows=42\n{\"time\":\""));
    assert_non_null(strstr(text, "\"level\":\"warn\",\"msg\":\"drops\",\"kernel\":true}\n"));
    assert_null(strstr(text, "hidden"));
    close(fd);
    unlink(path);
}

static const char *nearest(const char *word)
{
    static const char *const known[] = {"sip", "dip", "dport", "proto", "time", "iface", "hostname"};
    gp_suggestion s = {0};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        gp_suggest(&s, word, strlen(word), known[i]);
    return s.best;
}

static void suggests_what_was_meant(void **state)
{
    (void)state;
    assert_string_equal(nearest("sip"), "sip");
    assert_string_equal(nearest("sipp"), "sip");
    assert_string_equal(nearest("dprot"), "dport"); /* neighbours swapped */
    assert_string_equal(nearest("hostnam"), "hostname");
    assert_string_equal(nearest("ifcae"), "iface");
    assert_null(nearest("banana"));
    assert_null(nearest(""));
    assert_null(nearest("0123456789012345678901234567890123456789012345678901234567890123456789"));
}

static void waits_end_in_time(void **state)
{
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    gp_clock_cond_init(&cond);
    pthread_mutex_lock(&lock);
    const int64_t start = gp_clock_ns();
    const int64_t until = gp_clock_after(20000000);
    while (gp_clock_wait(&cond, &lock, until)) {
    }
    assert_true(gp_clock_ns() >= until);
    assert_true(gp_clock_seconds_since(start) >= 0.02);
    assert_false(gp_clock_wait(&cond, &lock, start)); /* long over */
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&cond);
    assert_true(gp_clock_after(INT64_MAX) == GP_CLOCK_NEVER);
}

static void lists_of_names_are_finished(void **state)
{
    (void)state;
    static const char *const names[] = {"wlan0", "eth0", "lo", "eth10", "Eth0"};
    static const char *const sorted[] = {"Eth0", "eth0", "eth10", "lo", "wlan0"};
    enum { N = sizeof names / sizeof names[0] };
    char **list = NULL;
    size_t n = 0;
    assert_int_equal(gp_strlist_finish(&list, &n, GP_OK), GP_OK);
    assert_null(list);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(gp_strlist_add(&list, &n, names[i], NULL), GP_OK);
    assert_int_equal(gp_strlist_finish(&list, &n, GP_OK), GP_OK);
    assert_int_equal(n, N);
    for (unsigned i = 0; i < N; i++)
        assert_string_equal(list[i], sorted[i]);
    assert_int_equal(gp_strlist_finish(&list, &n, GP_EIO), GP_EIO);
    assert_null(list);
    assert_int_equal(n, 0);
}

static void pieces_are_written_where_they_belong(void **state)
{
    (void)state;
    char seen[8];
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_true(gp_pwrite_all(fileno(f), "world", 5, 3));
    assert_true(gp_pwrite_all(fileno(f), "hello", 3, 0));
    assert_true(gp_pwrite_all(fileno(f), NULL, 0, 100));
    assert_int_equal(pread(fileno(f), seen, sizeof seen, 0), sizeof seen);
    assert_memory_equal(seen, "helworld", sizeof seen);
    fclose(f);
    errno = 0;
    assert_false(gp_pwrite_all(-1, "x", 1, 0));
    assert_int_equal(errno, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suggests_what_was_meant),
        cmocka_unit_test(error_carries_context),
        cmocka_unit_test(error_never_overflows),
        cmocka_unit_test(buf_builds_text),
        cmocka_unit_test(buf_honours_its_limit),
        cmocka_unit_test(addresses_round_trip),
        cmocka_unit_test(addresses_are_written_as_by_inet_ntop),
        cmocka_unit_test(waits_end_in_time),
        cmocka_unit_test(lists_of_names_are_finished),
        cmocka_unit_test(pieces_are_written_where_they_belong),
        cmocka_unit_test(log_writes_one_line_per_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
