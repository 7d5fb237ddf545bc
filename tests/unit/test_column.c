#include "proto/query/column.h"
#include "proto/query/protocols.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static gp_query_type parse(const char *text)
{
    gp_query_type t;
    gp_error err = GP_ERROR_INIT;
    if (gp_query_type_parse(text, &t, &err) != GP_OK)
        fail_msg("%s: %s", text, err.msg);
    return t;
}

static void attributes_keep_the_users_order_once(void **state)
{
    (void)state;
    gp_query_type t = parse("dport,sip,port,src");
    assert_int_equal(t.n_attrs, 2);
    assert_int_equal(t.attrs[0], GP_COL_DPORT);
    assert_int_equal(t.attrs[1], GP_COL_SIP);
    assert_int_equal(t.attr_mask, GP_ATTR_DPORT | GP_ATTR_SIP);
    assert_int_equal(t.label_mask, 0);
}

static void compounds_expand_anywhere(void **state)
{
    (void)state;
    gp_query_type raw = parse("raw");
    assert_int_equal(raw.n_attrs, 4);
    assert_int_equal(raw.attrs[2], GP_COL_DPORT);
    assert_int_equal(raw.attrs[3], GP_COL_PROTO);
    assert_int_equal(raw.label_mask, GP_LABEL_TIME | GP_LABEL_IFACE | GP_LABEL_HOSTNAME | GP_LABEL_HOSTID);
    gp_query_type mixed = parse(" talk_src ,\tti me,talk_dst\xc2\xa0,hostname");
    assert_int_equal(mixed.attr_mask, GP_ATTR_SIP | GP_ATTR_DIP);
    assert_int_equal(mixed.label_mask, GP_LABEL_TIME | GP_LABEL_HOSTNAME);
    assert_int_equal(parse("apps_port").attrs[0], GP_COL_DPORT);
    assert_int_equal(parse("agg_talk_port").n_attrs, 4);
    assert_int_equal(parse("talk_conv").attr_mask, GP_ATTR_SIP | GP_ATTR_DIP);
    assert_int_equal(parse("iface,hostid,dst,ipproto,protocol").label_mask, GP_LABEL_IFACE | GP_LABEL_HOSTID);
}

static void unknown_names_are_pointed_at(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"sip,foo", "sip,foo\n    ^\nunknown attribute"},
        {"talk_conv, foo,dip", "sip,dip,foo,dip\n        ^\nunknown attribute"},
        {"", "\n^\nunknown attribute"},
        {"sip,", "sip,\n    ^\nunknown attribute"},
        {"SIP", "SIP\n^\nunknown attribute"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_query_type t;
        gp_error err = GP_ERROR_INIT;
        assert_int_equal(gp_query_type_parse(cases[i].text, &t, &err), GP_EINVAL);
        assert_string_equal(err.msg, cases[i].message);
    }
}

static void long_texts_are_cut_around_the_error(void **state)
{
    (void)state;
    enum { WORDS = 2000 };
    char *text = calloc(WORDS, 4);
    assert_non_null(text);
    for (int i = 0; i < WORDS; i++)
        memcpy(text + i * 4, i == WORDS / 2 ? "bad," : "sip,", 4);
    text[WORDS * 4 - 1] = '\0';
    gp_query_type t;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_query_type_parse(text, &t, &err), GP_EINVAL);
    free(text);
    assert_non_null(strstr(err.msg, "^\nunknown attribute"));
    const char *marker = strchr(err.msg, '\n') + 1;
    size_t column = strspn(marker, " ");
    assert_memory_equal(err.msg + column, "bad,", 4);
    assert_memory_equal(err.msg, "...sip,", 7);
}

static void one_long_name_shows_its_start(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    gp_query_type t;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_query_type_parse(text, &t, &err), GP_EINVAL);
    assert_memory_equal(err.msg, "xxxx", 4);
    assert_non_null(strstr(err.msg, "x...\n^\nunknown attribute"));
}

static void columns_have_names(void **state)
{
    (void)state;
    assert_string_equal(gp_column_name(GP_COL_SIP), "sip");
    assert_string_equal(gp_column_name(GP_COL_DPORT), "dport");
    assert_string_equal(gp_column_name(GP_COL_PKTS_SENT), "pkts_sent");
    assert_string_equal(gp_column_name(GP_COL_COUNT), "");
}

static void protocols_have_names(void **state)
{
    (void)state;
    uint8_t n = 0;
    assert_string_equal(gp_protocol_name(6), "TCP");
    assert_string_equal(gp_protocol_name(58), "IPv6-ICMP");
    assert_string_equal(gp_protocol_name(61), "");
    assert_string_equal(gp_protocol_name(255), "UNKNOWN");
    assert_true(gp_protocol_number("ospfigp", &n));
    assert_int_equal(n, 89);
    assert_true(gp_protocol_number("UDP", &n));
    assert_int_equal(n, 17);
    assert_false(gp_protocol_number("", &n));
    assert_false(gp_protocol_number("udpx", &n));
    for (unsigned i = 0; i < 256; i++) {
        const char *name = gp_protocol_name((uint8_t)i);
        if (*name) {
            assert_true(gp_protocol_number(name, &n));
            assert_int_equal(n, i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_keep_the_users_order_once),
        cmocka_unit_test(compounds_expand_anywhere),
        cmocka_unit_test(unknown_names_are_pointed_at),
        cmocka_unit_test(long_texts_are_cut_around_the_error),
        cmocka_unit_test(one_long_name_shows_its_start),
        cmocka_unit_test(columns_have_names),
        cmocka_unit_test(protocols_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
