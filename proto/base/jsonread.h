/*
 * jsonread.h - a pull reader for JSON (RFC 8259), for large answers: no tree, no copy, 64-bit integers exact.
 *
 *   gp_json j; gp_json_init(&j, text, len);
 *   if (gp_json_object(&j))
 *       while (gp_json_key(&j, &key, &key_len))
 *           if (...) n = gp_json_u64(&j); else gp_json_skip(&j);
 *   if (!gp_json_done(&j, err)) ...
 *
 * After the first error every call returns false, 0 or "" and the position stands still; check once at the
 * end with gp_json_done. Nesting is limited to GP_JSON_DEPTH. (Documents that are small or need a tree are
 * cJSON's.)
 *
 * Ownership: strings point into the text, or, where they had escapes, into the reader until the next call
 * that reads a string or key. gp_json_free releases the reader's scratch memory. Not thread-safe.
 */
#ifndef GP_BASE_JSONREAD_H
#define GP_BASE_JSONREAD_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

enum { GP_JSON_DEPTH = 64 };

typedef enum gp_json_type {
    GP_JSON_OBJECT,
    GP_JSON_ARRAY,
    GP_JSON_STRING,
    GP_JSON_NUMBER,
    GP_JSON_BOOL,
    GP_JSON_NULL,
    GP_JSON_NOTHING
} gp_json_type;

typedef struct gp_json {
    const char *text, *at, *end;
    size_t before; /* bytes of the document that came before `text`, for messages */
    unsigned depth;
    uint64_t first;   /* bit d: level d has no element yet */
    const char *what; /* first error, NULL: none */
    gp_buf scratch;
} gp_json;

void gp_json_init(gp_json *j, const char *text, size_t len);
void gp_json_free(gp_json *j);
gp_json_type gp_json_peek(gp_json *j); /* type of the value that comes next */

bool gp_json_object(gp_json *j); /* enters an object */
bool gp_json_key(gp_json *j, const char **key,
                 size_t *len);                    /* next key; false at the end, which is consumed */
bool gp_json_array(gp_json *j);                   /* enters an array */
bool gp_json_item(gp_json *j);                    /* is there another element? */
const char *gp_json_str(gp_json *j, size_t *len); /* not NUL-terminated; "" on error */
uint64_t gp_json_u64(gp_json *j);                 /* an integer of 0 to 2^64-1 */
int64_t gp_json_i64(gp_json *j);
bool gp_json_bool(gp_json *j);
void gp_json_skip(gp_json *j);                                  /* any value */
bool gp_json_is(const char *key, size_t len, const char *name); /* key == name? */
/* Declares the value just read unacceptable. */
void gp_json_reject(gp_json *j, const char *what);
/* True if all went well and the text is used up; otherwise *err says what and at which byte (GP_EINVAL). */
bool gp_json_done(gp_json *j, gp_error *err);

#endif
