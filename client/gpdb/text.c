#include "client/gpdb/text.h"

#include <time.h>

static void format(int64_t ts, const char *how, char *dst)
{
    time_t t = (time_t)ts;
    struct tm utc;
    if (!gmtime_r(&t, &utc) || strftime(dst, GP_UTC_STRLEN, how, &utc) == 0)
        snprintf(dst, GP_UTC_STRLEN, "%lld", (long long)ts);
}

void format_utc(int64_t ts, char dst[static GP_UTC_STRLEN])
{
    format(ts, "%Y-%m-%d %H:%M:%S UTC", dst);
}

void format_utc_day(int64_t ts, char dst[static GP_UTC_STRLEN])
{
    format(ts, "%Y-%m-%d", dst);
}

void print_place(FILE *out, const char *path, int64_t block)
{
    char when[GP_UTC_STRLEN];
    fputs(path, out);
    if (block < 0)
        return;
    format_utc(block, when);
    fprintf(out, ": block %lld (%s)", (long long)block, when);
}
