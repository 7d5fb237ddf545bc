/* The example configurations that are installed: the programs take them, and nothing in them is a mistake. */
#include "client/endpoints.h"
#include "global-query/config.h"
#include "sensor/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EXAMPLES GP_SOURCE_DIR "/deploy/examples/"
#define MANUALS  GP_SOURCE_DIR "/deploy/man/"

static void sensor_takes_its_example(void **state)
{
    (void)state;
    gp_sensor_config cfg;
    gp_error err = GP_ERROR_INIT;
    const gp_config_sources src = {.path = EXAMPLES "goprobe.yaml"};
    if (gp_sensor_config_load(&cfg, &src, &err) != GP_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < cfg.warnings.n; i++)
        fail_msg("warning: %s", cfg.warnings.items[i]);
    assert_string_equal(cfg.db.path, "/var/lib/goprobe/db");
    assert_true(cfg.autodetect.enabled);
    assert_int_equal(cfg.autodetect.exclude.n, 2);
    assert_true(cfg.api.metrics);
    gp_sensor_config_free(&cfg);
}

static void global_query_takes_its_example(void **state)
{
    (void)state;
    gp_gq_config cfg;
    gp_gq_command command;
    gp_error err = GP_ERROR_INIT;
    char *argv[] = {"global-query", "server", "--config", EXAMPLES "global-query.yaml", NULL};
    if (gp_gq_config_load(4, argv, &command, &cfg, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(command, GP_GQ_SERVER);
    assert_string_equal(cfg.addr, "localhost:8146");
    assert_string_equal(cfg.querier_config, "/etc/goprobe/endpoints.yaml");
    assert_int_equal(cfg.max_concurrent, 64);
    assert_int_equal(cfg.n_resolvers, 1);
    gp_gq_config_free(&cfg);
}

static void endpoints_are_read(void **state)
{
    (void)state;
    gp_endpoints e;
    gp_error err = GP_ERROR_INIT;
    if (gp_endpoints_load(EXAMPLES "endpoints.yaml", &e, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(e.n, 3);
    assert_string_equal(gp_endpoints_find(&e, "db1")->addr, "unix:/run/goprobe/goprobe.sock");
    gp_endpoints_free(&e);
}

/* Whoever adds a key to the table adds it to the manual. */
static void manual_names_every_key(void **state)
{
    (void)state;
    static char text[64 << 10];
    FILE *f = fopen(MANUALS "goprobe.yaml.5", "re");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    size_t n;
    const gp_option *options = gp_config_options(&n);
    for (size_t i = 0; i < n; i++)
        if (options[i].type != GP_OPT_IGNORED && !strstr(text, options[i].key))
            fail_msg("goprobe.yaml(5) does not name %s", options[i].key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sensor_takes_its_example),
        cmocka_unit_test(global_query_takes_its_example),
        cmocka_unit_test(endpoints_are_read),
        cmocka_unit_test(manual_names_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
