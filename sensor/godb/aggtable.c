#include "sensor/godb/aggtable.h"

#include <stdlib.h>
#include <string.h>

enum { COUNTER_WORDS = 4, FIRST_CAPACITY = 1024 };

static inline size_t entry_words(const gp_agg *t)
{
    return t->words + COUNTER_WORDS;
}

void gp_agg_init(gp_agg *t, unsigned words, const uint64_t seed[2], gp_mem_budget *budget)
{
    *t = (gp_agg){.words = words, .seed = {seed[0], seed[1]}, .budget = budget};
}

static size_t table_bytes(const gp_agg *t, size_t capacity)
{
    return capacity * entry_words(t) * sizeof(uint64_t);
}

void gp_agg_free(gp_agg *t)
{
    if (t->slots && t->budget)
        atomic_fetch_sub(&t->budget->used, table_bytes(t, t->mask + 1));
    free(t->slots);
    t->slots = NULL;
    t->n = t->mask = t->grow_at = 0;
}

/* Folded 64x64->128 bit multiplication, as in wyhash (Wang Yi, public domain). */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 u128;
    u128 r = (u128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static inline uint64_t hash_key(const gp_agg *t, const uint64_t *key, unsigned words)
{
    uint64_t h = t->seed[0];
    for (unsigned i = 0; i < words; i++)
        h = fold(h ^ key[i], t->seed[1] ^ UINT64_C(0x9e3779b97f4a7c15));
    return h ^ h >> 32;
}

static inline bool key_equal(const uint64_t *a, const uint64_t *b, unsigned words)
{
    uint64_t diff = 0;
    for (unsigned i = 0; i < words; i++)
        diff |= a[i] ^ b[i];
    return diff == 0;
}

/* The slot that holds the key, or the empty one where it belongs. The last key word is never 0 in use. */
static inline uint64_t *find_slot(const gp_agg *t, const uint64_t *key, uint64_t hash, unsigned words)
{
    for (size_t i = hash & t->mask;; i = (i + 1) & t->mask) {
        uint64_t *slot = t->slots + i * (words + COUNTER_WORDS);
        if (slot[words - 1] == 0 || key_equal(slot, key, words))
            return slot;
    }
}

static gp_code charge(gp_mem_budget *b, size_t more, size_t less, gp_error *err)
{
    uint64_t used = atomic_fetch_add(&b->used, more) + more;
    if (used - less <= b->limit)
        return GP_OK;
    atomic_fetch_sub(&b->used, more);
    return gp_fail(err, GP_ENOMEM,
                   "memory limit exceeded: the query needs more than %u%% of this host's memory (%llu MiB); "
                   "narrow the time range, the attributes or the condition, or raise max_mem_pct",
                   b->pct, (unsigned long long)(b->limit >> 20));
}

static gp_code grow(gp_agg *t, size_t capacity, gp_error *err)
{
    size_t old_bytes = t->slots ? table_bytes(t, t->mask + 1) : 0;
    gp_code code = t->budget ? charge(t->budget, table_bytes(t, capacity), old_bytes, err) : GP_OK;
    if (code != GP_OK)
        return code;
    uint64_t *slots = calloc(capacity, entry_words(t) * sizeof(uint64_t));
    if (!slots) {
        if (t->budget)
            atomic_fetch_sub(&t->budget->used, table_bytes(t, capacity));
        return gp_fail(err, GP_ENOMEM, "out of memory for a table of %zu flows", capacity);
    }
    gp_agg bigger = *t;
    bigger.slots = slots;
    bigger.mask = capacity - 1;
    bigger.grow_at = capacity / 4 * 3;
    for (size_t i = 0; t->slots && i <= t->mask; i++) {
        const uint64_t *from = t->slots + i * entry_words(t);
        if (from[t->words - 1] == 0)
            continue;
        uint64_t *to = find_slot(&bigger, from, hash_key(t, from, t->words), t->words);
        memcpy(to, from, entry_words(t) * sizeof *to);
    }
    free(t->slots);
    if (t->budget)
        atomic_fetch_sub(&t->budget->used, old_bytes);
    *t = bigger;
    return GP_OK;
}

static gp_code reserve(gp_agg *t, size_t more, gp_error *err)
{
    if (t->n + more <= t->grow_at)
        return GP_OK;
    size_t capacity = t->slots ? (t->mask + 1) * 2 : FIRST_CAPACITY;
    return grow(t, capacity, err);
}

static inline void add_to_slot(gp_agg *t, uint64_t *slot, const uint64_t *key, unsigned words,
                               const gp_counters *c)
{
    if (slot[words - 1] == 0) {
        memcpy(slot, key, words * sizeof *slot);
        t->n++;
    }
    slot[words] += c->bytes_rcvd;
    slot[words + 1] += c->bytes_sent;
    slot[words + 2] += c->pkts_rcvd;
    slot[words + 3] += c->pkts_sent;
}

/* Inlined once for each key width, so that key loops unroll. */
static inline __attribute__((always_inline)) void add_batch(gp_agg *t, const uint64_t *keys,
                                                            const uint32_t *rows, size_t n,
                                                            const gp_counter_columns *c, unsigned words)
{
    uint64_t hashes[GP_AGG_BATCH];
    for (size_t i = 0; i < n; i++) {
        hashes[i] = hash_key(t, keys + i * words, words);
        __builtin_prefetch(t->slots + (hashes[i] & t->mask) * (words + COUNTER_WORDS), 1);
    }
    for (size_t i = 0; i < n; i++) {
        const uint64_t *key = keys + i * words;
        uint32_t r = rows[i];
        const gp_counters add = {c->bytes_rcvd[r], c->bytes_sent[r], c->pkts_rcvd[r], c->pkts_sent[r]};
        add_to_slot(t, find_slot(t, key, hashes[i], words), key, words, &add);
    }
}

gp_code gp_agg_add_batch(gp_agg *t, const uint64_t *keys, const uint32_t *rows, size_t n,
                         const gp_counter_columns *c, gp_error *err)
{
    gp_code code = reserve(t, n, err);
    if (code != GP_OK)
        return code;
    switch (t->words) {
    case 1:
        add_batch(t, keys, rows, n, c, 1);
        break;
    case 2:
        add_batch(t, keys, rows, n, c, 2);
        break;
    case 3:
        add_batch(t, keys, rows, n, c, 3);
        break;
    default:
        add_batch(t, keys, rows, n, c, GP_KEY_MAX_WORDS);
    }
    return GP_OK;
}

gp_code gp_agg_add(gp_agg *t, const uint64_t *key, const gp_counters *c, gp_error *err)
{
    gp_code code = reserve(t, 1, err);
    if (code == GP_OK)
        add_to_slot(t, find_slot(t, key, hash_key(t, key, t->words), t->words), key, t->words, c);
    return code;
}

gp_code gp_agg_merge_part(gp_agg *t, const gp_agg *from, unsigned part, unsigned parts, gp_error *err)
{
    for (size_t i = 0; from->slots && i <= from->mask; i++) {
        const uint64_t *slot = from->slots + i * entry_words(from);
        if (slot[from->words - 1] == 0)
            continue;
        /* High bits choose the partition, low bits the slot: partitions stay evenly spread. */
        uint64_t hash = hash_key(from, slot, from->words);
        if ((hash >> 56 & (parts - 1)) != part)
            continue;
        const uint64_t *v = slot + from->words;
        const gp_counters c = {v[0], v[1], v[2], v[3]};
        gp_code code = reserve(t, 1, err);
        if (code != GP_OK)
            return code;
        add_to_slot(t, find_slot(t, slot, hash, t->words), slot, t->words, &c);
    }
    return GP_OK;
}

bool gp_agg_next(const gp_agg *t, size_t *at, const uint64_t **key, gp_counters *c)
{
    for (; t->slots && *at <= t->mask; (*at)++) {
        const uint64_t *slot = t->slots + *at * entry_words(t);
        if (slot[t->words - 1] == 0)
            continue;
        const uint64_t *v = slot + t->words;
        *key = slot;
        *c = (gp_counters){v[0], v[1], v[2], v[3]};
        (*at)++;
        return true;
    }
    return false;
}
