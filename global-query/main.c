/* global-query: one question to a fleet of sensors. */
#include "global-query/service.h"
#include "proto/auth/token_command.h"
#include "proto/base/clock.h"
#include "proto/base/version.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { EXIT_USAGE = 2 };

static void print_help(void)
{
    fputs(
        "global-query - ask a fleet of sensors one question and merge their answers\n"
        "\n"
        "Usage:\n"
        "  global-query server --config FILE [flags]\n"
        "  global-query token new|list|remove ...   tokens of clients, see global-query token --help\n"
        "  global-query version | help\n"
        "\n"
        "Flags (each also a key of the file, and in the environment in upper case with '_' for '.'):\n"
        "  -c, --config FILE             YAML file with these settings\n"
        "      --server.addr ADDR        where to listen: host:port or unix:/path (default localhost:8145)\n"
        "      --server.limits.max_connections N, --server.query_rate_limit.max_req_per_sec X, ...: see the "
        "manual\n"
        "      --server.tokens FILE      ask clients for one of these tokens\n"
        "      --server.allow_without_token   everybody may ask, from other machines, too\n"
        "      --server.socket.owner U, --server.socket.group G, --server.socket.mode 0660   of the UNIX "
        "socket\n"
        "      --server.tls.cert FILE, --server.tls.key FILE   serve HTTPS with this certificate (PEM)\n"
        "      --server.tls.client_ca FILE  clients must have a certificate of this CA\n"
        "      --server.tls.client_scopes FILE  what they may do, by names in their certificates (default: "
        "everything)\n"
        "      --server.cors_origins L   web pages of these origins may ask (default: none)\n"
        "      --server.page=false       do not serve the web page\n"
        "      --server.shutdowngraceperiod D  how long a stop waits for running queries (default 30s)\n"
        "      --querier.config FILE     how hosts are reached: host: {addr, timeout}\n"
        "      --querier.token_file FILE   token to show to hosts; also --querier.tls.ca, "
        "--querier.tls.cert,\n"
        "                                --querier.tls.key: for hosts that have none of their own in that "
        "file\n"
        "      --querier.max_concurrent N  hosts that a query asks at a time (default 256)\n"
        "      --querier.max_requests N, --querier.max_queries N   of all queries (defaults 1024, 128)\n"
        "      --querier.max_memory MIB, --querier.max_response MIB   of a query; of a host's answer (1024, "
        "256)\n"
        "      --querier.deadline D      answer with what is there after this time (default: none)\n"
        "      --querier.retries N, --querier.breaker.failures N, --querier.breaker.pause D   hosts that "
        "fail\n"
        "      --querier.type T          api (HTTP, the default) or nanomsg, for hosts whose address does "
        "not say\n"
        "      --hosts.resolver.type T   string (a list in the query), static (a file), dns or ansible; also "
        "--hosts.resolver.config\n"
        "      --security.user U, --security.seccomp on|kill|log|off, --security.drop_capabilities=false\n"
        "      --logging.level L, --logging.encoding logfmt|json,\n"
        "      --logging.destination FILE|stdout|stderr|journald, --logging.audit_destination ...,\n"
        "      --logging.slow_query 5s   log queries that take this long\n"
        "\n"
        "Example:\n"
        "  global-query server --server.addr localhost:8146 --querier.config endpoints.yaml\n"
        "  goquery --query.server.addr localhost:8146 -q hostA,hostB -i any -f -1h sip,dip\n"
        "\n"
        "Exit status: 0 after a clean stop, 1 if the service cannot run, 2 for wrong usage.\n",
        stdout);
}

static int complain(const gp_error *err, int status)
{
    fprintf(stderr, "global-query: %s\n", err->msg);
    return status;
}

/* Signals are blocked before any thread is made, so all of them arrive here. */
static int wait_for_signal(const sigset_t *signals)
{
    int sig = 0;
    while (sigwait(signals, &sig) != 0)
        ;
    return sig;
}

/* Running queries come to their end, if they do in time; a second signal ends them. */
static void finish_queries(gp_gq_service *service, const gp_gq_config *cfg, const sigset_t *signals,
                           gp_log *log)
{
    const struct timespec look = {.tv_nsec = 50000000};
    const int64_t until = gp_clock_after(cfg->shutdown_grace_ns);
    gp_gq_close(service);
    while (gp_gq_busy(service)) {
        int sig = sigtimedwait(signals, NULL, &look);
        bool again = sig == SIGINT || sig == SIGTERM;
        if (!again && gp_clock_ns() < until)
            continue;
        gp_log_warn(log, again ? "a second signal: running queries are given up"
                               : "running queries are given up: server.shutdowngraceperiod is over");
        return;
    }
}

static void reload(gp_gq_service *service, gp_log *log)
{
    gp_error err = GP_ERROR_INIT;
    if (gp_gq_reload(service, &err) == GP_OK)
        gp_log_info(log, "reloaded");
    else
        gp_log_error(log, "not everything was reloaded; what was not stays as it was",
                     GP_F_STR("error", err.msg));
}

static int write_spec(const char *path)
{
    const gp_openapi doc = gp_gq_openapi();
    gp_error err = GP_ERROR_INIT;
    return gp_openapi_write(&doc, path, &err) == GP_OK ? EXIT_SUCCESS : complain(&err, EXIT_FAILURE);
}

/* As in goprobe, but there is nothing to capture. */
static gp_code enter_sandbox(const gp_gq_config *cfg, gp_error *err)
{
    unsigned keep = GP_CAP_NET_BIND_SERVICE;
    if (!cfg->user)
        keep |= GP_CAP_DAC_OVERRIDE;
    if (cfg->socket_owner || cfg->socket_group)
        keep |= GP_CAP_CHOWN;
    const gp_sandbox_config sandbox = {
        .user = cfg->user, .keep = keep, .drop_caps = !cfg->keep_caps, .seccomp = cfg->seccomp};
    return gp_sandbox_enter(&sandbox, err);
}

/* Each host that is asked is a connection: the 1,024 that a service usually may have open are soon
 * reached. */
static void raise_open_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= files.rlim_max)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files); /* what there is must do */
}

static int serve(const gp_gq_config *cfg)
{
    gp_error err = GP_ERROR_INIT;
    gp_log *log = NULL;
    gp_gq_service *service = NULL;
    sigset_t signals;
    const char *destination = cfg->log_destination && *cfg->log_destination ? cfg->log_destination : "stdout";
    raise_open_files();
    if (enter_sandbox(cfg, &err) != GP_OK ||
        gp_log_open(&log, destination, cfg->level, cfg->encoding, &err) != GP_OK)
        return complain(&err, EXIT_FAILURE);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    for (size_t i = 0; i < cfg->n_warnings; i++)
        gp_log_warn(log, cfg->warnings[i]);
    int status = EXIT_SUCCESS;
    if (gp_gq_start(&service, cfg, log, &err) == GP_OK) {
        int sig;
        while ((sig = wait_for_signal(&signals)) == SIGHUP)
            reload(service, log);
        gp_log_info(log, "shutting down server gracefully", GP_F_STR("signal", strsignal(sig)));
        finish_queries(service, cfg, &signals, log);
        gp_gq_stop(service);
        gp_log_info(log, "shut down complete");
    } else {
        gp_log_error(log, "global-query cannot run", GP_F_STR("error", err.msg));
        status = complain(&err, EXIT_FAILURE);
    }
    gp_log_close(log);
    return status;
}

/* A heap for every thread would keep what each of them once needed. Tables that grow large are mappings of
 * their own, which grow without being copied; answers of hosts are not, for they come and go all the time. */
static void set_up_malloc(void)
{
    (void)mallopt(M_ARENA_MAX, 4);
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

int main(int argc, char **argv)
{
    gp_gq_config cfg;
    gp_gq_command command;
    gp_error err = GP_ERROR_INIT;
    int status = EXIT_SUCCESS;
    set_up_malloc();
    if (argc > 1 && strcmp(argv[1], "token") == 0)
        return gp_token_command("global-query", argc - 1, argv + 1);
    if (gp_gq_config_load(argc, argv, &command, &cfg, &err) != GP_OK)
        status = complain(&err, EXIT_USAGE);
    else if (command == GP_GQ_HELP)
        print_help();
    else if (command == GP_GQ_VERSION)
        printf("global-query %s (%s)\n", gp_version(), gp_version_commit());
    else if (cfg.spec_outfile)
        status = write_spec(cfg.spec_outfile);
    else
        status = serve(&cfg);
    gp_gq_config_free(&cfg);
    return status;
}
