#include "sensor/godb/flowkey.h"

#include "sensor/godb/bigendian.h"

#include <string.h>

static inline uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

gp_keyspec gp_keyspec_make(const gp_query_type *type, bool v6)
{
    gp_keyspec s = {
        .sip = type->attr_mask & GP_ATTR_SIP,
        .dip = type->attr_mask & GP_ATTR_DIP,
        .dport = type->attr_mask & GP_ATTR_DPORT,
        .proto = type->attr_mask & GP_ATTR_PROTO,
        .time = type->label_mask & GP_LABEL_TIME,
    };
    unsigned addrs = (unsigned)s.sip + (unsigned)s.dip;
    s.v6 = v6 && addrs > 0;
    if (s.v6)
        s.words = 1 + 2 * addrs;
    else if (addrs == 0)
        s.words = 1;
    else {
        s.addr_in_last = addrs == 1 && !s.time;
        s.words = s.addr_in_last ? 1 : 2;
    }
    return s;
}

static inline uint64_t last_word(const gp_keyspec *spec, const gp_key_columns *c, uint32_t row)
{
    uint64_t high = 0;
    if (spec->addr_in_last)
        high = gp_load_be32((spec->sip ? c->sip : c->dip) + (size_t)row * 4);
    else if (spec->time)
        high = c->time;
    uint64_t dport = spec->dport ? load_be16(c->dport + (size_t)row * 2) : 0;
    uint64_t proto = spec->proto ? c->proto[row] : 0;
    return high << 32 | dport << 16 | proto << 8 | 1;
}

/* One word a key, rows without a gap: a pass for each part, which the compiler vectorizes. */
static void pack_run(const gp_keyspec *spec, const gp_key_columns *c, uint32_t first, size_t n,
                     uint64_t *keys)
{
    uint64_t base = 1 | (uint64_t)(spec->time ? c->time : 0) << 32;
    for (size_t i = 0; i < n; i++)
        keys[i] = base;
    if (spec->addr_in_last) {
        const uint8_t *addr = (spec->sip ? c->sip : c->dip) + (size_t)first * 4;
        for (size_t i = 0; i < n; i++)
            keys[i] |= (uint64_t)gp_load_be32(addr + i * 4) << 32;
    }
    if (spec->dport) {
        const uint8_t *dport = c->dport + (size_t)first * 2;
        for (size_t i = 0; i < n; i++)
            keys[i] |= (uint64_t)load_be16(dport + i * 2) << 16;
    }
    if (spec->proto) {
        const uint8_t *proto = c->proto + first;
        for (size_t i = 0; i < n; i++)
            keys[i] |= (uint64_t)proto[i] << 8;
    }
}

static void pack_v6(const gp_keyspec *spec, const gp_key_columns *c, uint32_t row, uint64_t *key)
{
    if (spec->sip) {
        *key++ = gp_load_be64(c->sip + (size_t)row * 16);
        *key++ = gp_load_be64(c->sip + (size_t)row * 16 + 8);
    }
    if (spec->dip) {
        *key++ = gp_load_be64(c->dip + (size_t)row * 16);
        *key++ = gp_load_be64(c->dip + (size_t)row * 16 + 8);
    }
    *key = last_word(spec, c, row);
}

void gp_keys_pack(const gp_keyspec *spec, const gp_key_columns *c, const uint32_t *rows, size_t n,
                  uint64_t *keys)
{
    if (spec->v6) {
        for (size_t i = 0; i < n; i++)
            pack_v6(spec, c, rows[i], keys + i * spec->words);
        return;
    }
    if (spec->words == 1 && rows[n - 1] - rows[0] == n - 1) {
        pack_run(spec, c, rows[0], n, keys);
        return;
    }
    if (spec->words == 1) {
        for (size_t i = 0; i < n; i++)
            keys[i] = last_word(spec, c, rows[i]);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t sip = spec->sip ? gp_load_be32(c->sip + (size_t)rows[i] * 4) : 0;
        uint64_t dip = spec->dip ? gp_load_be32(c->dip + (size_t)rows[i] * 4) : 0;
        keys[2 * i] = sip << 32 | dip;
        keys[2 * i + 1] = last_word(spec, c, rows[i]);
    }
}

void gp_key_pack_flow(const gp_keyspec *spec, const gp_flow *flow, uint32_t time, uint64_t *key)
{
    const uint8_t dport[2] = {(uint8_t)(flow->dport >> 8), (uint8_t)flow->dport};
    const gp_key_columns one = {flow->sip.bytes, flow->dip.bytes, dport, &flow->proto, time};
    const uint32_t row = 0;
    gp_keys_pack(spec, &one, &row, 1, key);
}

static gp_addr addr_v4(uint64_t v)
{
    uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    return gp_addr_from_bytes(bytes, sizeof bytes);
}

static gp_addr addr_v6(const uint64_t *words)
{
    uint8_t bytes[16];
    gp_store_be64(bytes, words[0]);
    gp_store_be64(bytes + 8, words[1]);
    return gp_addr_from_bytes(bytes, sizeof bytes);
}

static void unpack_addresses(const gp_keyspec *spec, const uint64_t *key, gp_row *row)
{
    if (spec->v6) {
        if (spec->sip)
            row->sip = addr_v6(key);
        if (spec->dip)
            row->dip = addr_v6(key + (spec->sip ? 2 : 0));
        return;
    }
    if (spec->addr_in_last) {
        gp_addr a = addr_v4(key[0] >> 32);
        *(spec->sip ? &row->sip : &row->dip) = a;
        return;
    }
    if (spec->sip)
        row->sip = addr_v4(key[0] >> 32);
    if (spec->dip)
        row->dip = addr_v4(key[0]);
}

void gp_key_unpack(const gp_keyspec *spec, const uint64_t *key, gp_row *row)
{
    uint64_t last = key[spec->words - 1];
    unpack_addresses(spec, key, row);
    if (spec->time)
        row->ts = gp_key_time(spec, key);
    row->dport = (uint16_t)(last >> 16);
    row->proto = (uint8_t)(last >> 8);
}
