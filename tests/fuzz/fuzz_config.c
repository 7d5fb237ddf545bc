/* Any bytes as the sensor's configuration file. */
#include "sensor/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const gp_config_sources src = {.path = "fuzz"};
    gp_sensor_config cfg;
    gp_error err = GP_ERROR_INIT;
    if (gp_sensor_config_parse(&cfg, &src, (const char *)data, size, &err) == GP_OK)
        gp_sensor_config_free(&cfg);
    return 0;
}
