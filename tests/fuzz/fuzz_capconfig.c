/* Everything of proto/control that reads JSON from a peer or a file. What is accepted must survive a
 * round trip through its own JSON. */
#include "proto/control/capconfig.h"
#include "proto/control/status.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void configs(const char *text, size_t size)
{
    gp_capconfig_map m = {0};
    if (gp_capconfig_map_from_json(text, size, &m, NULL) == GP_OK) {
        gp_buf b = GP_BUF_INIT;
        gp_capconfig_map again = {0};
        gp_capconfig_map_to_json(&m, &b);
        if (gp_capconfig_map_from_json(b.data, b.len, &again, NULL) == GP_OK && again.n != m.n)
            abort();
        gp_capconfig_map_free(&again);
        gp_buf_free(&b);
    }
    gp_capconfig_map_free(&m);
    if (gp_config_response_from_json(text, size, &m, NULL) == GP_OK)
        gp_capconfig_map_free(&m);
    gp_problem p = GP_PROBLEM_INIT;
    if (gp_capconfig_map_from_request(text, size, &m, &p) == GP_OK)
        gp_capconfig_map_free(&m);
    gp_problem_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    configs(text, size);
    gp_status s = {0};
    if (gp_status_from_json(text, size, &s, NULL) == GP_OK) {
        gp_buf b = GP_BUF_INIT;
        gp_status_to_json(&s, &b);
        gp_buf_free(&b);
        gp_status_free(&s);
    }
    gp_config_update u = {0};
    if (gp_config_update_from_json(text, size, &u, NULL) == GP_OK)
        gp_config_update_free(&u);
    return 0;
}
