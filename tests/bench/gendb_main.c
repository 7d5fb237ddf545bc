/* gp-gendb DB [DAYS [BLOCKS [FLOWS [SEED [FIRST]]]]]: writes a database of one interface, eth0, from the day
 * on that FIRST (UNIX seconds) begins. Not installed. */
#include "tests/support/gendb.h"

#include <stdio.h>
#include <stdlib.h>

static void show(void *ctx, unsigned day, unsigned days)
{
    (void)ctx;
    fprintf(stderr, "\rday %u of %u", day, days);
}

static unsigned long long argument(int argc, char **argv, int i, unsigned long long fallback)
{
    return i < argc ? strtoull(argv[i], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    static const char *const ifaces[] = {"eth0"};
    gp_error err = GP_ERROR_INIT;
    if (argc < 2) {
        fprintf(stderr, "usage: gp-gendb DB [DAYS [BLOCKS [FLOWS [SEED [FIRST]]]]]\n");
        return 2;
    }
    const gp_gendb_options opt = {
        .db = argv[1],
        .ifaces = ifaces,
        .n_ifaces = 1,
        .first_day = (int64_t)argument(argc, argv, 6, 1704067200), /* 2024-01-01 */
        .days = (unsigned)argument(argc, argv, 2, 1),
        .blocks = (unsigned)argument(argc, argv, 3, 288),
        .flows = (size_t)argument(argc, argv, 4, 1000),
        .seed = argument(argc, argv, 5, 1),
        .codec = GP_CODEC_LZ4,
        .progress = show,
    };
    gp_code code = gp_gendb_write(&opt, &err);
    fputc('\n', stderr);
    if (code != GP_OK)
        fprintf(stderr, "gp-gendb: %s\n", err.msg);
    return code == GP_OK ? 0 : 1;
}
