#include "proto/wire/frame.h"

#include <lz4.h>
#include <string.h>

static const char magic[3] = {'G', 'P', 'Q'};
enum { FLAG_LZ4 = 1, TRY_FROM = 64 /* bytes; shorter bodies are not worth a try */ };
/* An LZ4 block of n bytes holds no more than this (lz4_Block_format.md: a length byte adds 255). */
enum { LZ4_MOST_RATIO = 255 };

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)v);
    put16(p + 2, (uint16_t)(v >> 16));
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Appends the body as an LZ4 block, or leaves *out as it was if that is not shorter. */
static bool add_compressed(gp_buf *out, const gp_frame *f)
{
    int bound = LZ4_compressBound((int)f->len);
    if (f->len < TRY_FROM || !gp_buf_reserve(out, (size_t)bound))
        return false;
    int n = LZ4_compress_default(f->body, out->data + out->len, (int)f->len, bound);
    if (n <= 0 || (size_t)n >= f->len)
        return false;
    out->len += (size_t)n;
    out->data[out->len] = '\0';
    return true;
}

gp_code gp_frame_write(gp_buf *out, const gp_frame *f, gp_error *err)
{
    uint8_t header[GP_FRAME_HEADER] = {0};
    size_t at = out->len;
    if (f->len > LZ4_MAX_INPUT_SIZE)
        return gp_fail(err, GP_ELIMIT, "a message of %zu bytes is too large to be sent", f->len);
    memcpy(header, magic, sizeof magic);
    header[3] = GP_WIRE_VERSION;
    header[4] = (uint8_t)f->type;
    put16(header + 6, f->status);
    put32(header + 8, f->lease_ms);
    put32(header + 12, (uint32_t)f->len);
    gp_buf_add(out, header, sizeof header);
    if (!out->failed && add_compressed(out, f))
        out->data[at + 5] = FLAG_LZ4;
    else
        gp_buf_add(out, f->body, f->len);
    return out->failed ? gp_fail(err, GP_ENOMEM, "out of memory for a message of %zu bytes", f->len) : GP_OK;
}

static gp_code unpack(gp_frame *f, const char *packed, size_t len, gp_error *err)
{
    if (f->len / LZ4_MOST_RATIO > len)
        return gp_fail(err, GP_ECORRUPT, "%zu compressed bytes cannot hold %zu", len, f->len);
    if (!gp_buf_reserve(&f->unpacked, f->len))
        return gp_fail(err, GP_ENOMEM, "out of memory for a message of %zu bytes", f->len);
    int n = LZ4_decompress_safe(packed, f->unpacked.data, (int)len, (int)f->len);
    if (n < 0 || (size_t)n != f->len)
        return gp_fail(err, GP_ECORRUPT, "a compressed message is damaged");
    f->unpacked.len = f->len;
    f->body = f->unpacked.data;
    return GP_OK;
}

gp_code gp_frame_read(const void *message, size_t len, size_t max_body, gp_frame *out, gp_error *err)
{
    const uint8_t *h = message;
    *out = (gp_frame){0};
    if (len < GP_FRAME_HEADER || memcmp(h, magic, sizeof magic) != 0)
        return gp_fail(err, GP_ECORRUPT, "a message of %zu bytes is none of this protocol", len);
    if (h[3] != GP_WIRE_VERSION)
        return gp_fail(err, GP_EUNSUPPORTED, "a message is of protocol version %u; this is version %u", h[3],
                       GP_WIRE_VERSION);
    size_t sent = len - GP_FRAME_HEADER;
    out->type = (gp_frame_type)h[4];
    out->status = (uint16_t)(h[6] | h[7] << 8);
    out->lease_ms = get32(h + 8);
    out->len = get32(h + 12);
    out->body = (const char *)message + GP_FRAME_HEADER;
    if (h[4] < GP_FRAME_QUERY || h[4] > GP_FRAME_PROBLEM)
        return gp_fail(err, GP_ECORRUPT, "a message is of unknown type %u", h[4]);
    if (h[5] & ~FLAG_LZ4)
        return gp_fail(err, GP_ECORRUPT, "a message has unknown flags %02x", h[5]);
    if (max_body && out->len > max_body)
        return gp_fail(err, GP_ELIMIT, "a message of %zu bytes is larger than the %zu that are accepted",
                       out->len, max_body);
    if (out->len > LZ4_MAX_INPUT_SIZE)
        return gp_fail(err, GP_ECORRUPT, "a message of %zu bytes is larger than any can be", out->len);
    gp_code rc = GP_OK;
    if (h[5] & FLAG_LZ4)
        rc = unpack(out, out->body, sent, err);
    else if (out->len != sent)
        rc = gp_fail(err, GP_ECORRUPT, "a message says that it has %zu bytes and has %zu", out->len, sent);
    if (rc != GP_OK)
        gp_frame_free(out);
    return rc;
}

void gp_frame_free(gp_frame *f)
{
    gp_buf_free(&f->unpacked);
    *f = (gp_frame){0};
}
