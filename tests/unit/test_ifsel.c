#include "proto/query/ifsel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const available[] = {"eth0", "eth1", "lo", "t4_1234", "wlan0"};
enum { N = sizeof available / sizeof available[0] };

/* The selected names joined by blanks. */
static void expect(const char *text, const char *names)
{
    const char **out = NULL;
    size_t n = 0;
    gp_error err = GP_ERROR_INIT;
    char joined[128] = "";
    if (gp_ifsel_select(text, available, N, &out, &n, &err) != GP_OK)
        fail_msg("%s: %s", text, err.msg);
    for (size_t i = 0; i < n; i++) {
        strcat(joined, i ? " " : "");
        strcat(joined, out[i]);
    }
    free(out);
    assert_string_equal(joined, names);
}

static void lists_select_what_exists(void **state)
{
    (void)state;
    expect("eth1,eth0,eth0", "eth0 eth1");
    expect("eth", "");
    expect("eth00", "");
    expect("nope,lo", "lo");
    expect("any", "eth0 eth1 lo t4_1234 wlan0");
    expect("aNy,nope", "eth0 eth1 lo t4_1234 wlan0");
}

static void exclusions_win(void **state)
{
    (void)state;
    expect("any,!lo", "eth0 eth1 t4_1234 wlan0");
    expect("!lo,any,!wlan0", "eth0 eth1 t4_1234");
    expect("eth0,lo,!eth0", "lo");
    expect("!lo", "");
    expect("any,!any", "eth0 eth1 lo t4_1234 wlan0");
}

static void expressions_search(void **state)
{
    (void)state;
    expect("/eth[0-3]/", "eth0 eth1");
    expect("/^e|0$/", "eth0 eth1 wlan0");
    expect("/nothing/", "");
    expect("/^\\w{2}$/", "lo");
}

static void invalid_selections_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "interface list contains empty interface name"},
        {"eth0,", "interface list contains empty interface name"},
        {"eth0,eth two", "interface name `eth two` is invalid"},
        {"eth0,sixteencharacter", "interface name `sixteencharacter` is invalid"},
        {"!", "interface name `!` is invalid"},
        {"!!lo", "interface name `!!lo` is invalid"},
        {"//", "interface name `//` is invalid"},
        {"/[/", "error parsing regexp: "},
        {"/(a/", "error parsing regexp: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char **out = NULL;
        size_t n = 0;
        gp_error err = GP_ERROR_INIT;
        assert_int_equal(gp_ifsel_validate(cases[i].text, &err), GP_EINVAL);
        assert_memory_equal(err.msg, cases[i].message, strlen(cases[i].message));
        assert_int_equal(gp_ifsel_select(cases[i].text, available, N, &out, &n, NULL), GP_EINVAL);
        assert_null(out);
    }
}

static void names_are_checked(void **state)
{
    (void)state;
    assert_true(gp_iface_name_valid("eth0.100:1"));
    assert_true(gp_iface_name_valid("!fifteenchars_-a"));
    assert_false(gp_iface_name_valid("sixteencharacter"));
    assert_false(gp_iface_name_valid(""));
    assert_false(gp_iface_name_valid("a/b"));
    assert_true(gp_ifsel_is_regex("/a/"));
    assert_false(gp_ifsel_is_regex("//"));
    assert_false(gp_ifsel_is_regex("/a"));
}

static void hostile_expressions_end(void **state)
{
    (void)state;
    const char *const names[] = {"aaaaaaaaaaaaaaa"};
    const char **out = NULL;
    size_t n = 0;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_ifsel_select("/^(((a|a)*)*)*[xy]/", names, 1, &out, &n, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "takes too long"));
    char deep[512] = "/";
    memset(deep + 1, '(', 200);
    memset(deep + 201, ')', 200);
    deep[401] = '/';
    assert_int_equal(gp_ifsel_validate(deep, NULL), GP_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_select_what_exists), cmocka_unit_test(exclusions_win),
        cmocka_unit_test(expressions_search),       cmocka_unit_test(invalid_selections_are_named),
        cmocka_unit_test(names_are_checked),        cmocka_unit_test(hostile_expressions_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
