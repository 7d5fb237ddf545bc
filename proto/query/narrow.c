#include "proto/query/narrow.h"

#include "proto/base/base64.h"

#include <stdlib.h>

enum { FINGERPRINT_SIZE = 8 };

bool gp_narrow_has(const gp_narrow *n, uint64_t fingerprint)
{
    size_t low = 0;
    size_t high = n->n_only;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (n->only[mid] < fingerprint)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n->n_only && n->only[low] == fingerprint;
}

void gp_narrow_free(gp_narrow *n)
{
    free(n->only);
    *n = (gp_narrow){0};
}

void gp_fingerprints_to_text(const uint64_t *list, size_t n, gp_buf *out)
{
    enum { GROUP = 3 * 64 }; /* a multiple of three, so that the pieces of base64 join */
    unsigned char bytes[GROUP * FINGERPRINT_SIZE];
    for (size_t i = 0; i < n;) {
        size_t m = 0;
        for (; i < n && m < GROUP; m++, i++)
            for (unsigned b = 0; b < FINGERPRINT_SIZE; b++)
                bytes[m * FINGERPRINT_SIZE + b] = (unsigned char)(list[i] >> (8 * b));
        gp_base64_encode(bytes, m * FINGERPRINT_SIZE, out);
    }
}

gp_code gp_fingerprints_from_text(const char *text, size_t len, uint64_t **list, size_t *n, gp_error *err)
{
    gp_buf bytes = GP_BUF_INIT;
    if (!gp_base64_decode(text, len, &bytes) || bytes.len % FINGERPRINT_SIZE != 0) {
        bool failed = bytes.failed;
        gp_buf_free(&bytes);
        return failed ? gp_fail(err, GP_ENOMEM, "out of memory for a list of rows")
                      : gp_fail(err, GP_EINVAL, "expected base64 of 8 bytes for each row");
    }
    size_t count = bytes.len / FINGERPRINT_SIZE;
    uint64_t *out = bytes.failed ? NULL : calloc(count ? count : 1, sizeof *out);
    for (size_t i = 0; out && i < count; i++)
        for (unsigned b = 0; b < FINGERPRINT_SIZE; b++)
            out[i] |= (uint64_t)(unsigned char)bytes.data[i * FINGERPRINT_SIZE + b] << (8 * b);
    gp_buf_free(&bytes);
    if (!out)
        return gp_fail(err, GP_ENOMEM, "out of memory for a list of rows");
    *list = out;
    *n = count;
    return GP_OK;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void gp_fingerprints_sort(uint64_t *list, size_t n)
{
    if (n > 1)
        qsort(list, n, sizeof *list, by_value);
}
