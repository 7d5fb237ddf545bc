#include "client/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool note(void *ctx, const char *name, const char *data, size_t len)
{
    gp_buf_printf(ctx, "%s=%.*s|", name, (int)len, data);
    return strcmp(name, "stop") != 0;
}

/* Every way to cut the stream in two must give the same events. */
static void check(const char *stream, const char *want)
{
    size_t len = strlen(stream);
    for (size_t cut = 0; cut <= len; cut++) {
        gp_buf got = GP_BUF_INIT;
        gp_sse s = {.on_event = note, .ctx = &got};
        assert_int_equal(gp_sse_feed(&s, stream, cut, NULL), GP_OK);
        assert_int_equal(gp_sse_feed(&s, stream + cut, len - cut, NULL), GP_OK);
        assert_string_equal(got.len ? got.data : "", want);
        gp_sse_free(&s);
        gp_buf_free(&got);
    }
}

static void events(void **state)
{
    (void)state;
    check("", "");
    check("data: a\n\n", "message=a|");
    check("event: partialResult\ndata: {\"a\":1}\n\nevent: keepalive\ndata: {}\n\n",
          "partialResult={\"a\":1}|keepalive={}|");
    check("data: a\ndata: b\ndata\n\n", "message=a\nb\n|");
    check("data:a\r\n\r\ndata:  b\r\rdata:c\n\n", "message=a|message= b|message=c|");
    check("\xef\xbb\xbf"
          "data: a\n\n",
          "message=a|");
    check(": comment\nid: 1\nretry: 5\nunknown: x\ndata: a\n\n", "message=a|");
}

static void incomplete_events_are_dropped(void **state)
{
    (void)state;
    check("data: a\n", "");
    check("event: x\n\ndata: a\n\n", "message=a|"); /* no data: no event, and its name is forgotten */
    check("\n\n\n", "");
}

static void callback_may_end_it(void **state)
{
    (void)state;
    gp_buf got = GP_BUF_INIT;
    gp_sse s = {.on_event = note, .ctx = &got};
    static const char text[] = "event: stop\ndata: 1\n\ndata: 2\n\n";
    assert_int_equal(gp_sse_feed(&s, text, strlen(text), NULL), GP_ECANCELED);
    assert_string_equal(got.data, "stop=1|");
    gp_sse_free(&s);
    gp_buf_free(&got);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    gp_buf got = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    gp_sse s = {.on_event = note, .ctx = &got, .max_event = 20};
    assert_int_equal(gp_sse_feed(&s, "data: 0123456789abcdef", 22, &err), GP_ELIMIT);
    assert_non_null(strstr(err.msg, "20 bytes"));
    gp_sse_free(&s);
    s = (gp_sse){.on_event = note, .ctx = &got, .max_event = 20};
    static const char lines[] = "data: 0123456789\ndata: 0123456789\n\n";
    assert_int_equal(gp_sse_feed(&s, lines, strlen(lines), &err), GP_ELIMIT);
    gp_sse_free(&s);
    gp_buf_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),
        cmocka_unit_test(incomplete_events_are_dropped),
        cmocka_unit_test(callback_may_end_it),
        cmocka_unit_test(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
