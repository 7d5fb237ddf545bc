/* A day's folder: .blockmeta and the column files, each with its length before it. Whatever is in them, it is
 * verified without a crash, and what is called intact can be read. */
#include "sensor/godb/flowread.h"
#include "sensor/godb/verify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_file(const char *folder, const char *name, const uint8_t *data, size_t len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len)
        abort();
    close(fd);
}

/* Takes the next file from the input: two bytes of length, little-endian, then its bytes. */
static const uint8_t *take_file(const uint8_t **data, size_t *size, size_t *len)
{
    const uint8_t *file = *data + 2;
    if (*size < 2)
        return NULL;
    *len = (size_t)((*data)[0] | (*data)[1] << 8);
    if (*len > *size - 2)
        *len = *size - 2;
    *data += 2 + *len;
    *size -= 2 + *len;
    return file;
}

static void make_day(const char *folder, const uint8_t *data, size_t size)
{
    size_t len = 0;
    const uint8_t *file = take_file(&data, &size, &len);
    put_file(folder, ".blockmeta", file, file ? len : 0);
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        char name[32];
        snprintf(name, sizeof name, "%s.gpf", gp_column_name((gp_column)col));
        file = take_file(&data, &size, &len);
        put_file(folder, name, file, file ? len : 0);
    }
}

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
    char folder[64];
    gp_codec *codec = NULL;
    gp_day_verdict v;
    const gp_finding_sink sink = {0};
    snprintf(folder, sizeof folder, "/tmp/gp_fuzz_day.%ld", (long)getpid());
    (void)mkdir(folder, 0700);
    make_day(folder, data, size);
    const gp_day_folder f = {.path = folder, .day = 1699920000};
    if (gp_codec_new(&codec, NULL) == GP_OK) {
        if (gp_day_verify(&f, codec, &sink, &v, NULL) == GP_OK && v.readable)
            read_intact(folder, &v);
        gp_day_verdict_free(&v);
    }
    gp_codec_free(codec);
    return 0;
}
