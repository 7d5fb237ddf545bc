/* Tokens: their file, the command that makes them, and what the HTTP server makes of them. */
#include "client/gpclient.h"
#include "proto/auth/certificates.h"
#include "proto/auth/token_command.h"
#include "proto/auth/tokens.h"
#include "proto/http/server.h"
#include "tests/support/files.h"
#include "tests/support/tempdir.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char alice_line[] = "alice query,control sha256:000102030405060708090a0b0c0d0e0f:"
                                 "b9a4b0a71a3dcf4cc87e3c7a2f2f6b64a0e0d0b0a0c0d0e0f0a0b0c0d0e0f0a0\n";

static void expect_bad(const char *text, const char *why)
{
    gp_tokens t;
    gp_error err = GP_ERROR_INIT;
    assert_int_not_equal(gp_tokens_parse("file", text, strlen(text), &t, &err), GP_OK);
    if (!strstr(err.msg, why))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    assert_int_equal(t.n, 0);
}

static void tokens_file(void **state)
{
    (void)state;
    gp_tokens t;
    gp_buf text = GP_BUF_INIT;
    gp_buf_puts(&text, "# comment\n\n  \t\r\n");
    gp_buf_puts(&text, alice_line);
    assert_int_equal(gp_tokens_parse("file", text.data, text.len, &t, NULL), GP_OK);
    assert_int_equal(t.n, 1);
    assert_string_equal(t.items[0].who.name, "alice");
    assert_int_equal(t.items[0].who.scopes, GP_SCOPE_ALL);
    gp_buf_clear(&text);
    gp_tokens_write(&t, &text);
    assert_non_null(strstr(text.data, alice_line));
    gp_tokens_free(&t);
    gp_buf_puts(&text, alice_line);
    expect_bad(text.data, "file:3: there is a token named alice already");
    gp_buf_free(&text);
    expect_bad("alice query", "file:1: a line is: name, scopes, hash");
    expect_bad("alice query sha256:00:00 more", "file:1: a line is");
    expect_bad("alice admin x", "'admin' is no scope");
    expect_bad("alice query, x", "'' is no scope");
    expect_bad("al/ice query x", "'al/ice' is no name");
    expect_bad("alice query md5:00", "no hash of the form");
    expect_bad("alice query sha256:zz0102030405060708090a0b0c0d0e0f:"
               "b9a4b0a71a3dcf4cc87e3c7a2f2f6b64a0e0d0b0a0c0d0e0f0a0b0c0d0e0f0a0",
               "no hash of the form");
}

/* SHA-256 of sixteen zero bytes and "gp_test", by another program:
 * (head -c 16 /dev/zero; printf gp_test) | sha256sum */
static void known_hash(void **state)
{
    (void)state;
    static const char line[] = "t query sha256:00000000000000000000000000000000:"
                               "cca5b8b13adfd7d246bd851674e507f99cd5f99392a86fe4214c699ebb55ce48";
    gp_tokens t;
    gp_identity who;
    assert_int_equal(gp_tokens_parse("file", line, strlen(line), &t, NULL), GP_OK);
    assert_true(gp_tokens_check(&t, "gp_test", 7, &who));
    assert_string_equal(who.name, "t");
    assert_false(gp_tokens_check(&t, "gp_tesu", 7, &who));
    assert_false(gp_tokens_check(&t, "gp_test", 6, &who));
    assert_false(gp_tokens_check(&t, "", 0, &who));
    gp_tokens_free(&t);
}

static void expect_bad_certificates(const char *text, const char *why)
{
    gp_certificate_lines l;
    gp_error err = GP_ERROR_INIT;
    assert_int_not_equal(gp_certificate_lines_parse("file", text, strlen(text), &l, &err), GP_OK);
    if (!strstr(err.msg, why))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    assert_int_equal(l.n, 0);
}

static gp_scopes scopes_of(const gp_certificate_lines *l, const char *a, const char *b)
{
    const char *const names[] = {a, b};
    return gp_certificate_lines_scopes(l, names, b ? 2 : 1);
}

static void certificates_file(void **state)
{
    (void)state;
    static const char text[] = "# who may do what\n\n \t\r\n"
                               "grafana query\n"
                               "  Alice of  Ops \t control,query\r\n"
                               "*.example.org query\n"
                               "gq-?? control";
    gp_certificate_lines l;
    assert_int_equal(gp_certificate_lines_parse("file", text, sizeof text - 1, &l, NULL), GP_OK);
    assert_int_equal(l.n, 4);
    assert_string_equal(l.items[1].name, "Alice of  Ops");
    assert_int_equal(scopes_of(&l, "Alice of  Ops", NULL), GP_SCOPE_ALL);
    assert_int_equal(scopes_of(&l, "grafana", NULL), GP_SCOPE_QUERY);
    assert_int_equal(scopes_of(&l, "Grafana", NULL), GP_SCOPE_QUERY);
    assert_int_equal(scopes_of(&l, "grafana2", NULL), 0);
    assert_int_equal(scopes_of(&l, "a.b.example.org", NULL), GP_SCOPE_QUERY);
    assert_int_equal(scopes_of(&l, "example.org", NULL), 0);
    assert_int_equal(scopes_of(&l, "unknown", "gq-17"), GP_SCOPE_CONTROL);
    assert_int_equal(scopes_of(&l, "gq-17", "x.example.org"), GP_SCOPE_QUERY); /* the first line */
    assert_int_equal(scopes_of(&l, "*", NULL), 0); /* patterns are the file's alone */
    gp_certificate_lines_free(&l);
    expect_bad_certificates("grafana", "file:1: a line is: name, scopes");
    expect_bad_certificates("\ngrafana admin", "file:2: 'admin' is no scope");
    char line[GP_CERT_NAME_MAX + 20];
    memset(line, 'a', GP_CERT_NAME_MAX + 1);
    memcpy(line + GP_CERT_NAME_MAX + 1, " query", 7);
    expect_bad_certificates(line, "a name of 256 characters");
}

/* ---- the command --------------------------------------------------------------------------------------- */

typedef struct fixture {
    char dir[GP_TEMPDIR_LEN];
    char tokens[96], out[96];
    gp_auth *auth;
    gp_log *audit;
    gp_http_server *server;
    char addr[160];
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    gp_tempdir_make(f->dir);
    snprintf(f->tokens, sizeof f->tokens, "%s/tokens", f->dir);
    snprintf(f->out, sizeof f->out, "%s/out", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    gp_http_stop(f->server);
    gp_auth_free(f->auth);
    gp_log_close(f->audit);
    gp_tempdir_remove(f->dir);
    free(f);
    return 0;
}

/* Runs the command with its standard output and error in f->out. */
static int run(fixture *f, char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    fflush(NULL);
    int saved[2] = {dup(1), dup(2)};
    int to = open(f->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(to >= 0 && dup2(to, 1) == 1 && dup2(to, 2) == 2);
    int rc = gp_token_command("goprobe", argc, argv);
    fflush(NULL);
    assert_true(dup2(saved[0], 1) == 1 && dup2(saved[1], 2) == 2);
    close(saved[0]);
    close(saved[1]);
    close(to);
    return rc;
}

#define RUN(f, ...) run((f), (char *[]){"token", __VA_ARGS__, NULL})

static void read_out(const fixture *f, char *dst, size_t size)
{
    gp_test_read_text(f->out, dst, size);
}

static void make_token(fixture *f, char *name, char *scopes, char **token)
{
    assert_int_equal(RUN(f, "new", name, "--file", f->tokens, "--scopes", scopes), 0);
    assert_int_equal(gp_client_token_from_file(f->out, token, NULL), GP_OK);
    assert_int_equal(strlen(*token), GP_TOKEN_LEN);
}

static void command(void **state)
{
    fixture *f = *state;
    char text[4096];
    char *token = NULL;
    struct stat st;
    make_token(f, "alice", "query,control", &token);
    assert_int_equal(stat(f->tokens, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    gp_test_read_text(f->tokens, text, sizeof text); /* keeps the hash only */
    assert_null(strstr(text, token));
    assert_null(strstr(text, token + 3));
    free(token);
    assert_int_equal(chmod(f->tokens, 0640), 0);
    assert_int_equal(RUN(f, "new", "bob", "--file", f->tokens), 0);
    assert_int_equal(stat(f->tokens, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(RUN(f, "list", "--file", f->tokens), 0);
    read_out(f, text, sizeof text);
    assert_non_null(strstr(text, "alice                    query,control\n"));
    assert_non_null(strstr(text, "bob                      query\n"));
    assert_int_equal(RUN(f, "new", "bob", "--file", f->tokens), 1);
    assert_int_equal(RUN(f, "remove", "bob", "--file", f->tokens), 0);
    assert_int_equal(RUN(f, "remove", "bob", "--file", f->tokens), 1);
    assert_int_equal(RUN(f, "new", "carol", "--file", "/nonexistent/tokens"), 1);
    assert_int_equal(RUN(f, "new", "carol"), 2);
    assert_int_equal(RUN(f, "make", "carol", "--file", f->tokens), 2);
    assert_int_equal(RUN(f, "--help"), 0);
}

static void expect_access(const char *path, gid_t group, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_gid, group);
    assert_int_equal(st.st_mode & 07777, mode);
}

/* The service that reads the file may have another user than whoever makes tokens. */
static void access_to_new_file(void **state)
{
    fixture *f = *state;
    const struct group *own = getgrgid(getegid());
    assert_non_null(own);
    char name[64];
    snprintf(name, sizeof name, "%s", own->gr_name);
    assert_int_equal(RUN(f, "new", "a", "--file", f->tokens, "--group", name), 0);
    expect_access(f->tokens, getegid(), 0640);
    assert_int_equal(chmod(f->tokens, 0600), 0); /* as it was, unless asked for */
    assert_int_equal(RUN(f, "new", "b", "--file", f->tokens), 0);
    expect_access(f->tokens, getegid(), 0600);
    assert_int_equal(RUN(f, "new", "c", "--file", f->tokens, "--group", name), 0);
    expect_access(f->tokens, getegid(), 0640);
    assert_int_equal(RUN(f, "new", "d", "--file", f->tokens, "--group", "no such group"), 2);
    assert_int_equal(RUN(f, "remove", "a", "--file", f->tokens, "--group", name), 2);
}

static void new_file_in_folder_of(fixture *f, uid_t owner, gid_t group)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s", f->tokens);
    *strrchr(folder, '/') = '\0';
    (void)unlink(f->tokens);
    assert_int_equal(chown(folder, owner, group), 0);
    assert_int_equal(RUN(f, "new", "a", "--file", f->tokens), 0);
}

static void root_makes_new_file(void **state)
{
    fixture *f = *state;
    if (geteuid() != 0)
        skip();
    new_file_in_folder_of(f, 0, 12345);
    expect_access(f->tokens, 12345, 0640);
    new_file_in_folder_of(f, 0, 0);
    expect_access(f->tokens, 0, 0600);
    new_file_in_folder_of(f, 12345, 12345); /* somebody's folder: it says nothing of tokens */
    expect_access(f->tokens, 0, 0600);
    assert_int_equal(RUN(f, "new", "b", "--file", f->tokens), 0);
    expect_access(f->tokens, 0, 0600);
}

/* ---- the server ---------------------------------------------------------------------------------------- */

static void hello(gp_http_request *req, gp_http_response *res, void *ctx)
{
    (void)ctx;
    gp_http_note(req, "enabled eth0");
    const char *body = strcmp(gp_http_method(req), "GET") == 0 ? "{}" : "{\"status_code\":200}";
    gp_buf_puts(&res->body, body);
}

static gp_code serve(fixture *f, const gp_http_config *cfg, gp_error *err)
{
    const gp_http_route routes[] = {
        {"GET", "/-/health", hello, f, GP_HTTP_OPEN},
        {"GET", "/status", hello, f, GP_HTTP_QUERY},
        {"POST", "/config/_reload", hello, f, GP_HTTP_CONTROL},
    };
    gp_code rc = gp_http_start(&f->server, cfg, routes, sizeof routes / sizeof routes[0], err);
    if (rc == GP_OK && gp_http_port(f->server))
        snprintf(f->addr, sizeof f->addr, "127.0.0.1:%u", gp_http_port(f->server));
    return rc;
}

static void serve_with_tokens(fixture *f)
{
    const char *keys[] = {"da53ae3fb482db63d9606a9324a694bf51f7ad4"};
    const gp_auth_config auth = {.tokens_file = f->tokens, .keys = keys, .n_keys = 1};
    assert_int_equal(gp_auth_new(&f->auth, &auth, NULL), GP_OK);
    const gp_http_config cfg = {.addr = "127.0.0.1:0", .auth = f->auth, .audit = f->audit};
    assert_int_equal(serve(f, &cfg, NULL), GP_OK);
}

static gp_client *client(const fixture *f, const char *token)
{
    gp_client *c = NULL;
    const gp_client_config cfg = {.addr = f->addr, .access.token = token, .timeout_ns = INT64_C(20000000000)};
    assert_int_equal(gp_client_new(&c, &cfg, NULL), GP_OK);
    return c;
}

static gp_code get(const fixture *f, const char *token, const char *path, gp_error *err)
{
    gp_buf body = GP_BUF_INIT;
    gp_client *c = client(f, token);
    gp_code rc = gp_client_get(c, path, &body, err);
    gp_buf_free(&body);
    gp_client_free(c);
    return rc;
}

static gp_code change(const fixture *f, const char *token, gp_error *err)
{
    gp_config_update update = {0};
    gp_client *c = client(f, token);
    gp_code rc = gp_client_reload(c, &update, err);
    gp_config_update_free(&update);
    gp_client_free(c);
    return rc;
}

static void scopes(void **state)
{
    fixture *f = *state;
    gp_error err = GP_ERROR_INIT;
    char *reader = NULL;
    char *admin = NULL;
    make_token(f, "reader", "query", &reader);
    make_token(f, "admin", "control", &admin);
    serve_with_tokens(f);
    assert_int_equal(get(f, NULL, "/-/health", NULL), GP_OK);
    assert_int_equal(get(f, NULL, "/status", &err), GP_EPERM);
    assert_non_null(strstr(err.msg, "HTTP status 401: a token is needed"));
    assert_int_equal(get(f, "gp_guess", "/status", &err), GP_EPERM);
    assert_non_null(strstr(err.msg, "HTTP status 401: this token is not known here"));
    assert_int_equal(get(f, reader, "/status", NULL), GP_OK);
    assert_int_equal(change(f, reader, &err), GP_EPERM);
    assert_non_null(strstr(err.msg, "HTTP status 403: the token \"reader\" may ask"));
    assert_null(strstr(err.msg, reader));
    assert_int_equal(get(f, admin, "/status", NULL), GP_OK);
    assert_int_equal(change(f, admin, &err), GP_OK);
    assert_int_equal(change(f, NULL, &err), GP_EPERM);
    assert_int_equal(change(f, "da53ae3fb482db63d9606a9324a694bf51f7ad4", NULL), GP_OK);
    free(reader);
    free(admin);
}

/* Who, what, from where, and what came of it; never the token. */
static void control_calls_are_audited(void **state)
{
    fixture *f = *state;
    char path[96];
    char text[4096];
    char *reader = NULL;
    char *admin = NULL;
    make_token(f, "reader", "query", &reader);
    make_token(f, "admin", "control", &admin);
    snprintf(path, sizeof path, "%s/audit", f->dir);
    assert_int_equal(gp_log_open(&f->audit, path, GP_LOG_ERROR, GP_LOG_LOGFMT, NULL), GP_OK);
    serve_with_tokens(f);
    assert_int_equal(get(f, reader, "/status", NULL), GP_OK);
    assert_int_equal(change(f, reader, NULL), GP_EPERM);
    assert_int_equal(change(f, NULL, NULL), GP_EPERM);
    assert_int_equal(change(f, admin, NULL), GP_OK);
    gp_http_stop(f->server);
    f->server = NULL;
    snprintf(f->out, sizeof f->out, "%s", path);
    read_out(f, text, sizeof text);
    assert_null(strstr(text, "/status"));
    assert_null(strstr(text, admin));
    const char *denied = strstr(text, "level=audit msg=\"control call\" who=reader from=127.0.0.1:");
    assert_non_null(denied);
    assert_non_null(strstr(denied, "method=POST path=/config/_reload outcome=denied status=403 request_id="));
    const char *nobody = strstr(text, "who=anonymous from=127.0.0.1:");
    assert_non_null(nobody);
    assert_non_null(strstr(nobody, "outcome=denied status=401"));
    const char *done = strstr(text, "who=admin from=127.0.0.1:");
    assert_non_null(done);
    assert_non_null(strstr(done, "outcome=done status=200"));
    assert_non_null(strstr(done, "detail=\"enabled eth0\""));
    free(reader);
    free(admin);
}

static void file_is_read_again(void **state)
{
    fixture *f = *state;
    char *first = NULL;
    char *second = NULL;
    make_token(f, "first", "query", &first);
    serve_with_tokens(f);
    make_token(f, "second", "query", &second);
    for (int i = 0; i < 100 && get(f, second, "/status", NULL) != GP_OK; i++)
        poll(NULL, 0, 50);
    assert_int_equal(get(f, second, "/status", NULL), GP_OK);
    assert_int_equal(RUN(f, "remove", "first", "--file", f->tokens), 0);
    assert_int_equal(gp_http_reload(f->server, NULL), GP_OK);
    assert_int_equal(get(f, first, "/status", NULL), GP_EPERM);
    FILE *file = fopen(f->tokens, "we"); /* what cannot be used changes nothing */
    assert_non_null(file);
    fputs("nonsense\n", file);
    fclose(file);
    assert_int_equal(gp_http_reload(f->server, NULL), GP_EINVAL);
    assert_int_equal(get(f, second, "/status", NULL), GP_OK);
    free(first);
    free(second);
}

static void open_address_needs_a_decision(void **state)
{
    fixture *f = *state;
    gp_error err = GP_ERROR_INIT;
    static const char *const open[] = {":0", "0.0.0.0:0", "[::]:0"};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        assert_int_equal(serve(f, &(gp_http_config){.addr = open[i], .section = "api"}, &err), GP_EPERM);
        assert_non_null(strstr(err.msg, "api.allow_without_token: true"));
        assert_non_null(strstr(err.msg, "api.tokens"));
        assert_true(gp_http_addr_is_open(open[i]));
    }
    assert_false(gp_http_addr_is_open("localhost:0"));
    assert_false(gp_http_addr_is_open("[::1]:0"));
    assert_false(gp_http_addr_is_open("127.0.0.9:0"));
    assert_false(gp_http_addr_is_open("unix:/run/x"));
    assert_int_equal(serve(f, &(gp_http_config){.addr = ":0", .allow_without_token = true}, &err), GP_OK);
}

static void unix_socket_has_owner_group_and_mode(void **state)
{
    fixture *f = *state;
    struct stat st;
    gp_error err = GP_ERROR_INIT;
    char path[96];
    snprintf(path, sizeof path, "%s/sock", f->dir);
    snprintf(f->addr, sizeof f->addr, "unix:%s", path);
    mode_t old = umask(077);
    gp_http_config cfg = {.addr = f->addr, .socket = {.group = "no-such-group"}};
    assert_int_equal(serve(f, &cfg, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "no group named 'no-such-group'"));
    assert_int_equal(access(path, F_OK), -1);
    bool root = geteuid() == 0;
    cfg.socket = (gp_unix_socket_access){
        .owner = root ? "12345" : NULL, .group = root ? "daemon" : NULL, .mode = 0666};
    assert_int_equal(serve(f, &cfg, &err), GP_OK);
    umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    if (root) {
        assert_int_equal(st.st_uid, 12345);
        assert_int_equal(st.st_gid, getgrnam("daemon")->gr_gid);
    }
    assert_int_equal(get(f, NULL, "/status", NULL), GP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_file),
        cmocka_unit_test(known_hash),
        cmocka_unit_test(certificates_file),
        cmocka_unit_test_setup_teardown(command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(access_to_new_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(root_makes_new_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scopes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(control_calls_are_audited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(file_is_read_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(open_address_needs_a_decision, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unix_socket_has_owner_group_and_mode, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
