/* The first rows of a fleet against brute force, on random fleets: every order, hosts of v4 among them, hosts
 * that are lost in any round, that change meanwhile, and that lie. */
#include "global-query/topk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- hosts that answer as sensors do ------------------------------------------------------------------- */

typedef struct sim_host {
    gp_result all;   /* every row it has, in order */
    bool narrows;    /* false: as v4 */
    bool never_cuts; /* as sensors of v4; its aggregators do */
    bool lost;
} sim_host;

typedef struct sim_fleet {
    gp_stmt stmt;
    sim_host *hosts;
    size_t n;
    uint64_t bytes; /* of what hosts were sent and sent */
    unsigned rounds;
} sim_fleet;

static void set_totals(gp_result *r)
{
    r->totals = (gp_counters){0};
    for (size_t i = 0; i < r->n_rows; i++)
        gp_counters_add(&r->totals, &r->rows[i].c);
    r->hits_total = r->n_rows;
    r->data_available = true;
}

/* Keys of a common pool, with a skew: few are on most hosts and large, most are on one and small. */
static void fill_host(sim_fleet *f, size_t i, size_t rows, size_t keys, bool labels, uint64_t *seed)
{
    gp_merge *m;
    gp_result one;
    char name[32];
    snprintf(name, sizeof name, "host%zu", i);
    assert_int_equal(gp_merge_new(&m, NULL), GP_OK);
    gp_result_init(&one);
    assert_int_equal(gp_result_reserve_rows(&one, rows, NULL), GP_OK);
    for (size_t k = 0; k < rows; k++) {
        uint64_t r = next_random(seed);
        uint64_t key = (r % keys) * ((r >> 32) % keys) / keys;
        uint64_t v = 40 + next_random(seed) % (UINT64_C(1) << (next_random(seed) % 30));
        one.rows[one.n_rows++] =
            (gp_row){.sip = gp_addr_from_bytes(
                         (const uint8_t[]){10, (uint8_t)(key >> 16), (uint8_t)(key >> 8), (uint8_t)key}, 4),
                     .ts = f->stmt.type.label_mask & GP_LABEL_TIME ? 1000 + (int64_t)(key % 7) * 300 : 0,
                     .iface = gp_result_intern(&one, r >> 60 ? "eth0" : "eth1"),
                     .host = labels ? gp_result_intern(&one, name) : NULL,
                     .c = {v, v / 3 + r % 5, v / 100 + 1, v / 200 + r % 2}};
    }
    assert_int_equal(gp_merge_add(m, &one, NULL), GP_OK);
    gp_merge_take(m, &f->hosts[i].all);
    gp_merge_free(m);
    gp_result_free(&one);
    set_totals(&f->hosts[i].all);
    gp_result_sort(&f->hosts[i].all, f->stmt.sort_by, f->stmt.direction, f->stmt.sort_ascending, 0);
    gp_result_set_host(&f->hosts[i].all, name, GP_STATUS_OK, NULL, NULL);
}

static void answer(sim_fleet *f, size_t i, const gp_topk_ask *ask, gp_result *out)
{
    const sim_host *h = &f->hosts[i];
    const gp_narrow *n = &ask->narrow;
    gp_buf wire = GP_BUF_INIT;
    uint64_t seen = 0;
    if (!h->narrows)
        assert_false(gp_narrow_any(n));
    gp_result_init(out);
    assert_int_equal(gp_result_reserve_rows(out, h->all.n_rows, NULL), GP_OK);
    bool cuts = h->narrows || !h->never_cuts;
    for (size_t k = 0; k < h->all.n_rows && (!cuts || out->n_rows < ask->num_results); k++) {
        gp_row row = h->all.rows[k];
        if (h->narrows && f->stmt.sum_hosts)
            row.host = NULL;
        if (gp_row_value(&row, f->stmt.sort_by, f->stmt.direction) < n->min_value ||
            (n->only && !gp_narrow_has(n, gp_row_fingerprint(&row))) || seen++ < n->skip)
            continue;
        row.iface = gp_result_intern(out, row.iface);
        row.host = gp_result_intern(out, row.host);
        out->rows[out->n_rows++] = row;
    }
    out->totals = h->all.totals;
    out->hits_total = h->all.hits_total;
    out->data_available = true;
    out->has_digest = n->digest;
    out->digest = n->digest ? calloc(h->all.n_rows + 1, sizeof *out->digest) : NULL;
    for (size_t k = 0; n->digest && k < h->all.n_rows; k++) {
        gp_row row = h->all.rows[k];
        row.host = f->stmt.sum_hosts ? NULL : row.host;
        out->digest[out->n_digest++] = gp_row_fingerprint(&row);
    }
    out->narrows = h->narrows;
    gp_result_to_json(out, &wire);
    f->bytes += wire.len + n->n_only * 11;
    gp_buf_free(&wire);
}

static void assert_same_rows(const gp_result *got, const gp_result *want)
{
    assert_int_equal(got->n_rows, want->n_rows);
    for (size_t i = 0; i < got->n_rows; i++) {
        assert_int_equal(gp_row_cmp_key(&got->rows[i], &want->rows[i]), 0);
        assert_memory_equal(&got->rows[i].c, &want->rows[i].c, sizeof(gp_counters));
    }
}

static void check(sim_fleet *f, const gp_result *got)
{
    gp_merge *m;
    gp_result want;
    assert_int_equal(gp_merge_new(&m, NULL), GP_OK);
    for (size_t i = 0; i < f->n; i++) {
        gp_result all = f->hosts[i].all;
        if (f->hosts[i].lost)
            continue;
        gp_row *rows = malloc((all.n_rows + 1) * sizeof *rows);
        assert_non_null(rows);
        if (all.n_rows)
            memcpy(rows, all.rows, all.n_rows * sizeof *rows);
        for (size_t k = 0; f->stmt.sum_hosts && k < all.n_rows; k++)
            rows[k].host = NULL;
        all.rows = rows;
        assert_int_equal(gp_merge_add(m, &all, NULL), GP_OK);
        free(rows);
    }
    gp_merge_take(m, &want);
    gp_merge_free(m);
    gp_result_sort(&want, f->stmt.sort_by, f->stmt.direction, f->stmt.sort_ascending, f->stmt.num_results);
    assert_same_rows(got, &want);
    assert_int_equal(got->hits_total, want.hits_total);
    assert_memory_equal(&got->totals, &want.totals, sizeof(gp_counters));
    gp_result_free(&want);
}

/* What happens to hosts while they are asked. */
typedef struct trouble {
    unsigned lost_of_100;
    unsigned changed_of_100;
    uint64_t seed;
} trouble;

static void run(sim_fleet *f, trouble *tr, gp_result *out)
{
    gp_topk *t = NULL;
    gp_error err = GP_ERROR_INIT;
    size_t n = 0;
    assert_int_equal(gp_topk_new(&t, &f->stmt, f->n, 0, &err), GP_OK);
    for (f->rounds = 0;; f->rounds++) {
        if (gp_topk_next(t, &n, &err) != GP_OK)
            fail_msg("%s", err.msg);
        if (n == 0)
            break;
        assert_true(f->rounds < 50);
        for (size_t i = 0; i < f->n; i++) {
            const gp_topk_ask *ask = gp_topk_ask_of(t, i);
            gp_result r;
            if (!ask)
                continue;
            if (next_random(&tr->seed) % 100 < tr->lost_of_100) {
                f->hosts[i].lost = true;
                gp_topk_lose(t, i);
                continue;
            }
            if (next_random(&tr->seed) % 100 < tr->changed_of_100 && f->hosts[i].all.n_rows) {
                f->hosts[i].all.rows[0].c.bytes_rcvd += 1000;
                set_totals(&f->hosts[i].all);
                gp_result_sort(&f->hosts[i].all, f->stmt.sort_by, f->stmt.direction, f->stmt.sort_ascending,
                               0);
            }
            answer(f, i, ask, &r);
            if (gp_topk_add(t, i, &r, &err) != GP_OK)
                fail_msg("%s", err.msg);
            gp_result_free(&r);
        }
    }
    if (gp_topk_result(t, f->stmt.num_results, out, &err) != GP_OK)
        fail_msg("%s", err.msg);
    gp_topk_free(t);
}

static void open_fleet(sim_fleet *f, const gp_stmt *stmt, size_t hosts)
{
    *f = (sim_fleet){.stmt = *stmt, .n = hosts};
    f->hosts = calloc(hosts, sizeof *f->hosts);
    assert_non_null(f->hosts);
}

static void close_fleet(sim_fleet *f)
{
    for (size_t i = 0; i < f->n; i++)
        gp_result_free(&f->hosts[i].all);
    free(f->hosts);
}

/* ---- the property -------------------------------------------------------------------------------------- */

static void try_one(uint64_t seed)
{
    static const gp_sort sorts[] = {GP_SORT_BYTES, GP_SORT_PACKETS, GP_SORT_BYTES, GP_SORT_TIME};
    static const gp_direction directions[] = {GP_DIR_SUM, GP_DIR_IN, GP_DIR_OUT, GP_DIR_BOTH};
    sim_fleet f;
    gp_result got;
    uint64_t s = seed * 2654435761u + 1;
    gp_stmt stmt = {.num_results = 1 + next_random(&s) % 60,
                    .sort_by = sorts[next_random(&s) % 4],
                    .direction = directions[next_random(&s) % 4],
                    .sort_ascending = next_random(&s) % 8 == 0,
                    .live = next_random(&s) % 16 == 0,
                    .sum_hosts = next_random(&s) % 4 != 0,
                    .bin_size = GP_DB_WRITE_INTERVAL};
    if (stmt.sort_by == GP_SORT_TIME)
        stmt.type.label_mask = GP_LABEL_TIME;
    bool labels = next_random(&s) % 4 != 0;
    unsigned v4_of_8 = next_random(&s) % 3 == 0 ? 3 : 0;
    trouble tr = {.lost_of_100 = next_random(&s) % 3 == 0 ? 20 : 0,
                  .changed_of_100 = next_random(&s) % 4 == 0 ? 10 : 0,
                  .seed = s};
    open_fleet(&f, &stmt, 1 + next_random(&s) % 25);
    size_t keys = 200 + next_random(&s) % 6000;
    for (size_t i = 0; i < f.n; i++) {
        f.hosts[i].narrows = next_random(&s) % 8 >= v4_of_8;
        f.hosts[i].never_cuts = next_random(&s) % 2;
        fill_host(&f, i, next_random(&s) % 3000, keys, labels, &s);
    }
    run(&f, &tr, &got);
    check(&f, &got);
    gp_result_free(&got);
    close_fleet(&f);
}

static void the_first_rows_are_those_of_brute_force(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        try_one(seed);
    }
}

/* ---- what it costs ------------------------------------------------------------------------------------- */

/* The naive way that is exact: every host sends all of its rows. */
static uint64_t naive_bytes(const sim_fleet *f)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < f->n; i++) {
        gp_buf wire = GP_BUF_INIT;
        gp_result_to_json(&f->hosts[i].all, &wire);
        bytes += wire.len;
        gp_buf_free(&wire);
    }
    return bytes;
}

static void fewer_bytes_than_complete_lists(void **state)
{
    (void)state;
    static const struct {
        size_t hosts, rows, keys;
        uint64_t num_results;
        unsigned at_least; /* times fewer */
    } cases[] = {{20, 20000, 400000, 10, 4}, {20, 20000, 40000, 100, 3}, {100, 3000, 200000, 10, 2}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        sim_fleet f;
        gp_result got;
        uint64_t s = c + 99;
        gp_stmt stmt = {
            .num_results = cases[c].num_results, .sum_hosts = true, .bin_size = GP_DB_WRITE_INTERVAL};
        open_fleet(&f, &stmt, cases[c].hosts);
        for (size_t i = 0; i < f.n; i++) {
            f.hosts[i].narrows = true;
            fill_host(&f, i, cases[c].rows, cases[c].keys, true, &s);
        }
        run(&f, &(trouble){.seed = 1}, &got);
        check(&f, &got);
        uint64_t naive = naive_bytes(&f);
        print_message("top %llu of %zu hosts x %zu rows: %u rounds, %llu of %llu bytes (%.1f times fewer)\n",
                      (unsigned long long)cases[c].num_results, f.n, cases[c].rows, f.rounds,
                      (unsigned long long)f.bytes, (unsigned long long)naive,
                      (double)naive / (double)f.bytes);
        assert_true(f.bytes * cases[c].at_least < naive);
        gp_result_free(&got);
        close_fleet(&f);
    }
}

/* ---- hosts that lie ------------------------------------------------------------------------------------ */

typedef enum lie { TOO_MANY_ROWS, SMALL_ROWS, NO_DIGEST, NOT_ALL_ROWS } lie;

static void tell(lie l, size_t i, const gp_topk_ask *ask, gp_result *r)
{
    if (i != 1)
        return;
    if (l == TOO_MANY_ROWS && ask->num_results < 100) {
        assert_int_equal(gp_result_reserve_rows(r, 100, NULL), GP_OK);
        for (r->n_rows = 0; r->n_rows < 100; r->n_rows++)
            r->rows[r->n_rows] = (gp_row){.dport = (uint16_t)r->n_rows, .c = {5, 5, 5, 5}};
    }
    if (l == SMALL_ROWS && ask->narrow.min_value) {
        assert_int_equal(gp_result_reserve_rows(r, 1, NULL), GP_OK);
        r->rows[0] = (gp_row){.dport = 1, .c = {1, 0, 0, 0}};
        r->n_rows = 1;
    }
    if (l == NO_DIGEST) {
        free(r->digest);
        r->digest = NULL;
        r->n_digest = 0;
        r->has_digest = false;
    }
    if (l == NOT_ALL_ROWS && ask->narrow.skip && !ask->narrow.min_value)
        r->n_rows /= 2;
}

static void a_lying_host_is_lost_alone(void **state)
{
    (void)state;
    for (lie l = TOO_MANY_ROWS; l <= NOT_ALL_ROWS; l++) {
        sim_fleet f;
        gp_topk *t = NULL;
        gp_result got;
        gp_error err = GP_ERROR_INIT;
        uint64_t s = 7;
        size_t n = 0;
        gp_stmt stmt = {.num_results = 10, .sum_hosts = true, .bin_size = GP_DB_WRITE_INTERVAL};
        open_fleet(&f, &stmt, 4);
        for (size_t i = 0; i < f.n; i++) {
            f.hosts[i].narrows = true;
            fill_host(&f, i, l == NOT_ALL_ROWS ? 100 : 20000, 40000, true, &s);
        }
        assert_int_equal(gp_topk_new(&t, &stmt, f.n, 0, NULL), GP_OK);
        while (gp_topk_next(t, &n, NULL) == GP_OK && n > 0) {
            for (size_t i = 0; i < f.n; i++) {
                const gp_topk_ask *ask = gp_topk_ask_of(t, i);
                gp_result r;
                if (!ask)
                    continue;
                answer(&f, i, ask, &r);
                tell(l, i, ask, &r);
                if (gp_topk_add(t, i, &r, &err) != GP_OK) {
                    assert_int_equal(i, 1);
                    f.hosts[i].lost = true;
                }
                gp_result_free(&r);
            }
        }
        assert_true(f.hosts[1].lost);
        assert_null(gp_topk_summary(t, 1));
        assert_int_equal(gp_topk_result(t, 10, &got, NULL), GP_OK);
        check(&f, &got);
        gp_result_free(&got);
        gp_topk_free(t);
        close_fleet(&f);
    }
}

static void memory_is_bounded(void **state)
{
    (void)state;
    sim_fleet f;
    gp_topk *t = NULL;
    gp_result r;
    gp_error err = GP_ERROR_INIT;
    uint64_t s = 3;
    size_t n;
    gp_stmt stmt = {.num_results = 1000000, .sum_hosts = true, .bin_size = GP_DB_WRITE_INTERVAL};
    open_fleet(&f, &stmt, 1);
    fill_host(&f, 0, 50000, 400000, true, &s);
    assert_int_equal(gp_topk_new(&t, &stmt, 1, 1 << 20, NULL), GP_OK);
    assert_int_equal(gp_topk_next(t, &n, NULL), GP_OK);
    answer(&f, 0, gp_topk_ask_of(t, 0), &r);
    assert_int_equal(gp_topk_add(t, 0, &r, &err), GP_ELIMIT);
    assert_non_null(strstr(err.msg, "1 MiB"));
    gp_result_free(&r);
    gp_topk_free(t);
    close_fleet(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rows_are_those_of_brute_force),
        cmocka_unit_test(fewer_bytes_than_complete_lists),
        cmocka_unit_test(a_lying_host_is_lost_alone),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
