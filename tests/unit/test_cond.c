#include "proto/query/column.h"
#include "proto/query/cond.h"
#include "proto/query/cond_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Names without a DNS server: "localhost" and "two" exist, everything else does not. */
static gp_code fake_resolver(void *ctx, cond_host *hosts, size_t n, int64_t timeout_ns, gp_error *err)
{
    unsigned *calls = ctx;
    (void)timeout_ns;
    if (calls)
        (*calls)++;
    for (size_t i = 0; i < n; i++) {
        const char *addrs[2] = {NULL, NULL};
        if (strcmp(hosts[i].name, "localhost") == 0)
            addrs[0] = "127.0.0.1";
        else if (strcmp(hosts[i].name, "two") == 0) {
            addrs[0] = "10.0.0.2";
            addrs[1] = "2001:db8::2";
        } else if (strcmp(hosts[i].name, "slow") == 0)
            return gp_fail(err, GP_ETIMEOUT, "too slow");
        for (; hosts[i].n_addrs < 2 && addrs[hosts[i].n_addrs]; hosts[i].n_addrs++) {
            const char *a = addrs[hosts[i].n_addrs];
            assert_true(gp_addr_parse(a, strlen(a), &hosts[i].addrs[hosts[i].n_addrs]));
        }
    }
    return GP_OK;
}

static gp_code parse(const char *text, gp_cond **out, gp_error *err)
{
    cond_lookup lookup = {fake_resolver, NULL, 0};
    return cond_parse_with(text, &lookup, out, err);
}

static gp_cond *must_parse(const char *text)
{
    gp_cond *c = NULL;
    gp_error err = GP_ERROR_INIT;
    if (parse(text, &c, &err) != GP_OK)
        fail_msg("%s: %s", text, err.msg);
    assert_non_null(c);
    return c;
}

static void expect_text(const char *text, const char *expected)
{
    gp_cond *c = must_parse(text);
    assert_string_equal(gp_cond_string(c), expected);
    gp_cond_free(c);
}

static void expect_error(const char *text, gp_code code, const char *start)
{
    gp_cond *c = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_code got = parse(text, &c, &err);
    if (got != code || strncmp(err.msg, start, strlen(start)) != 0)
        fail_msg("%s: %s: %s", text, gp_code_name(got), err.msg);
    assert_null(c);
}

/* ---- known answers ------------------------------------------------------------------------------------- */

static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (*s != '\\') {
            *to++ = *s;
            continue;
        }
        s++;
        *to++ = *s == 'n' ? '\n' : *s == 't' ? '\t' : *s == 'r' ? '\r' : *s;
    }
    *to = '\0';
}

static void check_known(char *const column[4])
{
    gp_cond *c = NULL;
    gp_error err = GP_ERROR_INIT;
    char *canonical = NULL;
    gp_code code = parse(column[0], &c, &err);
    assert_int_equal(gp_cond_canonical(column[0], &canonical, NULL), GP_OK);
    assert_string_equal(canonical, column[2]);
    free(canonical);
    if (strcmp(column[1], "error") == 0) {
        if (code == GP_OK || strncmp(err.msg, column[3], strlen(column[3])) != 0)
            fail_msg("'%s' must fail with '%s', not '%s'", column[0], column[3], err.msg);
    } else if (code != GP_OK)
        fail_msg("'%s': %s", column[0], err.msg);
    else
        assert_string_equal(c ? gp_cond_string(c) : "", column[3]);
    gp_cond_free(c);
}

static void conditions_are_read_as_v4_does(void **state)
{
    (void)state;
    char line[1024];
    unsigned n = 0;
    FILE *f = fopen(GP_SOURCE_DIR "/tests/data/query/conditions.tsv", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#')
            continue;
        char *rest = line;
        char *column[4];
        for (int i = 0; i < 4; i++) {
            column[i] = strsep(&rest, "\t");
            assert_non_null(column[i]);
            unescape(column[i]);
        }
        check_known(column);
        n++;
    }
    fclose(f);
    assert_true(n > 180);
}

/* ---- where v4 is wrong or random ----------------------------------------------------------------------- */

static void negation_may_stand_anywhere(void **state)
{
    (void)state;
    expect_text("dport = 80 and not dport = 443", "(dport = 80 & dport != 443)");
    expect_text("dport = 80 &not(proto = 6)", "(dport = 80 & proto != 6)");
    expect_text("(not dport = 80)", "dport != 80");
    expect_text("!!dport = 80", "dport = 80");
    expect_text("not not not dport < 80", "dport >= 80");
    expect_text("(dport = 80)and(proto = 6)", "(dport = 80 & proto = 6)");
}

static void misspelt_attributes_are_guessed(void **state)
{
    (void)state;
    expect_error("dprt = 53", GP_EINVAL, "dprt = 53\n^\nexpected attribute (did you mean dport?)");
    expect_error("sip = 1.2.3.4 and prtoo = tcp", GP_EINVAL,
                 "sip = 1.2.3.4 & prtoo = tcp\n                ^\nexpected attribute (did you mean proto?)");
    gp_cond *c = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(parse("foo = 80", &c, &err), GP_EINVAL);
    assert_string_equal(err.msg, "foo = 80\n^\nexpected attribute");
}

static void words_depend_on_their_place(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(gp_cond_canonical("host eq g or host g l and host = not", &text, NULL), GP_OK);
    assert_string_equal(text, "host = g | host > l & host = not");
    free(text);
    assert_int_equal(gp_cond_plain("DPORT  eq 80 \t or not{sip==1.2.3.4}", &text, NULL), GP_OK);
    assert_string_equal(text, "dport=80|!(sip=1.2.3.4)");
    free(text);
    assert_int_equal(gp_cond_plain("dport<443& not{dport g 80}", &text, NULL), GP_OK);
    assert_string_equal(text, "dport<443&!(dport>80)");
    free(text);
}

static void networks_are_checked(void **state)
{
    (void)state;
    expect_error("snet = 10.1.2.3/-1", GP_EINVAL, "failed to parse netmask -1.");
    expect_error("snet = 10.1.2.3/8/9", GP_EINVAL, "failed to parse netmask 8/9.");
    expect_error("snet = 10.1.2.3/99999", GP_EINVAL, "failed to parse netmask 99999.");
    expect_error("snet = 1.2.3.4:/8", GP_EINVAL, "could not parse IP address");
    expect_error("sip = fe80::1%eth0", GP_EINVAL, "invalid value in condition");
    gp_cond *c = must_parse("net = ::ffff:1.2.3.4/120");
    size_t n;
    const gp_cond_node *nodes = gp_cond_nodes(c, &n);
    assert_int_equal(n, 3);
    assert_int_equal(nodes[0].addr.len, 16);
    assert_int_equal(nodes[0].addr.bytes[14], 3);
    assert_int_equal(nodes[0].addr.bytes[15], 0);
    assert_int_equal(nodes[0].prefix, 120);
    gp_cond_free(c);
}

static void direction_may_be_any_operand_of_the_top(void **state)
{
    (void)state;
    expect_text("sip = 1.2.3.4 & dport = 80 & dir = in", "((sip = 1.2.3.4 & dport = 80) & dir = in)");
    expect_text("sip = 1.2.3.4 & dir = in & dport = 80", "((sip = 1.2.3.4 & dport = 80) & dir = in)");
    expect_error("dir = foo & sip = 1.2.3.4", GP_EINVAL, "unsupported direction filter: foo (use");
    expect_error("sip = 1.2.3.4 & dir != in", GP_EINVAL, "unsupported direction filter comparator: !=");
    gp_cond *c = must_parse("direction = bidirectional");
    assert_int_equal(gp_cond_root(c), -1);
    assert_int_equal(gp_cond_direction(c), GP_DIRF_BI);
    assert_true(gp_cond_match(c, &(gp_flow){.dport = 1}));
    gp_cond_free(c);
    c = must_parse("dport = 1 & dir = uni");
    assert_int_equal(gp_cond_direction(c), GP_DIRF_UNI);
    assert_int_equal(gp_cond_root(c), 0);
    gp_cond_free(c);
}

/* ---- names --------------------------------------------------------------------------------------------- */

static void names_become_their_addresses(void **state)
{
    (void)state;
    expect_text("sip = two", "(sip = 10.0.0.2 | sip = 2001:db8::2)");
    expect_text("sip != two", "(sip != 10.0.0.2 & sip != 2001:db8::2)");
    expect_text("!(sip = two)", "(sip != 10.0.0.2 & sip != 2001:db8::2)");
    expect_text(
        "host = two | dport = 1",
        "(((sip = 10.0.0.2 | sip = 2001:db8::2) | (dip = 10.0.0.2 | dip = 2001:db8::2)) | dport = 1)");
    expect_text("sip = two & dip = localhost", "((sip = 10.0.0.2 | sip = 2001:db8::2) & dip = 127.0.0.1)");
    expect_error("sip = slow", GP_ETIMEOUT, "too slow");
    expect_error("sip = nowhere.example", GP_EINVAL, "lookup nowhere.example: no such host");
    expect_error("sip = 1.2.3", GP_EINVAL, "lookup 1.2.3: no such host");
    expect_error("sip = 1.2.3.256", GP_EINVAL, "lookup 1.2.3.256: no such host");
    expect_error("sip = ..", GP_EINVAL, "invalid value in condition: '..' is neither");
}

static void names_are_looked_up_once_and_only_if_needed(void **state)
{
    (void)state;
    unsigned calls = 0;
    cond_lookup lookup = {fake_resolver, &calls, 0};
    gp_cond *c = NULL;
    assert_int_equal(cond_parse_with("sip = 1.2.3.4 | dip = ::1", &lookup, &c, NULL), GP_OK);
    assert_int_equal(calls, 0);
    gp_cond_free(c);
    assert_int_equal(cond_parse_with("host = two | host = two | sip = localhost", &lookup, &c, NULL), GP_OK);
    assert_int_equal(calls, 1);
    gp_cond_free(c);
    assert_int_equal(cond_parse_with("sip < two", &lookup, &c, NULL), GP_EINVAL);
    assert_int_equal(calls, 1);
    char text[2048] = "sip = h0";
    for (int i = 1; i <= COND_MAX_HOSTS; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "|sip=h%d", i);
    assert_int_equal(cond_parse_with(text, &lookup, &c, NULL), GP_ELIMIT);
    assert_int_equal(calls, 1);
}

static void the_systems_resolver_is_asked(void **state)
{
    (void)state;
    gp_cond *c = NULL;
    gp_error err = GP_ERROR_INIT;
    /* Numeric texts are answered without any server. */
    cond_host hosts[2] = {{.name = "192.0.2.1"}, {.name = "2001:db8::1"}};
    assert_int_equal(cond_dns_resolver(NULL, hosts, 2, INT64_C(10000000000), &err), GP_OK);
    assert_int_equal(hosts[0].n_addrs, 1);
    assert_int_equal(hosts[0].addrs[0].bytes[0], 192);
    assert_int_equal(hosts[1].addrs[0].len, 16);
    assert_int_equal(gp_cond_parse("dport = 80", 0, &c, &err), GP_OK);
    gp_cond_free(c);
}

/* ---- evaluation ---------------------------------------------------------------------------------------- */

static gp_flow flow(const char *sip, const char *dip, uint16_t dport, uint8_t proto)
{
    gp_flow f = {.dport = dport, .proto = proto};
    assert_true(gp_addr_parse(sip, strlen(sip), &f.sip));
    assert_true(gp_addr_parse(dip, strlen(dip), &f.dip));
    return f;
}

static void expect_match(const char *text, const gp_flow *f, bool expected)
{
    gp_cond *c = must_parse(text);
    if (gp_cond_match(c, f) != expected)
        fail_msg("%s", text);
    gp_cond_free(c);
    char negated[512];
    snprintf(negated, sizeof negated, "!(%s)", text);
    c = must_parse(negated);
    if (gp_cond_match(c, f) == expected)
        fail_msg("%s", negated);
    gp_cond_free(c);
}

static void flows_are_matched(void **state)
{
    (void)state;
    gp_flow v4 = flow("10.1.2.3", "192.0.2.9", 443, 6);
    gp_flow v6 = flow("2001:db8::1", "a0::1", 53, 17);
    expect_match("sip = 10.1.2.3", &v4, true);
    expect_match("sip = 10.1.2.4", &v4, false);
    expect_match("sip = ::ffff:10.1.2.3", &v4, true);
    expect_match("host = 192.0.2.9", &v4, true);
    expect_match("host != 192.0.2.9", &v4, false);
    expect_match("snet = 10.0.0.0/8", &v4, true);
    expect_match("snet = 10.1.2.0/31", &v4, false);
    expect_match("snet = 10.1.2.2/31", &v4, true);
    expect_match("snet = 0.0.0.0/0", &v4, true);
    expect_match("snet = 0.0.0.0/0", &v6, false);
    expect_match("snet = ::/0", &v6, true);
    expect_match("dnet = 0.160.0.0/12", &v6, false);
    expect_match("snet = 2001:db8::/33", &v6, true);
    expect_match("snet = 2001:db8:8000::/33", &v6, false);
    expect_match("snet = 2001:db8::1/128", &v6, true);
    expect_match("sip != 10.1.2.3", &v6, true);
    expect_match("dport = 443 & proto = tcp", &v4, true);
    expect_match("dport > 443 | dport < 443", &v4, false);
    expect_match("dport >= 443 & dport <= 443", &v4, true);
    expect_match("dport > 52 & dport < 54 & proto != 6", &v6, true);
    expect_match("dport = 1 | dport = 2 | dport = 3 | dport = 443 | dport = 5", &v4, true);
    assert_true(gp_cond_match(NULL, &v4));
}

static void odd_networks_do_not_change_the_flow(void **state)
{
    (void)state;
    gp_flow f = flow("10.1.2.3", "192.0.2.9", 443, 6);
    gp_flow before = f;
    expect_match("snet = 10.1.2.0/23 & sip = 10.1.2.3", &f, true);
    assert_memory_equal(&f, &before, sizeof f);
}

static void directions_look_at_packets(void **state)
{
    (void)state;
    gp_counters in = {.pkts_rcvd = 1};
    gp_counters out = {.pkts_sent = 1};
    gp_counters both = {.pkts_rcvd = 1, .pkts_sent = 2};
    gp_counters none = {.bytes_rcvd = 9};
    assert_true(gp_direction_match(GP_DIRF_NONE, &none));
    assert_true(gp_direction_match(GP_DIRF_IN, &in));
    assert_false(gp_direction_match(GP_DIRF_IN, &both));
    assert_true(gp_direction_match(GP_DIRF_OUT, &out));
    assert_false(gp_direction_match(GP_DIRF_OUT, &in));
    assert_true(gp_direction_match(GP_DIRF_UNI, &in));
    assert_false(gp_direction_match(GP_DIRF_UNI, &both));
    assert_false(gp_direction_match(GP_DIRF_UNI, &none));
    assert_true(gp_direction_match(GP_DIRF_BI, &both));
    assert_false(gp_direction_match(GP_DIRF_BI, &out));
}

static void expect_summary(const char *text, uint32_t columns, gp_ip_version version)
{
    gp_cond *c = must_parse(text);
    if (gp_cond_columns(c) != columns || gp_cond_ip_version(c) != version)
        fail_msg("%s: columns %u, version %d", text, gp_cond_columns(c), (int)gp_cond_ip_version(c));
    gp_cond_free(c);
}

static void conditions_tell_what_they_need(void **state)
{
    (void)state;
    expect_summary("dport = 80", GP_ATTR_DPORT, GP_IP_ANY);
    expect_summary("sip = 1.2.3.4", GP_ATTR_SIP, GP_IP_V4);
    expect_summary("dnet = fe80::/10 & proto = 6", GP_ATTR_DIP | GP_ATTR_PROTO, GP_IP_V6);
    expect_summary("sip = 1.2.3.4 | dport = 53", GP_ATTR_SIP | GP_ATTR_DPORT, GP_IP_ANY);
    expect_summary("sip != 1.2.3.4", GP_ATTR_SIP, GP_IP_ANY);
    expect_summary("!(sip != 1.2.3.4)", GP_ATTR_SIP, GP_IP_V4);
    expect_summary("host = 1.2.3.4 & net != ::/0", GP_ATTR_SIP | GP_ATTR_DIP, GP_IP_V4);
    expect_summary("sip = 1.2.3.4 | dip = ::1", GP_ATTR_SIP | GP_ATTR_DIP, GP_IP_ANY);
    expect_summary("dir = in", 0, GP_IP_ANY);
}

/* ---- limits -------------------------------------------------------------------------------------------- */

static char *repeat(const char *head, const char *part, size_t n, const char *tail)
{
    size_t len = strlen(part);
    char *text = calloc(1, strlen(head) + n * len + strlen(tail) + 1);
    assert_non_null(text);
    strcpy(text, head);
    char *to = text + strlen(head);
    for (size_t i = 0; i < n; i++, to += len)
        memcpy(to, part, len);
    strcpy(to, tail);
    return text;
}

static void nesting_is_limited(void **state)
{
    (void)state;
    char *deep = repeat("", "(", 100000, "");
    expect_error(deep, GP_EINVAL, "...");
    free(deep);
    deep = repeat("", "!", 100000, "dport = 1");
    expect_error(deep, GP_EINVAL, "...");
    free(deep);
    deep = repeat("", "!", COND_MAX_NESTING - 1, "dport = 1");
    expect_text(deep, "dport != 1");
    free(deep);
}

static void long_lists_stay_shallow(void **state)
{
    (void)state;
    char *text = repeat("dport = 2", " | dport = 1", 32767, "");
    gp_cond *c = must_parse(text);
    size_t n;
    (void)gp_cond_nodes(c, &n);
    assert_int_equal(n, 65535);
    assert_true(gp_cond_match(c, &(gp_flow){.dport = 2}));
    assert_false(gp_cond_match(c, &(gp_flow){.dport = 3}));
    gp_cond_free(c);
    free(text);
    text = repeat("dport = 2", " | dport = 1", 32768, "");
    expect_error(text, GP_ELIMIT, "the condition has more than 65535 parts");
    free(text);
    text = repeat("dport = 2", " | dport = 1", 70000, "");
    expect_error(text, GP_ELIMIT, "the condition has more than 65535 parts");
    free(text);
}

static void operands_precede_their_node(void **state)
{
    (void)state;
    gp_cond *c = must_parse("(dport = 1 | !(dport = 2 & proto = 3)) & host != 1.2.3.4 & net = 10.0.0.0/8");
    size_t n;
    const gp_cond_node *nodes = gp_cond_nodes(c, &n);
    assert_int_equal(gp_cond_root(c), n - 1);
    for (size_t i = 0; i < n; i++) {
        assert_int_not_equal(nodes[i].type, GP_COND_NOT);
        if (nodes[i].type != GP_COND_LEAF)
            assert_true(nodes[i].left < i && nodes[i].right < i);
    }
    gp_cond_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_read_as_v4_does),
        cmocka_unit_test(negation_may_stand_anywhere),
        cmocka_unit_test(misspelt_attributes_are_guessed),
        cmocka_unit_test(words_depend_on_their_place),
        cmocka_unit_test(networks_are_checked),
        cmocka_unit_test(direction_may_be_any_operand_of_the_top),
        cmocka_unit_test(names_become_their_addresses),
        cmocka_unit_test(names_are_looked_up_once_and_only_if_needed),
        cmocka_unit_test(the_systems_resolver_is_asked),
        cmocka_unit_test(flows_are_matched),
        cmocka_unit_test(odd_networks_do_not_change_the_flow),
        cmocka_unit_test(directions_look_at_packets),
        cmocka_unit_test(conditions_tell_what_they_need),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(long_lists_stay_shallow),
        cmocka_unit_test(operands_precede_their_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
