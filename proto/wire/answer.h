/*
 * answer.h - a result in few bytes: everything but the rows in the JSON that HTTP carries, so that whatever
 * is added to a summary comes along; the rows by column (spec/wire-protocol.md).
 *
 * What is read back says exactly what the JSON of the whole result would have said.
 */
#ifndef GP_WIRE_ANSWER_H
#define GP_WIRE_ANSWER_H

#include "proto/base/buf.h"
#include "proto/base/error.h"
#include "proto/result/result.h"

/* Appends the body of an answer. */
gp_code gp_answer_write(const gp_result *r, gp_buf *out, gp_error *err);

typedef struct gp_answer_limits {
    uint64_t max_rows; /* 0: no limit */
    size_t max_bytes;  /* memory that the rows may take; 0: no limit */
} gp_answer_limits;

/* GP_ECORRUPT: it is no answer; GP_ELIMIT: there is more in it than is accepted. *out is empty then. */
gp_code gp_answer_read(const void *body, size_t len, const gp_answer_limits *limits, gp_result *out,
                       gp_error *err);

#endif
