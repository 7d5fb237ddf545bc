/*
 * monitor.h - keeps the captures in line with the configuration file: reads it again every five minutes
 * (as goProbe v4 does), on SIGHUP and on POST /config/_reload, and applies its "interfaces" section.
 * Everything else in the file needs a restart. PUT /config replaces the section until the file is read
 * again.
 *
 * Thread-safety: every function may be called from any thread; changes are applied one at a time.
 */
#ifndef GP_CONFIG_MONITOR_H
#define GP_CONFIG_MONITOR_H

#include "proto/base/log.h"
#include "proto/control/status.h"
#include "sensor/config/config.h"

enum { GP_RELOAD_INTERVAL_S = 300 };

/* Makes the captures match; see gp_manager_apply. */
typedef gp_code (*gp_apply_fn)(void *ctx, const gp_capconfig_map *ifaces, gp_config_update *update,
                               gp_error *err);

typedef struct gp_config_monitor gp_config_monitor;

/* Copies the current interfaces; *src (not its strings) is copied. src->path == NULL: nothing to read
 * again, a reload applies what is there. */
gp_code gp_config_monitor_new(gp_config_monitor **out, const gp_config_sources *src,
                              const gp_capconfig_map *ifaces, gp_apply_fn apply, void *ctx, gp_log *log,
                              gp_error *err);
/* Begins to reload every interval_s seconds. */
gp_code gp_config_monitor_start(gp_config_monitor *m, unsigned interval_s, gp_error *err);
void gp_config_monitor_free(gp_config_monitor *m);

/* Reads the file and applies it. A file that is wrong changes nothing. *update is the caller's. */
gp_code gp_config_monitor_reload(gp_config_monitor *m, gp_config_update *update, gp_error *err);
/* Replaces the interfaces (copied) and applies them. */
gp_code gp_config_monitor_put(gp_config_monitor *m, const gp_capconfig_map *ifaces, gp_config_update *update,
                              gp_error *err);

#endif
