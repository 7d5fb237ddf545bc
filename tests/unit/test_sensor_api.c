/*
 * The sensor's API over HTTP, with the real engine, monitor and server, and a capture manager that is defined
 * here: it reports what goProbe v4 reported when the known answers were recorded (tests/data/api/README.md).
 */
#include "proto/service/openapi.h"
#include "proto/service/ratelimit.h"
#include "sensor/api/api.h"
#include "sensor/dbsink/dbsink.h"
#include "tests/support/files.h"
#include "tests/support/tempdir.h"

#include <cJSON.h>
#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the capture manager ------------------------------------------------------------------------------- */

struct gp_capture_manager {
    gp_capconfig_map current;
    unsigned asked; /* status calls so far */
    bool broken;    /* apply fails */
};

/* received and received_total of the four status calls of the recording; processed only before the first */
static const uint64_t recorded[][2] = {{110, 110}, {20, 130}, {60, 190}, {20, 210}};

gp_code gp_manager_status(gp_capture_manager *m, const char *const *ifaces, size_t n, gp_status *out,
                          gp_error *err)
{
    bool wanted = n == 0;
    for (size_t i = 0; i < n; i++)
        wanted |= strcmp(ifaces[i], "lo") == 0;
    *out = (gp_status){.started_sec = 1795494150, .started_nsec = 458530516};
    if (!wanted)
        return GP_OK;
    out->ifaces = calloc(1, sizeof *out->ifaces);
    if (!out->ifaces)
        return gp_fail(err, GP_ENOMEM, "out of memory");
    unsigned call = m->asked < 3 ? m->asked++ : 3;
    out->n_ifaces = 1;
    out->ifaces[0].iface = strdup("lo");
    out->ifaces[0].stats = (gp_capture_stats){.started_sec = 1795494150,
                                              .started_nsec = 458453445,
                                              .received = recorded[call][0],
                                              .received_total = recorded[call][1],
                                              .processed = call == 0 ? 40 : 0,
                                              .processed_total = 40};
    return GP_OK;
}

gp_code gp_manager_config_get(gp_capture_manager *m, gp_capconfig_map *out, gp_error *err)
{
    return gp_capconfig_map_copy(&m->current, out, err);
}

/* As in the recording, no capture can be started. */
gp_code gp_manager_apply(gp_capture_manager *m, const gp_capconfig_map *cfg, gp_config_update *update,
                         gp_error *err)
{
    gp_code rc = GP_OK;
    if (m->broken)
        return gp_fail(err, GP_EINTERNAL, "captures are stuck");
    for (size_t i = 0; rc == GP_OK && i < cfg->n; i++) {
        const gp_capconfig *old = gp_capconfig_map_get(&m->current, cfg->entries[i].name);
        if (!old)
            rc = gp_iface_changes_add(&update->enabled, cfg->entries[i].name, false, err);
        else if (!gp_capconfig_equal(old, &cfg->entries[i].cfg))
            rc = gp_iface_changes_add(&update->updated, cfg->entries[i].name, false, err);
    }
    return rc;
}

void gp_manager_metrics(gp_capture_manager *m, bool with_ifaces, gp_buf *out)
{
    (void)m;
    gp_buf_puts(out, with_ifaces ? "fake_capture{iface=\"lo\"} 1\n" : "fake_capture 1\n");
}

static gp_code live_ifaces(void *ctx, char ***out, size_t *n, gp_error *err)
{
    (void)ctx;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return gp_fail(err, GP_ENOMEM, "out of memory");
    (*out)[0] = strdup("lo");
    *n = 1;
    return GP_OK;
}

static gp_code live_flows(void *ctx, const char *iface, const gp_live_sink *sink, gp_error *err)
{
    (void)ctx;
    (void)err;
    gp_flow f = {.dport = 18145, .proto = 6, .c = {200, 100, 2, 1}};
    if (strcmp(iface, "lo") != 0)
        return GP_OK;
    assert_true(gp_addr_parse("127.0.0.1", 9, &f.sip));
    assert_true(gp_addr_parse("127.0.0.1", 9, &f.dip));
    assert_true(sink->block(sink->ctx, time(NULL)));
    sink->flow(sink->ctx, &f);
    return GP_OK;
}

static gp_code apply(void *ctx, const gp_capconfig_map *ifaces, gp_config_update *update, gp_error *err)
{
    return gp_manager_apply(ctx, ifaces, update, err);
}

/* ---- a sensor around it -------------------------------------------------------------------------------- */

typedef struct sensor {
    char db[64];
    gp_capture_manager manager;
    gp_engine *engine;
    gp_config_monitor *monitor;
    gp_sensor_api *api;
    unsigned port;
} sensor;

static void write_block(const char *db)
{
    const gp_dbsink_config cfg = {.db = db, .codec = GP_CODEC_LZ4, .no_sync = true};
    gp_dbsink *sink = NULL;
    gp_flow f = {.dport = 443, .proto = 6, .c = {20, 10, 2, 1}};
    assert_true(gp_addr_parse("10.0.0.1", 8, &f.sip));
    assert_true(gp_addr_parse("10.0.0.2", 8, &f.dip));
    assert_int_equal(gp_dbsink_new(&sink, &cfg, NULL), GP_OK);
    int64_t ts = (int64_t)time(NULL) / 300 * 300 - 600;
    assert_int_equal(gp_dbsink_write(sink, "lo", ts, &f, 1, NULL, NULL), GP_OK);
    gp_dbsink_free(sink);
}

static sensor *start(const gp_api_config *limits)
{
    sensor *s = calloc(1, sizeof *s);
    gp_error err = GP_ERROR_INIT;
    assert_non_null(s);
    strcpy(s->db, "/tmp/gp-api-XXXXXX");
    assert_non_null(mkdtemp(s->db));
    write_block(s->db);
    gp_capconfig lo = {0};
    gp_capconfig_default(&lo);
    lo.has_ring = true;
    assert_int_equal(gp_capconfig_map_put(&s->manager.current, "lo", &lo, &err), GP_OK);
    const gp_engine_config engine = {.db = s->db, .threads = 1, .live = {s, NULL, live_flows, live_ifaces}};
    assert_int_equal(gp_engine_new(&s->engine, &engine, &err), GP_OK);
    const gp_config_sources none = {0};
    assert_int_equal(
        gp_config_monitor_new(&s->monitor, &none, &s->manager.current, apply, &s->manager, NULL, &err),
        GP_OK);
    gp_api_config api = *limits;
    char any_port[] = "127.0.0.1:0";
    if (!api.addr)
        api.addr = any_port;
    const gp_sensor_api_config cfg = {
        .api = &api, .engine = s->engine, .manager = &s->manager, .monitor = s->monitor};
    if (gp_sensor_api_start(&s->api, &cfg, &err) != GP_OK)
        fail_msg("%s", err.msg);
    s->port = gp_sensor_api_port(s->api);
    return s;
}

static void end(sensor *s)
{
    gp_sensor_api_stop(s->api);
    gp_config_monitor_free(s->monitor);
    gp_engine_free(s->engine);
    gp_capconfig_map_free(&s->manager.current);
    gp_tempdir_remove(s->db);
    free(s);
}

static int setup(void **state)
{
    const gp_api_config limits = {.metrics = true};
    *state = start(&limits);
    return 0;
}

static int teardown(void **state)
{
    end(*state);
    return 0;
}

/* ---- asking it ----------------------------------------------------------------------------------------- */

typedef struct answer {
    long status;
    char type[128];
    char link[128];
    gp_buf body;
} answer;

static size_t take_body(char *data, size_t size, size_t n, void *ctx)
{
    gp_buf_add(ctx, data, size * n);
    return size * n;
}

static size_t take_header(char *data, size_t size, size_t n, void *ctx)
{
    answer *a = ctx;
    size_t len = size * n;
    if (len > 6 && strncasecmp(data, "Link: ", 6) == 0)
        snprintf(a->link, sizeof a->link, "%.*s", (int)strcspn(data + 6, "\r\n"), data + 6);
    return len;
}

typedef struct question {
    char method[16];
    char path[512];
    char type[128];
    const char *body;   /* NULL: none */
    const char *header; /* one more, or NULL */
} question;

static void ask(const sensor *s, const question *q, answer *out)
{
    char url[700];
    char header[160];
    CURL *c = curl_easy_init();
    assert_non_null(c);
    *out = (answer){0};
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", s->port, q->path);
    snprintf(header, sizeof header, "Content-Type: %s", q->type);
    struct curl_slist *headers = *q->type ? curl_slist_append(NULL, header) : NULL;
    if (q->header)
        headers = curl_slist_append(headers, q->header);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    if (q->body)
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &out->body);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, out);
    CURLcode rc = curl_easy_perform(c);
    if (rc != CURLE_OK)
        fail_msg("%s %s: %s", q->method, q->path, curl_easy_strerror(rc));
    const char *type = NULL;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &out->status);
    curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type);
    snprintf(out->type, sizeof out->type, "%s", type ? type : "");
    gp_buf_reserve(&out->body, 0);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
}

static void get(const sensor *s, const char *path, answer *out)
{
    question q = {.method = "GET"};
    snprintf(q.path, sizeof q.path, "%s", path);
    ask(s, &q, out);
}

static void post(const sensor *s, const char *path, const char *json, answer *out)
{
    question q = {.method = "POST", .type = "application/json", .body = json};
    snprintf(q.path, sizeof q.path, "%s", path);
    ask(s, &q, out);
}

/* ---- known answers ------------------------------------------------------------------------------------- */

typedef struct known {
    char name[64];
    question q;
    char *body;
    long status;
    char type[128];
    char link[128];
    gp_buf expected;
} known;

static bool same_body(const char *a, const char *b)
{
    if (strcmp(a, b) == 0)
        return true;
    cJSON *ja = cJSON_Parse(a);
    cJSON *jb = cJSON_Parse(b);
    bool same = ja && jb && cJSON_Compare(ja, jb, true);
    cJSON_Delete(ja);
    cJSON_Delete(jb);
    return same;
}

/* False after printing both answers. */
static bool check_known(const sensor *s, known *k)
{
    answer a;
    gp_buf expected = GP_BUF_INIT;
    if (k->expected.len) {
        const char *port = strstr(k->expected.data, "@PORT@");
        size_t before = port ? (size_t)(port - k->expected.data) : k->expected.len;
        gp_buf_add(&expected, k->expected.data, before);
        if (port)
            gp_buf_printf(&expected, "%u%s", s->port, port + 6);
    }
    k->q.body = k->body;
    ask(s, &k->q, &a);
    while (a.body.len && a.body.data[a.body.len - 1] == '\n')
        a.body.data[--a.body.len] = '\0';
    const char *want = expected.data ? expected.data : "";
    bool same = a.status == k->status && same_body(a.body.data, want) && strcmp(a.link, k->link) == 0 &&
                (!*k->type || strcmp(a.type, k->type) == 0);
    if (!same)
        print_error("%s: %s %s\n  v4:   %ld %s %s %s\n  ours: %ld %s %s %s\n", k->name, k->q.method,
                    k->q.path, k->status, k->type, k->link, want, a.status, a.type, a.link, a.body.data);
    gp_buf_free(&a.body);
    gp_buf_free(&expected);
    return same;
}

static void known_reset(known *k)
{
    free(k->body);
    gp_buf_free(&k->expected);
    *k = (known){0};
}

static void read_line(known *k, const char *line)
{
    if (strncmp(line, "type ", 5) == 0) {
        snprintf(k->q.type, sizeof k->q.type, "%.120s", line + 5);
    } else if (strncmp(line, "body ", 5) == 0) {
        k->body = strdup(line + 5);
    } else if (strncmp(line, "status ", 7) == 0) {
        k->status = strtol(line + 7, NULL, 10);
    } else if (strncmp(line, "is ", 3) == 0) {
        snprintf(k->type, sizeof k->type, "%.120s", line + 3);
    } else if (strncmp(line, "link ", 5) == 0) {
        snprintf(k->link, sizeof k->link, "%.120s", line + 5);
    } else if (strncmp(line, "| ", 2) == 0) {
        if (k->expected.len)
            gp_buf_putc(&k->expected, '\n');
        gp_buf_puts(&k->expected, line + 2);
    } else if (sscanf(line, "%15s %511s", k->q.method, k->q.path) != 2) {
        fail_msg("cannot read the line: %s", line);
    }
}

static void answers_are_those_of_v4(void **state)
{
    FILE *f = fopen(GP_SOURCE_DIR "/tests/data/api/sensor-v4.txt", "r");
    char line[4096];
    known k = {0};
    unsigned checked = 0;
    unsigned different = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "=== ", 4) != 0) {
            read_line(&k, line);
            continue;
        }
        if (*k.name)
            different += !check_known(*state, &k);
        known_reset(&k);
        snprintf(k.name, sizeof k.name, "%.60s", line + 4);
        checked++;
    }
    different += !check_known(*state, &k);
    known_reset(&k);
    fclose(f);
    assert_true(checked == 38);
    assert_int_equal(different, 0);
}

/* ---- what depends on the run --------------------------------------------------------------------------- */

static const char *text_at(const cJSON *json, const char *a, const char *b)
{
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(json, a);
    return cJSON_GetStringValue(b ? cJSON_GetObjectItemCaseSensitive(at, b) : at);
}

static void check_rows(const char *json, int rows)
{
    cJSON *root = cJSON_Parse(json);
    assert_non_null(root);
    assert_string_equal(text_at(root, "status", "code"), "ok");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "rows");
    assert_int_equal(cJSON_GetArraySize(list), rows);
    const cJSON *counters = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(list, 0), "counters");
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(counters, "br")) >= 20);
    cJSON_Delete(root);
}

static void queries_answer_from_database_and_live(void **state)
{
    answer a;
    post(*state, "/_query", "{\"query\":\"sip,dip,dport,proto\",\"ifaces\":\"lo\",\"first\":\"-1h\"}", &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, "application/json");
    assert_string_equal(a.link, "</schemas/Result.json>; rel=\"describedBy\"");
    assert_non_null(strstr(a.body.data, "\"$schema\":\"http://127.0.0.1:"));
    assert_non_null(strstr(a.body.data, "\"sip\":\"10.0.0.1\""));
    assert_int_equal(a.body.data[a.body.len - 1], '\n');
    check_rows(a.body.data, 1);
    gp_buf_free(&a.body);
    post(*state, "/_query",
         "{\"query\":\"sip,dport\",\"ifaces\":\"lo\",\"first\":\"-1h\",\"live\":true,\"format\":\"csv\"}",
         &a);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body.data, "\"sip\":\"127.0.0.1\""));
    check_rows(a.body.data, 2);
    gp_buf_free(&a.body);
}

static void streams_end_with_the_result(void **state)
{
    answer a;
    post(*state, "/_query/sse", "{\"query\":\"sip\",\"ifaces\":\"lo\",\"first\":\"-1h\",\"live\":true}", &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, "text/event-stream");
    char *at = strstr(a.body.data, "event: finalResult\ndata: {\"hostname\":");
    assert_non_null(at);
    char *data = strstr(at, "data: ") + 6;
    data[strcspn(data, "\n")] = '\0';
    check_rows(data, 2);
    gp_buf_free(&a.body);
}

static void refused(const sensor *s, const char *path, const char *body, long status, const char *part)
{
    answer a;
    post(s, path, body, &a);
    if (a.status != status || !strstr(a.body.data, part))
        fail_msg("%s %s: expected %ld with %s, got %ld %s", path, body, status, part, a.status, a.body.data);
    gp_buf_free(&a.body);
}

static void refusals_in_our_own_words(void **state)
{
    static const char not_json[] =
        "\"title\":\"Bad Request\",\"status\":400,\"detail\":\"validation failed\","
        "\"errors\":[{\"message\":";
    static const char nothing[] = "no interfaces provided";
    refused(*state, "/_query", "{", 400, not_json);
    refused(*state, "/_query/sse", "{", 400, not_json);
    refused(*state, "/_query/validate", "{", 400, not_json);
    refused(*state, "/_query", "{\"query\":\"sip\",\"ifaces\":\"nope\"}", 500, nothing);
    refused(*state, "/_query/sse", "{\"query\":\"sip\",\"ifaces\":\"nope\"}", 200,
            "event: queryError\ndata: {");
    answer a;
    question q = {"PUT", "/config", "application/json", "{", NULL};
    ask(*state, &q, &a);
    assert_int_equal(a.status, 400);
    assert_non_null(strstr(a.body.data, not_json));
    gp_buf_free(&a.body);
}

static void a_query_needs_a_body(void **state)
{
    answer a;
    post(*state, "/_query", "", &a);
    assert_int_equal(a.status, 400);
    assert_non_null(strstr(a.body.data, "request body is required"));
    gp_buf_free(&a.body);
}

static void info_names_the_service(void **state)
{
    answer a;
    get(*state, "/-/info", &a);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body.data, "\"name\":\"goprobe\",\"version\":\"5."));
    gp_buf_free(&a.body);
    get(*state, "/nothing", &a);
    assert_int_equal(a.status, 404);
    gp_buf_free(&a.body);
    question q = {.method = "DELETE", .path = "/status"};
    ask(*state, &q, &a);
    assert_int_equal(a.status, 405);
    gp_buf_free(&a.body);
}

static void the_schema_link_names_the_host_that_the_client_sees(void **state)
{
    static const struct {
        const char *header, *schema;
    } cases[] = {{"Host: probe.example:8145", "https://probe.example:8145/schemas/"},
                 {"Host: localhost", "http://localhost/schemas/"},
                 {"X-Forwarded-Host: api.example", "https://api.example/schemas/"},
                 {"Forwarded: for=10.0.0.1;host=\"fwd.example\";proto=https", "https://fwd.example/schemas/"},
                 {"X-Forwarded-Host: http://full.example", "http://full.example/schemas/"},
                 {"Host: a\"b", "https://a\\\"b/schemas/"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        answer a;
        char expected[200];
        question q = {.method = "GET", .path = "/-/health", .header = cases[i].header};
        ask(*state, &q, &a);
        snprintf(expected, sizeof expected, "{\"$schema\":\"%sGetHealthOutputBody.json\",", cases[i].schema);
        if (strncmp(a.body.data, expected, strlen(expected)) != 0)
            fail_msg("%s: %s", cases[i].header, a.body.data);
        gp_buf_free(&a.body);
    }
}

static void a_change_that_fails_is_reported(void **state)
{
    sensor *s = *state;
    answer a;
    s->manager.broken = true;
    post(s, "/config/_reload", "", &a);
    assert_int_equal(a.status, 500);
    assert_non_null(strstr(a.body.data,
                           "\"title\":\"Internal Server Error\",\"status\":500,\"detail\":\"config "
                           "update failed\",\"errors\":[{\"message\":\"failed to execute config "
                           "reload callback function: captures are stuck\"}]"));
    gp_buf_free(&a.body);
    question q = {"PUT", "/config", "application/json",
                  "{\"lo\":{\"promisc\":true,\"ignore_vlans\":false,\"ring_buffer\":{\"block_size\":1,"
                  "\"num_blocks\":2},\"extra_bpf_filters\":null,\"disable\":false}}",
                  NULL};
    ask(s, &q, &a);
    assert_int_equal(a.status, 400);
    assert_non_null(strstr(a.body.data, "captures are stuck"));
    gp_buf_free(&a.body);
}

/* The answer is 200, as in v4, but not all was done. */
static void failed_changes_are_audited_as_such(void **state)
{
    sensor *s = *state;
    answer a;
    char path[96];
    char text[4096] = "";
    char any_port[] = "127.0.0.1:0";
    const gp_api_config api = {.addr = any_port};
    gp_log *audit = NULL;
    gp_sensor_api *second = NULL;
    snprintf(path, sizeof path, "%s/.audit", s->db);
    assert_int_equal(gp_log_open(&audit, path, GP_LOG_ERROR, GP_LOG_LOGFMT, NULL), GP_OK);
    const gp_sensor_api_config cfg = {
        .api = &api, .engine = s->engine, .manager = &s->manager, .monitor = s->monitor, .audit = audit};
    assert_int_equal(gp_sensor_api_start(&second, &cfg, NULL), GP_OK);
    sensor asked = {.port = gp_sensor_api_port(second)};
    const question q = {
        "PUT", "/config", "application/json",
        "{\"nosuch\":{\"promisc\":true,\"ignore_vlans\":false,\"ring_buffer\":{\"block_size\":4096,"
        "\"num_blocks\":2},\"extra_bpf_filters\":null,\"disable\":false}}",
        NULL};
    post(&asked, "/config/_reload", "", &a); /* nothing is to be done */
    assert_int_equal(a.status, 200);
    gp_buf_free(&a.body);
    ask(&asked, &q, &a);
    assert_int_equal(a.status, 200);
    gp_buf_free(&a.body);
    gp_sensor_api_stop(second);
    gp_log_close(audit);
    gp_test_read_text(path, text, sizeof text);
    assert_non_null(strstr(text, "method=PUT path=/config outcome=failed status=200"));
    assert_non_null(strstr(text, "detail=\"enabled nosuch (failed)\""));
    assert_non_null(strstr(text, "method=POST path=/config/_reload outcome=done status=200"));
}

static void metrics_are_for_prometheus(void **state)
{
    answer a;
    get(*state, "/status/lo", &a);
    gp_buf_free(&a.body);
    get(*state, "/-/health", &a);
    gp_buf_free(&a.body);
    const char *count =
        "goprobe_api_requests_total{code=\"200\",handler=\"/status/{iface}\",method=\"GET\",path="
        "\"/status/{iface}\"} 1\n";
    for (int i = 0; i < 100; i++) { /* an answer is counted just after it was sent */
        get(*state, "/metrics", &a);
        if (strstr(a.body.data, count))
            break;
        gp_buf_free(&a.body);
        usleep(10000);
    }
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, "text/plain; version=0.0.4; charset=utf-8");
    static const char *const parts[] = {
        "# TYPE goprobe_api_request_duration_seconds histogram\n",
        "goprobe_api_request_duration_seconds_bucket{code=\"200\",method=\"GET\",path=\"/status/"
        "{iface}\",le=\"0.01\"} ",
        "goprobe_api_request_duration_seconds_count{code=\"200\",method=\"GET\",path=\"/status/{iface}\"} "
        "1\n",
        "goprobe_api_request_size_bytes_count{code=\"200\",method=\"GET\"} 1\n",
        "goprobe_api_response_size_bytes_bucket{code=\"200\",method=\"GET\",le=\"1e+08\"} 1\n",
        "fake_capture{iface=\"lo\"} 1\n",
        "\nprocess_open_fds ",
        "\nprocess_start_time_seconds 1",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(a.body.data, parts[i]))
            fail_msg("%s is not in\n%s", parts[i], a.body.data);
    assert_null(strstr(a.body.data, "/-/health"));
    gp_buf_free(&a.body);
}

static void limits_and_switches(void **state)
{
    (void)state;
    const gp_api_config limits = {
        .max_req_per_sec = 0.001, .max_burst = 2, .metrics = true, .disable_iface_metrics = true};
    sensor *s = start(&limits);
    answer a;
    const char *query = "{\"query\":\"sip\",\"ifaces\":\"lo\"}";
    post(s, "/_query", query, &a);
    assert_int_equal(a.status, 200);
    gp_buf_free(&a.body);
    post(s, "/_query/sse", query, &a);
    assert_int_equal(a.status, 200);
    gp_buf_free(&a.body);
    post(s, "/_query", query, &a);
    assert_int_equal(a.status, 429);
    assert_int_equal(a.body.len, 0);
    gp_buf_free(&a.body);
    post(s, "/_query/sse", query, &a);
    assert_int_equal(a.status, 429);
    gp_buf_free(&a.body);
    get(s, "/metrics", &a);
    assert_non_null(strstr(a.body.data, "fake_capture 1\n"));
    gp_buf_free(&a.body);
    end(s);

    const gp_api_config hurried = {.limits.query_timeout_ns = 1};
    s = start(&hurried);
    post(s, "/_query", query, &a);
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.body.data, "took longer than"));
    gp_buf_free(&a.body);
    end(s);

    const gp_api_config plain = {0};
    s = start(&plain);
    get(s, "/metrics", &a);
    assert_int_equal(a.status, 404);
    gp_buf_free(&a.body);
    end(s);
}

static long status_with(const char *addr, const char *authorization, bool allow)
{
    char *keys[] = {"59436af63ebf98a39de763d56220edb90267debaa4180b864811c7a44ad35bc8"};
    char *copy = strdup(addr);
    const gp_api_config api = {.addr = copy, .keys = {keys, 1}, .allow_without_token = allow};
    sensor *s = start(&api);
    question q = {.method = "GET", .header = authorization, .path = "/status"};
    answer a;
    ask(s, &q, &a);
    gp_buf_free(&a.body);
    end(s);
    free(copy);
    return a.status;
}

/* A v4 configuration behind a local address goes on as before; elsewhere its keys are tokens. */
static void keys_count_where_others_reach_us(void **state)
{
    (void)state;
    static const char digest[] =
        "Authorization: digest 59436af63ebf98a39de763d56220edb90267debaa4180b864811c7a44ad35bc8";
    static const char bearer[] =
        "Authorization: Bearer 59436af63ebf98a39de763d56220edb90267debaa4180b864811c7a44ad35bc8";
    assert_int_equal(status_with("127.0.0.1:0", NULL, false), 200);
    assert_int_equal(status_with(":0", NULL, false), 401);
    assert_int_equal(status_with(":0", digest, false), 200);
    assert_int_equal(status_with(":0", bearer, false), 200);
    assert_int_equal(status_with(":0", "Authorization: Basic Zm9vOmJhcg==", false), 401);
    assert_int_equal(status_with(":0", NULL, true), 200);
}

static void an_address_in_use_is_named(void **state)
{
    sensor *s = *state;
    char addr[32];
    snprintf(addr, sizeof addr, "127.0.0.1:%u", s->port);
    const gp_api_config api = {.addr = addr};
    const gp_sensor_api_config cfg = {
        .api = &api, .engine = s->engine, .manager = &s->manager, .monitor = s->monitor};
    gp_sensor_api *second = NULL;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_sensor_api_start(&second, &cfg, &err), GP_EBUSY);
    assert_null(second);
    assert_non_null(strstr(err.msg, addr));
}

static void the_description_is_served(void **state)
{
    answer a;
    static const char *const paths[] = {"/openapi.json", "/openapi-3.0.json"};
    for (size_t i = 0; i < 2; i++) {
        get(*state, paths[i], &a);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.type, "application/openapi+json");
        cJSON *doc = cJSON_Parse(a.body.data);
        assert_non_null(doc);
        assert_string_equal(text_at(doc, "openapi", NULL), "3.0.3");
        cJSON_Delete(doc);
        gp_buf_free(&a.body);
    }
    get(*state, "/openapi.yaml", &a);
    assert_string_equal(a.type, "application/openapi+yaml");
    assert_int_equal(strncmp(a.body.data, "openapi: 3.0.3\n", 15), 0);
    gp_buf_free(&a.body);
    get(*state, "/schemas/StatusResponse.json", &a);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body.data, "\"/schemas/CaptureStats.json\""));
    gp_buf_free(&a.body);
    get(*state, "/schemas/Nope.json", &a);
    assert_int_equal(a.status, 404);
    gp_buf_free(&a.body);
    get(*state, "/docs", &a);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body.data, "/config/_reload"));
    gp_buf_free(&a.body);
}

/* Every schema that an answer links to is there. */
static void linked_schemas_are_described(void **state)
{
    (void)state;
    static const char *const linked[] = {"Args",
                                         "Result",
                                         "StatusResponse",
                                         "ConfigResponse",
                                         "ErrorModel",
                                         "ConfigUpdateResponse",
                                         "CaptureConfig",
                                         "GetHealthOutputBody",
                                         "GetInfoOutputBody",
                                         "GetReadyOutputBody"};
    const gp_openapi spec = gp_sensor_openapi();
    gp_buf json = GP_BUF_INIT;
    gp_error err = GP_ERROR_INIT;
    for (size_t i = 0; i < sizeof linked / sizeof *linked; i++) {
        gp_buf_clear(&json);
        assert_int_equal(gp_openapi_json(&spec, linked[i], &json, &err), GP_OK);
    }
    gp_buf_free(&json);
}

static void token_bucket(void **state)
{
    (void)state;
    gp_ratelimit *l = NULL;
    const int64_t second = 1000000000;
    assert_true(gp_ratelimit_allow(NULL, 0));
    assert_int_equal(gp_ratelimit_new(&l, 2, 3, NULL), GP_OK);
    for (int i = 0; i < 3; i++)
        assert_true(gp_ratelimit_allow(l, second));
    assert_false(gp_ratelimit_allow(l, second));
    assert_false(gp_ratelimit_allow(l, second + second / 4)); /* half a token */
    assert_true(gp_ratelimit_allow(l, second + second / 2));
    assert_false(gp_ratelimit_allow(l, second + second / 2));
    for (int i = 0; i < 3; i++) /* an hour fills it, but not beyond the burst */
        assert_true(gp_ratelimit_allow(l, 3600 * second));
    assert_false(gp_ratelimit_allow(l, 3600 * second));
    gp_ratelimit_free(l);
}

int main(void)
{
    setenv("TZ", "UTC", 1); /* the recording's */
    tzset();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_those_of_v4, setup, teardown),
        cmocka_unit_test_setup_teardown(queries_answer_from_database_and_live, setup, teardown),
        cmocka_unit_test_setup_teardown(streams_end_with_the_result, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals_in_our_own_words, setup, teardown),
        cmocka_unit_test_setup_teardown(a_query_needs_a_body, setup, teardown),
        cmocka_unit_test_setup_teardown(info_names_the_service, setup, teardown),
        cmocka_unit_test_setup_teardown(the_schema_link_names_the_host_that_the_client_sees, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_that_fails_is_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_changes_are_audited_as_such, setup, teardown),
        cmocka_unit_test_setup_teardown(metrics_are_for_prometheus, setup, teardown),
        cmocka_unit_test(limits_and_switches),
        cmocka_unit_test(keys_count_where_others_reach_us),
        cmocka_unit_test_setup_teardown(an_address_in_use_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(the_description_is_served, setup, teardown),
        cmocka_unit_test(linked_schemas_are_described),
        cmocka_unit_test(token_bucket),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
