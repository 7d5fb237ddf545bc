/* Ansible inventories, YAML and INI: any bytes give hosts or an error. The first byte chooses the form. */
#include "global-query/inventory.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_hostset *s = NULL;
    gp_host_list hosts;
    if (size == 0)
        return 0;
    if (gp_inventory_parse(data[0] & 1 ? "f.yml" : "f", (const char *)data + 1, size - 1, &s, NULL) != GP_OK)
        return 0;
    if (gp_hostset_choose(s, "all,!w*", &hosts, NULL) == GP_OK)
        gp_host_list_free(&hosts);
    gp_hostset_free(s);
    return 0;
}
