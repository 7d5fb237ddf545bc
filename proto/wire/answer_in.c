/* Answers into results. */
#include "proto/result/strpool.h"
#include "proto/wire/answer.h"
#include "proto/wire/rowcol.h"

#include <stdlib.h>
#include <string.h>

typedef struct answer {
    gp_wire_reader in;
    gp_result *r;
    const char **strings; /* interned in the result */
    uint64_t n_strings;
    gp_addr *addrs;
    uint64_t n_addrs;
    uint64_t values[GP_ROW_GROUP];
} answer;

static gp_code damaged(gp_error *err, const char *what)
{
    return gp_fail(err, GP_ECORRUPT, "the answer is damaged: %s", what);
}

/* ---- head ---------------------------------------------------------------------------------------------- */

static gp_code read_head(answer *a, gp_error *err)
{
    gp_error why = GP_ERROR_INIT;
    uint64_t len = gp_varint_read(&a->in);
    const uint8_t *json = gp_wire_take(&a->in, len);
    if (!json)
        return damaged(err, "it ends within the summary");
    gp_code rc = gp_result_from_json((const char *)json, (size_t)len, 1, a->r, &why);
    if (rc == GP_EINVAL || rc == GP_ELIMIT || a->r->n_rows)
        return damaged(err, a->r->n_rows ? "its summary has rows" : why.msg);
    return rc == GP_OK ? GP_OK : gp_fail(err, rc, "%s", why.msg);
}

/* ---- tables -------------------------------------------------------------------------------------------- */

static gp_code read_strings(answer *a, gp_error *err)
{
    uint64_t n = gp_varint_read(&a->in);
    if (a->in.bad || n > gp_wire_left(&a->in)) /* each takes a byte at least */
        return damaged(err, "it has no table of names");
    if (!a->r->pool)
        a->r->pool = gp_strpool_new();
    a->strings = calloc((size_t)n + 1, sizeof *a->strings);
    if (!a->r->pool || !a->strings)
        return gp_fail(err, GP_ENOMEM, "out of memory for the names of an answer");
    for (; a->n_strings < n; a->n_strings++) {
        uint64_t len = gp_varint_read(&a->in);
        const char *s = (const char *)gp_wire_take(&a->in, len);
        if (!s || memchr(s, '\0', (size_t)len))
            return damaged(err, "a name is none");
        const char *copy = gp_strpool_add(a->r->pool, s, (size_t)len);
        if (!copy)
            return gp_fail(err, GP_ENOMEM, "out of memory for the names of an answer");
        a->strings[a->n_strings + 1] = copy; /* [0]: none */
    }
    return GP_OK;
}

/* Bytes [from, from + len) of n addresses. */
static bool read_addr_part(answer *a, gp_addr *addrs, size_t n, size_t from, size_t len)
{
    for (size_t at = 0; at < n; at += GP_ROW_GROUP) {
        size_t count = n - at < GP_ROW_GROUP ? n - at : GP_ROW_GROUP;
        if (!gp_intcol_read(&a->in, a->values, count))
            return false;
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < len; k++)
                addrs[at + i].bytes[from + k] = (uint8_t)(a->values[i] >> 8 * (len - 1 - k));
    }
    return true;
}

/* No more addresses than two a row: that bounds their memory by that of the rows. */
static gp_code read_addrs(answer *a, uint64_t n_rows, gp_error *err)
{
    uint64_t v4 = gp_varint_read(&a->in);
    uint64_t v6 = gp_varint_read(&a->in);
    if (a->in.bad || v4 > n_rows * 2 || v6 > n_rows * 2 - v4)
        return damaged(err, "it has more addresses than its rows can name");
    a->n_addrs = v4 + v6;
    a->addrs = calloc((size_t)a->n_addrs + 1, sizeof *a->addrs);
    if (!a->addrs)
        return gp_fail(err, GP_ENOMEM, "out of memory for the addresses of an answer");
    for (uint64_t i = 1; i <= a->n_addrs; i++) /* [0]: none */
        a->addrs[i].len = i <= v4 ? 4 : 16;
    gp_addr *six = a->addrs + 1 + v4;
    if (!read_addr_part(a, a->addrs + 1, (size_t)v4, 0, 4) || !read_addr_part(a, six, (size_t)v6, 0, 8) ||
        !read_addr_part(a, six, (size_t)v6, 8, 8))
        return damaged(err, "its table of addresses is broken");
    return GP_OK;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

/* The greatest value that a column may hold. */
static uint64_t limit_of(const answer *a, gp_rowcol col)
{
    switch (col) {
    case GP_ROWCOL_IFACE:
    case GP_ROWCOL_HOST:
    case GP_ROWCOL_HOSTID:
        return a->n_strings;
    case GP_ROWCOL_SIP:
    case GP_ROWCOL_DIP:
        return a->n_addrs;
    case GP_ROWCOL_DPORT:
        return UINT16_MAX;
    case GP_ROWCOL_PROTO:
        return UINT8_MAX;
    default:
        return UINT64_MAX;
    }
}

static bool within(const uint64_t *v, size_t n, uint64_t limit)
{
    uint64_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = v[i] > most ? v[i] : most;
    return most <= limit;
}

static void set_value(const answer *a, gp_row *row, gp_rowcol col, uint64_t v)
{
    switch (col) {
    case GP_ROWCOL_TS:
        row->ts = (int64_t)v;
        break;
    case GP_ROWCOL_IFACE:
        row->iface = a->strings[v];
        break;
    case GP_ROWCOL_HOST:
        row->host = a->strings[v];
        break;
    case GP_ROWCOL_HOSTID:
        row->hostid = a->strings[v];
        break;
    case GP_ROWCOL_SIP:
        row->sip = a->addrs[v];
        break;
    case GP_ROWCOL_DIP:
        row->dip = a->addrs[v];
        break;
    case GP_ROWCOL_DPORT:
        row->dport = (uint16_t)v;
        break;
    case GP_ROWCOL_PROTO:
        row->proto = (uint8_t)v;
        break;
    case GP_ROWCOL_BYTES_RCVD:
        row->c.bytes_rcvd = v;
        break;
    case GP_ROWCOL_BYTES_SENT:
        row->c.bytes_sent = v;
        break;
    case GP_ROWCOL_PKTS_RCVD:
        row->c.pkts_rcvd = v;
        break;
    case GP_ROWCOL_PKTS_SENT:
        row->c.pkts_sent = v;
        break;
    case GP_ROWCOL_COUNT:
        break;
    }
}

static gp_code read_group(answer *a, gp_row *rows, size_t n, gp_error *err)
{
    for (gp_rowcol col = 0; col < GP_ROWCOL_COUNT; col++) {
        if (!gp_intcol_read(&a->in, a->values, n))
            return damaged(err, "it ends within its rows");
        if (!within(a->values, n, limit_of(a, col)))
            return damaged(err, "a row holds a value that is out of range");
        for (size_t i = 0; i < n; i++)
            set_value(a, &rows[i], col, a->values[i]);
    }
    return GP_OK;
}

/* Memory is taken as rows are read, so that rows that are not there cost nothing. */
static gp_code make_room(gp_result *r, size_t more, uint64_t total, gp_error *err)
{
    if (r->n_rows + more <= r->cap_rows)
        return GP_OK;
    uint64_t cap = (uint64_t)r->cap_rows * 2;
    if (cap < r->n_rows + more)
        cap = r->n_rows + more;
    return gp_result_reserve_rows(r, (size_t)(cap < total ? cap : total), err);
}

static gp_code read_rows(answer *a, uint64_t total, gp_error *err)
{
    gp_result *r = a->r;
    gp_code rc = GP_OK;
    while (r->n_rows < total && rc == GP_OK) {
        uint64_t left = total - r->n_rows;
        size_t count = left < GP_ROW_GROUP ? (size_t)left : GP_ROW_GROUP;
        rc = make_room(r, count, total, err);
        if (rc == GP_OK)
            rc = read_group(a, r->rows + r->n_rows, count, err);
        if (rc == GP_OK)
            r->n_rows += count;
    }
    return rc;
}

static gp_code check_limits(uint64_t n, const gp_answer_limits *l, gp_error *err)
{
    if (l->max_rows && n > l->max_rows)
        return gp_fail(err, GP_ELIMIT, "the answer has more than the %llu rows that are accepted",
                       (unsigned long long)l->max_rows);
    uint64_t most = (l->max_bytes ? l->max_bytes : SIZE_MAX / 4) / sizeof(gp_row);
    if (n > most)
        return gp_fail(err, GP_ELIMIT, "the %llu rows of the answer are larger than the %zu bytes accepted",
                       (unsigned long long)n, l->max_bytes);
    return GP_OK;
}

static gp_code read_all(answer *a, const gp_answer_limits *limits, gp_error *err)
{
    gp_code rc = read_head(a, err);
    uint64_t n = rc == GP_OK ? gp_varint_read(&a->in) : 0;
    if (rc == GP_OK && a->in.bad)
        rc = damaged(err, "it does not say how many rows it has");
    if (rc == GP_OK)
        rc = check_limits(n, limits, err);
    if (rc == GP_OK && n)
        rc = read_strings(a, err);
    if (rc == GP_OK && n)
        rc = read_addrs(a, n, err);
    if (rc == GP_OK)
        rc = read_rows(a, n, err);
    if (rc == GP_OK && gp_wire_left(&a->in))
        rc = damaged(err, "something follows it");
    return rc;
}

gp_code gp_answer_read(const void *body, size_t len, const gp_answer_limits *limits, gp_result *out,
                       gp_error *err)
{
    gp_result_init(out);
    answer *a = malloc(sizeof *a);
    if (!a)
        return gp_fail(err, GP_ENOMEM, "out of memory for an answer");
    a->in = (gp_wire_reader){.at = body, .end = (const uint8_t *)body + len};
    a->r = out;
    a->strings = NULL;
    a->addrs = NULL;
    a->n_strings = a->n_addrs = 0;
    gp_code rc = read_all(a, limits, err);
    free(a->strings);
    free(a->addrs);
    free(a);
    if (rc != GP_OK)
        gp_result_free(out);
    return rc;
}
