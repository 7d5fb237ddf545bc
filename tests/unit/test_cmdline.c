#include "sensor/cmdline/cmdline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 16 };

static gp_code parse(const char *line, gp_cmdline *out, gp_error *err)
{
    static char text[512]; /* what is parsed points into it */
    static char *argv[MOST + 1];
    int argc = 0;
    char *rest = NULL;
    strncpy(text, line, sizeof text - 1);
    for (char *t = strtok_r(text, " ", &rest); t && argc < MOST; t = strtok_r(NULL, " ", &rest))
        argv[argc++] = t;
    argv[argc] = NULL;
    return gp_cmdline_parse(argc, argv, out, err);
}

static void the_file_in_every_spelling(void **state)
{
    (void)state;
    static const char *const lines[] = {"goprobe -c a.yaml", "goprobe -config a.yaml",
                                        "goprobe --config a.yaml", "goprobe --config=a.yaml",
                                        "goprobe -config=a.yaml"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        gp_cmdline c;
        assert_int_equal(parse(lines[i], &c, NULL), GP_OK);
        assert_int_equal(c.command, GP_CMD_RUN);
        assert_string_equal(c.config, "a.yaml");
        gp_cmdline_free(&c);
    }
    gp_cmdline c;
    assert_int_equal(parse("goprobe", &c, NULL), GP_OK);
    assert_int_equal(c.command, GP_CMD_RUN);
    assert_null(c.config);
}

static void keys_are_flags(void **state)
{
    (void)state;
    gp_cmdline c;
    assert_int_equal(parse("goprobe --db.path /d --api.metrics --api.profiling=false --syslog_flows "
                           "--autodetection.exclude=lo,/docker.*/ --tracing.enabled",
                           &c, NULL),
                     GP_OK);
    assert_int_equal(c.n_flags, 6);
    assert_string_equal(c.flags[0].key, "db.path");
    assert_string_equal(c.flags[0].value, "/d");
    assert_string_equal(c.flags[1].value, "true");
    assert_string_equal(c.flags[2].value, "false");
    assert_string_equal(c.flags[3].key, "syslog_flows");
    assert_string_equal(c.flags[4].value, "lo,/docker.*/");
    gp_cmdline_free(&c);
}

static void other_commands(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        gp_command command;
    } cases[] = {{"goprobe version", GP_CMD_VERSION},
                 {"goprobe -version", GP_CMD_VERSION},
                 {"goprobe --version", GP_CMD_VERSION},
                 {"goprobe help", GP_CMD_HELP},
                 {"goprobe -h", GP_CMD_HELP},
                 {"goprobe --help", GP_CMD_HELP},
                 {"goprobe import --help", GP_CMD_HELP},
                 {"goprobe --openapi.spec-outfile x", GP_CMD_SPEC}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gp_cmdline c;
        assert_int_equal(parse(cases[i].line, &c, NULL), GP_OK);
        assert_int_equal(c.command, cases[i].command);
        gp_cmdline_free(&c);
    }
}

static void import_takes_files(void **state)
{
    (void)state;
    gp_cmdline c;
    assert_int_equal(
        parse("goprobe import -d /db --iface=eth0 -e zstd --local 10.0.0.0/8 a.pcap -", &c, NULL), GP_OK);
    assert_int_equal(c.command, GP_CMD_IMPORT);
    assert_string_equal(c.db, "/db");
    assert_string_equal(c.iface, "eth0");
    assert_string_equal(c.codec, "zstd");
    assert_string_equal(c.local, "10.0.0.0/8");
    assert_int_equal(c.n_files, 2);
    assert_string_equal(c.files[1], "-");
    gp_cmdline_free(&c);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } bad[] = {
        {"goprobe x", "unknown command \"x\" (commands: import, token, version, help; the configuration file "
                      "comes with -c)"},
        {"goprobe --nope", "unknown flag: --nope (try 'goprobe help')"},
        {"goprobe --", "unknown flag: -- (try 'goprobe help')"},
        {"goprobe -c", "flag needs an argument: --c"},
        {"goprobe --db.path", "flag needs an argument: --db.path"},
        {"goprobe import -i eth0 a",
         "import: the database (-d) is missing (goprobe import -d DB -i IFACE FILE...)"},
        {"goprobe import -d /d a",
         "import: the interface (-i) is missing (goprobe import -d DB -i IFACE FILE...)"},
        {"goprobe import -d /d -i e",
         "import: a capture file is missing (goprobe import -d DB -i IFACE FILE...)"},
        {"goprobe import -x", "unknown flag of import: --x (flags: -d DB, -i IFACE, -e CODEC, --local NET)"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gp_cmdline c;
        gp_error err = GP_ERROR_INIT;
        assert_int_equal(parse(bad[i].line, &c, &err), GP_EINVAL);
        assert_string_equal(err.msg, bad[i].message);
    }
}

static void help_names_every_key(void **state)
{
    (void)state;
    size_t n;
    const gp_option *options = gp_config_options(&n);
    gp_buf text = GP_BUF_INIT;
    gp_cmdline_help(&text);
    for (size_t i = 0; i < n; i++)
        assert_non_null(strstr(text.data, options[i].key));
    gp_buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_in_every_spelling),
        cmocka_unit_test(keys_are_flags),
        cmocka_unit_test(other_commands),
        cmocka_unit_test(import_takes_files),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(help_names_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
