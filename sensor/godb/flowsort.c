#include "sensor/godb/flowsort.h"

#include "sensor/godb/bigendian.h"

#include <stdlib.h>
#include <string.h>

enum {
    RADIX = 256,
    KEY_BYTES = 8,
    FEW = 64,      /* rows that are sorted sooner by insertion */
    V4_SOURCE = 1, /* words of keys that are the source address */
    V4_WORDS = 3,
    V6_SOURCE = 2,
    V6_WORDS = 6
};

void gp_flowsort_free(gp_flowsort *s)
{
    free(s->rows);
    free(s->spare);
    *s = (gp_flowsort){0};
}

static gp_code reserve(gp_flowsort *s, size_t n, gp_error *err)
{
    if (n <= s->cap)
        return GP_OK;
    gp_flowsort_free(s);
    s->rows = malloc(n * sizeof *s->rows);
    s->spare = malloc(n * sizeof *s->spare);
    if (!s->rows || !s->spare) {
        gp_flowsort_free(s);
        return gp_fail(err, GP_ENOMEM, "out of memory for sorting %zu flows", n);
    }
    s->cap = n;
    return GP_OK;
}

/* Packets count only as far as a byte goes: enough to bring like to like. */
static uint64_t low_count(uint64_t packets)
{
    return packets > UINT8_MAX ? UINT8_MAX : packets;
}

static uint64_t service(const gp_flow *f)
{
    return (uint64_t)f->proto << 16 | f->dport;
}

static uint64_t packets(const gp_flow *f)
{
    return low_count(f->c.pkts_sent) << 8 | low_count(f->c.pkts_rcvd);
}

/* The key of a flow in words, the most significant first. */
static uint64_t key_v4(const gp_flow *f, unsigned word)
{
    switch (word) {
    case 0:
        return gp_load_be64(f->sip.bytes) >> 32;
    case 1:
        return service(f);
    default:
        return packets(f) << 32 | gp_load_be64(f->dip.bytes) >> 32;
    }
}

static uint64_t key_v6(const gp_flow *f, unsigned word)
{
    switch (word) {
    case 0:
        return gp_load_be64(f->sip.bytes);
    case 1:
        return gp_load_be64(f->sip.bytes + 8);
    case 2:
        return service(f);
    case 3:
        return packets(f);
    case 4:
        return gp_load_be64(f->dip.bytes);
    default:
        return gp_load_be64(f->dip.bytes + 8);
    }
}

/* ---- one word ------------------------------------------------------------------------------------------ */

static unsigned digit(uint64_t key, unsigned byte)
{
    return (unsigned)(key >> 8 * byte) & (RADIX - 1);
}

/* One stable pass: orders rows by one byte of their key, into `to`. `next` has how many there are of each
 * value. */
static void pass(const gp_flowsort_row *from, gp_flowsort_row *to, size_t n, unsigned byte, uint32_t *next)
{
    uint32_t sum = 0;
    for (unsigned d = 0; d < RADIX; d++) {
        uint32_t count = next[d];
        next[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        to[next[digit(from[i].key, byte)]++] = from[i];
}

/* Keys are below 256^bytes. */
static void radix_sort(gp_flowsort_row *rows, gp_flowsort_row *spare, size_t n, unsigned bytes)
{
    uint32_t count[KEY_BYTES][RADIX];
    gp_flowsort_row *from = rows;
    gp_flowsort_row *to = spare;
    memset(count, 0, bytes * sizeof count[0]);
    for (size_t i = 0; i < n; i++)
        for (unsigned byte = 0; byte < bytes; byte++)
            count[byte][digit(rows[i].key, byte)]++;
    for (unsigned byte = 0; byte < bytes; byte++) {
        if (count[byte][digit(rows[0].key, byte)] == n)
            continue; /* all keys have the same */
        pass(from, to, n, byte, count[byte]);
        gp_flowsort_row *t = from;
        from = to;
        to = t;
    }
    if (from != rows)
        memcpy(rows, from, n * sizeof *rows);
}

static void insertion_sort(gp_flowsort_row *rows, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const gp_flowsort_row row = rows[i];
        size_t at = i;
        for (; at > 0 && rows[at - 1].key > row.key; at--)
            rows[at] = rows[at - 1];
        rows[at] = row;
    }
}

static void reverse(gp_flowsort_row *rows, size_t n)
{
    for (size_t i = 0, end = n; i + 1 < end; i++) {
        const gp_flowsort_row row = rows[i];
        rows[i] = rows[--end];
        rows[end] = row;
    }
}

/* ---- all words ----------------------------------------------------------------------------------------- */

/* Flows, of which those of one family are sorted. */
typedef struct family {
    const gp_flow *flows;
    gp_flowsort_row *spare;
    uint64_t (*key)(const gp_flow *f, unsigned word);
    unsigned n_source, n_words;
} family;

static unsigned bytes_of(uint64_t bits)
{
    return bits ? (71 - (unsigned)__builtin_clzll(bits)) / 8 : 0;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* By one word of their keys; downwards if that begins nearer to where the row before them left off. */
static void sort_by_word(const family *f, gp_flowsort_row *rows, size_t n, unsigned word,
                         const gp_flow *before)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= rows[i].key = f->key(&f->flows[rows[i].row], word);
    if (n <= FEW)
        insertion_sort(rows, n);
    else
        radix_sort(rows, f->spare, n, bytes_of(bits));
    if (!before || word < f->n_source)
        return;
    const uint64_t left_off = f->key(before, word);
    if (distance(left_off, rows[n - 1].key) < distance(left_off, rows[0].key))
        reverse(rows, n);
}

/* Sorts rows whose keys are equal before this word: by it, and those that are equal then by the next ones. */
static void sort_rows(const family *f, gp_flowsort_row *rows, size_t n, unsigned word, const gp_flow *before)
{
    sort_by_word(f, rows, n, word, before);
    if (word + 1 == f->n_words)
        return;
    for (size_t i = 0, end = 0; i < n; i = end) {
        for (end = i + 1; end < n && rows[end].key == rows[i].key;)
            end++;
        if (end - i > 1)
            sort_rows(f, rows + i, end - i, word + 1, i > 0 ? &f->flows[rows[i - 1].row] : before);
    }
}

/* Moves every flow to its place: rows[i].row is where the flow of place i lies now. */
static void apply(const gp_flowsort *s, gp_flow *flows, size_t n)
{
    gp_flowsort_row *rows = s->rows;
    for (size_t first = 0; first < n; first++) {
        if (rows[first].row == first)
            continue;
        gp_flow held = flows[first];
        size_t hole = first;
        for (size_t from = rows[hole].row; from != first; from = rows[hole].row) {
            flows[hole] = flows[from];
            rows[hole].row = (uint32_t)hole;
            hole = from;
        }
        flows[hole] = held;
        rows[hole].row = (uint32_t)hole;
    }
}

/* The rows of IPv4 flows, then those of IPv6 flows; returns the number of the former. */
static size_t list_rows(const gp_flow *flows, size_t n, gp_flowsort_row *rows)
{
    size_t n_v4 = 0;
    size_t v6 = n;
    for (size_t i = 0; i < n; i++)
        rows[flows[i].sip.len == 4 ? n_v4++ : --v6].row = (uint32_t)i;
    return n_v4;
}

gp_code gp_flowsort_run(gp_flowsort *s, gp_flow *flows, size_t n, gp_error *err)
{
    gp_code code = reserve(s, n, err);
    if (code != GP_OK)
        return code;
    const family v4 = {flows, s->spare, key_v4, V4_SOURCE, V4_WORDS};
    const family v6 = {flows, s->spare, key_v6, V6_SOURCE, V6_WORDS};
    const size_t n_v4 = list_rows(flows, n, s->rows);
    if (n_v4 > 0)
        sort_rows(&v4, s->rows, n_v4, 0, NULL);
    if (n_v4 < n)
        sort_rows(&v6, s->rows + n_v4, n - n_v4, 0, NULL);
    apply(s, flows, n);
    return GP_OK;
}
