#include "sensor/godb/flowsort.h"

#include "sensor/godb/bigendian.h"

#include <stdlib.h>
#include <string.h>

enum { RADIX = 256, KEY_BYTES = 8, V4_WORDS = 2, V6_WORDS = 5 };

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

/* One stable pass: orders rows by the byte of their key at `shift`, into spare. */
static void pass(const gp_flowsort_row *rows, gp_flowsort_row *spare, size_t n, unsigned shift)
{
    uint32_t start[RADIX] = {0};
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        start[rows[i].key >> shift & (RADIX - 1)]++;
    for (unsigned d = 0; d < RADIX; d++) {
        uint32_t count = start[d];
        start[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        spare[start[rows[i].key >> shift & (RADIX - 1)]++] = rows[i];
}

static void sort_by_key(gp_flowsort *s, size_t n)
{
    uint64_t differ = 0;
    for (size_t i = 1; i < n; i++)
        differ |= s->rows[i].key ^ s->rows[0].key;
    for (unsigned shift = 0; shift < 8 * KEY_BYTES; shift += 8) {
        if ((differ >> shift & (RADIX - 1)) == 0)
            continue;
        pass(s->rows, s->spare, n, shift);
        gp_flowsort_row *t = s->rows;
        s->rows = s->spare;
        s->spare = t;
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
    for (size_t i = 0; i < n; i++)
        s->rows[i].row = (uint32_t)i;
    for (unsigned word = 0; word < words; word++) {
        for (size_t i = 0; i < n; i++)
            s->rows[i].key = key(&flows[s->rows[i].row], word);
        sort_by_key(s, n);
    }
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
