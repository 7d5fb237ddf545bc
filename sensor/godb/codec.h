/*
 * codec.h - block compression of goDB v4: lz4 block format, zstd frames, or none.
 *
 * A gp_codec holds reusable contexts of the libraries; one per thread.
 */
#ifndef GP_GODB_CODEC_H
#define GP_GODB_CODEC_H

#include "proto/base/error.h"

#include <stdint.h>

/* Numbers as stored in .blockmeta. Type 0 was an early lz4 variant of v4 without any writer left. */
typedef enum gp_codec_type {
    GP_CODEC_LZ4_OLD = 0,
    GP_CODEC_NULL = 1,
    GP_CODEC_ZSTD = 2,
    GP_CODEC_LZ4 = 3
} gp_codec_type;

const char *gp_codec_name(gp_codec_type t); /* "lz4", "zstd", "null", "lz4cust" */
gp_code gp_codec_parse(const char *name, gp_codec_type *out,
                       gp_error *err); /* "" is null; names what is allowed */

int gp_codec_max_level(gp_codec_type t); /* 0: the encoder has no levels */

typedef struct gp_codec gp_codec;
gp_code gp_codec_new(gp_codec **out, gp_error *err);
void gp_codec_free(gp_codec *c);

size_t gp_codec_bound(gp_codec_type t, size_t raw_len);
/* level 0: the default of the encoder; otherwise 1 to gp_codec_max_level(). Returns the compressed size in
 * *out_len. */
gp_code gp_codec_compress(gp_codec *c, gp_codec_type t, int level, const uint8_t *raw, size_t raw_len,
                          uint8_t *dst, size_t dst_cap, size_t *out_len, gp_error *err);
/* GP_ECORRUPT where `len` bytes cannot possibly hold raw_len: to be asked before memory is sized by that. */
gp_code gp_codec_check(gp_codec_type t, size_t len, size_t raw_len, gp_error *err);
/* Whether len stored bytes can become raw_len bytes at all: to be asked before memory is sized by what
 * metadata says. */
bool gp_codec_can_hold(gp_codec_type t, uint64_t len, uint64_t raw_len);
/* GP_ECORRUPT unless exactly raw_len bytes come out. */
gp_code gp_codec_decompress(gp_codec *c, gp_codec_type t, const uint8_t *src, size_t len, uint8_t *raw,
                            size_t raw_len, gp_error *err);

#endif
