/* validate.h - what makes a configuration unusable; messages as goProbe v4 words them, with the place. */
#ifndef GP_CONFIG_VALIDATE_H
#define GP_CONFIG_VALIDATE_H

#include "sensor/config/config.h"

struct gp_yaml_node;

/* Bounds of one option after it was read; node is where it was given, or NULL. */
gp_code gp_config_check_option(const gp_sensor_config *cfg, const gp_option *o,
                               const struct gp_yaml_node *node, gp_error *err);
/* What only shows when everything was read: missing keys, combinations. */
gp_code gp_config_check(const gp_sensor_config *cfg, const char *file, gp_error *err);

#endif
