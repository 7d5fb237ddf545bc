/*
 * narrow.h - what an aggregator may add to a query so that a sensor sends no more of its answer than is
 * needed (spec/decisions/0019): the rows behind the first `skip`, rows of at least `min_value`, some rows
 * only, and a digest of all rows.
 *
 * Rows are named by their fingerprint (gp_row_fingerprint in proto/result/result.h). A list of fingerprints
 * travels as base64 (RFC 4648, section 4) of 8 bytes each, least significant first.
 *
 * These members of a query are additive. A peer that knows them says so in every answer, with the header
 * GP_NARROW_HEADER over HTTP; v4's sensors do not, and are not sent them.
 *
 * Ownership: gp_narrow owns `only`. Not thread-safe; a finished one may be read by any number of threads.
 */
#ifndef GP_QUERY_NARROW_H
#define GP_QUERY_NARROW_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#define GP_NARROW_HEADER "Goprobe-Query-Narrowing"
#define GP_NARROW_VALUE  "skip_results, min_value, only_rows, digest"

typedef struct gp_narrow {
    uint64_t skip;      /* first rows of the answer, in its order, that are left out */
    uint64_t min_value; /* rows whose sort value (bytes or packets) is smaller are left out */
    uint64_t *only;     /* sorted: rows of other fingerprints are left out; NULL: none are */
    size_t n_only;
    bool digest; /* the fingerprints of all rows are wanted, also of those left out */
} gp_narrow;

static inline bool gp_narrow_any(const gp_narrow *n)
{
    return n->skip || n->min_value || n->only || n->digest;
}

/* Whether `only` names the row. */
bool gp_narrow_has(const gp_narrow *n, uint64_t fingerprint);
void gp_narrow_free(gp_narrow *n);

/* Lists of fingerprints as text. Decoding gives a malloc'ed list in the order of the text (never NULL on
 * success); GP_EINVAL if it is none. */
void gp_fingerprints_to_text(const uint64_t *list, size_t n, gp_buf *out);
gp_code gp_fingerprints_from_text(const char *text, size_t len, uint64_t **list, size_t *n, gp_error *err);
void gp_fingerprints_sort(uint64_t *list, size_t n);

#endif
