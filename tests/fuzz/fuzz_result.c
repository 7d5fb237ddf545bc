/* An answer of a peer: what is accepted must survive being written and read again. */
#include "proto/result/result.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_result r;
    gp_result again;
    gp_buf out = GP_BUF_INIT;
    gp_merge *m = NULL;
    if (gp_result_from_json((const char *)data, size, 10000, &r, NULL) != GP_OK)
        return 0;
    gp_result_to_json(&r, &out);
    if (out.failed || gp_result_from_json(out.data, out.len, 0, &again, NULL) != GP_OK ||
        again.n_rows != r.n_rows)
        abort();
    if (gp_merge_new(&m, NULL) == GP_OK && gp_merge_add(m, &r, NULL) != GP_OK)
        abort();
    gp_merge_free(m);
    gp_result_free(&again);
    gp_result_free(&r);
    gp_buf_free(&out);
    return 0;
}
