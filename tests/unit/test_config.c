/* The sensor's configuration. That v4 accepts and refuses the same files was seen by giving them to it. */
#include "sensor/config/config.h"
#include "sensor/config/monitor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define DB "db: {path: /var/lib/db}\n"
#define LO "interfaces: {lo: {ring_buffer: {block_size: 1048576, num_blocks: 2}}}\n"

static const gp_config_sources file_only = {.path = "goprobe.yaml"};

static void load(gp_sensor_config *cfg, const gp_config_sources *src, const char *text)
{
    gp_error err = GP_ERROR_INIT;
    if (gp_sensor_config_parse(cfg, src, text, strlen(text), &err) != GP_OK)
        fail_msg("%s", err.msg);
}

static void full_example(void **state)
{
    (void)state;
    gp_sensor_config cfg;
    load(&cfg, &file_only,
         "---\ndb:\n  path: /var/lib/goprobe/db\n  encoder_type: ZSTD\n  permissions: 0640\n"
         "local_buffers:\n  size_limit: 67108864\n  num_buffers: 1\n"
         "syslog_flows: false\n"
         "interfaces:\n  eth0:\n    promisc: true\n    ring_buffer: &ring\n      num_blocks: 4\n"
         "      block_size: 1048576\n    extra_bpf_filters:\n      - {op: 6, jt: 1, jf: 2, k: 262144}\n"
         "  eth40.1:\n    ring_buffer: *ring\n    ignore_vlans: true\n  enX0:\n    ring_buffer: *ring\n"
         "  '/enx.*/':\n    ring_buffer: {num_blocks: 4, block_size: 524288}\n  tun0: {disable: true}\n"
         "api:\n  addr: \"unix:/var/run/goprobe\"\n  profiling: true\n  metrics: true\n"
         "  disable_iface_metrics: true\n  request_timeout: 30\n"
         "  keys: [59436af63ebf98a39de763d56220edb90267debaa4180b864811c7a44ad35bc8]\n"
         "  query_rate_limit: {max_req_per_sec: 2.5, max_burst: 4, max_concurrent: 3}\n"
         "logging:\n  level: debug\n  encoding: json\n  destination: /var/log/goprobe.log\n");
    assert_string_equal(cfg.db.path, "/var/lib/goprobe/db");
    assert_int_equal(cfg.db.codec, GP_CODEC_ZSTD);
    assert_int_equal(cfg.db.permissions, 0640);
    assert_int_equal(cfg.local_buffers.size_limit, 67108864);
    assert_int_equal(cfg.ifaces.n, 5);
    const gp_capconfig *eth0 = gp_capconfig_map_get(&cfg.ifaces, "eth0");
    assert_non_null(eth0);
    assert_true(eth0->promisc && eth0->n_extra_bpf == 1 && eth0->extra_bpf[0].k == 262144);
    assert_true(gp_capconfig_map_get(&cfg.ifaces, "eth40.1")->ignore_vlans);
    assert_int_equal(gp_capconfig_map_get(&cfg.ifaces, "/enx.*/")->block_size, 524288);
    assert_true(gp_capconfig_map_get(&cfg.ifaces, "tun0")->disable);
    assert_non_null(gp_capconfig_map_get(&cfg.ifaces, "enX0"));
    assert_string_equal(cfg.api.addr, "unix:/var/run/goprobe");
    assert_true(cfg.api.page);
    assert_true(cfg.api.metrics && cfg.api.disable_iface_metrics && cfg.api.profiling);
    assert_int_equal(cfg.api.request_timeout, 30);
    assert_int_equal(cfg.api.keys.n, 1);
    assert_true(cfg.api.max_req_per_sec == 2.5 && cfg.api.max_burst == 4 && cfg.api.max_concurrent == 3);
    assert_int_equal(cfg.logging.level, GP_LOG_DEBUG);
    assert_int_equal(cfg.logging.encoding, GP_LOG_JSON);
    assert_string_equal(cfg.logging.destination, "/var/log/goprobe.log");
    assert_int_equal(cfg.warnings.n, 0); /* api.keys has no effect */
    gp_sensor_config_free(&cfg);
}

static void defaults(void **state)
{
    (void)state;
    gp_sensor_config cfg;
    load(&cfg, &file_only, DB LO);
    assert_int_equal(cfg.db.codec, GP_CODEC_LZ4);
    assert_int_equal(cfg.db.permissions, 0);
    assert_null(cfg.api.addr);
    assert_null(cfg.logging.destination);
    assert_int_equal(cfg.logging.level, GP_LOG_INFO);
    assert_int_equal(cfg.logging.encoding, GP_LOG_LOGFMT);
    assert_int_equal(cfg.warnings.n, 0);
    assert_false(cfg.autodetect.enabled);
    gp_sensor_config_free(&cfg);
}

static void what_v4_accepts_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"db\":{\"path\":\"/"
        "d\"},\"interfaces\":{\"lo\":{\"ring_buffer\":{\"block_size\":1,\"num_blocks\":1}}}}",
        "DB: {Path: /d}\n" LO,
        "db.path: /d\n" LO,
        DB LO "foo: 1\n",
        DB LO "syslog_flows: 1\n",
        DB LO "syslog_flows: \"true\"\n",
        DB LO "api: {request_timeout: \"12\"}\n",
        DB LO "api:\n",
        DB LO "syslog_flows: 2\n",
        DB LO "api: {request_timeout: \"\", metrics: \"\", query_rate_limit: {max_burst: \"\"}}\n",
        "db: {path: /d, permissions: 1000}\n" LO,
        DB LO "logging: {level: fatal}\n",
        DB LO "logging: {level: WARN, encoding: plain}\n",
        DB LO "db.encoder_type: \"\"\n",
        DB LO "api: {keys: [short]}\n",                                   /* no address, no API */
        DB LO "api: {query_rate_limit: {max_burst: 3}}\n",                /* likewise */
        DB LO "autodetection: {enabled: false, exclude: ['/(?P<x>/']}\n", /* not enabled */
        DB "autodetection: {enabled: true}\n",
        DB "autodetection: {enabled: true, exclude: []}\ninterfaces: {}\n",
        DB "autodetection: {enabled: true, exclude: ['lo', '/^veth[a-f0-9]+$/', '//']}\n",
        DB "autodetection: {enabled: true, exclude: 'lo,docker0'}\n",
        DB "interfaces: {lo: {disable: true}}\n",
        DB LO "api: {addr: ':80', query_rate_limit: {max_concurrent: 3}}\n",
        DB LO "---\nsecond: document\n",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        gp_sensor_config cfg;
        load(&cfg, &file_only, good[i]);
        assert_non_null(cfg.db.path);
        gp_sensor_config_free(&cfg);
    }
}

static void what_cannot_work_is_refused_with_place_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "goprobe.yaml: db.path: database path must not be empty"},
        {LO, "goprobe.yaml: db.path: database path must not be empty"},
        {DB, "goprobe.yaml: no interfaces specified: name at least one below interfaces, or set "
             "autodetection.enabled"},
        {"- a\n", "goprobe.yaml:1:1: expected a mapping (key: value), found a list"},
        {"db: [\n", "goprobe.yaml:2:1: did not find expected node content while parsing a flow node"},
        {DB DB LO, "goprobe.yaml:2:1: key 'db' is given twice (first in line 1)"},
        {DB LO "syslog_flows: yes\n",
         "goprobe.yaml:3:15: syslog_flows: \"yes\" is not a boolean (allowed: true, false)"},
        {DB "interfaces: [lo]\n",
         "goprobe.yaml:2:13: interfaces: expected a mapping (key: value), found a list"},
        {DB "interfaces:\n  lo:\n",
         "goprobe.yaml:3:6: interfaces.lo: no ring buffer configuration specified"},
        {DB "interfaces:\n  lo: {ring_buffer: {num_blocks: 2}}\n",
         "goprobe.yaml:3:7: interfaces.lo: ring buffer block size must be a postive number"},
        {DB "interfaces:\n  lo: {ring_buffer: {block_size: x}}\n",
         "goprobe.yaml:3:34: interfaces.lo.ring_buffer.block_size: \"x\" is not an integer (allowed: "
         "-9223372036854775808 to 9223372036854775807)"},
        {DB "interfaces:\n  lo: {disable: true, promisc: true}\n",
         "goprobe.yaml:3:7: interfaces.lo: capture settings specified, but capture is disabled"},
        {DB LO "api: {addr: ':80', request_timeout: -1}\n",
         "goprobe.yaml:3:37: api.request_timeout: the request timeout must be a positive number, not -1 "
         "(allowed: 0 or more)"},
        {DB LO "api: {addr: ':80', keys: [abc]}\n",
         "goprobe.yaml:3:26: api.keys: API key 1 considered insecure: insufficient key length 3 (allowed: 32 "
         "characters or more)"},
        {DB LO "api: {addr: ':80', query_rate_limit: {max_burst: 3}}\n",
         "goprobe.yaml: api.query_rate_limit: the query rate limit values must both be positive numbers "
         "(max_req_per_sec is 0, max_burst is 3)"},
        {DB LO "api: {addr: ':80', query_rate_limit: {max_concurrent: -10}}\n",
         "goprobe.yaml:3:55: api.query_rate_limit.max_concurrent: the number of concurrent queries must be a "
         "positive number, not -10 (allowed: 0 or more)"},
        {DB LO "local_buffers: {size_limit: -1}\n",
         "goprobe.yaml:3:29: local_buffers.size_limit: local buffer size must be a positive number, not -1 "
         "(allowed: 0 or more)"},
        {DB LO "logging:\n  level: loud\n",
         "goprobe.yaml:4:10: logging.level: unknown log level \"loud\" (allowed: debug, info, warn, error)"},
        {DB LO "logging:\n  encoding: xml\n",
         "goprobe.yaml:4:13: logging.encoding: unknown log encoding \"xml\" (allowed: logfmt, json)"},
        {"db: {path: /d, permissions: rw}\n" LO, "goprobe.yaml:1:29: db.permissions: \"rw\" is not a file "
                                                 "mode (allowed: 0 to 0777, octal with a leading "
                                                 "0)"},
        {DB LO "autodetection: {enabled: true}\n",
         "goprobe.yaml: cannot have interface configurations present when auto-detection is enabled: remove "
         "interfaces, or set autodetection.enabled to false"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gp_sensor_config cfg;
        gp_error err = GP_ERROR_INIT;
        assert_int_not_equal(gp_sensor_config_parse(&cfg, &file_only, bad[i].text, strlen(bad[i].text), &err),
                             GP_OK);
        assert_string_equal(err.msg, bad[i].message);
        assert_null(cfg.db.path);
    }
}

static void refuse_containing(const char *text, const char *part)
{
    gp_sensor_config cfg;
    gp_error err = GP_ERROR_INIT;
    assert_int_not_equal(gp_sensor_config_parse(&cfg, &file_only, text, strlen(text), &err), GP_OK);
    if (!strstr(err.msg, part))
        fail_msg("'%s' is not in: %s", part, err.msg);
}

static void patterns_and_codecs_are_checked(void **state)
{
    (void)state;
    refuse_containing(DB "autodetection: {enabled: true, exclude: ['/[/']}\n",
                      "invalid regexp exclusion pattern '/[/'");
    refuse_containing(DB "interfaces:\n  /eth[/:\n    ring_buffer: {block_size: 1, num_blocks: 1}\n",
                      "goprobe.yaml:4:5: interfaces./eth[/: ");
    refuse_containing("db: {path: /d, encoder_type: gzip}\n" LO, "goprobe.yaml:1:30: db.encoder_type: ");
    refuse_containing("db: {path: /d, encoder_type: gzip}\n" LO, "gzip");
    refuse_containing("db: {path: /d, encoder_level: 13}\n" LO,
                      "db.encoder_level: encoder lz4 has levels up to 12");
    refuse_containing("db: {path: /d, encoder_level: -1}\n" LO, "goprobe.yaml:1:31: db.encoder_level: ");
    refuse_containing(DB LO "api: {addr: ':80', keys: "
                            "[da53ae3fb482db63d9606a9324a694bf51f7ad47623c04ab7b97a811f2a78e05]}\n",
                      "considered compromised");
}

static void too_many_interfaces_are_refused(void **state)
{
    (void)state;
    gp_buf text = GP_BUF_INIT;
    gp_buf_puts(&text, DB "interfaces:\n");
    for (int i = 0; i < 1025; i++)
        gp_buf_printf(&text, "  eth%d: {disable: true}\n", i);
    refuse_containing(text.data, "cannot monitor more than 1024 interfaces (1025 are configured)");
    gp_buf_free(&text);
}

static const char *fake_getenv(const char *name)
{
    if (strcmp(name, "DB_PATH") == 0)
        return "/from/env";
    if (strcmp(name, "DB_ENCODER_TYPE") == 0)
        return "zstd";
    if (strcmp(name, "API_ADDR") == 0)
        return ""; /* as good as unset */
    if (strcmp(name, "AUTODETECTION_EXCLUDE") == 0)
        return "lo,docker0";
    return NULL;
}

static void flags_win_over_environment_over_file(void **state)
{
    (void)state;
    const gp_setting flags[] = {{"db.path", "/from/flag"}, {"api.metrics", "true"}};
    const gp_config_sources src = {"goprobe.yaml", flags, 2, fake_getenv};
    gp_sensor_config cfg;
    load(&cfg, &src, "db: {path: /from/file, encoder_type: 'null'}\napi: {addr: ':1', metrics: false}\n" LO);
    assert_string_equal(cfg.db.path, "/from/flag");
    assert_int_equal(cfg.db.codec, GP_CODEC_ZSTD);
    assert_string_equal(cfg.api.addr, ":1");
    assert_true(cfg.api.metrics);
    assert_int_equal(cfg.autodetect.exclude.n, 2);
    assert_string_equal(cfg.autodetect.exclude.items[1], "docker0");
    gp_sensor_config_free(&cfg);
}

static void everything_from_flags(void **state)
{
    (void)state;
    const gp_setting flags[] = {{"db.path", "/d"},
                                {"db.permissions", "0755"},
                                {"autodetection.enabled", "true"},
                                {"autodetection.exclude", "lo,/docker.*/"},
                                {"api.query_rate_limit.max_req_per_sec", "10.5"},
                                {"api.query_rate_limit.max_burst", "1"}};
    const gp_config_sources src = {NULL, flags, 6, NULL};
    gp_sensor_config cfg;
    gp_error err = GP_ERROR_INIT;
    if (gp_sensor_config_load(&cfg, &src, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(cfg.db.permissions, 0755);
    assert_true(cfg.autodetect.enabled);
    assert_string_equal(cfg.autodetect.exclude.items[1], "/docker.*/");
    assert_true(cfg.api.max_req_per_sec == 10.5);
    gp_sensor_config_free(&cfg);

    const gp_setting wrong[] = {{"db.path", "/d"}, {"api.metrics", "maybe"}};
    const gp_config_sources wrong_src = {NULL, wrong, 2, NULL};
    assert_int_equal(gp_sensor_config_load(&cfg, &wrong_src, &err), GP_EINVAL);
    assert_string_equal(err.msg, "--api.metrics:1:1: \"maybe\" is not a boolean (allowed: true, false)");
}

static bool warned(const gp_sensor_config *cfg, const char *part)
{
    for (size_t i = 0; i < cfg->warnings.n; i++)
        if (strstr(cfg->warnings.items[i], part))
            return true;
    return false;
}

static void unknown_keys_are_warned_about(void **state)
{
    (void)state;
    gp_sensor_config cfg;
    load(&cfg, &file_only,
         "db: {path: /d, pth: x}\nfoo: 1\napi: {query_rate_limit: {burst: 1}}\nsyslog_flows: true\n"
         "interfaces: {lo: {promsic: true, ring_buffer: {block_size: 1, num_blocks: 1, size: 3}}}\n");
    assert_true(warned(&cfg, "goprobe.yaml:1:16: unknown key 'db.pth' (did you mean 'path'?)"));
    assert_true(warned(&cfg, "goprobe.yaml:2:1: unknown key 'foo'"));
    assert_true(warned(&cfg, "unknown key 'api.query_rate_limit.burst'"));
    assert_true(warned(&cfg, "unknown key 'interfaces.lo.promsic' (did you mean 'promisc'?)"));
    assert_true(warned(&cfg, "unknown key 'interfaces.lo.ring_buffer.size'"));
    assert_false(warned(&cfg, "syslog_flows")); /* has an effect */
    assert_int_equal(cfg.warnings.n, 5);
    gp_sensor_config_free(&cfg);
}

static void a_mode_keeps_to_nine_bits(void **state)
{
    (void)state;
    gp_sensor_config cfg;
    load(&cfg, &file_only, "db: {path: /d, permissions: 1000}\n" LO); /* decimal: 01750 */
    assert_int_equal(cfg.db.permissions, 0750);
    assert_true(warned(&cfg, "db.permissions has bits beyond 0777"));
    gp_sensor_config_free(&cfg);
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    gp_sensor_config cfg;
    gp_error err = GP_ERROR_INIT;
    gp_config_sources src = {.path = "/nonexistent/goprobe.yaml"};
    assert_int_equal(gp_sensor_config_load(&cfg, &src, &err), GP_ENOTFOUND);
    assert_string_equal(err.msg, "cannot open '/nonexistent/goprobe.yaml': No such file or directory");
    src.path = "/nonexistent/goprobe.toml";
    assert_int_equal(gp_sensor_config_load(&cfg, &src, &err), GP_EUNSUPPORTED);
}

/* A stand-in for the capture manager: remembers what was applied. */
typedef struct applied {
    atomic_uint calls;
    size_t n_ifaces;
    bool fail;
} applied;

static gp_code remember(void *ctx, const gp_capconfig_map *ifaces, gp_config_update *update, gp_error *err)
{
    applied *a = ctx;
    a->n_ifaces = ifaces->n;
    unsigned before = atomic_fetch_add(&a->calls, 1);
    if (a->fail)
        return gp_fail(err, GP_EINTERNAL, "no");
    return before ? gp_iface_changes_add(&update->enabled, "missing0", false, err)
                  : gp_iface_changes_add(&update->enabled, "lo", true, err);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
}

static void monitor_reloads_puts_and_survives_bad_files(void **state)
{
    (void)state;
    char path[] = "/tmp/gp-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path, DB LO);
    const gp_config_sources src = {.path = path};
    gp_capconfig_map none = {0};
    applied a = {0};
    gp_error err = GP_ERROR_INIT;
    gp_config_monitor *m = NULL;
    assert_int_equal(gp_config_monitor_new(&m, &src, &none, remember, &a, NULL, &err), GP_OK);
    gp_config_update update = {0};
    assert_int_equal(gp_config_monitor_reload(m, &update, &err), GP_OK);
    assert_int_equal(a.n_ifaces, 1);
    assert_string_equal(update.enabled.items[0].iface, "lo");
    gp_config_update_free(&update);

    write_file(path, DB);
    update = (gp_config_update){0};
    assert_int_equal(gp_config_monitor_reload(m, &update, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "failed to reload config file: "));
    assert_int_equal(atomic_load(&a.calls), 1);

    assert_int_equal(gp_config_monitor_put(m, &none, &update, &err), GP_OK);
    assert_int_equal(a.n_ifaces, 0);
    gp_config_update_free(&update);
    update = (gp_config_update){0};
    a.fail = true;
    assert_int_equal(gp_config_monitor_put(m, &none, &update, &err), GP_EINTERNAL);
    assert_string_equal(err.msg, "failed to execute config reload callback function: no");
    gp_config_update_free(&update);
    gp_config_monitor_free(m);
    unlink(path);
}

static size_t count_in_file(const char *path, const char *needle)
{
    char text[8192];
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, needle)); at++)
        n++;
    return n;
}

static void monitor_reloads_by_itself(void **state)
{
    (void)state;
    char path[] = "/tmp/gp-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    const gp_config_sources src = {0};
    gp_capconfig_map none = {0};
    applied a = {0};
    gp_log *log = NULL;
    gp_config_monitor *m = NULL;
    assert_int_equal(gp_log_open(&log, path, GP_LOG_INFO, GP_LOG_LOGFMT, NULL), GP_OK);
    assert_int_equal(gp_config_monitor_new(&m, &src, &none, remember, &a, log, NULL), GP_OK);
    assert_int_equal(gp_config_monitor_start(m, 0, NULL), GP_OK);
    for (int i = 0; i < 1000 && atomic_load(&a.calls) < 3; i++)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    gp_config_monitor_free(m);
    gp_log_close(log);
    unsigned calls = atomic_load(&a.calls);
    assert_true(calls >= 3);
    /* The first changed something, the others not. */
    assert_int_equal(count_in_file(path, "changed what is captured\" changes=\"enabled lo\""), 1);
    assert_int_equal(count_in_file(path, "changed what is captured"), 1);
    unlink(path);
}

static void retention_is_read(void **state)
{
    (void)state;
    gp_sensor_config cfg;
    load(&cfg, &file_only, DB LO);
    assert_int_equal(cfg.retention.max_age_s, 0);
    assert_int_equal(cfg.retention.max_size, 0);
    assert_int_equal(cfg.retention.interval_ns, INT64_C(3600000000000));
    gp_sensor_config_free(&cfg);
    load(&cfg, &file_only,
         DB LO "retention: {max_age: 90d, max_size: 20G, interval: 10m, dry_run: true,\n"
               "  interfaces: {eth0: {max_age: 720h, max_sise: 1}, eth1: {max_size: 0}}}\n");
    assert_int_equal(cfg.retention.max_age_s, 90 * 86400);
    assert_int_equal(cfg.retention.interval_ns, INT64_C(600000000000));
    assert_true(cfg.retention.dry_run);
    gp_retention_limits eth0 = gp_retention_limits_of(&cfg.retention, "eth0");
    assert_int_equal(eth0.max_age_s, 30 * 86400);
    assert_int_equal(eth0.max_size, INT64_C(20) << 30);
    gp_retention_limits eth1 = gp_retention_limits_of(&cfg.retention, "eth1");
    assert_int_equal(eth1.max_age_s, 90 * 86400);
    assert_int_equal(eth1.max_size, 0);
    assert_int_equal(gp_retention_limits_of(&cfg.retention, "eth2").max_size, INT64_C(20) << 30);
    assert_int_equal(cfg.warnings.n, 1);
    assert_non_null(strstr(cfg.warnings.items[0], "max_sise"));
    gp_sensor_config_free(&cfg);
    refuse_containing(DB LO "retention: {max_age: 90}\n", "retention.max_age: \"90\" is not an age");
    refuse_containing(DB LO "retention: {max_size: big}\n", "retention.max_size: \"big\" is not a size");
    refuse_containing(DB LO "retention: {interval: 1s}\n", "retention.interval: is too short an interval");
    refuse_containing(DB LO "retention: {interfaces: {eth0: {max_age: 1h}}}\n",
                      "retention.interfaces.eth0.max_age: \"1h\" is not an age");
    refuse_containing(DB LO "retention: {interfaces: [eth0]}\n", "retention.interfaces: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_example),
        cmocka_unit_test(defaults),
        cmocka_unit_test(what_v4_accepts_is_accepted),
        cmocka_unit_test(what_cannot_work_is_refused_with_place_and_reason),
        cmocka_unit_test(patterns_and_codecs_are_checked),
        cmocka_unit_test(too_many_interfaces_are_refused),
        cmocka_unit_test(flags_win_over_environment_over_file),
        cmocka_unit_test(everything_from_flags),
        cmocka_unit_test(unknown_keys_are_warned_about),
        cmocka_unit_test(retention_is_read),
        cmocka_unit_test(a_mode_keeps_to_nine_bits),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(monitor_reloads_puts_and_survives_bad_files),
        cmocka_unit_test(monitor_reloads_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
