#include "proto/yaml/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static gp_yaml_doc *parse(const char *text)
{
    gp_yaml_doc *doc = NULL;
    gp_error err = GP_ERROR_INIT;
    if (gp_yaml_parse(&doc, "t.yaml", text, strlen(text), &err) != GP_OK)
        fail_msg("%s", err.msg);
    return doc;
}

static void refuse(const char *text, const char *expected)
{
    gp_yaml_doc *doc = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_yaml_parse(&doc, "t.yaml", text, strlen(text), &err), GP_EINVAL);
    assert_null(doc);
    assert_string_equal(err.msg, expected);
}

static int64_t int_at(const char *text, const char *path)
{
    gp_yaml_doc *doc = parse(text);
    int64_t v = -99;
    gp_error err = GP_ERROR_INIT;
    if (gp_yaml_int(gp_yaml_find(gp_yaml_root(doc), path), INT64_MIN, INT64_MAX, &v, &err) != GP_OK)
        fail_msg("%s", err.msg);
    gp_yaml_free(doc);
    return v;
}

static void yaml_and_json_give_the_same_tree(void **state)
{
    (void)state;
    static const char tabs[] = "{\n\t\"api\": {\n\t\t\"addr\": \"localhost:80\",\n"
                               "\t\t\"keys\": [\"a\",\"b\"],\n\t\t\"n\": 3\n\t}\n}\n";
    const char *texts[] = {"api:\n  addr: \"localhost:80\"\n  keys: [a, b]\n  n: 3\n",
                           "{\"api\":{\"addr\":\"localhost:80\",\"keys\":[\"a\",\"b\"],\"n\":3}}", tabs};
    for (size_t i = 0; i < 3; i++) {
        gp_yaml_doc *doc = parse(texts[i]);
        const gp_yaml_node *root = gp_yaml_root(doc);
        const char *addr = NULL;
        char **keys = NULL;
        size_t n = 0;
        assert_int_equal(gp_yaml_str(gp_yaml_find(root, "api.addr"), &addr, NULL), GP_OK);
        assert_string_equal(addr, "localhost:80");
        assert_int_equal(gp_yaml_strlist(gp_yaml_find(root, "api.keys"), &keys, &n, NULL), GP_OK);
        assert_int_equal(n, 2);
        assert_string_equal(keys[1], "b");
        gp_yaml_strlist_free(keys, n);
        gp_yaml_free(doc);
        assert_int_equal(int_at(texts[i], "API.N"), 3);
    }
}

static void absent_values_leave_the_default(void **state)
{
    (void)state;
    gp_yaml_doc *doc = parse("a:\nb: ~\nc: null\n");
    const char *paths[] = {"a", "b", "c", "d", "d.e", "a.b"};
    for (size_t i = 0; i < 6; i++) {
        const gp_yaml_node *n = gp_yaml_find(gp_yaml_root(doc), paths[i]);
        int64_t v = 7;
        bool b = true;
        double f = 0.5;
        const char *s = "s";
        size_t choice = 4;
        assert_int_equal(gp_yaml_int(n, 0, 1, &v, NULL), GP_OK);
        assert_int_equal(gp_yaml_bool(n, &b, NULL), GP_OK);
        assert_int_equal(gp_yaml_f64(n, 0, 1, &f, NULL), GP_OK);
        assert_int_equal(gp_yaml_str(n, &s, NULL), GP_OK);
        assert_int_equal(gp_yaml_choice(n, NULL, 0, &choice, NULL), GP_OK);
        assert_int_equal(gp_yaml_expect(n, GP_YAML_MAP, NULL), GP_OK);
        assert_true(v == 7 && b && f == 0.5 && !strcmp(s, "s") && choice == 4);
    }
    gp_yaml_free(doc);
}

static void integers_in_every_notation(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {{"x: 0", 0},
                 {"x: 42", 42},
                 {"x: -7", -7},
                 {"x: +7", 7},
                 {"x: 1_000_000", 1000000},
                 {"x: 0755", 493},
                 {"x: 0o755", 493},
                 {"x: 0x1F", 31},
                 {"x: 0b101", 5},
                 {"x: 1e6", 1000000},
                 {"x: 4.0", 4},
                 {"x: 089", 89},
                 {"x: \"12\"", 12},
                 {"x: 9223372036854775807", INT64_MAX},
                 {"x: -9223372036854775808", INT64_MIN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(int_at(cases[i].text, "x"), cases[i].value);
    static const char *const bad[] = {"x: ''",  "x: abc", "x: 1.5", "x: 9223372036854775808",
                                      "x: 0x",  "x: --1", "x: 1 2", "x: 1e999",
                                      "x: nan", "x: 0o9", "x: _1",  "x: 1e"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gp_yaml_doc *doc = parse(bad[i]);
        int64_t v = 1;
        assert_int_equal(gp_yaml_int(gp_yaml_get(gp_yaml_root(doc), "x"), INT64_MIN, INT64_MAX, &v, NULL),
                         GP_EINVAL);
        assert_int_equal(v, 1);
        gp_yaml_free(doc);
    }
}

static void errors_name_file_place_key_value_and_what_is_allowed(void **state)
{
    (void)state;
    gp_yaml_doc *doc = parse("api:\n  metrics: maybe\n  timeout: soon\n  size: 70000\n  rate: fast\n"
                             "  keys:\n    - a\n    - [b]\n  codec: gzip\n  addr: {}\n");
    const gp_yaml_node *root = gp_yaml_root(doc);
    gp_error err = GP_ERROR_INIT;
    bool b = false;
    int64_t v = 0;
    double f = 0;
    size_t choice = 0;
    const char *s = NULL;
    char **list = NULL;
    static const char *const codecs[] = {"lz4", "zstd"};
    assert_int_equal(gp_yaml_bool(gp_yaml_find(root, "api.metrics"), &b, &err), GP_EINVAL);
    assert_string_equal(err.msg,
                        "t.yaml:2:12: api.metrics: \"maybe\" is not a boolean (allowed: true, false)");
    assert_int_equal(gp_yaml_int(gp_yaml_find(root, "api.timeout"), 0, 10, &v, &err), GP_EINVAL);
    assert_string_equal(err.msg, "t.yaml:3:12: api.timeout: \"soon\" is not an integer (allowed: 0 to 10)");
    assert_int_equal(gp_yaml_int(gp_yaml_find(root, "api.size"), 1, 65535, &v, &err), GP_EINVAL);
    assert_string_equal(err.msg, "t.yaml:4:9: api.size: 70000 is out of range (allowed: 1 to 65535)");
    assert_int_equal(gp_yaml_f64(gp_yaml_find(root, "api.rate"), 0, 1, &f, &err), GP_EINVAL);
    assert_string_equal(err.msg, "t.yaml:5:9: api.rate: \"fast\" is not a number (allowed: 0 to 1)");
    assert_int_equal(gp_yaml_strlist(gp_yaml_find(root, "api.keys"), &list, &choice, &err), GP_EINVAL);
    assert_string_equal(err.msg, "t.yaml:8:7: api.keys[1]: expected a single value, found a list");
    assert_int_equal(gp_yaml_choice(gp_yaml_find(root, "api.codec"), codecs, 2, &choice, &err), GP_EINVAL);
    assert_string_equal(err.msg, "t.yaml:9:10: api.codec: unknown value \"gzip\" (allowed: lz4, zstd)");
    assert_int_equal(gp_yaml_str(gp_yaml_find(root, "api.addr"), &s, &err), GP_EINVAL);
    assert_string_equal(err.msg,
                        "t.yaml:10:9: api.addr: expected a single value, found a mapping (key: value)");
    gp_yaml_free(doc);
}

static void syntax_errors_name_the_place(void **state)
{
    (void)state;
    refuse("a: 1\nb: 2\na: 3\n", "t.yaml:3:1: key 'a' is given twice (first in line 1)");
    refuse("a: *b\n", "t.yaml:1:4: unknown anchor 'b'");
    refuse("a: &x [1, *x]\n", "t.yaml:1:11: anchor 'x' contains itself");
    refuse("[a]: 1\n", "t.yaml:1:1: a key must be a text, not a list or mapping");
    refuse("a: \"x\\0y\"\n", "t.yaml:1:4: a text with a NUL character is not allowed");
    refuse("<<: 3\n", "t.yaml:1:1: '<<' takes a mapping or a list of mappings");
    refuse("a: [1\nb: 2\n", "t.yaml:2:2: did not find expected ',' or ']' while parsing a flow sequence");
    refuse("\xff\xfe\xff", "t.yaml: incomplete UTF-16 character at byte 2");
}

static void scalars_know_whether_they_were_quoted(void **state)
{
    (void)state;
    gp_yaml_doc *doc = parse("a: 1\nb: '1'\nc: \"\"\nd: !!str ~\ne: |\n  text\n");
    const gp_yaml_node *root = gp_yaml_root(doc);
    assert_false(gp_yaml_get(root, "a")->quoted);
    assert_true(gp_yaml_get(root, "b")->quoted);
    assert_int_equal(gp_yaml_get(root, "c")->kind, GP_YAML_SCALAR);
    assert_int_equal(gp_yaml_get(root, "d")->kind, GP_YAML_SCALAR);
    assert_string_equal(gp_yaml_get(root, "e")->text, "text\n");
    gp_yaml_free(doc);
}

static void anchors_and_merge_keys(void **state)
{
    (void)state;
    const char *text = "base: &base\n  promisc: true\n  ring: &ring {size: 1, blocks: x}\n"
                       "more: &more {vlan: 1, promisc: false}\n"
                       "eth0:\n  <<: [*base, *more]\n  extra: 9\n"
                       "eth1:\n  promisc: false\n  <<: *base\n"
                       "eth2:\n  ring: *ring\n"
                       "size: &s huge\ncopy: *s\n";
    gp_yaml_doc *doc = parse(text);
    const gp_yaml_node *root = gp_yaml_root(doc);
    bool promisc = false;
    assert_int_equal(gp_yaml_get(root, "eth0")->n, 4); /* extra, promisc, ring, vlan */
    assert_int_equal(gp_yaml_bool(gp_yaml_find(root, "eth0.promisc"), &promisc, NULL), GP_OK);
    assert_true(promisc);
    assert_int_equal(gp_yaml_bool(gp_yaml_find(root, "eth1.promisc"), &promisc, NULL), GP_OK);
    assert_false(promisc);
    assert_int_equal(int_at(text, "eth0.extra"), 9);
    assert_int_equal(int_at(text, "eth0.vlan"), 1);
    assert_int_equal(int_at(text, "eth2.ring.size"), 1);
    gp_error err = GP_ERROR_INIT;
    int64_t v = 0;
    /* A shared value is reported where it was written, a scalar where it is used. */
    assert_int_equal(gp_yaml_int(gp_yaml_find(root, "eth2.ring.blocks"), 0, 9, &v, &err), GP_EINVAL);
    assert_string_equal(err.msg, "t.yaml:3:33: base.ring.blocks: \"x\" is not an integer (allowed: 0 to 9)");
    assert_int_equal(gp_yaml_int(gp_yaml_get(root, "copy"), 0, 9, &v, &err), GP_EINVAL);
    assert_string_equal(err.msg, "t.yaml:14:7: copy: \"huge\" is not an integer (allowed: 0 to 9)");
    gp_yaml_free(doc);
}

static void hostile_documents_are_bounded(void **state)
{
    (void)state;
    gp_buf text = {0};
    gp_buf_puts(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; i++) {
        gp_buf_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++)
            gp_buf_printf(&text, "%s*a%d", j ? "," : "", i - 1);
        gp_buf_puts(&text, "]\n");
    }
    gp_yaml_doc *doc = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_yaml_parse(&doc, "laughs", text.data, text.len, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "more than 262144 values"));
    gp_buf_clear(&text);
    gp_buf_pad(&text, '[', 100);
    assert_int_equal(gp_yaml_parse(&doc, "deep", text.data, text.len, &err), GP_EINVAL);
    assert_string_equal(err.msg, "deep:1:66: nested deeper than 64 levels");
    /* Merging one large mapping again and again must not copy it without end. */
    gp_buf_clear(&text);
    gp_buf_puts(&text, "big: &big\n");
    for (int i = 0; i < 2000; i++)
        gp_buf_printf(&text, "  k%d: 1\n", i);
    for (int i = 0; i < 2000; i++)
        gp_buf_printf(&text, "m%d: {<<: *big}\n", i);
    assert_int_equal(gp_yaml_parse(&doc, "merges", text.data, text.len, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "more than 262144 values"));
    gp_buf_free(&text);
}

static void collect(void *ctx, const char *sentence)
{
    gp_buf_puts(ctx, sentence);
    gp_buf_putc(ctx, '\n');
}

static void unknown_keys_are_reported_with_a_hint(void **state)
{
    (void)state;
    gp_yaml_doc *doc = parse("api:\n  Addr: x\n  adr: y\n  qqqqqqq: z\n");
    static const char *const known[] = {"addr", "metrics"};
    gp_buf got = {0};
    gp_yaml_unknown(gp_yaml_find(gp_yaml_root(doc), "api"), known, 2, collect, &got);
    assert_string_equal(got.data, "t.yaml:3:3: unknown key 'api.adr' (did you mean 'addr'?)\n"
                                  "t.yaml:4:3: unknown key 'api.qqqqqqq'\n");
    gp_buf_free(&got);
    gp_yaml_free(doc);
}

static void dotted_keys_are_paths(void **state)
{
    (void)state;
    assert_int_equal(int_at("a.b: {c.d: 5}\n", "a.b.c.d"), 5);
    assert_int_equal(int_at("a: {b.c: {d: 6}}\n", "a.b.c.d"), 6);
    assert_int_equal(int_at("Key: 1\nkey: 2\n", "key"), 2);
    assert_int_equal(int_at("Key: 1\nkey: 2\n", "Key"), 1);
}

static void lists_from_text_and_first_document_only(void **state)
{
    (void)state;
    gp_yaml_doc *doc = parse("l: lo,docker0\ne: \"\"\n---\nl: other\n");
    char **list = NULL;
    size_t n = 0;
    const gp_yaml_node *root = gp_yaml_root(doc);
    assert_int_equal(gp_yaml_strlist(gp_yaml_get(root, "l"), &list, &n, NULL), GP_OK);
    assert_int_equal(n, 2);
    assert_string_equal(list[0], "lo");
    assert_string_equal(list[1], "docker0");
    assert_int_equal(gp_yaml_strlist(gp_yaml_get(root, "e"), &list, &n, NULL), GP_OK);
    assert_int_equal(n, 0);
    gp_yaml_strlist_free(list, n);
    gp_yaml_free(doc);
}

static void files_are_loaded_and_missing_ones_named(void **state)
{
    (void)state;
    char path[] = "/tmp/gp-yaml-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: 5\n", 5), 5);
    close(fd);
    gp_yaml_doc *doc = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_yaml_load(&doc, path, &err), GP_OK);
    assert_string_equal(gp_yaml_name(doc), path);
    gp_yaml_free(doc);
    unlink(path);
    assert_int_equal(gp_yaml_load(&doc, path, &err), GP_ENOTFOUND);
    assert_null(doc);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(gp_yaml_load(&doc, "/tmp", &err), GP_EIO);
    doc = parse("# nothing\n");
    assert_int_equal(gp_yaml_root(doc)->kind, GP_YAML_NULL);
    gp_yaml_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_and_json_give_the_same_tree),
        cmocka_unit_test(absent_values_leave_the_default),
        cmocka_unit_test(integers_in_every_notation),
        cmocka_unit_test(errors_name_file_place_key_value_and_what_is_allowed),
        cmocka_unit_test(syntax_errors_name_the_place),
        cmocka_unit_test(scalars_know_whether_they_were_quoted),
        cmocka_unit_test(anchors_and_merge_keys),
        cmocka_unit_test(hostile_documents_are_bounded),
        cmocka_unit_test(unknown_keys_are_reported_with_a_hint),
        cmocka_unit_test(dotted_keys_are_paths),
        cmocka_unit_test(lists_from_text_and_first_document_only),
        cmocka_unit_test(files_are_loaded_and_missing_ones_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
