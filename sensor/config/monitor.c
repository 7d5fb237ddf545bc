#include "sensor/config/monitor.h"

#include "proto/base/clock.h"

#include <pthread.h>
#include <stdlib.h>

struct gp_config_monitor {
    gp_config_sources src;
    gp_capconfig_map ifaces;
    gp_apply_fn apply;
    void *ctx;
    gp_log *log;
    unsigned interval_s;
    pthread_mutex_t changing; /* held while a change is read and applied */
    pthread_mutex_t lock;     /* guards stopping */
    pthread_cond_t stop;
    bool stopping;
    bool running;
    pthread_t thread;
};

gp_code gp_config_monitor_new(gp_config_monitor **out, const gp_config_sources *src,
                              const gp_capconfig_map *ifaces, gp_apply_fn apply, void *ctx, gp_log *log,
                              gp_error *err)
{
    *out = NULL;
    gp_config_monitor *m = calloc(1, sizeof *m);
    if (!m)
        return gp_fail(err, GP_ENOMEM, "out of memory for the configuration monitor");
    m->src = *src;
    m->apply = apply;
    m->ctx = ctx;
    m->log = log;
    gp_code rc = gp_capconfig_map_copy(ifaces, &m->ifaces, err);
    if (rc != GP_OK) {
        free(m);
        return rc;
    }
    gp_clock_cond_init(&m->stop);
    pthread_mutex_init(&m->changing, NULL);
    pthread_mutex_init(&m->lock, NULL);
    *out = m;
    return GP_OK;
}

/* True when it is time to reload, false when the monitor stops. */
static bool wait_interval(gp_config_monitor *m)
{
    const int64_t at = gp_clock_after((int64_t)m->interval_s * GP_NS_PER_SEC);
    pthread_mutex_lock(&m->lock);
    while (!m->stopping && gp_clock_wait(&m->stop, &m->lock, at)) {
    }
    bool go_on = !m->stopping;
    pthread_mutex_unlock(&m->lock);
    return go_on;
}

/* Nobody asked for it now: say why captures begin and end. What fails, fails every time. */
static void tell_changes(gp_config_monitor *m, const gp_config_update *u)
{
    if (u->enabled.n + u->updated.n + u->disabled.n == gp_config_update_failures(u))
        return;
    gp_buf text = {.limit = 4096};
    gp_config_update_to_text(u, &text);
    gp_log_info(m->log, "the periodic reading of the configuration changed what is captured",
                GP_F_STR("changes", text.len ? text.data : ""));
    gp_buf_free(&text);
}

static void *reload_periodically(void *arg)
{
    gp_config_monitor *m = arg;
    while (wait_interval(m)) {
        gp_config_update update = {0};
        gp_error err = GP_ERROR_INIT;
        if (gp_config_monitor_reload(m, &update, &err) == GP_OK)
            tell_changes(m, &update);
        else
            gp_log_error(m->log, "failed to perform periodic config reload", GP_F_STR("error", err.msg));
        gp_config_update_free(&update);
    }
    return NULL;
}

gp_code gp_config_monitor_start(gp_config_monitor *m, unsigned interval_s, gp_error *err)
{
    m->interval_s = interval_s;
    int rc = pthread_create(&m->thread, NULL, reload_periodically, m);
    if (rc != 0)
        return gp_fail_errno(err, rc, "cannot start the configuration monitor");
    m->running = true;
    return GP_OK;
}

void gp_config_monitor_free(gp_config_monitor *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_broadcast(&m->stop);
    pthread_mutex_unlock(&m->lock);
    if (m->running)
        pthread_join(m->thread, NULL);
    gp_capconfig_map_free(&m->ifaces);
    pthread_cond_destroy(&m->stop);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->changing);
    free(m);
}

static gp_code read_again(gp_config_monitor *m, gp_error *err)
{
    gp_sensor_config cfg;
    gp_code rc = gp_sensor_config_load(&cfg, &m->src, err);
    if (rc != GP_OK) {
        gp_error_prefix(err, "failed to reload config file");
        return rc;
    }
    for (size_t i = 0; i < cfg.warnings.n; i++)
        gp_log_debug(m->log, cfg.warnings.items[i]);
    gp_capconfig_map_free(&m->ifaces);
    m->ifaces = cfg.ifaces;
    cfg.ifaces = (gp_capconfig_map){0};
    gp_sensor_config_free(&cfg);
    return GP_OK;
}

/* Called with m->changing held. */
static gp_code apply(gp_config_monitor *m, gp_config_update *update, gp_error *err)
{
    gp_code rc = m->apply(m->ctx, &m->ifaces, update, err);
    if (rc != GP_OK) {
        gp_error_prefix(err, "failed to execute config reload callback function");
        return rc;
    }
    gp_log_debug(m->log, "config applied", GP_F_U64("enabled", update->enabled.n),
                 GP_F_U64("updated", update->updated.n), GP_F_U64("disabled", update->disabled.n));
    return GP_OK;
}

gp_code gp_config_monitor_reload(gp_config_monitor *m, gp_config_update *update, gp_error *err)
{
    pthread_mutex_lock(&m->changing);
    gp_code rc = m->src.path ? read_again(m, err) : GP_OK;
    if (rc == GP_OK) /* even if the file is as it was: interfaces may have come or gone */
        rc = apply(m, update, err);
    pthread_mutex_unlock(&m->changing);
    return rc;
}

gp_code gp_config_monitor_put(gp_config_monitor *m, const gp_capconfig_map *ifaces, gp_config_update *update,
                              gp_error *err)
{
    gp_capconfig_map copy = {0};
    gp_code rc = gp_capconfig_map_copy(ifaces, &copy, err);
    if (rc != GP_OK)
        return rc;
    pthread_mutex_lock(&m->changing);
    gp_capconfig_map_free(&m->ifaces);
    m->ifaces = copy;
    rc = apply(m, update, err);
    pthread_mutex_unlock(&m->changing);
    return rc;
}
