/* text.h - how the commands write times and places. Plain functions without state. */
#ifndef GP_GPDB_TEXT_H
#define GP_GPDB_TEXT_H

#include <stdint.h>
#include <stdio.h>

enum { GP_UTC_STRLEN = 32 };
/* "2023-11-14 22:15:00 UTC"; the number where no calendar has a date for it. */
void format_utc(int64_t ts, char dst[static GP_UTC_STRLEN]);
/* "2023-11-14" */
void format_utc_day(int64_t ts, char dst[static GP_UTC_STRLEN]);

/* "<path>" or, with a block, "<path>: block 1700000100 (2023-11-14 22:15:00 UTC)"; block -1: none. */
void print_place(FILE *out, const char *path, int64_t block);

#endif
