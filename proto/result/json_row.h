/*
 * json_row.h - a row exactly as sensors write it, at the speed at which it comes. Internal to json_in.c.
 *
 * Nearly all bytes of an answer are rows, and all writers there are put the same members in the same order
 * without blanks. That form is read here in one pass; any other text is left for the general reader, which
 * also finds the errors.
 */
#ifndef GP_RESULT_JSON_ROW_H
#define GP_RESULT_JSON_ROW_H

#include "proto/result/result.h"

/* A label as it was read last, with its place in the pool: rows repeat them. */
typedef struct gp_label_text {
    const char *interned;
    size_t len;
} gp_label_text;

typedef struct gp_row_reader {
    gp_result *result; /* owns the labels */
    gp_label_text iface, host, hostid;
    char timestamp[40]; /* text of `ts` */
    size_t timestamp_len;
    int64_t ts;
} gp_row_reader;

/* The end of the row that begins at `at`, or NULL if it is not of that form; *row is then undefined. */
const char *gp_row_read(gp_row_reader *r, const char *at, const char *end, gp_row *row);

#endif
