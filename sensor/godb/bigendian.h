/* bigendian.h - numbers as the files of goDB have them, and keys that sort as bytes. Internal to godb. */
#ifndef GP_GODB_BIGENDIAN_H
#define GP_GODB_BIGENDIAN_H

#include <stdint.h>
#include <string.h>

static inline uint64_t gp_load_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline uint32_t gp_load_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline void gp_store_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

static inline void gp_store_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

/* Store, and return the place behind. */
static inline uint8_t *gp_put_be64(uint8_t *p, uint64_t v)
{
    gp_store_be64(p, v);
    return p + sizeof v;
}

static inline uint8_t *gp_put_be32(uint8_t *p, uint32_t v)
{
    gp_store_be32(p, v);
    return p + sizeof v;
}

#endif
