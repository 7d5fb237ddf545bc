/*
 * json_pieces.h - a result from JSON that comes in pieces, as it is received: what is complete is read at
 * once and its text forgotten, so that of a long answer only its rows are in memory.
 *
 *   gp_result_reader_new(&r, err);
 *   gp_result_reader_feed(r, data, len, err);      for each piece, of any size
 *   gp_result_reader_finish(r, &result, err);
 *   gp_result_reader_free(r);
 *
 * Says the same as gp_result_from_json says of the whole text. Not thread-safe.
 */
#ifndef GP_RESULT_JSON_PIECES_H
#define GP_RESULT_JSON_PIECES_H

#include "proto/result/result.h"

typedef struct gp_result_reader gp_result_reader;

gp_code gp_result_reader_new(gp_result_reader **out, gp_error *err);
void gp_result_reader_free(gp_result_reader *r); /* NULL is fine */

/* As gp_result_from_json; from now on. */
void gp_result_reader_limit(gp_result_reader *r, uint64_t max_rows);

/* GP_EINVAL, GP_ELIMIT, GP_ENOMEM: nothing good can come any more; feeding more says the same. */
gp_code gp_result_reader_feed(gp_result_reader *r, const char *data, size_t len, gp_error *err);
/* Memory that the result takes so far, and text that is not complete. */
size_t gp_result_reader_bytes(const gp_result_reader *r);
/* The result, the caller's to free; nothing where it fails. Call it once. */
gp_code gp_result_reader_finish(gp_result_reader *r, gp_result *out, gp_error *err);

#endif
