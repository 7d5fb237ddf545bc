/* gpctl as a program, against a server in this process. Layouts are those of v4's gpctl. */
#include "proto/control/capconfig.h"
#include "proto/control/status.h"
#include "proto/http/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fixture {
    gp_http_server *server;
    char addr[64];
    char file[64];
} fixture;

static void status(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    const char *iface = gp_http_path_param(req);
    if (iface && strcmp(iface, "eth0") != 0)
        return; /* 204 */
    int64_t now = time(NULL);
    gp_iface_status list[] = {{.iface = (char[]){"eth0"},
                               .stats = {.started_sec = now - 3600,
                                         .received = 1500,
                                         .received_total = 2000000,
                                         .processed = 2,
                                         .processed_total = 3,
                                         .dropped = 7,
                                         .dropped_total = 7,
                                         .parse_errors = {1, 0, 0}}}};
    gp_status s = {.status_code = 200, .started_sec = now - 7200, .ifaces = list, .n_ifaces = 1};
    gp_status_to_json(&s, &res->body);
}

static void config_get(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)req;
    (void)ctx;
    gp_buf_puts(&res->body,
                "{\"status_code\":200,\"ifaces\":{\"lo\":{\"promisc\":false,\"ring_buffer\":{\"block_size\":"
                "1048576,\"num_blocks\":4}},\"eth0\":{\"disable\":true}}}");
}

static void config_put(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    size_t len;
    const char *body = gp_http_body(req, &len);
    gp_capconfig_map m = {0};
    gp_problem p = GP_PROBLEM_INIT;
    gp_config_update u = {.status_code = 200};
    if (gp_capconfig_map_from_request(body, len, &m, &p) != GP_OK) {
        gp_http_problem(res, &p);
    } else {
        for (size_t i = 0; i < m.n; i++)
            gp_iface_changes_add(&u.enabled, m.entries[i].name, m.entries[i].cfg.num_blocks > 1, NULL);
        gp_config_update_to_json(&u, &res->body);
    }
    gp_config_update_free(&u);
    gp_problem_free(&p);
    gp_capconfig_map_free(&m);
}

static int set_up(void **state)
{
    static const gp_http_route routes[] = {
        {"GET", "/status", status, NULL, GP_HTTP_QUERY},
        {"GET", "/status/{iface}", status, NULL, GP_HTTP_QUERY},
        {"GET", "/config", config_get, NULL, GP_HTTP_QUERY},
        {"PUT", "/config", config_put, NULL, GP_HTTP_QUERY},
    };
    fixture *f = calloc(1, sizeof *f);
    gp_http_config cfg = {.addr = "127.0.0.1:0"};
    if (!f || gp_http_start(&f->server, &cfg, routes, sizeof routes / sizeof routes[0], NULL) != GP_OK)
        return -1;
    snprintf(f->addr, sizeof f->addr, "127.0.0.1:%u", gp_http_port(f->server));
    snprintf(f->file, sizeof f->file, "/tmp/gpctl_test_XXXXXX");
    int fd = mkstemp(f->file);
    if (fd < 0)
        return -1;
    close(fd);
    setenv("HOME", "/nonexistent", 1);
    unsetenv("GPCTL_SERVER_ADDR");
    unsetenv("GPCTL_TIMEOUT");
    unsetenv("TIMEOUT");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    unlink(f->file);
    gp_http_stop(f->server);
    free(f);
    return 0;
}

static void write_file(const fixture *f, const char *text)
{
    FILE *out = fopen(f->file, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

/* Runs "gpctl <args>"; stdout and stderr (if asked for) come together in *out. Returns the exit code. */
static int run(gp_buf *out, bool with_stderr, const char *fmt, const char *a, const char *b)
{
    gp_buf cmd = GP_BUF_INIT;
    gp_buf_puts(&cmd, GPCTL " ");
    gp_buf args = GP_BUF_INIT;
    for (const char *p = fmt; *p; p++) {
        if (p[0] == '%') {
            gp_buf_puts(&args, p[1] == 'a' ? a : b);
            p++;
        } else {
            gp_buf_putc(&args, *p);
        }
    }
    gp_buf_puts(&cmd, args.len ? args.data : "");
    gp_buf_puts(&cmd, with_stderr ? " 2>&1" : " 2>/dev/null");
    FILE *p = popen(cmd.data, "r");
    assert_non_null(p);
    char piece[512];
    gp_buf_clear(out);
    for (size_t n; (n = fread(piece, 1, sizeof piece, p)) > 0;)
        gp_buf_add(out, piece, n);
    gp_buf_reserve(out, 0);
    gp_buf_free(&cmd);
    gp_buf_free(&args);
    int rc = pclose(p);
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static void shows_status(void **state)
{
    fixture *f = *state;
    gp_buf out = GP_BUF_INIT;
    assert_int_equal(run(&out, false, "status -s %a", f->addr, NULL), 0);
    assert_non_null(strstr(out.data, "│ eth0  │   2.00 M │     1.50 k │    3.00   │      2.00   │  7.00   │"
                                     "         7 │ 1h0m"));
    assert_non_null(strstr(out.data, "s ago)\n  Last scheduled writeout: - (- ago)\n"));
    assert_non_null(strstr(out.data, "       Received: 2.00 M / + 1.50 k\n"));
    assert_null(strstr(out.data, "parsing errors"));
    assert_int_equal(run(&out, false, "--server.addr=%a status eth0 --detailed", f->addr, NULL), 0);
    assert_non_null(strstr(out.data, "│ packet fragmented │ invalid IP header │ packet truncated │\n"));
    assert_non_null(strstr(out.data, "│            1.00   │            0.00   │           0.00   │\n"));
    assert_int_equal(run(&out, true, "status eth9 -s %a", f->addr, NULL), 1);
    assert_non_null(strstr(out.data, "failed to fetch status for interfaces [eth9]: 204 No Content"));
    gp_buf_free(&out);
}

static void shows_configuration(void **state)
{
    fixture *f = *state;
    gp_buf out = GP_BUF_INIT;
    assert_int_equal(run(&out, false, "config -s %a", f->addr, NULL), 0);
    assert_string_equal(out.data, "\n"
                                  "╭─────────────────────────────────────────────╮\n"
                                  "│           Interface Configuration           │\n"
                                  "├───────┬─────────┬─────────────┬─────────────┤\n"
                                  "│       │         │ ring buffer │ ring buffer │\n"
                                  "│ iface │ promisc │  block size │ num blocks  │\n"
                                  "├───────┼─────────┼─────────────┼─────────────┤\n"
                                  "│ eth0  │ false   │           - │ -           │\n"
                                  "│ lo    │ false   │     1048576 │ 4           │\n"
                                  "╰───────┴─────────┴─────────────┴─────────────╯\n\n");
    gp_buf_free(&out);
}

static void sends_configuration(void **state)
{
    fixture *f = *state;
    gp_buf out = GP_BUF_INIT;
    write_file(f, "db: {path: /x}\ninterfaces:\n  eth1: {ring_buffer: {block_size: 4096, num_blocks: 2}}\n"
                  "  eth0: {ring_buffer: {block_size: 4096, num_blocks: 2}}\n"
                  "  lo: {ring_buffer: {block_size: 4096, num_blocks: 1}}\n");
    assert_int_equal(run(&out, false, "config -s %a -f %b", f->addr, f->file), 1);
    assert_string_equal(out.data, "\n     Enabled: [eth0 eth1] (FAILED: [lo])\n     Updated: []\n"
                                  "    Disabled: []\n\n");
    assert_int_equal(run(&out, true, "config -s %a -f %b --silent", f->addr, f->file), 1);
    assert_string_equal(
        out.data, "Error running command: 1 interface could not be changed: see the log of the sensor\n");
    assert_int_equal(run(&out, false, "config -s %a -f %b --format json", f->addr, f->file), 1);
    assert_non_null(strstr(out.data, "{\"name\":\"lo\",\"success\":false}"));
    write_file(f, "interfaces: {eth0: {ring_buffer: {block_size: 4096, num_blocks: 2}}}");
    assert_int_equal(run(&out, true, "config -s %a -f %b", f->addr, f->file), 0);
    assert_string_equal(out.data, "\n     Enabled: [eth0]\n     Updated: []\n    Disabled: []\n\n");
    write_file(f, "interfaces: {lo: {ring_buffer: {block_size: 0, num_blocks: 1}}}");
    assert_int_equal(run(&out, true, "config -s %a -f %b", f->addr, f->file), 1);
    assert_non_null(strstr(out.data, "lo: ring buffer block size must be a postive number"));
    assert_int_equal(run(&out, true, "config -s %a -r", f->addr, NULL),
                     1); /* this server has no such route */
    assert_non_null(strstr(out.data, "failed to trigger reload of goprobe's runtime configuration"));
    gp_buf_free(&out);
}

/* How many lines of the table begin with this host. */
static unsigned lines_of(const gp_buf *out, const char *host)
{
    unsigned n = 0;
    char start[80];
    snprintf(start, sizeof start, "│ %s ", host);
    for (const char *p = out->data; (p = strstr(p, start)) != NULL; p++)
        n++;
    return n;
}

static void asks_several_hosts(void **state)
{
    fixture *f = *state;
    gp_buf out = GP_BUF_INIT;
    char list[256];
    snprintf(list, sizeof list, "%s,127.0.0.1:1,%s", f->addr, f->addr);
    assert_int_equal(run(&out, true, "status -s %a", list, NULL), 1);
    assert_int_equal(lines_of(&out, f->addr), 1); /* each once */
    assert_int_equal(lines_of(&out, "127.0.0.1:1"), 1);
    assert_non_null(
        strstr(out.data, "│      1 │   2.00 M │     1.50 k │    3.00   │      2.00   │  7.00   │         7 │"
                         "      2h0m"));
    assert_non_null(strstr(out.data, "cannot reach 127.0.0.1:1"));
    assert_non_null(strstr(out.data, "1 of 2 hosts failed"));
    gp_buf_free(&out);
}

static void asks_the_hosts_of_a_file(void **state)
{
    fixture *f = *state;
    gp_buf out = GP_BUF_INIT;
    gp_buf text = GP_BUF_INIT;
    for (int i = 0; i < 200; i++)
        gp_buf_printf(&text, "host%03d: {addr: \"%s\"}\n", i, f->addr);
    gp_buf_puts(&text, "dead: {addr: \"127.0.0.1:1\"}\n");
    write_file(f, text.data);
    assert_int_equal(run(&out, true, "config --endpoints %a", f->file, NULL), 1);
    assert_int_equal(lines_of(&out, "host000"), 1);
    assert_int_equal(lines_of(&out, "host199"), 1);
    assert_non_null(strstr(out.data, "│ host007 │ 2      │ eth0 lo"));
    assert_non_null(strstr(out.data, "1 of 201 hosts failed"));
    assert_int_equal(run(&out, true, "config --endpoints %a -q host001,host002", f->file, NULL), 0);
    assert_int_equal(lines_of(&out, "host001"), 1);
    assert_int_equal(lines_of(&out, "host003"), 0);
    assert_int_equal(run(&out, true, "config --endpoints %a -q host001,nobody", f->file, NULL), 1);
    assert_non_null(strstr(out.data, "names no host 'nobody'"));
    gp_buf_free(&text);
    gp_buf_free(&out);
}

static void answers_programs(void **state)
{
    fixture *f = *state;
    gp_buf out = GP_BUF_INIT;
    char list[256];
    char want[256];
    assert_int_equal(run(&out, false, "status --format json -s %a", f->addr, NULL), 0);
    gp_status s = {0};
    assert_int_equal(gp_status_from_json(out.data, out.len, &s, NULL), GP_OK);
    assert_int_equal(s.n_ifaces, 1);
    assert_int_equal(s.ifaces[0].stats.received_total, 2000000);
    gp_status_free(&s);

    snprintf(list, sizeof list, "%s,127.0.0.1:1", f->addr);
    assert_int_equal(run(&out, false, "status --format csv -s %a", list, NULL), 1);
    snprintf(want, sizeof want,
             "host,iface,received_total,received,processed_total,processed,dropped_total,dropped,error\n"
             "%s,eth0,2000000,1500,3,2,7,7,\n127.0.0.1:1,,,,,,,,",
             f->addr);
    assert_memory_equal(out.data, want, strlen(want));
    assert_int_equal(run(&out, false, "config --format csv -s %a", f->addr, NULL), 0);
    snprintf(want, sizeof want,
             "host,iface,promisc,block_size,num_blocks,error\n%s,eth0,false,,,\n%s,lo,false,1048576,4,\n",
             f->addr, f->addr);
    assert_string_equal(out.data, want);
    assert_int_equal(run(&out, false, "config --format json -s %a", list, NULL), 1);
    snprintf(want, sizeof want, "{\"%s\":{\"eth0\":", f->addr);
    assert_memory_equal(out.data, want, strlen(want));
    assert_non_null(strstr(out.data, "\"127.0.0.1:1\":{\"error\":\"cannot reach 127.0.0.1:1"));
    assert_int_equal(run(&out, true, "status --format json -s 127.0.0.1:1", NULL, NULL), 1);
    assert_memory_equal(out.data, "Error running command: cannot reach", 35);
    gp_buf_free(&out);
}

static void sends_configuration_to_several_hosts(void **state)
{
    fixture *f = *state;
    gp_buf out = GP_BUF_INIT;
    char list[256];
    snprintf(list, sizeof list, "%s,127.0.0.1:1", f->addr);
    write_file(f, "interfaces:\n  eth1: {ring_buffer: {block_size: 4096, num_blocks: 2}}\n"
                  "  lo: {ring_buffer: {block_size: 4096, num_blocks: 1}}\n");
    assert_int_equal(run(&out, true, "config -f %b -s %a", list, f->file), 1);
    assert_non_null(strstr(out.data, "│ eth1    │ -       │ -        │ lo     │\n"));
    assert_non_null(strstr(out.data, "2 of 2 hosts failed")); /* one could not change lo */
    gp_buf_free(&out);
}

static void settings_come_from_three_places(void **state)
{
    fixture *f = *state;
    gp_buf out = GP_BUF_INIT;
    char text[128];
    snprintf(text, sizeof text, "server:\n  addr: %s\ntimeout: 3s\n", f->addr);
    write_file(f, text);
    assert_int_equal(run(&out, true, "--config %a config", f->file, NULL), 0);
    snprintf(text, sizeof text, "server.addr: %s\n", f->addr);
    write_file(f, text);
    assert_int_equal(run(&out, true, "config --config %a", f->file, NULL), 0);
    write_file(f, "server.addr: 127.0.0.1:1\n");
    setenv("GPCTL_SERVER_ADDR", f->addr, 1);
    assert_int_equal(run(&out, true, "config --config %a", f->file, NULL), 0);
    assert_int_equal(run(&out, true, "config -s 127.0.0.1:1", NULL, NULL), 1);
    unsetenv("GPCTL_SERVER_ADDR");
    assert_int_equal(run(&out, true, "config --config /nonexistent/x", NULL, NULL), 1);
    assert_non_null(strstr(out.data, "failed to read config from file /nonexistent/x"));
    gp_buf_free(&out);
}

static void refuses_what_it_does_not_know(void **state)
{
    (void)state;
    static const struct {
        const char *args, *message;
    } cases[] = {
        {"", "no sub-command provided"},
        {"bogus", "unknown command \"bogus\" for \"gpctl\""},
        {"status", "server.addr: empty"},
        {"status -s foo", "server.addr: address foo: missing port in address"},
        {"status --bogus", "unknown flag: --bogus"},
        {"status --format xml", "write txt, json or csv"},
        {"statsu", "did you mean status?"},
        {"status --endpionts x", "did you mean --endpoints?"},
        {"status -x", "unknown shorthand flag: 'x' in -x"},
        {"status -s localhost:1,foo", "server.addr: address foo: missing port in address"},
        {"status -q web1 -s localhost:1", "name the file with --endpoints"},
        {"status --endpoints x -s localhost:1", "exclude each other"},
        {"status --endpoints /nonexistent/x", "/nonexistent/x"},
        {"status -s", "flag needs an argument: -s"},
        {"status --silent -s localhost:1", "unknown flag: --silent"},
        {"config -v -s localhost:1", "unknown flag: --detailed"},
        {"config -t soon -s localhost:1", "timeout: "},
        {"config -t 0s -s localhost:1", "timeout: 0s is not a positive duration"},
        {"config -r -f x -s localhost:1", "cannot perform both config reload from disk and apply"},
        {"config --silent=maybe -s localhost:1", "invalid argument \"maybe\""},
    };
    gp_buf out = GP_BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(run(&out, true, "%a", cases[i].args, NULL), 1);
        if (!strstr(out.data, cases[i].message))
            fail_msg("'%s' gives: %s", cases[i].args, out.data);
    }
    gp_buf_free(&out);
}

static void helps(void **state)
{
    (void)state;
    gp_buf out = GP_BUF_INIT;
    static const char *const args[] = {"--help", "help", "status -h", "help config", "version --help"};
    for (size_t i = 0; i < sizeof args / sizeof args[0]; i++) {
        assert_int_equal(run(&out, false, "%a", args[i], NULL), 0);
        assert_non_null(strstr(out.data, "Usage:\n  gpctl"));
    }
    assert_int_equal(run(&out, false, "version", NULL, NULL), 0);
    assert_memory_equal(out.data, "gpctl - ", 8);
    gp_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_status),
        cmocka_unit_test(shows_configuration),
        cmocka_unit_test(sends_configuration),
        cmocka_unit_test(asks_several_hosts),
        cmocka_unit_test(asks_the_hosts_of_a_file),
        cmocka_unit_test(answers_programs),
        cmocka_unit_test(sends_configuration_to_several_hosts),
        cmocka_unit_test(settings_come_from_three_places),
        cmocka_unit_test(refuses_what_it_does_not_know),
        cmocka_unit_test(helps),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
