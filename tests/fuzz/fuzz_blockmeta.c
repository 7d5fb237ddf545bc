/* Metadata of a day folder: what decodes must encode to the same numbers again. */
#include "sensor/godb/blockmeta.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_name(const uint8_t *data, size_t size)
{
    char name[256];
    int64_t day;
    gp_day_summary sum;
    bool has_sum;
    size_t len = size < sizeof name - 1 ? size : sizeof name - 1;
    memcpy(name, data, len);
    name[len] = '\0';
    (void)gp_dayname_parse(name, &day, &sum, &has_sum, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_blockmeta m;
    gp_blockmeta again;
    gp_buf out = GP_BUF_INIT;
    fuzz_name(data, size);
    if (gp_blockmeta_decode(data, size, &m, NULL) == GP_OK && gp_blockmeta_encode(&m, &out, NULL) == GP_OK) {
        if (gp_blockmeta_decode((const uint8_t *)out.data, out.len, &again, NULL) != GP_OK ||
            again.n_blocks != m.n_blocks || memcmp(&again.sum, &m.sum, sizeof m.sum) != 0)
            abort();
        gp_blockmeta_free(&again);
    }
    gp_blockmeta_free(&m);
    gp_buf_free(&out);
    return 0;
}
