/* The file that says how hosts are reached. */
#include "client/endpoints.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_endpoints e;
    if (gp_endpoints_parse("fuzz", (const char *)data, size, &e, NULL) != GP_OK)
        return 0;
    for (size_t i = 0; i < e.n; i++)
        if (!e.items[i].addr || !gp_endpoints_find(&e, e.items[i].host))
            abort();
    gp_endpoints_free(&e);
    return 0;
}
