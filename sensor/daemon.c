#include "sensor/daemon.h"
#include "sensor/api/api.h"
#include "sensor/capture/manager.h"
#include "sensor/config/monitor.h"
#include "sensor/dbsink/dbsink.h"
#include "sensor/dbsink/flowlog.h"
#include "sensor/godb/engine.h"
#include "sensor/retention/retention.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

typedef struct daemon_state {
    const gp_sensor_config *cfg;
    const gp_config_sources *src;
    gp_log *log;
    gp_dbsink *sink;
    gp_capture_manager *manager;
    gp_engine *engine;
    gp_config_monitor *monitor;
    gp_retention *retention;
    gp_sensor_api *api;
    gp_log *own_audit; /* NULL: audit lines go to the log */
} daemon_state;

static gp_code live_flows(void *ctx, const char *iface, const gp_live_sink *sink, gp_error *err)
{
    return gp_manager_live_flows(ctx, iface, sink, err);
}

static uint64_t blocks_written(void *ctx)
{
    return gp_manager_written(ctx);
}

static gp_code live_ifaces(void *ctx, char ***out, size_t *n, gp_error *err)
{
    return gp_manager_ifaces(ctx, out, n, err);
}

static gp_code apply(void *ctx, const gp_capconfig_map *ifaces, gp_config_update *update, gp_error *err)
{
    return gp_manager_apply(ctx, ifaces, update, err);
}

static gp_code make_manager(daemon_state *d, gp_error *err)
{
    const gp_sensor_config *cfg = d->cfg;
    const gp_dbsink_config sink = {.db = cfg->db.path,
                                   .codec = cfg->db.codec,
                                   .level = (int)cfg->db.level,
                                   .permissions = cfg->db.permissions,
                                   .log = d->log,
                                   .syslog_socket = cfg->syslog_flows ? GP_FLOWLOG_SOCKET : NULL};
    gp_code rc = gp_dbsink_new(&d->sink, &sink, err);
    if (rc != GP_OK)
        return rc;
    const gp_manager_config manager = {.store = {.write = gp_dbsink_write,
                                                 .place = gp_dbsink_place,
                                                 .holds = gp_dbsink_holds,
                                                 .apart = gp_dbsink_apart,
                                                 .ctx = d->sink},
                                       .journal = {.dir = cfg->journal.enabled ? cfg->db.path : NULL,
                                                   .every_s = (double)cfg->journal.interval,
                                                   .size_limit = (uint64_t)cfg->journal.size_limit,
                                                   .sync = cfg->journal.fsync},
                                       .local_buffer_size = cfg->local_buffers.size_limit,
                                       .autodetect = cfg->autodetect.enabled,
                                       .exclude = (const char *const *)cfg->autodetect.exclude.items,
                                       .n_exclude = cfg->autodetect.exclude.n,
                                       .log = d->log};
    rc = gp_manager_new(&d->manager, &manager, err);
    if (rc == GP_OK)
        rc = gp_config_monitor_new(&d->monitor, d->src, &cfg->ifaces, apply, d->manager, d->log, err);
    return rc;
}

/* A capture that does not start is logged by the manager and tried again with every reload. */
static gp_code start_captures(daemon_state *d, gp_error *err)
{
    gp_config_update update = {0};
    gp_code rc = gp_config_monitor_put(d->monitor, &d->cfg->ifaces, &update, err);
    const size_t failed = gp_iface_changes_failures(&update.enabled);
    if (rc == GP_OK)
        gp_log_info(d->log, "captures started", GP_F_U64("running", update.enabled.n - failed),
                    GP_F_U64("failed", failed));
    gp_config_update_free(&update);
    return rc == GP_OK ? gp_config_monitor_start(d->monitor, GP_RELOAD_INTERVAL_S, err) : rc;
}

static gp_code start_api(daemon_state *d, gp_error *err)
{
    if (!d->cfg->api.addr && d->cfg->nanomsg.addrs.n == 0)
        return GP_OK;
    int64_t most = d->cfg->api.max_concurrent;
    const gp_engine_config engine = {.db = d->cfg->db.path,
                                     .max_concurrent = most > UINT_MAX ? UINT_MAX : (unsigned)most,
                                     .live = {d->manager, blocks_written, live_flows, live_ifaces},
                                     .log = d->log};
    gp_code rc = gp_engine_new(&d->engine, &engine, err);
    if (rc == GP_OK && d->cfg->logging.audit_destination)
        rc = gp_log_open(&d->own_audit, d->cfg->logging.audit_destination, d->cfg->logging.level,
                         d->cfg->logging.encoding, err);
    if (rc != GP_OK)
        return rc;
    const gp_sensor_api_config api = {.api = &d->cfg->api,
                                      .nanomsg = &d->cfg->nanomsg,
                                      .engine = d->engine,
                                      .manager = d->manager,
                                      .monitor = d->monitor,
                                      .retention = d->retention,
                                      .log = d->log,
                                      .audit = d->own_audit ? d->own_audit : d->log,
                                      .slow_query_ns = d->cfg->logging.slow_query_ns};
    rc = gp_sensor_api_start(&d->api, &api, err);
    if (rc == GP_OK && d->cfg->api.addr)
        gp_log_info(d->log, "API server started", GP_F_STR("addr", d->cfg->api.addr));
    for (size_t i = 0; i < d->cfg->nanomsg.addrs.n && rc == GP_OK; i++)
        gp_log_info(d->log, "nanomsg endpoint started", GP_F_STR("addr", d->cfg->nanomsg.addrs.items[i]));
    return rc;
}

static gp_code make_retention(daemon_state *d, gp_error *err)
{
    const gp_retention_config cfg = {.db = d->cfg->db.path, .options = &d->cfg->retention, .log = d->log};
    return gp_retention_new(&d->retention, &cfg, err);
}

/* Nobody may ask for, or change, what is already being taken apart: API first, then the monitor, then the
 * captures, whose last flows still go to the database. */
static void stop(daemon_state *d)
{
    gp_sensor_api_stop(d->api);
    gp_retention_free(d->retention);
    gp_config_monitor_free(d->monitor);
    gp_engine_free(d->engine);
    if (d->manager)
        gp_manager_close(d->manager);
    gp_dbsink_free(d->sink);
    gp_log_close(d->own_audit);
}

/* After logrotate has renamed them. */
static void reopen_log(daemon_state *d, gp_log *log)
{
    gp_error err = GP_ERROR_INIT;
    if (gp_log_reopen(log, &err) != GP_OK)
        gp_log_error(d->log, "log not opened again, the old one goes on", GP_F_STR("error", err.msg));
}

static void reload(daemon_state *d)
{
    reopen_log(d, d->log);
    reopen_log(d, d->own_audit);
    gp_config_update update = {0};
    gp_error err = GP_ERROR_INIT;
    if (gp_config_monitor_reload(d->monitor, &update, &err) == GP_OK)
        gp_log_info(d->log, "configuration reloaded", GP_F_U64("enabled", update.enabled.n),
                    GP_F_U64("updated", update.updated.n), GP_F_U64("disabled", update.disabled.n));
    else
        gp_log_error(d->log, "configuration not reloaded, the old one stays in force",
                     GP_F_STR("error", err.msg));
    gp_config_update_free(&update);
    if (d->api && gp_sensor_api_reload(d->api, &err) != GP_OK)
        gp_log_error(d->log, "TLS files and tokens not reloaded, the old ones stay in force",
                     GP_F_STR("error", err.msg));
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
    gp_code rc = gp_dbsink_check_db(cfg->db.path, err);
    if (rc == GP_OK)
        rc = make_manager(&d, err);
    if (rc == GP_OK)
        rc = make_retention(&d, err);
    if (rc == GP_OK)
        rc = start_api(&d, err); /* before the captures: an address in use must not leave a block behind */
    if (rc == GP_OK)
        rc = start_captures(&d, err);
    if (rc == GP_OK)
        rc = gp_retention_start(d.retention, err);
    if (rc == GP_OK) {
        gp_log_info(log, "started goprobe");
        wait_for_stop(&d, &set);
    }
    stop(&d);
    if (rc == GP_OK)
        gp_log_info(log, "graceful shut down completed");
    return rc;
}
