/* Results into answers. */
#include "proto/wire/answer.h"
#include "proto/wire/places.h"
#include "proto/wire/rowcol.h"

#include <stdlib.h>
#include <string.h>

enum { N_LABELS = 3, N_ENDS = 2 };

/* A column of references into a table: of each row the place, from 1, or 0 for none. */
typedef struct writer {
    const gp_result *r;
    gp_buf *out;
    gp_places strings; /* pointers: equal strings of a result are one */
    gp_places addrs;
    uint32_t *rank;             /* of an address among the sorted ones, by its place */
    uint32_t *labels[N_LABELS]; /* iface, host, hostid */
    uint32_t *ends[N_ENDS];     /* sip, dip */
    uint64_t values[GP_ROW_GROUP];
} writer;

static writer *new_writer(const gp_result *r, gp_buf *out)
{
    writer *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->r = r;
    w->out = out;
    w->strings.size = sizeof(const char *);
    w->addrs.size = sizeof(gp_addr);
    return w;
}

static void free_writer(writer *w)
{
    for (size_t i = 0; i < N_LABELS; i++)
        free(w->labels[i]);
    for (size_t i = 0; i < N_ENDS; i++)
        free(w->ends[i]);
    free(w->rank);
    gp_places_free(&w->strings);
    gp_places_free(&w->addrs);
    free(w);
}

/* ---- tables -------------------------------------------------------------------------------------------- */

static const char *label_of(const gp_row *row, size_t which)
{
    const char *const labels[N_LABELS] = {row->iface, row->host, row->hostid};
    return labels[which];
}

static bool place_labels(writer *w, size_t which)
{
    const gp_row *rows = w->r->rows;
    uint32_t *places = w->labels[which] = calloc(w->r->n_rows, sizeof *places);
    for (size_t i = 0; places && i < w->r->n_rows; i++) {
        const char *label = label_of(&rows[i], which);
        if (i > 0 && label == label_of(&rows[i - 1], which)) {
            places[i] = places[i - 1];
        } else if (label) {
            if (!gp_places_add(&w->strings, &label, &places[i]))
                return false;
            places[i]++;
        }
    }
    return places != NULL;
}

static bool place_addrs(writer *w, size_t which)
{
    uint32_t *places = w->ends[which] = calloc(w->r->n_rows, sizeof *places);
    for (size_t i = 0; places && i < w->r->n_rows; i++) {
        const gp_addr *a = which == 0 ? &w->r->rows[i].sip : &w->r->rows[i].dip;
        if (!a->len)
            continue;
        if (!gp_places_add(&w->addrs, a, &places[i]))
            return false;
        places[i]++;
    }
    return places != NULL;
}

typedef struct placed_addr {
    gp_addr addr;
    uint32_t place;
} placed_addr;

static int by_addr(const void *a, const void *b)
{
    return gp_addr_cmp(&((const placed_addr *)a)->addr, &((const placed_addr *)b)->addr);
}

/* Sorted addresses are close to each other, and take few bits. */
static placed_addr *sort_addrs(writer *w)
{
    size_t n = w->addrs.n;
    placed_addr *sorted = malloc((n ? n : 1) * sizeof *sorted);
    w->rank = malloc((n + 1) * sizeof *w->rank);
    if (!sorted || !w->rank) {
        free(sorted);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(&sorted[i].addr, w->addrs.keys + i * sizeof(gp_addr), sizeof(gp_addr));
        sorted[i].place = (uint32_t)i;
    }
    qsort(sorted, n, sizeof *sorted, by_addr);
    w->rank[0] = 0;
    for (size_t i = 0; i < n; i++)
        w->rank[sorted[i].place + 1] = (uint32_t)i + 1;
    return sorted;
}

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* Bytes [from, from + len) of addresses as a column, a group at a time. */
static void write_addr_part(writer *w, const placed_addr *addrs, size_t n, size_t from, size_t len)
{
    for (size_t at = 0; at < n; at += GP_ROW_GROUP) {
        size_t count = n - at < GP_ROW_GROUP ? n - at : GP_ROW_GROUP;
        for (size_t i = 0; i < count; i++)
            w->values[i] = big_endian(addrs[at + i].addr.bytes + from, len);
        gp_intcol_write(w->out, w->values, count);
    }
}

static bool write_addrs(writer *w)
{
    placed_addr *sorted = sort_addrs(w);
    if (!sorted)
        return false;
    size_t v4 = 0;
    while (v4 < w->addrs.n && sorted[v4].addr.len == 4)
        v4++;
    size_t v6 = w->addrs.n - v4;
    gp_varint_write(w->out, v4);
    gp_varint_write(w->out, v6);
    write_addr_part(w, sorted, v4, 0, 4);
    write_addr_part(w, sorted + v4, v6, 0, 8);
    write_addr_part(w, sorted + v4, v6, 8, 8);
    free(sorted);
    return true;
}

static void write_strings(writer *w)
{
    gp_varint_write(w->out, w->strings.n);
    for (size_t i = 0; i < w->strings.n; i++) {
        const char *s;
        memcpy(&s, w->strings.keys + i * sizeof s, sizeof s);
        size_t len = strlen(s);
        gp_varint_write(w->out, len);
        gp_buf_add(w->out, s, len);
    }
}

static bool write_tables(writer *w)
{
    for (size_t i = 0; i < N_LABELS; i++)
        if (!place_labels(w, i))
            return false;
    for (size_t i = 0; i < N_ENDS; i++)
        if (!place_addrs(w, i))
            return false;
    write_strings(w);
    return write_addrs(w);
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

static uint64_t value_of(const writer *w, size_t i, gp_rowcol col)
{
    const gp_row *row = &w->r->rows[i];
    switch (col) {
    case GP_ROWCOL_TS:
        return (uint64_t)row->ts;
    case GP_ROWCOL_IFACE:
    case GP_ROWCOL_HOST:
    case GP_ROWCOL_HOSTID:
        return w->labels[col - GP_ROWCOL_IFACE][i];
    case GP_ROWCOL_SIP:
    case GP_ROWCOL_DIP:
        return w->rank[w->ends[col - GP_ROWCOL_SIP][i]];
    case GP_ROWCOL_DPORT:
        return row->dport;
    case GP_ROWCOL_PROTO:
        return row->proto;
    case GP_ROWCOL_BYTES_RCVD:
        return row->c.bytes_rcvd;
    case GP_ROWCOL_BYTES_SENT:
        return row->c.bytes_sent;
    case GP_ROWCOL_PKTS_RCVD:
        return row->c.pkts_rcvd;
    case GP_ROWCOL_PKTS_SENT:
        return row->c.pkts_sent;
    case GP_ROWCOL_COUNT:
        break;
    }
    return 0;
}

static void write_group(writer *w, size_t at, size_t count)
{
    for (gp_rowcol col = 0; col < GP_ROWCOL_COUNT; col++) {
        for (size_t i = 0; i < count; i++)
            w->values[i] = value_of(w, at + i, col);
        gp_intcol_write(w->out, w->values, count);
    }
}

static void write_head(writer *w)
{
    gp_buf json = GP_BUF_INIT;
    gp_result head = *w->r; /* borrowed, but for the rows */
    head.rows = NULL;
    head.n_rows = 0;
    gp_result_to_json(&head, &json);
    gp_varint_write(w->out, json.len);
    gp_buf_add(w->out, json.data, json.len);
    w->out->failed |= json.failed;
    gp_buf_free(&json);
}

gp_code gp_answer_write(const gp_result *r, gp_buf *out, gp_error *err)
{
    writer *w = new_writer(r, out);
    bool ok = w != NULL;
    if (ok) {
        write_head(w);
        gp_varint_write(out, r->n_rows);
    }
    if (ok && r->n_rows)
        ok = write_tables(w);
    for (size_t at = 0; ok && at < r->n_rows; at += GP_ROW_GROUP)
        write_group(w, at, r->n_rows - at < GP_ROW_GROUP ? r->n_rows - at : GP_ROW_GROUP);
    if (w)
        free_writer(w);
    return ok && !out->failed ? GP_OK
                              : gp_fail(err, GP_ENOMEM, "out of memory for an answer of %zu rows", r->n_rows);
}
