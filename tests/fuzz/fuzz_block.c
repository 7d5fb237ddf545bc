/* A stored column: codec, column, flow counts and claimed length from the first bytes, then the stored
 * bytes. */
#include "sensor/godb/bitpack.h"
#include "sensor/godb/reader.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HEAD = 6 };
    gp_codec *codec = NULL;
    if (size < HEAD || gp_codec_new(&codec, NULL) != GP_OK)
        return 0;
    gp_column col = (gp_column)(data[1] % GP_COL_COUNT);
    gp_block_info info = {.n_v4 = data[2], .n_v6 = data[3]};
    size_t raw_len = (size_t)data[4] << 8 | data[5];
    uint8_t *raw = malloc(raw_len ? raw_len : 1);
    if (raw &&
        gp_codec_decompress(codec, (gp_codec_type)(data[0] % 5), data + HEAD, size - HEAD, raw, raw_len,
                            NULL) == GP_OK &&
        gp_block_check_column(&info, col, raw, raw_len, NULL) == GP_OK && col >= GP_COL_ATTR_COUNT) {
        uint64_t values[512];
        gp_bitunpack(raw, raw_len, values);
    }
    free(raw);
    gp_codec_free(codec);
    return 0;
}
