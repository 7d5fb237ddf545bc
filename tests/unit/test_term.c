#include "client/term/term.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void check(gp_buf *b, const char *want)
{
    assert_false(b->failed);
    assert_string_equal(b->len ? b->data : "", want);
    gp_buf_clear(b);
}

static void counts(void **state)
{
    (void)state;
    gp_buf b = GP_BUF_INIT;
    gp_fmt_count(&b, 0);
    check(&b, "0.00  ");
    gp_fmt_count(&b, 530);
    check(&b, "530.00  ");
    gp_fmt_count(&b, 999);
    check(&b, "999.00  ");
    gp_fmt_count(&b, 1000);
    check(&b, "1.00 k");
    gp_fmt_count(&b, 1999999);
    check(&b, "2.00 M");
    gp_fmt_count(&b, UINT64_MAX);
    check(&b, "18.45 E");
    gp_fmt_count_small(&b, 999, false);
    check(&b, "999");
    gp_fmt_count_small(&b, 999, true);
    check(&b, "999  ");
    gp_fmt_count_small(&b, 1500, true);
    check(&b, "1.50 k");
    gp_buf_free(&b);
}

static void sizes(void **state)
{
    (void)state;
    gp_buf b = GP_BUF_INIT;
    gp_fmt_size(&b, 1024);
    check(&b, "1024.00  B");
    gp_fmt_size(&b, 1025);
    check(&b, "1.00 kB");
    gp_fmt_size(&b, UINT64_C(5) << 30);
    check(&b, "5.00 GB");
    gp_fmt_size(&b, UINT64_MAX);
    check(&b, "16.00 EB");
    gp_fmt_size_small(&b, 1024, true);
    check(&b, "1024   ");
    gp_fmt_size_small(&b, 2048, true);
    check(&b, "2.00 kB");
    gp_buf_free(&b);
}

static void durations(void **state)
{
    (void)state;
    const int64_t sec = 1000000000;
    static const struct {
        int64_t ns;
        const char *exact, *rounded;
    } cases[] = {
        {0, "0s", "0s"},
        {1, "1ns", "0s"},
        {1500, "1.5\xc2\xb5s", "0s"},
        {500000, "500\xc2\xb5s", "1ms"},
        {-500000, "-500\xc2\xb5s", "-1ms"},
        {250000000, "250ms", "250ms"},
        {INT64_C(1500400000), "1.5004s", "1.5s"},
        {INT64_C(60000000000), "1m0s", "1m0s"},
        {INT64_C(3723500000000), "1h2m3.5s", "1h2m3.5s"},
        {INT64_C(176400000000000), "49h0m0s", "2d1h0m0s"},
        {INT64_MAX, "2562047h47m16.854775807s", "106751d23h47m16.855s"},
        {INT64_MIN, "-2562047h47m16.854775808s", "-106751d-23h47m16.855s"},
    };
    gp_buf b = GP_BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_fmt_duration_exact(&b, cases[i].ns);
        check(&b, cases[i].exact);
        gp_fmt_duration(&b, cases[i].ns);
        check(&b, cases[i].rounded);
    }
    assert_int_equal(gp_round_ns(sec / 2, sec), sec);
    assert_int_equal(gp_round_ns(-sec / 2, sec), -sec);
    assert_int_equal(gp_round_ns(sec / 2 - 1, sec), 0);
    gp_buf_free(&b);
}

static void times(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    gp_buf b = GP_BUF_INIT;
    gp_fmt_time(&b, 1767323045);
    check(&b, "2026-01-02 03:04:05");
    gp_fmt_time(&b, INT64_MAX); /* no year for that */
    check(&b, "9223372036854775807");
    gp_buf_free(&b);
}

static void styles(void **state)
{
    (void)state;
    gp_buf b = GP_BUF_INIT;
    gp_styled(&b, true, GP_STYLE_BOLD | GP_STYLE_RED, "%d lost", 3);
    check(&b, "\033[1m\033[31m3 lost\033[0m");
    gp_styled(&b, false, GP_STYLE_BOLD, "%d lost", 3);
    check(&b, "3 lost");
    assert_int_equal(gp_text_width("\033[1mab\xc3\xa4\033[0m", 12), 3);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_false(gp_term_colored(fds[1]));
    close(fds[0]);
    close(fds[1]);
    gp_buf_free(&b);
}

static void tabs(const char *text, const gp_tabs *opt, const char *want)
{
    gp_buf b = GP_BUF_INIT;
    gp_tabs_format(text, strlen(text), opt, &b);
    check(&b, want);
    gp_buf_free(&b);
}

static void tab_columns(void **state)
{
    (void)state;
    const gp_tabs right = {.padding = 2, .align_right = true};
    const gp_tabs left = {.padding = 1};
    tabs("", &right, "");
    tabs("no tabs\n", &right, "no tabs\n");
    tabs("a\tbbb\t\naaaa\tb\t\n", &right, "     a  bbb\n  aaaa    b\n");
    tabs("key\t: v\nlonger\t: w\n", &left, "key    : v\nlonger : w\n");
    /* A line that lacks a column ends the block. */
    tabs("aaaa\tx\nplain\nb\ty\n", &left, "aaaa x\nplain\nb y\n");
    tabs("\xc3\xa4\xc3\xb6\t|\nx\t|\n", &left, "\xc3\xa4\xc3\xb6 |\nx  |\n");
    tabs("x\t|", &(gp_tabs){.min_width = 4}, "x   |");
}

static void boxed_table(void **state)
{
    (void)state;
    gp_table *t = gp_table_new(3, "Title");
    assert_non_null(t);
    const char *head[] = {"a", "both"};
    const char *names[] = {"name", "left", "right"};
    const char *values[] = {"x", "1", "22"};
    gp_table_row(t, head, 2);
    gp_table_row(t, names, 3);
    gp_table_separator(t);
    gp_table_align(t, 2, GP_ALIGN_RIGHT);
    gp_table_row(t, values, 3);
    gp_buf b = GP_BUF_INIT;
    gp_table_render(t, &b);
    check(&b, "╭─────────────────────╮\n"
              "│        Title        │\n"
              "├──────┬──────────────┤\n"
              "│ a    │     both     │\n"
              "│ name │ left │ right │\n"
              "├──────┼──────┼───────┤\n"
              "│ x    │ 1    │    22 │\n"
              "╰──────┴──────┴───────╯\n");
    gp_table_free(t);
    gp_buf_free(&b);
    assert_null(gp_table_new(0, "x"));
}

static void table_with_wide_title(void **state)
{
    (void)state;
    gp_table *t = gp_table_new(1, "\033[1mwider than it\033[0m");
    assert_non_null(t);
    gp_table_row(t, (const char *const[]){"x"}, 1);
    gp_buf b = GP_BUF_INIT;
    gp_table_render(t, &b);
    check(&b, "╭───────────────╮\n"
              "│ \033[1mwider than it\033[0m │\n"
              "├───────────────┤\n"
              "│ x             │\n"
              "╰───────────────╯\n");
    gp_table_free(t);
    gp_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),      cmocka_unit_test(sizes),
        cmocka_unit_test(durations),   cmocka_unit_test(times),
        cmocka_unit_test(styles),      cmocka_unit_test(tab_columns),
        cmocka_unit_test(boxed_table), cmocka_unit_test(table_with_wide_title),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
