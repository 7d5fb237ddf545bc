#include "sensor/godb/codec.h"

#include <limits.h>
#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { DEFAULT_LEVEL = 6 }; /* of both libraries, as goProbe v4 sets it */

struct gp_codec {
    ZSTD_CCtx *zc; /* made on first use */
    ZSTD_DCtx *zd;
    LZ4_streamHC_t *lz4hc;
};

static const char *const names[] = {"lz4cust", "null", "zstd", "lz4"};

const char *gp_codec_name(gp_codec_type t)
{
    return (size_t)t < sizeof names / sizeof names[0] ? names[t] : "unknown";
}

gp_code gp_codec_parse(const char *name, gp_codec_type *out, gp_error *err)
{
    if (!*name || strcasecmp(name, "null") == 0)
        *out = GP_CODEC_NULL;
    else if (strcasecmp(name, "lz4") == 0)
        *out = GP_CODEC_LZ4;
    else if (strcasecmp(name, "zstd") == 0)
        *out = GP_CODEC_ZSTD;
    else if (strcasecmp(name, "lz4cust") == 0)
        return gp_fail(err, GP_EUNSUPPORTED,
                       "encoder 'lz4cust' can no longer be written; use lz4, zstd or null");
    else
        return gp_fail(err, GP_EINVAL, "unsupported encoder: %s (use lz4, zstd or null)", name);
    return GP_OK;
}

int gp_codec_max_level(gp_codec_type t)
{
    if (t == GP_CODEC_LZ4)
        return LZ4HC_CLEVEL_MAX;
    return t == GP_CODEC_ZSTD ? ZSTD_maxCLevel() : 0;
}

gp_code gp_codec_new(gp_codec **out, gp_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for a codec");
}

void gp_codec_free(gp_codec *c)
{
    if (!c)
        return;
    (void)ZSTD_freeCCtx(c->zc);
    (void)ZSTD_freeDCtx(c->zd);
    (void)LZ4_freeStreamHC(c->lz4hc);
    free(c);
}

size_t gp_codec_bound(gp_codec_type t, size_t raw_len)
{
    if (t == GP_CODEC_ZSTD)
        return ZSTD_compressBound(raw_len);
    if (t == GP_CODEC_LZ4 && raw_len <= LZ4_MAX_INPUT_SIZE)
        return (size_t)LZ4_compressBound((int)raw_len);
    return raw_len;
}

/* One stream is used for every block: forgetting the block before costs far less than a fresh state of 256
 * KiB. */
static gp_code compress_lz4(gp_codec *c, int level, const uint8_t *raw, size_t raw_len, uint8_t *dst,
                            size_t cap, size_t *out_len, gp_error *err)
{
    if (!c->lz4hc && !(c->lz4hc = LZ4_createStreamHC()))
        return gp_fail(err, GP_ENOMEM, "out of memory for lz4");
    if (raw_len > LZ4_MAX_INPUT_SIZE)
        return gp_fail(err, GP_ELIMIT, "a column of %zu bytes is too large for lz4", raw_len);
    LZ4_resetStreamHC_fast(c->lz4hc, level);
    int n = LZ4_compress_HC_continue(c->lz4hc, (const char *)raw, (char *)dst, (int)raw_len,
                                     cap > INT_MAX ? INT_MAX : (int)cap);
    if (n <= 0)
        return gp_fail(err, GP_EINTERNAL, "lz4 could not compress %zu bytes", raw_len);
    *out_len = (size_t)n;
    return GP_OK;
}

/* Frames without checksum and content size, as v4 writes them. */
static gp_code compress_zstd(gp_codec *c, int level, const uint8_t *raw, size_t raw_len, uint8_t *dst,
                             size_t cap, size_t *out_len, gp_error *err)
{
    if (!c->zc && !(c->zc = ZSTD_createCCtx()))
        return gp_fail(err, GP_ENOMEM, "out of memory for zstd");
    size_t rc = ZSTD_CCtx_setParameter(c->zc, ZSTD_c_compressionLevel, level);
    if (!ZSTD_isError(rc))
        rc = ZSTD_CCtx_setParameter(c->zc, ZSTD_c_contentSizeFlag, 0);
    if (!ZSTD_isError(rc))
        rc = ZSTD_compress2(c->zc, dst, cap, raw, raw_len);
    if (ZSTD_isError(rc))
        return gp_fail(err, GP_EINTERNAL, "zstd could not compress %zu bytes: %s", raw_len,
                       ZSTD_getErrorName(rc));
    *out_len = rc;
    return GP_OK;
}

gp_code gp_codec_compress(gp_codec *c, gp_codec_type t, int level, const uint8_t *raw, size_t raw_len,
                          uint8_t *dst, size_t dst_cap, size_t *out_len, gp_error *err)
{
    if (level <= 0)
        level = DEFAULT_LEVEL;
    if (t == GP_CODEC_LZ4)
        return compress_lz4(c, level, raw, raw_len, dst, dst_cap, out_len, err);
    if (t == GP_CODEC_ZSTD)
        return compress_zstd(c, level, raw, raw_len, dst, dst_cap, out_len, err);
    if (t != GP_CODEC_NULL || dst_cap < raw_len)
        return gp_fail(err, GP_EUNSUPPORTED, "cannot write blocks with encoder %s", gp_codec_name(t));
    if (raw_len)
        memcpy(dst, raw, raw_len);
    *out_len = raw_len;
    return GP_OK;
}

gp_code gp_codec_check(gp_codec_type t, size_t len, size_t raw_len, gp_error *err)
{
    /* A byte of lz4 stands for 255 at most (the length of a match goes on), an RLE block of zstd, four bytes
     * with its header, for 128 KiB; RFC 8878, 3.1.1.2. */
    size_t most = len;
    if (t == GP_CODEC_LZ4)
        most = len * 255;
    else if (t == GP_CODEC_ZSTD)
        most = len * (32 << 10);
    if (raw_len <= most)
        return GP_OK;
    return gp_fail(err, GP_ECORRUPT, "%zu bytes of %s cannot hold the %zu that its metadata says", len,
                   gp_codec_name(t), raw_len);
}

/* The most that a byte can stand for: in lz4 255 bytes of a match (lz4 Block Format, "Matchlength"), in zstd
 * a third of a block that repeats one byte (RFC 8878, 3.1.1.2). */
bool gp_codec_can_hold(gp_codec_type t, uint64_t len, uint64_t raw_len)
{
    enum { LZ4_MOST = 255, ZSTD_MOST = (128 << 10) / 3 + 1 };
    if (t == GP_CODEC_LZ4)
        return raw_len / LZ4_MOST <= len;
    if (t == GP_CODEC_ZSTD)
        return raw_len / ZSTD_MOST <= len;
    return raw_len <= len;
}

static gp_code decompress_zstd(gp_codec *c, const uint8_t *src, size_t len, uint8_t *raw, size_t raw_len,
                               gp_error *err)
{
    if (!c->zd && !(c->zd = ZSTD_createDCtx()))
        return gp_fail(err, GP_ENOMEM, "out of memory for zstd");
    size_t n = ZSTD_decompressDCtx(c->zd, raw, raw_len, src, len);
    if (ZSTD_isError(n))
        return gp_fail(err, GP_ECORRUPT, "zstd: %s", ZSTD_getErrorName(n));
    if (n != raw_len)
        return gp_fail(err, GP_ECORRUPT, "zstd block holds %zu bytes, its metadata says %zu", n, raw_len);
    return GP_OK;
}

static gp_code decompress_lz4(const uint8_t *src, size_t len, uint8_t *raw, size_t raw_len, gp_error *err)
{
    if (len > INT_MAX || raw_len > INT_MAX)
        return gp_fail(err, GP_ECORRUPT, "lz4 block of %zu bytes is too large", len);
    int n = LZ4_decompress_safe((const char *)src, (char *)raw, (int)len, (int)raw_len);
    if (n < 0)
        return gp_fail(err, GP_ECORRUPT, "lz4 block is malformed");
    if ((size_t)n != raw_len)
        return gp_fail(err, GP_ECORRUPT, "lz4 block holds %d bytes, its metadata says %zu", n, raw_len);
    return GP_OK;
}

gp_code gp_codec_decompress(gp_codec *c, gp_codec_type t, const uint8_t *src, size_t len, uint8_t *raw,
                            size_t raw_len, gp_error *err)
{
    switch (t) {
    case GP_CODEC_LZ4:
        return decompress_lz4(src, len, raw, raw_len, err);
    case GP_CODEC_ZSTD:
        return decompress_zstd(c, src, len, raw, raw_len, err);
    case GP_CODEC_NULL:
        if (len != raw_len)
            return gp_fail(err, GP_ECORRUPT, "uncompressed block of %zu bytes, its metadata says %zu", len,
                           raw_len);
        if (len)
            memcpy(raw, src, len);
        return GP_OK;
    case GP_CODEC_LZ4_OLD:
        return gp_fail(
            err, GP_EUNSUPPORTED,
            "block is in the retired encoding 'lz4cust'; convert the database with goProbe v3 first");
    }
    return gp_fail(err, GP_ECORRUPT, "unknown encoder number %d", (int)t);
}
