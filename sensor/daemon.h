/*
 * daemon.h - the sensor as a whole: puts configuration, captures, writeout, query engine and API together,
 * waits for signals, and takes everything apart in the order in which nothing is lost.
 */
#ifndef GP_SENSOR_DAEMON_H
#define GP_SENSOR_DAEMON_H

#include "sensor/config/config.h"

/* Runs until SIGTERM or SIGINT. Returns an error only if it could not start. Call it from the main thread
 * before there are others: it sets the signal mask that all of them inherit. */
gp_code gp_daemon_run(const gp_sensor_config *cfg, const gp_config_sources *src, gp_log *log, gp_error *err);

#endif
