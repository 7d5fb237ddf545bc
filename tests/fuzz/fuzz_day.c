/* A day's folder: whatever is in its files, it is verified without a crash, and what is called intact can be
 * read. */
#include "sensor/godb/flowread.h"
#include "sensor/godb/verify.h"
#include "tests/fuzz/dayfiles.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_intact(const char *folder, const gp_day_verdict *v)
{
    gp_day *day = NULL;
    gp_flowread *read = NULL;
    if (gp_day_open_path(&day, folder, NULL) != GP_OK || gp_flowread_new(&read, NULL) != GP_OK)
        abort();
    for (size_t i = 0; i < v->n_blocks; i++) {
        const gp_flow *flows = NULL;
        size_t n = 0;
        gp_code code = gp_flowread_block(read, day, i, &flows, &n, NULL);
        if (v->intact[i] && code != GP_OK)
            abort();
    }
    gp_flowread_free(read);
    gp_day_close(day);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_codec *codec = NULL;
    gp_day_verdict v;
    const gp_finding_sink sink = {0};
    const gp_dayfiles files = gp_dayfiles_write(data, size);
    const gp_day_folder f = {.path = files.folder, .day = GP_DAYFILES_DAY};
    if (gp_codec_new(&codec, NULL) == GP_OK) {
        if (gp_day_verify(&f, codec, &sink, &v, NULL) == GP_OK && v.readable)
            read_intact(files.folder, &v);
        gp_day_verdict_free(&v);
    }
    gp_codec_free(codec);
    return 0;
}
