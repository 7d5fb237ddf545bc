#include "sensor/godb/flowsort.h"

#include "sensor/godb/bigendian.h"

#include <stdlib.h>
#include <string.h>

enum {
    RADIX = 256,
    KEY_BYTES = 8,
    V4_WORDS = 2,
    V6_WORDS = 5,
    FEW = 64 /* rows that are sorted sooner by insertion */
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

/*
 * Service and packet counts, 40 bits. They descend where the source address is odd: of neighbouring hosts one
 * ends with the services that the next one begins with, so that runs go on.
 */
static uint64_t look(const gp_flow *f)
{
    const uint64_t all = (UINT64_C(1) << 40) - 1;
    const uint64_t odd = f->sip.bytes[f->sip.len - 1] & 1;
    return (service(f) << 16 | packets(f)) ^ (odd ? all : 0);
}

/* The key of a flow in words, the least significant first. */
static uint64_t key_v4(const gp_flow *f, unsigned word)
{
    if (word == 0)
        return (look(f) & UINT16_MAX) << 32 | gp_load_be64(f->dip.bytes) >> 32;
    return gp_load_be64(f->sip.bytes) >> 32 << 24 | look(f) >> 16;
}

static uint64_t key_v6(const gp_flow *f, unsigned word)
{
    switch (word) {
    case 0:
        return gp_load_be64(f->dip.bytes + 8);
    case 1:
        return gp_load_be64(f->dip.bytes);
    case 2:
        return look(f);
    case 3:
        return gp_load_be64(f->sip.bytes + 8);
    default:
        return gp_load_be64(f->sip.bytes);
    }
}

/* How many keys have each value of each of their bytes. */
typedef struct histogram {
    uint32_t count[KEY_BYTES][RADIX];
} histogram;

static void count_bytes(histogram *h, const gp_flowsort_row *rows, size_t n)
{
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < n; i++)
        for (unsigned byte = 0; byte < KEY_BYTES; byte++)
            h->count[byte][rows[i].key >> 8 * byte & (RADIX - 1)]++;
}

/* One stable pass: orders rows by one byte of their key, into spare. `next` has how many there are of each
 * value. */
static void pass(const gp_flowsort_row *rows, gp_flowsort_row *spare, size_t n, unsigned byte, uint32_t *next)
{
    uint32_t sum = 0;
    for (unsigned d = 0; d < RADIX; d++) {
        uint32_t count = next[d];
        next[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        spare[next[rows[i].key >> 8 * byte & (RADIX - 1)]++] = rows[i];
}

static void radix_sort(gp_flowsort_row *rows, gp_flowsort_row *spare, size_t n)
{
    histogram h;
    gp_flowsort_row *from = rows;
    gp_flowsort_row *to = spare;
    count_bytes(&h, rows, n);
    for (unsigned byte = 0; byte < KEY_BYTES; byte++) {
        if (h.count[byte][rows[0].key >> 8 * byte & (RADIX - 1)] == n)
            continue; /* all are equal there */
        pass(from, to, n, byte, h.count[byte]);
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

/* Flows of one family, and the words of their keys. */
typedef struct family {
    const gp_flow *flows;
    uint64_t (*key)(const gp_flow *f, unsigned word);
    gp_flowsort_row *spare;
} family;

/* Sorts rows whose keys are equal above this word: by it, and what is equal then by those below. */
static void sort_rows(const family *f, gp_flowsort_row *rows, size_t n, unsigned word)
{
    for (size_t i = 0; i < n; i++)
        rows[i].key = f->key(&f->flows[rows[i].row], word);
    if (n <= FEW)
        insertion_sort(rows, n);
    else
        radix_sort(rows, f->spare, n);
    for (size_t i = 0, end = 0; word > 0 && i < n; i = end) {
        for (end = i + 1; end < n && rows[end].key == rows[i].key;)
            end++;
        if (end - i > 1)
            sort_rows(f, rows + i, end - i, word - 1);
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

static void sort_family(gp_flowsort *s, gp_flow *flows, size_t n, uint64_t (*key)(const gp_flow *, unsigned),
                        unsigned words)
{
    const family f = {flows, key, s->spare};
    for (size_t i = 0; i < n; i++)
        s->rows[i].row = (uint32_t)i;
    if (n > 1)
        sort_rows(&f, s->rows, n, words - 1);
    apply(s, flows, n);
}

/* Moves IPv4 flows to the front; returns their number. */
static size_t split_families(gp_flow *flows, size_t n)
{
    size_t front = 0;
    size_t back = n;
    while (front < back) {
        if (flows[front].sip.len == 4) {
            front++;
            continue;
        }
        gp_flow t = flows[--back];
        flows[back] = flows[front];
        flows[front] = t;
    }
    return front;
}

gp_code gp_flowsort_run(gp_flowsort *s, gp_flow *flows, size_t n, gp_error *err)
{
    gp_code code = reserve(s, n, err);
    if (code != GP_OK)
        return code;
    size_t n_v4 = split_families(flows, n);
    sort_family(s, flows, n_v4, key_v4, V4_WORDS);
    sort_family(s, flows + n_v4, n - n_v4, key_v6, V6_WORDS);
    return GP_OK;
}
