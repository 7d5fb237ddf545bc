/*
 * The HTTP surface: whatever bytes a client sends, to a real server with tokens, routes of every kind and
 * handlers that look at everything that a request has. Each input is what one connection sends.
 */
#include "proto/http/answer.h"
#include "proto/http/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const gp_http_schema schema = GP_HTTP_SCHEMA("Fuzz");
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static gp_http_server *server;
static gp_auth *auth;
static gp_log *audit;

static void look_at_everything(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    gp_http_params params = {.req = req};
    const char *key;
    const char *value;
    const char *param = gp_http_path_param(req);
    gp_buf json = GP_BUF_INIT;
    gp_buf_puts(&json, "{\"path\":");
    gp_buf_json_str(&json, gp_http_path(req));
    gp_buf_puts(&json, ",\"param\":");
    gp_buf_json_str(&json, param ? param : "");
    while (gp_http_params_next(&params, &key, &value)) {
        gp_buf_puts(&json, ",");
        gp_buf_json_str(&json, key);
        gp_buf_puts(&json, ":");
        gp_buf_json_str(&json, value);
    }
    gp_buf_puts(&json, "}");
    gp_http_note(req, gp_http_peer(req));
    (void)gp_http_who(req);
    gp_http_answer(req, res, 200, &schema, &json);
}

static void take_body(gp_http_request *req, gp_http_response *res, void *ctx)
{
    const char *text;
    size_t len;
    if (gp_http_json_body(req, res, &text, &len))
        look_at_everything(req, res, ctx);
}

static void stream(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    gp_http_stream *s;
    gp_buf data = GP_BUF_INIT;
    gp_buf_puts(&data, "{}");
    if (gp_http_stream_begin(req, &s, NULL) == GP_OK)
        (void)gp_http_stream_event(s, "e", &data, NULL);
    else
        gp_http_error(res, 500, "no stream");
    gp_buf_free(&data);
}

static void remove_socket(void)
{
    char *slash = strrchr(address.sun_path, '/');
    gp_http_stop(server);
    gp_auth_free(auth);
    gp_log_close(audit);
    *slash = '\0';
    (void)rmdir(address.sun_path);
}

static void start(void)
{
    static const char *const origins[] = {"https://page.example"};
    static const char *const keys[] = {"gp_fuzz"};
    const gp_http_route routes[] = {
        {"GET", "/open", look_at_everything, NULL, GP_HTTP_OPEN},
        {"GET", "/status", look_at_everything, NULL, GP_HTTP_QUERY},
        {"GET", "/status/{iface}", look_at_everything, NULL, GP_HTTP_QUERY},
        {"POST", "/_query", take_body, NULL, GP_HTTP_OPEN},
        {"POST", "/sse", stream, NULL, GP_HTTP_OPEN},
        {"PUT", "/config", take_body, NULL, GP_HTTP_CONTROL},
    };
    char dir[] = "/tmp/gp_fuzz_http_XXXXXX";
    char addr[sizeof address.sun_path + 8];
    const gp_auth_config tokens = {.keys = keys, .n_keys = 1};
    if (!mkdtemp(dir) || gp_auth_new(&auth, &tokens, NULL) != GP_OK ||
        gp_log_open(&audit, "devnull", GP_LOG_DEBUG, GP_LOG_JSON, NULL) != GP_OK)
        abort();
    snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", dir);
    snprintf(addr, sizeof addr, "unix:%s", address.sun_path);
    const gp_http_config cfg = {.addr = addr,
                                .auth = auth,
                                .log = audit,
                                .audit = audit,
                                .max_body = 4096,
                                .max_header = 4096,
                                .cors_origins = origins,
                                .n_cors_origins = 1};
    if (gp_http_start(&server, &cfg, routes, sizeof routes / sizeof routes[0], NULL) != GP_OK ||
        atexit(remove_socket) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char answer[4096];
    if (!server)
        start();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        abort(); /* the server is gone */
    if (send(fd, data, size, MSG_NOSIGNAL) >= 0)
        (void)shutdown(fd, SHUT_WR);
    while (recv(fd, answer, sizeof answer, 0) > 0) {
    }
    close(fd);
    return 0;
}
