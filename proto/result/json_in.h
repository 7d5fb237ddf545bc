/*
 * json_in.h - the members of a result in JSON, one by one. Internal to json_in.c, which has all of a text,
 * and json_pieces.c, which does not.
 */
#ifndef GP_RESULT_JSON_IN_H
#define GP_RESULT_JSON_IN_H

#include "proto/base/jsonread.h"
#include "proto/query/timeparse.h"
#include "proto/result/json_row.h"

typedef struct gp_json_in {
    gp_json j;
    gp_result *r;
    uint64_t max_rows;
    gp_code code; /* of what is not a matter of syntax */
    gp_error *err;
    char last_ts[GP_TIME_STRLEN]; /* rows repeat timestamps: parse each once */
    int64_t last_sec;
    gp_row_reader rows;
} gp_json_in;

/* What reads the value of a member; one that is not known is skipped. */
typedef void (*gp_json_in_fn)(gp_json_in *in);
gp_json_in_fn gp_json_in_member(const char *key, size_t len);
/* Among them: the rows, which may be null. */
void gp_json_in_rows(gp_json_in *in);

/* The next row. False: it is not of the usual form (json_row.h), or not all of it is there; nothing is
 * read. */
bool gp_json_in_usual_row(gp_json_in *in);
void gp_json_in_row(gp_json_in *in); /* whatever its form */

/* What came of it, once the text is used up. */
gp_code gp_json_in_code(gp_json_in *in, gp_error *err);

#endif
