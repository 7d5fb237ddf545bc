#include "proto/result/result.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static int cmp_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int cmp_str(const char *a, const char *b)
{
    if (a == b)
        return 0;
    return strcmp(a ? a : "", b ? b : "");
}

/* Little-endian, so that hosts of both byte orders agree. */
static size_t put_number(unsigned char *at, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(v >> (8 * i));
    return bytes;
}

static size_t put_addr(unsigned char *at, const gp_addr *a)
{
    at[0] = a->len;
    memcpy(at + 1, a->bytes, sizeof a->bytes);
    return 1 + sizeof a->bytes;
}

uint64_t gp_row_fingerprint(const gp_row *r)
{
    unsigned char key[64];
    size_t n = put_number(key, (uint64_t)r->ts, 8);
    n += put_addr(key + n, &r->sip);
    n += put_addr(key + n, &r->dip);
    n += put_number(key + n, r->dport, 2);
    n += put_number(key + n, r->proto, 1);
    uint64_t h = XXH3_64bits(key, n);
    const char *labels[] = {r->iface, r->host, r->hostid};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
        h = labels[i] ? XXH3_64bits_withSeed(labels[i], strlen(labels[i]), h + i + 1) : h;
    return h;
}

int gp_row_cmp_key(const gp_row *a, const gp_row *b)
{
    int c = gp_addr_cmp(&a->sip, &b->sip);
    if (c == 0)
        c = gp_addr_cmp(&a->dip, &b->dip);
    if (c == 0)
        c = (a->proto > b->proto) - (a->proto < b->proto);
    if (c == 0)
        c = (a->dport > b->dport) - (a->dport < b->dport);
    if (c == 0)
        c = (a->ts > b->ts) - (a->ts < b->ts);
    if (c == 0)
        c = cmp_str(a->host, b->host);
    if (c == 0)
        c = cmp_str(a->iface, b->iface);
    return c ? c : cmp_str(a->hostid, b->hostid);
}

typedef struct order {
    gp_sort by;
    gp_direction dir;
    bool ascending;
} order;

uint64_t gp_row_value(const gp_row *r, gp_sort by, gp_direction dir)
{
    uint64_t in = by == GP_SORT_PACKETS ? r->c.pkts_rcvd : r->c.bytes_rcvd;
    uint64_t out = by == GP_SORT_PACKETS ? r->c.pkts_sent : r->c.bytes_sent;
    if (dir == GP_DIR_IN)
        return in;
    return dir == GP_DIR_OUT ? out : in + out;
}

static uint64_t value_of(const order *o, const gp_row *r)
{
    return gp_row_value(r, o->by, o->dir);
}

static int compare(const void *pa, const void *pb, void *ctx)
{
    const gp_row *a = pa;
    const gp_row *b = pb;
    const order *o = ctx;
    int c =
        o->by == GP_SORT_TIME ? (a->ts > b->ts) - (a->ts < b->ts) : cmp_u64(value_of(o, a), value_of(o, b));
    if (c == 0)
        c = gp_row_cmp_key(a, b);
    return o->ascending ? c : -c;
}

static void swap_rows(gp_row *a, gp_row *b)
{
    gp_row t = *a;
    *a = *b;
    *b = t;
}

/* Median of three to the front as pivot: sorted input, the common bad case, splits evenly. */
static void choose_pivot(gp_row *rows, size_t n, order *o)
{
    gp_row *a = &rows[0];
    gp_row *b = &rows[n / 2];
    gp_row *c = &rows[n - 1];
    if (compare(b, a, o) < 0)
        swap_rows(a, b);
    if (compare(c, a, o) < 0)
        swap_rows(a, c);
    if (compare(c, b, o) < 0)
        swap_rows(b, c);
    swap_rows(a, b);
}

/* Hoare's selection: afterwards the first `limit` rows are the smallest, in no order. */
static void select_first(gp_row *rows, size_t n, size_t limit, order *o)
{
    while (n > 16 && limit > 0 && limit < n) {
        choose_pivot(rows, n, o);
        const gp_row pivot = rows[0];
        size_t i = 0;
        size_t j = n;
        for (;;) {
            while (compare(&rows[++i], &pivot, o) < 0 && i + 1 < n)
                ;
            while (compare(&rows[--j], &pivot, o) > 0)
                ;
            if (i >= j)
                break;
            swap_rows(&rows[i], &rows[j]);
        }
        swap_rows(&rows[0], &rows[j]);
        if (limit <= j) {
            n = j;
        } else {
            rows += j + 1;
            n -= j + 1;
            limit -= j + 1;
        }
    }
    if (limit > 0 && limit < n)
        qsort_r(rows, n, sizeof *rows, compare, o);
}

void gp_result_sort(gp_result *r, gp_sort by, gp_direction dir, bool ascending, uint64_t limit)
{
    order o = {by, dir, ascending};
    if (limit && limit < r->n_rows) {
        select_first(r->rows, r->n_rows, (size_t)limit, &o);
        r->n_rows = (size_t)limit;
    }
    if (r->n_rows > 1)
        qsort_r(r->rows, r->n_rows, sizeof *r->rows, compare, &o);
}
