/* Who is asked: choices from lists of hosts, Ansible inventories, SRV records from a DNS server of our own,
 * and files that change while they are in use. */
#include "global-query/endpoints_file.h"
#include "global-query/inventory.h"
#include "global-query/resolver.h"
#include "proto/base/buf.h"
#include "tests/support/tempdir.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void assert_list(const gp_host_list *hosts, const char *want)
{
    gp_buf text = GP_BUF_INIT;
    gp_buf_puts(&text, "");
    for (size_t i = 0; i < hosts->n; i++)
        gp_buf_printf(&text, "%s%s%s;", hosts->items[i].name, hosts->items[i].addr ? "=" : "",
                      hosts->items[i].addr ? hosts->items[i].addr : "");
    assert_string_equal(text.data ? text.data : "", want);
    gp_buf_free(&text);
}

/* ---- choices ------------------------------------------------------------------------------------------- */

static void assert_choice(const gp_hostset *s, const char *text, const char *want)
{
    gp_host_list hosts;
    gp_error err = GP_ERROR_INIT;
    if (gp_hostset_choose(s, text, &hosts, &err) != GP_OK)
        fail_msg("%s: %s", text, err.msg);
    assert_list(&hosts, want);
    gp_host_list_free(&hosts);
}

static void hosts_are_chosen(void **state)
{
    (void)state;
    static const char *const hosts[][3] = {{"web1", "web", "eu"},
                                           {"web2", "web", "us"},
                                           {"db1", "db", "eu"},
                                           {"db2", "db", "us"},
                                           {"odd", NULL, NULL}};
    gp_hostset *s;
    gp_host_list none;
    gp_error err = GP_ERROR_INIT;
    assert_int_equal(gp_hostset_new(&s, NULL), GP_OK);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(gp_hostset_add(s, hosts[i][0], NULL, NULL), GP_OK);
        for (size_t k = 1; k < 3 && hosts[i][k]; k++)
            assert_int_equal(gp_hostset_label(s, hosts[i][0], hosts[i][k], NULL), GP_OK);
    }
    assert_choice(s, "any", "db1;db2;odd;web1;web2;");
    assert_choice(s, "web", "web1;web2;");
    assert_choice(s, " web , db1 ", "db1;web1;web2;");
    assert_choice(s, "web,&eu", "web1;");
    assert_choice(s, "web,db,&eu,!web1", "db1;");
    assert_choice(s, "!web", "db1;db2;odd;");
    assert_choice(s, "&us", "db2;web2;");
    assert_choice(s, "*1", "db1;web1;");
    assert_choice(s, "nothing*", "");
    assert_choice(s, "~^(web|db)2$", "db2;web2;");
    assert_choice(s, "~b,!~^web", "db1;db2;");
    assert_choice(s, "", "");
    assert_int_equal(gp_hostset_choose(s, "web,wbe1", &none, &err), GP_ENOTFOUND);
    assert_non_null(strstr(err.msg, "wbe1"));
    assert_int_equal(gp_hostset_choose(s, "~(", &none, &err), GP_EINVAL);
    gp_hostset_free(s);
}

/* ---- inventories --------------------------------------------------------------------------------------- */

static void assert_inventory(const char *name, const char *text, const char *choice, const char *want)
{
    gp_hostset *s;
    gp_error err = GP_ERROR_INIT;
    if (gp_inventory_parse(name, text, strlen(text), &s, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_choice(s, choice, want);
    gp_hostset_free(s);
}

static void assert_no_inventory(const char *name, const char *text, const char *want)
{
    gp_hostset *s;
    gp_error err = GP_ERROR_INIT;
    assert_int_not_equal(gp_inventory_parse(name, text, strlen(text), &s, &err), GP_OK);
    if (!strstr(err.msg, want))
        fail_msg("'%s' does not say '%s'", err.msg, want);
}

static void inventories_are_read(void **state)
{
    (void)state;
    static const char yaml[] =
        "all:\n"
        "  vars: {goprobe_api_port: 9000}\n"
        "  hosts:\n"
        "    alone:\n"
        "  children:\n"
        "    goprobe_sensors:\n"
        "      vars: {goprobe_api_port: 9001}\n"
        "      children:\n"
        "        web:\n"
        "          hosts:\n"
        "            web1: {ansible_host: 192.0.2.1}\n"
        "            web2: {goprobe_api_addr: 'web2.example.com:8200'}\n"
        "        v6: {hosts: {six: {ansible_host: '2001:db8::1', goprobe_api_addr: 'unix:/run/x'}}}\n";
    assert_inventory(
        "hosts.yml", yaml, "all",
        "alone=alone:9000;six=[2001:db8::1]:9001;web1=192.0.2.1:9001;web2=web2.example.com:8200;");
    assert_inventory("hosts.yml", yaml, "goprobe_sensors,!v6",
                     "web1=192.0.2.1:9001;web2=web2.example.com:8200;");
    static const char ini[] = "lonely ansible_host=10.0.0.9  # a comment\n"
                              "\n"
                              "[web]\n"
                              "web[08:10].example.com note='two words'\n"
                              "[db]\n"
                              "db-[a:c] goprobe_api_port=1\n"
                              "[sensors:children]\n"
                              "web\n"
                              "db\n"
                              "[sensors:vars]\n"
                              "goprobe_api_port = 77\n"
                              "; the end\n";
    assert_inventory("hosts", ini, "lonely", "lonely=10.0.0.9:8145;");
    assert_inventory("hosts", ini, "sensors",
                     "db-a=db-a:1;db-b=db-b:1;db-c=db-c:1;web08.example.com=web08.example.com:77;"
                     "web09.example.com=web09.example.com:77;web10.example.com=web10.example.com:77;");
    assert_inventory("hosts", "x[0:10:5]\n", "any", "x0=x0:8145;x10=x10:8145;x5=x5:8145;");
    assert_no_inventory("hosts", "[a:children]\nb\n[b:children]\na\n", "contains itself");
    assert_no_inventory("hosts", "[web\n", "hosts:1");
    assert_no_inventory("hosts", "ok\n[web]\nh oops\n", "hosts:3");
    assert_no_inventory("hosts", "h[0:9999999999]\n", "expected a range");
    assert_no_inventory("hosts", "h[0:99999999]\n", "too many hosts");
    assert_no_inventory("hosts.yml", "- a\n", "hosts.yml:1");
}

/* ---- files that change --------------------------------------------------------------------------------- */

static void assert_hosts(const gp_resolvers *r, const char *kind, const char *query, const char *want)
{
    gp_host_list hosts;
    gp_error err = GP_ERROR_INIT;
    if (gp_resolvers_resolve(r, kind, query, &hosts, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_list(&hosts, want);
    gp_host_list_free(&hosts);
}

/* Files are looked at once a second. */
static void wait_for_look(void)
{
    usleep(1050000);
}

static void changed_files_count_and_broken_ones_do_not(void **state)
{
    (void)state;
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    char log_path[128];
    char said[4096] = "";
    gp_resolvers r = {0};
    gp_log *log = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/hosts.yaml", dir);
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    assert_int_equal(gp_log_open(&log, log_path, GP_LOG_INFO, GP_LOG_LOGFMT, NULL), GP_OK);
    write_file(path, "hosts: {a: {addr: 'a:1', tags: [x]}, b: }\ngroups: {g: [b, c]}\n");
    if (gp_resolvers_add(&r, "static", path, log, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_hosts(&r, "static", "x", "a=a:1;");
    assert_hosts(&r, "static", "g", "b;c;");
    write_file(path, "hosts: {a: {addr: 'a:2', tags: [x]}, d: {tags: [x]}}\n");
    wait_for_look();
    assert_hosts(&r, "static", "x", "a=a:2;d;");
    write_file(path, "hosts: {a: [\n");
    wait_for_look();
    assert_hosts(&r, "static", "x", "a=a:2;d;");
    unlink(path);
    wait_for_look();
    assert_hosts(&r, "static", "x", "a=a:2;d;");
    write_file(path, "ids: [z]\n");
    wait_for_look();
    assert_hosts(&r, "static", "whatever", "z;");
    gp_resolvers_free(&r);
    gp_log_close(log);
    FILE *f = fopen(log_path, "r");
    assert_non_null(f);
    assert_true(fread(said, 1, sizeof said - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(said, "stays in force"));
    assert_non_null(strstr(said, "read a changed file"));
    gp_tempdir_remove(dir);
}

/* Threads take and give while the file changes under them. */
typedef struct taking {
    gp_watched *file;
    atomic_bool stop;
} taking;

static void *take_and_give(void *ctx)
{
    taking *t = ctx;
    while (!atomic_load(&t->stop)) {
        gp_watched_content *handle;
        const gp_endpoints_content *c = gp_watched_take(t->file, &handle);
        const gp_endpoints *e = &c->list;
        assert_true(e->n == 1 || e->n == 2);
        assert_non_null(gp_endpoints_find(e, "a"));
        gp_watched_give(t->file, handle);
        usleep(100);
    }
    return NULL;
}

static void contents_stay_while_they_are_used(void **state)
{
    (void)state;
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    pthread_t threads[2];
    taking t = {.file = NULL};
    gp_error err = GP_ERROR_INIT;
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/endpoints.yaml", dir);
    write_file(path, "a: {addr: 'a:1'}\n");
    if (gp_watched_open(&t.file, &gp_endpoints_file, path, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &t), 0);
    for (unsigned i = 0; i < 50; i++) {
        char next[140];
        snprintf(next, sizeof next, "%s.new", path);
        write_file(next, i % 2 ? "a: {addr: 'a:1'}\n" : "a: {addr: 'a:1'}\nb: {addr: 'b:1'}\n");
        assert_int_equal(rename(next, path), 0);
        (void)gp_watched_reload(t.file, NULL);
    }
    atomic_store(&t.stop, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    gp_watched_close(t.file);
    gp_tempdir_remove(dir);
}

/* ---- DNS ----------------------------------------------------------------------------------------------- */

typedef struct dns_server {
    int fd;
    unsigned port;
    pthread_t thread;
    atomic_bool stop, silent;
    atomic_uint asked;
} dns_server;

static size_t put_name(unsigned char *at, const char *name)
{
    size_t n = 0;
    while (*name) {
        size_t len = strcspn(name, ".");
        at[n++] = (unsigned char)len;
        memcpy(at + n, name, len);
        n += len;
        name += len + (name[len] == '.');
    }
    at[n++] = 0;
    return n;
}

static size_t put_srv(unsigned char *at, unsigned ttl, unsigned port, const char *target)
{
    static const unsigned char head[] = {0xc0, 12, 0, 33, 0, 1, 0, 0, 0};
    memcpy(at, head, sizeof head);
    at[9] = (unsigned char)ttl;
    unsigned char data[300] = {0, 10, 0, 5, (unsigned char)(port >> 8), (unsigned char)port};
    size_t len = 6 + put_name(data + 6, target);
    at[10] = (unsigned char)(len >> 8);
    at[11] = (unsigned char)len;
    memcpy(at + 12, data, len);
    return 12 + len;
}

/* "_gp._tcp.test" has two records, "_none..." gets NXDOMAIN, "_bad..." nonsense. */
static size_t make_answer(const unsigned char *ask, size_t len, unsigned char *out)
{
    memcpy(out, ask, len);
    out[2] = 0x85;
    out[3] = 0x80;
    out[10] = out[11] = 0; /* no additional records */
    size_t question = 12;
    while (question < len && ask[question])
        question += ask[question] + 1u;
    size_t n = question + 5;
    if (memcmp(ask + 13, "_none", 5) == 0) {
        out[3] = 0x83;
        return n;
    }
    if (memcmp(ask + 13, "_bad", 4) == 0) {
        out[7] = 9;
        return n;
    }
    out[7] = 2;
    n += put_srv(out + n, 1, 8145, "b.example.com");
    n += put_srv(out + n, 1, 9145, "a.example.com");
    return n;
}

static void *serve_dns(void *ctx)
{
    dns_server *s = ctx;
    unsigned char ask[512];
    unsigned char answer[1024];
    struct sockaddr_in from;
    while (!atomic_load(&s->stop)) {
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(s->fd, ask, sizeof ask, 0, (struct sockaddr *)&from, &size);
        if (n < 20)
            continue;
        atomic_fetch_add(&s->asked, 1);
        if (atomic_load(&s->silent))
            continue;
        size_t len = make_answer(ask, (size_t)n, answer);
        (void)sendto(s->fd, answer, len, 0, (struct sockaddr *)&from, size);
    }
    return NULL;
}

static void start_dns(dns_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    const struct timeval wait = {.tv_usec = 100000};
    s->fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve_dns, s), 0);
}

static void srv_records_are_hosts(void **state)
{
    (void)state;
    dns_server s = {.fd = -1};
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    char text[200];
    gp_resolvers r = {0};
    gp_host_list hosts;
    gp_error err = GP_ERROR_INIT;
    gp_tempdir_make(dir);
    start_dns(&s);
    snprintf(path, sizeof path, "%s/dns.yaml", dir);
    snprintf(text, sizeof text, "names: [_gp._tcp.test]\nserver: '127.0.0.1:%u'\ntimeout: 1s\n", s.port);
    write_file(path, text);
    if (gp_resolvers_add(&r, "dns", path, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    static const char both[] = "a.example.com=a.example.com:9145;b.example.com=b.example.com:8145;";
    assert_hosts(&r, "dns", "_gp._tcp.test", both);
    assert_hosts(&r, "dns", "any", both);
    assert_int_equal(atomic_load(&s.asked), 1); /* the second came from what is kept */
    assert_int_equal(gp_resolvers_resolve(&r, "dns", "_none._tcp.test", &hosts, &err), GP_ENOTFOUND);
    assert_int_not_equal(gp_resolvers_resolve(&r, "dns", "_bad._tcp.test", &hosts, &err), GP_OK);
    /* Too old, and nobody answers: better the last answer than none. */
    atomic_store(&s.silent, true);
    sleep(2);
    assert_hosts(&r, "dns", "any", both);
    gp_resolvers_free(&r);
    atomic_store(&s.stop, true);
    pthread_join(s.thread, NULL);
    close(s.fd);
    write_file(path, "server: nowhere\n");
    assert_int_equal(gp_resolvers_add(&r, "dns", path, NULL, &err), GP_EINVAL);
    assert_non_null(strstr(err.msg, "nowhere"));
    gp_tempdir_remove(dir);
}

static void the_ansible_resolver_reads_files(void **state)
{
    (void)state;
    char dir[GP_TEMPDIR_LEN];
    char path[128];
    gp_resolvers r = {0};
    gp_error err = GP_ERROR_INIT;
    gp_tempdir_make(dir);
    snprintf(path, sizeof path, "%s/inventory.ini", dir);
    write_file(path, "[web]\nw[1:2]\n");
    if (gp_resolvers_add(&r, "ansible", path, NULL, &err) != GP_OK)
        fail_msg("%s", err.msg);
    assert_hosts(&r, "ansible", "web", "w1=w1:8145;w2=w2:8145;");
    gp_resolvers_free(&r);
    assert_int_equal(gp_resolvers_add(&r, "ansible", NULL, NULL, &err), GP_EINVAL);
    assert_int_equal(gp_resolvers_add(&r, "ansible", "/nonexistent", NULL, &err), GP_ENOTFOUND);
    gp_tempdir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_chosen),
        cmocka_unit_test(inventories_are_read),
        cmocka_unit_test(changed_files_count_and_broken_ones_do_not),
        cmocka_unit_test(contents_stay_while_they_are_used),
        cmocka_unit_test(srv_records_are_hosts),
        cmocka_unit_test(the_ansible_resolver_reads_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
