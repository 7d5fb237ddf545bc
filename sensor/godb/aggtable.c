#include "sensor/godb/aggtable.h"

#include <stdlib.h>
#include <string.h>

enum {
    COUNTER_WORDS = 2,    /* of an entry: four counters of 32 bits, or the address of a wide one */
    WIDE = 2,             /* in the low byte of the last key word, which is 1 otherwise */
    HEADER_BYTES = 64,    /* keeps the first entry on a cache line of its own */
    MAX_DEPTH = 32,       /* 2^32 segments are more than any host has memory for */
    SPLIT_AT_PERCENT = 80 /* linear probing gets slow beyond */
};

struct gp_segment {
    uint32_t n;
    uint32_t depth; /* first bits that all hashes of its entries share */
};

/* Where a batch goes: what add_one needs, without reading the table through a pointer each time. */
typedef struct adder {
    gp_agg *t;
    gp_segpool *pool;
    bool fixed; /* the directory must not grow: other threads read it */
} adder;

static inline size_t entry_words(const gp_agg *t)
{
    return t->words + COUNTER_WORDS;
}

void gp_agg_init(gp_agg *t, unsigned words, const uint64_t seed[2])
{
    *t = (gp_agg){.words = words, .seed = {seed[0], seed[1]}};
    t->slots = (uint32_t)((GP_SEGMENT_SIZE - HEADER_BYTES) / (entry_words(t) * sizeof(uint64_t)));
    t->limit = t->slots * SPLIT_AT_PERCENT / 100;
}

void gp_agg_free(gp_agg *t)
{
    free((void *)t->dir);
    t->dir = NULL;
    t->depth = 0;
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
    const uint64_t factor = t->seed[1] ^ UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = t->seed[0];
    for (unsigned i = 0; i + 1 < words; i++)
        h = fold(h ^ key[i], factor);
    h = fold(h ^ (key[words - 1] & ~(uint64_t)WIDE), factor);
    return h ^ h >> 32;
}

/* The first `bits` bits of a hash; a shift by 64 would be undefined. */
static inline size_t prefix(uint64_t hash, unsigned bits)
{
    return (size_t)(hash >> 1 >> (63 - bits));
}

static inline gp_segment *segment_of(const gp_agg *t, uint64_t hash)
{
    return t->dir[prefix(hash, t->depth)];
}

static inline uint64_t *slots_of(gp_segment *s)
{
    return (uint64_t *)((uint8_t *)s + HEADER_BYTES);
}

static inline uint32_t home_slot(const gp_agg *t, uint64_t hash)
{
    return (uint32_t)((hash & UINT32_MAX) * t->slots >> 32);
}

static inline bool key_equal(const uint64_t *a, const uint64_t *b, unsigned words)
{
    uint64_t diff = (a[words - 1] ^ b[words - 1]) & ~(uint64_t)WIDE;
    for (unsigned i = 0; i + 1 < words; i++)
        diff |= a[i] ^ b[i];
    return diff == 0;
}

/* The entry that holds the key, or the empty one where it belongs. The last key word is never 0 in use, and
 * no segment is ever full. */
static inline uint64_t *find_entry(const gp_agg *t, gp_segment *s, const uint64_t *key, uint64_t hash,
                                   unsigned words)
{
    const size_t stride = words + COUNTER_WORDS;
    uint64_t *first = slots_of(s);
    uint64_t *end = first + t->slots * stride;
    for (uint64_t *e = first + home_slot(t, hash) * stride;; e += stride) {
        if (e == end)
            e = first;
        if (e[words - 1] == 0 || key_equal(e, key, words))
            return e;
    }
}

/* ---- counters ------------------------------------------------------------------------------------------ */

static inline gp_counters *wide_cell(const uint64_t *e, unsigned words)
{
    gp_counters *cell;
    memcpy(&cell, e + words, sizeof cell);
    return cell;
}

static inline gp_counters counters_of(const uint64_t *e, unsigned words)
{
    const uint64_t *v = e + words;
    if (e[words - 1] & WIDE)
        return *wide_cell(e, words);
    return (gp_counters){v[0] & UINT32_MAX, v[0] >> 32, v[1] & UINT32_MAX, v[1] >> 32};
}

/* An entry that 32 bits are too narrow for: few are. */
static __attribute__((noinline)) gp_code widen(const adder *a, uint64_t *e, unsigned words,
                                               const gp_counters *sum, gp_error *err)
{
    void *cell = NULL;
    gp_code code = gp_segpool_get_cell(a->pool, &cell, err);
    if (code != GP_OK)
        return code;
    memcpy(cell, sum, sizeof *sum);
    memcpy(e + words, &cell, sizeof cell);
    e[words - 1] |= WIDE;
    return GP_OK;
}

static inline __attribute__((always_inline)) gp_code add_counters(const adder *a, uint64_t *e, unsigned words,
                                                                  const gp_counters *c, gp_error *err)
{
    if (e[words - 1] & WIDE) {
        gp_counters_accumulate(wide_cell(e, words), c);
        return GP_OK;
    }
    gp_counters sum = counters_of(e, words);
    gp_counters_add(&sum, c);
    if ((sum.bytes_rcvd | sum.bytes_sent | sum.pkts_rcvd | sum.pkts_sent) > UINT32_MAX)
        return widen(a, e, words, &sum, err);
    e[words] = sum.bytes_rcvd | sum.bytes_sent << 32;
    e[words + 1] = sum.pkts_rcvd | sum.pkts_sent << 32;
    return GP_OK;
}

/* ---- growing ------------------------------------------------------------------------------------------- */

static gp_code new_segment(gp_segpool *pool, unsigned depth, gp_segment **out, gp_error *err)
{
    void *memory = NULL;
    gp_code code = gp_segpool_get(pool, &memory, err);
    if (code != GP_OK)
        return code;
    *out = memory;
    (*out)->depth = depth;
    return GP_OK;
}

static gp_code first_segment(gp_agg *t, gp_segpool *pool, gp_error *err)
{
    gp_segment **dir = malloc(sizeof(gp_segment *));
    if (!dir)
        return gp_fail(err, GP_ENOMEM, "out of memory for a table of flows");
    gp_code code = new_segment(pool, 0, &dir[0], err);
    if (code != GP_OK) {
        free((void *)dir);
        return code;
    }
    t->dir = dir;
    t->depth = 0;
    return GP_OK;
}

static gp_code double_directory(gp_agg *t, gp_error *err)
{
    size_t n = (size_t)1 << t->depth;
    gp_segment **dir = realloc((void *)t->dir, 2 * n * sizeof(gp_segment *));
    if (!dir)
        return gp_fail(err, GP_ENOMEM, "out of memory for a table of %zu segments", 2 * n);
    for (size_t i = n; i-- > 0;)
        dir[2 * i] = dir[2 * i + 1] = dir[i];
    t->dir = dir;
    t->depth++;
    return GP_OK;
}

/* Entries of `s` go to one of two new segments by the next bit of their hash. */
static void distribute(const gp_agg *t, gp_segment *s, gp_segment *const half[2])
{
    const size_t stride = entry_words(t);
    const uint64_t *e = slots_of(s);
    for (uint32_t i = 0; i < t->slots; i++, e += stride) {
        if (e[t->words - 1] == 0)
            continue;
        uint64_t hash = hash_key(t, e, t->words);
        gp_segment *to = half[prefix(hash, s->depth + 1) & 1];
        memcpy(find_entry(t, to, e, hash, t->words), e, stride * sizeof *e);
        to->n++;
    }
}

/* Splits the segment at this place of the directory in two. */
static gp_code split(const adder *a, size_t at, gp_error *err)
{
    gp_agg *t = a->t;
    gp_segment *s = t->dir[at];
    gp_segment *half[2];
    gp_code code = GP_OK;
    if (s->depth == t->depth) {
        code = double_directory(t, err);
        at *= 2;
    }
    if (code == GP_OK)
        code = new_segment(a->pool, s->depth + 1, &half[0], err);
    if (code != GP_OK)
        return code;
    code = new_segment(a->pool, s->depth + 1, &half[1], err);
    if (code != GP_OK) {
        gp_segpool_put(a->pool, half[0]);
        return code;
    }
    distribute(t, s, half);
    size_t span = (size_t)1 << (t->depth - s->depth); /* directory places of the old segment */
    size_t start = at & ~(span - 1);
    for (size_t i = 0; i < span; i++)
        t->dir[start + i] = half[i >= span / 2];
    gp_segpool_put(a->pool, s);
    return GP_OK;
}

/* After a segment got a new entry. */
static gp_code make_room(const adder *a, gp_segment *s, uint64_t hash, gp_error *err)
{
    gp_agg *t = a->t;
    bool can_split = s->depth < (a->fixed ? t->depth : MAX_DEPTH);
    if (can_split)
        return split(a, prefix(hash, t->depth), err);
    if (s->n + 1 < t->slots) /* slower, but works; only hashes that are much alike get here */
        return GP_OK;
    return gp_fail(err, GP_EINTERNAL, "a table of flows cannot grow any more: too many equal hashes");
}

/* ---- adding -------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) gp_code add_one(const adder *a, const uint64_t *key,
                                                             uint64_t hash, unsigned words,
                                                             const gp_counters *c, gp_error *err)
{
    gp_segment *s = segment_of(a->t, hash);
    uint64_t *e = find_entry(a->t, s, key, hash, words);
    bool is_new = e[words - 1] == 0;
    if (is_new) {
        memcpy(e, key, words * sizeof *e);
        e[words - 1] &= ~(uint64_t)WIDE; /* of the entry that is absorbed; this one has no cell yet */
        s->n++;
    }
    gp_code code = add_counters(a, e, words, c, err);
    return code == GP_OK && is_new && s->n > a->t->limit ? make_room(a, s, hash, err) : code;
}

/* Inlined once for each key width, so that key loops unroll. */
static inline __attribute__((always_inline)) gp_code add_batch(const adder *a, const uint64_t *keys,
                                                               const gp_counters *counters, size_t n,
                                                               unsigned words, gp_error *err)
{
    const size_t stride = words + COUNTER_WORDS;
    uint64_t hashes[GP_AGG_BATCH];
    for (size_t i = 0; i < n; i++) {
        hashes[i] = hash_key(a->t, keys + i * words, words);
        uint64_t *e = slots_of(segment_of(a->t, hashes[i])) + home_slot(a->t, hashes[i]) * stride;
        __builtin_prefetch(e, 1);
        __builtin_prefetch(e + stride - 1, 1); /* may lie on the next cache line */
    }
    for (size_t i = 0; i < n; i++) {
        gp_code code = add_one(a, keys + i * words, hashes[i], words, &counters[i], err);
        if (code != GP_OK)
            return code;
    }
    return GP_OK;
}

gp_code gp_agg_add_batch(gp_agg *t, gp_segpool *pool, const uint64_t *keys, const gp_counters *counters,
                         size_t n, gp_error *err)
{
    const adder a = {t, pool, false};
    gp_code code = t->dir ? GP_OK : first_segment(t, pool, err);
    if (code != GP_OK)
        return code;
    switch (t->words) {
    case 1:
        return add_batch(&a, keys, counters, n, 1, err);
    case 2:
        return add_batch(&a, keys, counters, n, 2, err);
    case 3:
        return add_batch(&a, keys, counters, n, 3, err);
    default:
        return add_batch(&a, keys, counters, n, GP_KEY_MAX_WORDS, err);
    }
}

gp_code gp_agg_add(gp_agg *t, gp_segpool *pool, const uint64_t *key, const gp_counters *c, gp_error *err)
{
    const adder a = {t, pool, false};
    gp_code code = t->dir ? GP_OK : first_segment(t, pool, err);
    return code == GP_OK ? add_one(&a, key, hash_key(t, key, t->words), t->words, c, err) : code;
}

/* ---- merging ------------------------------------------------------------------------------------------- */

/* The directory places of a partition; a directory with fewer places has one that holds more. */
static void range_of(const gp_agg *t, unsigned part, unsigned bits, size_t *from, size_t *to)
{
    if (t->depth >= bits) {
        *from = (size_t)part << (t->depth - bits);
        *to = (size_t)(part + 1) << (t->depth - bits);
    } else {
        *from = part >> (bits - t->depth);
        *to = *from + 1;
    }
}

size_t gp_agg_count(const gp_agg *t)
{
    size_t n = 0;
    for (size_t i = 0; t->dir && i < (size_t)1 << t->depth; i++)
        if (i == 0 || t->dir[i] != t->dir[i - 1])
            n += t->dir[i]->n;
    return n;
}

gp_code gp_agg_prepare(gp_agg *t, gp_segpool *pool, size_t entries, unsigned min_depth, gp_error *err)
{
    const adder a = {t, pool, false};
    unsigned depth = min_depth;
    /* A quarter full on average: uneven hashes do not fill a segment that cannot split. */
    while (depth < MAX_DEPTH && ((size_t)1 << depth) * t->limit / 4 < entries)
        depth++;
    gp_code code = t->dir ? GP_OK : first_segment(t, pool, err);
    while (code == GP_OK && t->depth < depth)
        code = double_directory(t, err);
    for (size_t i = 0; code == GP_OK && i < (size_t)1 << t->depth;) {
        if (t->dir[i]->depth < min_depth)
            code = split(&a, i, err);
        else
            i += (size_t)1 << (t->depth - t->dir[i]->depth);
    }
    return code;
}

/* 64 hashes at a time: the table that grows is larger than the caches. */
enum { ABSORB_BATCH = 64 };

typedef struct absorb_batch {
    const uint64_t *entries[ABSORB_BATCH];
    uint64_t hashes[ABSORB_BATCH];
    size_t n;
} absorb_batch;

static gp_code flush(const adder *a, absorb_batch *b, gp_error *err)
{
    unsigned words = a->t->words;
    gp_code code = GP_OK;
    for (size_t i = 0; i < b->n && code == GP_OK; i++) {
        const gp_counters c = counters_of(b->entries[i], words);
        code = add_one(a, b->entries[i], b->hashes[i], words, &c, err);
    }
    b->n = 0;
    return code;
}

static gp_code absorb_segment(const adder *a, gp_segment *s, unsigned part, unsigned bits, gp_error *err)
{
    gp_agg *t = a->t;
    const size_t stride = entry_words(t);
    const uint64_t *e = slots_of(s);
    absorb_batch batch;
    batch.n = 0;
    gp_code code = GP_OK;
    for (uint32_t i = 0; i < t->slots && code == GP_OK; i++, e += stride) {
        if (e[t->words - 1] == 0)
            continue;
        uint64_t hash = hash_key(t, e, t->words);
        if (prefix(hash, bits) != part)
            continue;
        __builtin_prefetch(slots_of(segment_of(t, hash)) + home_slot(t, hash) * stride, 1);
        batch.entries[batch.n] = e;
        batch.hashes[batch.n++] = hash;
        if (batch.n == ABSORB_BATCH)
            code = flush(a, &batch, err);
    }
    return code == GP_OK ? flush(a, &batch, err) : code;
}

gp_code gp_agg_absorb(gp_agg *t, gp_segpool *pool, const gp_agg *from, unsigned part, unsigned bits,
                      gp_error *err)
{
    const adder a = {t, pool, true};
    size_t at;
    size_t end;
    if (!from->dir)
        return GP_OK;
    range_of(from, part, bits, &at, &end);
    while (at < end) {
        gp_segment *s = from->dir[at];
        size_t span = (size_t)1 << (from->depth - s->depth);
        gp_code code = absorb_segment(&a, s, part, bits, err);
        if (code != GP_OK)
            return code;
        if (s->depth < bits) /* other partitions need it, too; this one has nothing else */
            return GP_OK;
        gp_segpool_put(pool, s);
        at += span;
    }
    return GP_OK;
}

gp_agg_iter gp_agg_entries(const gp_agg *t, unsigned part, unsigned bits)
{
    gp_agg_iter it = {.table = t};
    if (t->dir)
        range_of(t, part, bits, &it.dir_at, &it.dir_end);
    return it;
}

bool gp_agg_next(gp_agg_iter *it, const uint64_t **key, gp_counters *c)
{
    const gp_agg *t = it->table;
    while (it->dir_at < it->dir_end) {
        gp_segment *s = t->dir[it->dir_at];
        const uint64_t *e = slots_of(s) + it->slot * entry_words(t);
        for (; it->slot < t->slots; it->slot++, e += entry_words(t)) {
            if (e[t->words - 1] == 0)
                continue;
            *key = e;
            *c = counters_of(e, t->words);
            it->slot++;
            return true;
        }
        it->dir_at += (size_t)1 << (t->depth - s->depth);
        it->slot = 0;
    }
    return false;
}
