#include "sensor/daemon.h"
#include "sensor/api/api.h"
#include "sensor/capture/manager.h"
#include "sensor/config/monitor.h"
#include "sensor/dbsink/dbsink.h"
#include "sensor/godb/engine.h"

#include <errno.h>
#include <net/ethernet.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct daemon_state {
    const gp_sensor_config *cfg;
    const gp_config_sources *src;
    gp_log *log;
    gp_dbsink *sink;
    gp_capture_manager *manager;
    gp_engine *engine;
    gp_config_monitor *monitor;
    gp_sensor_api *api;
} daemon_state;

static gp_code live_flows(void *ctx, const char *iface, void (*sink)(void *, const gp_flow *), void *sink_ctx,
                          gp_error *err)
{
    return gp_manager_live_flows(ctx, iface, sink, sink_ctx, err);
}

static gp_code live_ifaces(void *ctx, char ***out, size_t *n, gp_error *err)
{
    return gp_manager_ifaces(ctx, out, n, err);
}

static gp_code apply(void *ctx, const gp_capconfig_map *ifaces, gp_config_update *update, gp_error *err)
{
    return gp_manager_apply(ctx, ifaces, update, err);
}

/* Without the capability every capture fails with a bare "not permitted": say once what is missing. Queries
 * still work, so this is no reason to stop. */
static void check_capability(gp_log *log)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        close(fd);
    } else if (errno == EPERM || errno == EACCES) {
        gp_log_error(log, "no permission to capture: run as root, or give the program the capabilities "
                          "CAP_NET_RAW and CAP_NET_ADMIN (setcap cap_net_raw,cap_net_admin+ep, or "
                          "AmbientCapabilities= of systemd)");
    }
}

static void log_failures(daemon_state *d)
{
    char text[GP_ERROR_MSG_SIZE];
    gp_manager_failure(d->manager, text, sizeof text);
    if (*text)
        gp_log_error(d->log, "some captures are not running", GP_F_STR("error", text));
}

static gp_code start_captures(daemon_state *d, gp_error *err)
{
    const gp_sensor_config *cfg = d->cfg;
    const gp_dbsink_config sink = {
        .db = cfg->db.path, .codec = cfg->db.codec, .permissions = cfg->db.permissions, .log = d->log};
    gp_code rc = gp_dbsink_new(&d->sink, &sink, err);
    if (rc != GP_OK)
        return rc;
    const gp_manager_config manager = {.writeout = gp_dbsink_write,
                                       .writeout_ctx = d->sink,
                                       .local_buffer_size = cfg->local_buffers.size_limit,
                                       .autodetect = cfg->autodetect.enabled,
                                       .exclude = (const char *const *)cfg->autodetect.exclude.items,
                                       .n_exclude = cfg->autodetect.exclude.n,
                                       .log = d->log};
    rc = gp_manager_new(&d->manager, &manager, err);
    if (rc != GP_OK)
        return rc;
    gp_config_update update = {0};
    rc = gp_manager_apply(d->manager, &cfg->ifaces, &update, err);
    if (rc == GP_OK)
        gp_log_info(d->log, "captures started", GP_F_U64("interfaces", update.enabled.n));
    gp_config_update_free(&update);
    log_failures(d);
    return rc;
}

static gp_code start_monitor(daemon_state *d, gp_error *err)
{
    gp_code rc = gp_config_monitor_new(&d->monitor, d->src, &d->cfg->ifaces, apply, d->manager, d->log, err);
    if (rc == GP_OK)
        rc = gp_config_monitor_start(d->monitor, GP_RELOAD_INTERVAL_S, err);
    return rc;
}

static gp_code start_api(daemon_state *d, gp_error *err)
{
    if (!d->cfg->api.addr)
        return GP_OK;
    const gp_engine_config engine = {.db = d->cfg->db.path,
                                     .max_concurrent = (unsigned)d->cfg->api.max_concurrent,
                                     .live = {d->manager, live_flows, live_ifaces},
                                     .log = d->log};
    gp_code rc = gp_engine_new(&d->engine, &engine, err);
    if (rc != GP_OK)
        return rc;
    const gp_sensor_api_config api = {.api = &d->cfg->api,
                                      .engine = d->engine,
                                      .manager = d->manager,
                                      .monitor = d->monitor,
                                      .log = d->log};
    rc = gp_sensor_api_start(&d->api, &api, err);
    if (rc == GP_OK)
        gp_log_info(d->log, "API server started", GP_F_STR("addr", d->cfg->api.addr));
    return rc;
}

/* Nobody may ask for, or change, what is already being taken apart: API first, then the monitor, then the
 * captures, whose last flows still go to the database. */
static void stop(daemon_state *d)
{
    gp_sensor_api_stop(d->api);
    gp_config_monitor_free(d->monitor);
    gp_engine_free(d->engine);
    if (d->manager)
        gp_manager_close(d->manager);
    gp_dbsink_free(d->sink);
}

static void reload(daemon_state *d)
{
    gp_config_update update = {0};
    gp_error err = GP_ERROR_INIT;
    if (gp_config_monitor_reload(d->monitor, &update, &err) == GP_OK)
        gp_log_info(d->log, "configuration reloaded", GP_F_U64("enabled", update.enabled.n),
                    GP_F_U64("updated", update.updated.n), GP_F_U64("disabled", update.disabled.n));
    else
        gp_log_error(d->log, "configuration not reloaded, the old one stays in force",
                     GP_F_STR("error", err.msg));
    gp_config_update_free(&update);
    log_failures(d);
}

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL); /* threads started from here on inherit it */
    signal(SIGPIPE, SIG_IGN);
}

static void wait_for_stop(daemon_state *d, const sigset_t *set)
{
    for (;;) {
        int sig = sigwaitinfo(set, NULL);
        if (sig == SIGHUP) {
            reload(d);
        } else if (sig > 0) {
            gp_log_info(d->log, "shutting down gracefully", GP_F_STR("signal", strsignal(sig)));
            return;
        }
    }
}

gp_code gp_daemon_run(const gp_sensor_config *cfg, const gp_config_sources *src, gp_log *log, gp_error *err)
{
    daemon_state d = {.cfg = cfg, .src = src, .log = log};
    sigset_t set;
    block_signals(&set);
    check_capability(log);
    gp_code rc = gp_dbsink_check_db(cfg->db.path, err);
    if (rc == GP_OK)
        rc = start_captures(&d, err);
    if (rc == GP_OK)
        rc = start_monitor(&d, err);
    if (rc == GP_OK)
        rc = start_api(&d, err);
    if (rc == GP_OK) {
        gp_log_info(log, "started goprobe");
        wait_for_stop(&d, &set);
    }
    stop(&d);
    if (rc == GP_OK)
        gp_log_info(log, "graceful shut down completed");
    return rc;
}
