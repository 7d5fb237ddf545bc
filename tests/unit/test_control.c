#include "proto/control/capconfig.h"
#include "proto/control/status.h"
#include "proto/yaml/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Answers of goProbe v4 (commit of 2026, `GET /config` and `GET /status` on interface lo), as received. */
static const char v4_config[] =
    "{\"$schema\":\"http://127.0.0.1:18145/schemas/ConfigResponse.json\",\"status_code\":200,"
    "\"ifaces\":{\"lo\":{\"ignore_vlans\":false,\"promisc\":false,\"ring_buffer\":{\"block_size\":1048576,"
    "\"num_blocks\":4},\"extra_bpf_filters\":[{\"Op\":1,\"Jt\":1,\"Jf\":1,\"K\":70000}],\"disable\":false}}}";
static const char v4_status[] =
    "{\"status_code\":200,\"last_writeout\":\"0001-01-01T00:00:00Z\","
    "\"started_at\":\"2026-11-24T03:53:42.934772942Z\",\"statuses\":{\"lo\":{\"started_at\":"
    "\"2026-11-24T03:53:42.93462667Z\",\"received\":10,\"received_total\":10,\"processed\":0,"
    "\"processed_total\":0,\"dropped\":0,\"dropped_total\":0,\"parsing_errors\":[0,0,0]}}}";

static int use_utc(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static void config_of_v4(void **state)
{
    (void)state;
    gp_capconfig_map m = {0};
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_config_response_from_json(v4_config, strlen(v4_config), &m, &err), GP_OK);
    assert_int_equal(m.n, 1);
    const gp_capconfig *lo = gp_capconfig_map_get(&m, "lo");
    assert_non_null(lo);
    assert_null(gp_capconfig_map_get(&m, "eth0"));
    assert_true(lo->has_ring);
    assert_int_equal(lo->block_size, 1048576);
    assert_int_equal(lo->num_blocks, 4);
    assert_int_equal(lo->n_extra_bpf, 1);
    assert_int_equal(lo->extra_bpf[0].k, 70000);

    gp_buf b = GP_BUF_INIT;
    gp_config_response_to_json(200, &m, &b);
    const char *v4_without_schema = strstr(v4_config, "\"status_code\"");
    assert_non_null(v4_without_schema);
    assert_string_equal(b.data + 1, v4_without_schema);
    gp_buf_free(&b);
    gp_capconfig_map_free(&m);
}

static void config_response_may_be_empty(void **state)
{
    (void)state;
    gp_capconfig_map m = {0};
    static const char text[] = "{\"status_code\":200,\"ifaces\":null}";
    assert_int_equal(gp_config_response_from_json(text, strlen(text), &m, NULL), GP_OK);
    assert_int_equal(m.n, 0);
    gp_capconfig_map_free(&m);
}

static void map_keeps_order(void **state)
{
    (void)state;
    gp_capconfig_map m = {0};
    static const char *const names[] = {"wlan0", "eth0", "lo", "eth0"};
    for (size_t i = 0; i < 4; i++) {
        gp_capconfig c;
        gp_capconfig_default(&c);
        c.num_blocks = (int64_t)i + 1;
        assert_int_equal(gp_capconfig_map_put(&m, names[i], &c, NULL), GP_OK);
    }
    assert_int_equal(m.n, 3);
    assert_string_equal(m.entries[0].name, "eth0");
    assert_int_equal(m.entries[0].cfg.num_blocks, 4); /* the later one replaced the first */
    assert_string_equal(m.entries[2].name, "wlan0");
    gp_capconfig_map copy = {0};
    assert_int_equal(gp_capconfig_map_copy(&m, &copy, NULL), GP_OK);
    assert_true(gp_capconfig_equal(&m.entries[1].cfg, &copy.entries[1].cfg));
    assert_false(gp_capconfig_equal(&m.entries[0].cfg, &m.entries[1].cfg));
    gp_capconfig_map_free(&copy);
    gp_capconfig_map_free(&m);
}

static void validation_is_worded_as_v4(void **state)
{
    (void)state;
    gp_capconfig c;
    gp_error err = GP_ERROR_INIT;
    gp_capconfig_default(&c);
    assert_int_equal(gp_capconfig_validate("eth0", &c, &err), GP_OK);
    c.block_size = 0;
    assert_int_equal(gp_capconfig_validate("eth0", &c, &err), GP_EINVAL);
    assert_string_equal(err.msg, "eth0: ring buffer block size must be a postive number");
    c.block_size = 1;
    c.num_blocks = -1;
    gp_capconfig_validate("eth0", &c, &err);
    assert_string_equal(err.msg, "eth0: ring buffer num blocks must be a postive number");
    c.has_ring = false;
    gp_capconfig_validate(NULL, &c, &err);
    assert_string_equal(err.msg, "no ring buffer configuration specified");
    c = (gp_capconfig){.disable = true};
    assert_int_equal(gp_capconfig_validate("eth0", &c, &err), GP_OK);
    c.promisc = true;
    gp_capconfig_validate("eth0", &c, &err);
    assert_string_equal(err.msg, "eth0: capture settings specified, but capture is disabled");
    gp_capconfig_map none = {0};
    assert_int_equal(gp_capconfig_map_validate(&none, &err), GP_EINVAL);
    assert_string_equal(err.msg, "no interfaces specified");
}

static void damaged_config_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{\"lo\":1}",
                                      "{\"lo\":{\"promisc\":\"yes\"}}",
                                      "{\"lo\":{\"ring_buffer\":{\"block_size\":1e300}}}",
                                      "{\"lo\":{\"ring_buffer\":{\"block_size\":1.5}}}",
                                      "{\"lo\":{\"extra_bpf_filters\":[{\"Op\":70000}]}}",
                                      "{\"lo\":{\"extra_bpf_filters\":[1]}}",
                                      "{\"lo\":{},\"lo\":{}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gp_capconfig_map m = {0};
        gp_error err = GP_ERROR_INIT;
        assert_int_equal(gp_capconfig_map_from_json(bad[i], strlen(bad[i]), &m, &err), GP_ECORRUPT);
        assert_true(err.msg[0] != '\0');
        assert_null(m.entries);
    }
}

static void too_many_bpf_instructions(void **state)
{
    (void)state;
    gp_buf b = GP_BUF_INIT;
    gp_buf_puts(&b, "{\"lo\":{\"extra_bpf_filters\":[{}");
    for (int i = 0; i < GP_MAX_EXTRA_BPF; i++)
        gp_buf_puts(&b, ",{}");
    gp_buf_puts(&b, "]}}");
    gp_capconfig_map m = {0};
    assert_int_equal(gp_capconfig_map_from_json(b.data, b.len, &m, NULL), GP_ELIMIT);
    gp_buf_free(&b);
}

/* Bodies and the errors that v4 answered them with ("location|message"), in its order. */
static void requests_are_checked_as_by_v4(void **state)
{
    (void)state;
#define REST "\"disable\":false,\"extra_bpf_filters\":null,\"ignore_vlans\":false,\"promisc\":false"
    static const struct {
        const char *body;
        int status;
        const char *errors;
    } cases[] = {
        {"", 400, ""},
        {"null", 422, "body|expected object\n"},
        {"{\"lo\":null}", 422, "body.lo|expected object\n"},
        {"{\"lo\":{" REST ",\"ring_buffer\":null}}", 422, "body.lo.ring_buffer|expected object\n"},
        {"{\"lo\":{" REST ",\"ring_buffer\":{}}}", 422,
         "body.lo.ring_buffer|expected required property block_size to be present\n"
         "body.lo.ring_buffer|expected required property num_blocks to be present\n"},
        {"{\"lo\":{" REST ",\"ring_buffer\":{\"block_size\":0,\"num_blocks\":1.5}}}", 422,
         "body.lo.ring_buffer.block_size|expected number >= 1\n"
         "body.lo.ring_buffer.num_blocks|expected integer\n"},
        {"{\"lo\":{" REST ",\"foo\":1,\"ring_buffer\":{\"block_size\":\"x\",\"num_blocks\":null,\"z\":1}}}",
         422,
         "body.lo.ring_buffer.block_size|expected integer\nbody.lo.ring_buffer.num_blocks|expected integer\n"
         "body.lo.ring_buffer.z|unexpected property\nbody.lo.foo|unexpected property\n"},
        {"{\"lo\":{\"promisc\":3}}", 422,
         "body.lo|expected required property disable to be present\n"
         "body.lo|expected required property extra_bpf_filters to be present\n"
         "body.lo|expected required property ignore_vlans to be present\n"
         "body.lo.promisc|expected boolean\n"
         "body.lo|expected required property ring_buffer to be present\n"},
        {"{\"lo\":{\"disable\":false,\"extra_bpf_filters\":[{\"Op\":1,\"Jt\":3,\"Jf\":-1,\"K\":5},3,"
         "{\"Op\":-1,\"x\":1}],\"ignore_vlans\":false,\"promisc\":false,"
         "\"ring_buffer\":{\"block_size\":1048576,\"num_blocks\":4}}}",
         422,
         "body.lo.extra_bpf_filters[0].Jf|expected number >= 0\n"
         "body.lo.extra_bpf_filters[1]|expected object\n"
         "body.lo.extra_bpf_filters[2]|expected required property Jf to be present\n"
         "body.lo.extra_bpf_filters[2]|expected required property Jt to be present\n"
         "body.lo.extra_bpf_filters[2]|expected required property K to be present\n"
         "body.lo.extra_bpf_filters[2].Op|expected number >= 0\n"
         "body.lo.extra_bpf_filters[2].x|unexpected property\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gp_capconfig_map m = {0};
        gp_problem p = GP_PROBLEM_INIT;
        assert_int_equal(gp_capconfig_map_from_request(cases[i].body, strlen(cases[i].body), &m, &p),
                         GP_EINVAL);
        assert_int_equal(p.status, cases[i].status);
        gp_buf got = GP_BUF_INIT;
        for (size_t j = 0; j < p.n_errors; j++)
            gp_buf_printf(&got, "%s|%s\n", p.errors[j].location, p.errors[j].message);
        assert_string_equal(got.len ? got.data : "", cases[i].errors);
        gp_buf_free(&got);
        gp_problem_free(&p);
    }
}

static void good_request_is_taken(void **state)
{
    (void)state;
    static const char body[] = "{\"lo\":{" REST ",\"ring_buffer\":{\"block_size\":4096,\"num_blocks\":2}}}";
    gp_capconfig_map m = {0};
    gp_problem p = GP_PROBLEM_INIT;
    assert_int_equal(gp_capconfig_map_from_request(body, strlen(body), &m, &p), GP_OK);
    assert_int_equal(p.status, 0);
    assert_int_equal(gp_capconfig_map_get(&m, "lo")->num_blocks, 2);
    gp_capconfig_map_free(&m);
}

static gp_code from_yaml(const char *text, gp_capconfig_map *m, gp_error *err)
{
    gp_yaml_doc *doc;
    assert_int_equal(gp_yaml_parse(&doc, "gp.yaml", text, strlen(text), err), GP_OK);
    gp_code rc = gp_capconfig_map_from_yaml(gp_yaml_get(gp_yaml_root(doc), "interfaces"), m, err);
    gp_yaml_free(doc);
    return rc;
}

/* What v4 does not know: optional, within bounds, and only written where it was given. */
static void rings_and_limits_are_settings(void **state)
{
    (void)state;
    static const char body[] = "{\"lo\":{" REST ",\"max_flows\":1000,\"in_kernel\":true,"
                               "\"ring_buffer\":{\"block_size\":4096,\"num_blocks\":2,\"num_rings\":4}}}";
    static const char bad[] = "{\"lo\":{" REST ",\"max_flows\":0,"
                              "\"ring_buffer\":{\"block_size\":4096,\"num_blocks\":2,\"num_rings\":65}}}";
    gp_capconfig_map m = {0};
    gp_capconfig_map again = {0};
    gp_problem p = GP_PROBLEM_INIT;
    gp_error err = GP_ERROR_INIT;
    gp_buf b = GP_BUF_INIT;
    assert_int_equal(gp_capconfig_map_from_request(body, strlen(body), &m, &p), GP_OK);
    assert_int_equal(gp_capconfig_map_get(&m, "lo")->num_rings, 4);
    assert_int_equal(gp_capconfig_map_get(&m, "lo")->max_flows, 1000);
    assert_true(gp_capconfig_map_get(&m, "lo")->in_kernel);
    gp_capconfig_map_to_json(&m, &b);
    assert_int_equal(gp_capconfig_map_from_json(b.data, b.len, &again, NULL), GP_OK);
    assert_true(gp_capconfig_equal(&m.entries[0].cfg, &again.entries[0].cfg));
    again.entries[0].cfg.max_flows++;
    assert_false(gp_capconfig_equal(&m.entries[0].cfg, &again.entries[0].cfg));
    again.entries[0].cfg.max_flows--;
    again.entries[0].cfg.in_kernel = false;
    assert_false(gp_capconfig_equal(&m.entries[0].cfg, &again.entries[0].cfg));
    gp_capconfig_map_free(&again);
    gp_capconfig_map_free(&m);
    gp_buf_free(&b);
    assert_int_equal(gp_capconfig_map_from_request(bad, strlen(bad), &m, &p), GP_EINVAL);
    assert_int_equal(p.n_errors, 2);
    gp_problem_free(&p);
    static const char yaml[] = "interfaces: {eth0: {max_flows: 7, in_kernel: true, "
                               "ring_buffer: {block_size: 1, num_blocks: 1, num_rings: 2}}}";
    assert_int_equal(from_yaml(yaml, &m, &err), GP_OK);
    assert_int_equal(m.entries[0].cfg.num_rings, 2);
    assert_int_equal(m.entries[0].cfg.max_flows, 7);
    assert_true(m.entries[0].cfg.in_kernel);
    assert_int_equal(gp_capconfig_map_validate(&m, &err), GP_OK);
    gp_capconfig_map_free(&m);
    assert_int_equal(from_yaml("interfaces: {eth0: {max_flows: 0}}", &m, &err), GP_EINVAL);
    assert_int_equal(from_yaml("interfaces: {eth0: {ring_buffer: {num_rings: 65}}}", &m, &err), GP_EINVAL);
}

static void more_than_v4_tells_is_left_out_where_it_is_nothing(void **state)
{
    (void)state;
    gp_iface_status iface = {.iface = "lo", .stats = {.started_sec = 1, .flows = 12, .overflow_packets = 3}};
    const gp_status s = {.status_code = 200, .ifaces = &iface, .n_ifaces = 1};
    gp_buf b = GP_BUF_INIT;
    gp_status got;
    gp_status_to_json(&s, &b);
    assert_non_null(strstr(b.data, "\"parsing_errors\":[0,0,0],\"flows\":12,\"overflow_packets\":3}"));
    assert_int_equal(gp_status_from_json(b.data, b.len, &got, NULL), GP_OK);
    assert_memory_equal(&got.ifaces[0].stats, &iface.stats, sizeof iface.stats);
    gp_status_free(&got);
    gp_buf_free(&b);
}

static void errors_stay_small(void **state)
{
    (void)state;
    gp_buf b = GP_BUF_INIT;
    gp_buf_puts(&b, "{\"lo\":{\"a\":\"");
    gp_buf_pad(&b, 'x', 1 << 20);
    gp_buf_puts(&b, "\"");
    for (int i = 0; i < 1000; i++)
        gp_buf_printf(&b, ",\"k%d\":1", i);
    gp_buf_puts(&b, "}}");
    gp_capconfig_map m = {0};
    gp_problem p = GP_PROBLEM_INIT;
    assert_int_equal(gp_capconfig_map_from_request(b.data, b.len, &m, &p), GP_EINVAL);
    assert_int_equal(p.n_errors, 100);
    gp_buf json = GP_BUF_INIT;
    gp_problem_to_json(&p, &json);
    assert_true(json.len < b.len / 10);
    gp_buf_free(&json);
    gp_problem_free(&p);
    gp_buf_free(&b);
}

static void config_files(void **state)
{
    (void)state;
    gp_capconfig_map m = {0};
    gp_error err = GP_ERROR_INIT;
    static const char text[] = "interfaces:\n"
                               "  wlan0: {disable: true}\n"
                               "  eth0:\n"
                               "    promisc: true\n"
                               "    ring_buffer: {block_size: 4096, num_blocks: 2}\n"
                               "    extra_bpf_filters: [{op: 1, jt: 2, jf: 3, k: 4}]\n";
    assert_int_equal(from_yaml(text, &m, &err), GP_OK);
    assert_int_equal(m.n, 2);
    assert_string_equal(m.entries[0].name, "eth0");
    assert_int_equal(m.entries[0].cfg.block_size, 4096);
    assert_int_equal(m.entries[0].cfg.extra_bpf[0].k, 4);
    assert_false(m.entries[1].cfg.has_ring);
    gp_capconfig_map_free(&m);
    assert_int_equal(from_yaml("db: {}", &m, &err), GP_OK);
    assert_int_equal(m.n, 0);
    assert_int_equal(from_yaml("interfaces: [eth0]", &m, &err), GP_EINVAL);
    assert_int_equal(from_yaml("interfaces: {eth0: {promisc: maybe}}", &m, &err), GP_EINVAL);
    assert_int_equal(from_yaml("interfaces: {eth0: {extra_bpf_filters: [{op: 70000}]}}", &m, &err),
                     GP_EINVAL);
    assert_non_null(strstr(err.msg, "gp.yaml:1:"));
}

static void status_of_v4(void **state)
{
    (void)state;
    gp_status s = {0};
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_status_from_json(v4_status, strlen(v4_status), &s, &err), GP_OK);
    assert_int_equal(s.status_code, 200);
    assert_int_equal(s.last_writeout_sec, 0);
    assert_int_equal(s.started_sec, 1795492422);
    assert_int_equal(s.started_nsec, 934772942);
    assert_int_equal(s.n_ifaces, 1);
    assert_string_equal(s.ifaces[0].iface, "lo");
    assert_int_equal(s.ifaces[0].stats.received_total, 10);
    gp_buf b = GP_BUF_INIT;
    gp_status_to_json(&s, &b);
    assert_string_equal(b.data, v4_status);
    gp_buf_free(&b);
    gp_status_free(&s);
}

static void status_is_sorted_and_checked(void **state)
{
    (void)state;
    static const char text[] = "{\"status_code\":204,\"error\":\"none\",\"statuses\":{\"b\":{},\"a\":"
                               "{\"parsing_errors\":[1,2,3,4]}}}";
    gp_status s = {0};
    assert_int_equal(gp_status_from_json(text, strlen(text), &s, NULL), GP_OK);
    assert_string_equal(s.error, "none");
    assert_string_equal(s.ifaces[0].iface, "a");
    assert_int_equal(s.ifaces[0].stats.parse_errors[GP_PARSE_TRUNCATED], 3);
    gp_status_free(&s);
    static const char *const bad[] = {
        "{\"status_code\":\"x\"}",
        "{\"status_code\":-1}",
        "{\"started_at\":\"yesterday\"}",
        "{\"statuses\":[]}",
        "{\"statuses\":{\"a\":0}}",
        "{\"statuses\":{\"a\":{\"received\":-1}}}",
        "{\"statuses\":{\"a\":{\"parsing_errors\":[\"x\"]}}}",
        "{\"statuses\":{\"a\":{\"parsing_errors\":7}}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(gp_status_from_json(bad[i], strlen(bad[i]), &s, NULL), GP_ECORRUPT);
    assert_string_equal(gp_parse_errno_name(GP_PARSE_INVALID_IP), "invalid IP header");
}

static void config_update_round_trip(void **state)
{
    (void)state;
    gp_config_update u = {.status_code = 200};
    assert_int_equal(gp_iface_changes_add(&u.updated, "lo", false, NULL), GP_OK);
    assert_int_equal(gp_iface_changes_add(&u.updated, "eth0", true, NULL), GP_OK);
    static const char want[] = "{\"status_code\":200,\"enabled\":null,\"updated\":[{\"name\":\"eth0\","
                               "\"success\":true},{\"name\":\"lo\",\"success\":false}],\"disabled\":null}";
    gp_buf b = GP_BUF_INIT;
    gp_config_update_to_json(&u, &b);
    assert_string_equal(b.data, want);
    gp_config_update back = {0};
    assert_int_equal(gp_config_update_from_json(b.data, b.len, &back, NULL), GP_OK);
    assert_int_equal(back.updated.n, 2);
    assert_false(back.updated.items[1].success);
    static const char bad[] = "{\"enabled\":[{\"success\":true}]}";
    gp_config_update none = {0};
    assert_int_equal(gp_config_update_from_json(bad, strlen(bad), &none, NULL), GP_ECORRUPT);
    gp_config_update_free(&back);
    gp_config_update_free(&u);
    gp_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_of_v4),
        cmocka_unit_test(config_response_may_be_empty),
        cmocka_unit_test(map_keeps_order),
        cmocka_unit_test(validation_is_worded_as_v4),
        cmocka_unit_test(damaged_config_is_refused),
        cmocka_unit_test(too_many_bpf_instructions),
        cmocka_unit_test(requests_are_checked_as_by_v4),
        cmocka_unit_test(good_request_is_taken),
        cmocka_unit_test(rings_and_limits_are_settings),
        cmocka_unit_test(more_than_v4_tells_is_left_out_where_it_is_nothing),
        cmocka_unit_test(errors_stay_small),
        cmocka_unit_test(config_files),
        cmocka_unit_test(status_of_v4),
        cmocka_unit_test(status_is_sorted_and_checked),
        cmocka_unit_test(config_update_round_trip),
    };
    return cmocka_run_group_tests(tests, use_utc, NULL);
}
