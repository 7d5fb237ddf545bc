/* Keys and tables of the query engine against a naive oracle. */
#include "sensor/godb/dense.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 16;
}

static gp_flow random_flow(uint64_t *rng, bool v6)
{
    gp_flow f = {.sip.len = v6 ? 16 : 4, .dip.len = v6 ? 16 : 4};
    for (size_t i = 0; i < f.sip.len; i++) {
        f.sip.bytes[i] = (uint8_t)(next_random(rng) % 3);
        f.dip.bytes[i] = (uint8_t)(next_random(rng) % 3 + 250);
    }
    f.dport = (uint16_t)next_random(rng);
    f.proto = (uint8_t)next_random(rng);
    f.c = (gp_counters){next_random(rng), next_random(rng), next_random(rng), next_random(rng)};
    return f;
}

static const char *const query_types[] = {
    "time",
    "iface",
    "proto",
    "dport",
    "dport,proto",
    "sip",
    "dip",
    "sip,dip",
    "sip,dport",
    "dip,proto",
    "sip,dip,dport",
    "sip,time",
    "dip,dport,time",
    "time,dport",
    "sip,dip,dport,proto",
    "sip,dip,dport,proto,time",
};

static void keys_round_trip(void **state)
{
    (void)state;
    uint64_t rng = 1;
    for (size_t t = 0; t < sizeof query_types / sizeof query_types[0]; t++) {
        gp_query_type type;
        assert_int_equal(gp_query_type_parse(query_types[t], &type, NULL), GP_OK);
        for (int i = 0; i < 64; i++) {
            gp_keyspec spec = gp_keyspec_make(&type, i & 1);
            gp_flow f = random_flow(&rng, i & 1);
            uint64_t key[GP_KEY_MAX_WORDS];
            gp_row row = {0};
            gp_key_pack_flow(&spec, &f, 4000000000u, key);
            assert_int_equal(key[spec.words - 1] & 0xff, 1);
            gp_key_unpack(&spec, key, &row);
            const gp_addr none = {0};
            const gp_addr *sip = type.attr_mask & GP_ATTR_SIP ? &f.sip : &none;
            const gp_addr *dip = type.attr_mask & GP_ATTR_DIP ? &f.dip : &none;
            assert_memory_equal(&row.sip, sip, sizeof row.sip);
            assert_memory_equal(&row.dip, dip, sizeof row.dip);
            assert_int_equal(row.dport, type.attr_mask & GP_ATTR_DPORT ? f.dport : 0);
            assert_int_equal(row.proto, type.attr_mask & GP_ATTR_PROTO ? f.proto : 0);
            assert_int_equal(row.ts, type.label_mask & GP_LABEL_TIME ? 4000000000 : 0);
        }
    }
}

enum { N_KEYS = 50000, N_ADDS = 400000 };

/* A key of this width whose number is k. */
static void make_key(uint64_t *key, unsigned words, uint64_t k)
{
    memset(key, 0, words * sizeof *key);
    key[0] = words > 1 ? k * 7 : 0;
    key[words - 1] = k << 8 | 1;
}

static void fill(gp_agg *t, gp_segpool *pool, gp_counters *sums, uint64_t seed)
{
    uint64_t rng = seed;
    uint64_t batch[GP_AGG_BATCH * GP_KEY_MAX_WORDS];
    gp_counters counters[GP_AGG_BATCH];
    for (size_t done = 0; done < N_ADDS;) {
        size_t n = next_random(&rng) % GP_AGG_BATCH + 1;
        for (size_t i = 0; i < n; i++) {
            size_t k = next_random(&rng) % N_KEYS;
            uint64_t v = next_random(&rng) % 1000;
            make_key(batch + i * t->words, t->words, k);
            counters[i] = (gp_counters){v, v + 1, v + 2, v + 3};
            gp_counters_add(&sums[k], &counters[i]);
        }
        assert_int_equal(gp_agg_add_batch(t, pool, batch, counters, n, NULL), GP_OK);
        done += n;
    }
}

/* Every key exactly once over all partitions, with its sum. */
static void assert_sums(const gp_agg *t, unsigned bits, const gp_counters *sums)
{
    size_t seen = 0;
    uint8_t *found = calloc(N_KEYS, 1);
    assert_non_null(found);
    for (unsigned part = 0; part < 1u << bits; part++) {
        gp_agg_iter it = gp_agg_entries(t, part, bits);
        const uint64_t *key;
        gp_counters c;
        while (gp_agg_next(&it, &key, &c)) {
            size_t k = (size_t)(key[t->words - 1] >> 8);
            uint64_t expected[GP_KEY_MAX_WORDS];
            assert_true(k < N_KEYS);
            make_key(expected, t->words, k);
            assert_memory_equal(key, expected, t->words * sizeof *key);
            assert_memory_equal(&c, &sums[k], sizeof c);
            assert_int_equal(found[k], 0);
            found[k] = 1;
            seen++;
        }
    }
    free(found);
    assert_int_equal(seen, gp_agg_count(t));
    assert_true(seen > N_KEYS * 9 / 10); /* of 400,000 draws */
}

static void tables_sum_and_merge(void **state)
{
    (void)state;
    static const struct {
        unsigned words, bits;
    } cases[] = {{1, 0}, {1, 6}, {2, 3}, {3, 6}, {5, 1}, {5, 6}};
    const uint64_t seed[2] = {42, 4711};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned bits = cases[i].bits;
        gp_mem_budget budget = {.limit = UINT64_MAX};
        gp_counters *sums = calloc(N_KEYS, sizeof *sums);
        gp_segpool *pool[2];
        gp_agg t[3];
        assert_non_null(sums);
        for (unsigned k = 0; k < 3; k++)
            gp_agg_init(&t[k], cases[i].words, seed);
        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(gp_segpool_new(&pool[k], &budget, NULL), GP_OK);
            fill(&t[k], pool[k], sums, k + 1);
        }
        /* t[2] stays empty: merging into and from an empty table works, too. */
        gp_agg *base = i % 2 ? &t[2] : &t[0];
        size_t entries = gp_agg_count(&t[0]) + gp_agg_count(&t[1]);
        assert_int_equal(gp_agg_prepare(base, pool[0], entries, bits, NULL), GP_OK);
        for (unsigned part = 0; part < 1u << bits; part++)
            for (unsigned k = 0; k < 3; k++)
                if (&t[k] != base)
                    assert_int_equal(gp_agg_absorb(base, pool[1], &t[k], part, bits, NULL), GP_OK);
        assert_sums(base, bits, sums);
        for (unsigned k = 0; k < 3; k++)
            gp_agg_free(&t[k]);
        gp_segpool_free(pool[0]);
        gp_segpool_free(pool[1]);
        assert_int_equal(budget.used, 0);
        free(sums);
    }
}

static void budget_is_kept(void **state)
{
    (void)state;
    const uint64_t seed[2] = {1, 2};
    gp_mem_budget budget = {.limit = 1 << 20, .pct = 7};
    gp_segpool *pool = NULL;
    gp_agg t;
    assert_int_equal(gp_segpool_new(&pool, &budget, NULL), GP_OK);
    gp_agg_init(&t, 1, seed);
    gp_error err = GP_ERROR_INIT;
    gp_code code = GP_OK;
    const gp_counters one = {1, 1, 1, 1};
    uint64_t added = 0;
    while (code == GP_OK && added < 1000000) {
        uint64_t key = added << 8 | 1;
        code = gp_agg_add(&t, pool, &key, &one, &err);
        added += code == GP_OK;
    }
    assert_int_equal(code, GP_ENOMEM);
    assert_non_null(strstr(err.msg, "more than 7% of this host's memory"));
    assert_int_equal(budget.used, budget.limit); /* all of it was usable */
    assert_true(added > (1 << 20) / 40 / 3);
    gp_agg_free(&t);
    gp_segpool_free(pool);
    assert_int_equal(budget.used, 0);
}

/* What one table gives back the next one gets, zeroed, and no more memory is taken for it. */
static void segments_are_reused(void **state)
{
    (void)state;
    gp_mem_budget budget = {.limit = UINT64_MAX};
    gp_segpool *pool = NULL;
    void *s[20];
    assert_int_equal(gp_segpool_new(&pool, &budget, NULL), GP_OK);
    uint64_t used = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 20; i++) {
            assert_int_equal(gp_segpool_get(pool, &s[i], NULL), GP_OK);
            const uint8_t *bytes = s[i];
            for (size_t b = 0; b < GP_SEGMENT_SIZE; b += 97)
                assert_int_equal(bytes[b], 0);
            memset(s[i], 0xa5, GP_SEGMENT_SIZE);
        }
        used = used ? used : budget.used;
        assert_int_equal(budget.used, used);
        for (unsigned i = 0; i < 20; i++)
            gp_segpool_put(pool, s[i]);
    }
    gp_segpool_free(pool);
    assert_int_equal(budget.used, 0);
}

/* Sums on both sides of 32 bits, in tables that split and are merged. */
static void counters_outgrow_32_bits(void **state)
{
    enum { KEYS = 6000, ADDS = 60000 };
    static const uint64_t steps[] = {1, UINT32_MAX / 3, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(5) << 40};
    (void)state;
    const uint64_t seed[2] = {3, 4};
    gp_mem_budget budget = {.limit = UINT64_MAX};
    gp_segpool *pool = NULL;
    gp_agg t[2];
    gp_counters *sums = calloc(KEYS, sizeof *sums);
    uint64_t rng = 8;
    assert_non_null(sums);
    assert_int_equal(gp_segpool_new(&pool, &budget, NULL), GP_OK);
    gp_agg_init(&t[0], 2, seed);
    gp_agg_init(&t[1], 2, seed);
    for (unsigned i = 0; i < ADDS; i++) {
        size_t k = next_random(&rng) % KEYS;
        const gp_counters c = {steps[next_random(&rng) % 5], i, steps[k % 5], k % 5 == 4};
        uint64_t key[2];
        make_key(key, 2, k);
        gp_counters_add(&sums[k], &c);
        assert_int_equal(gp_agg_add(&t[i % 2], pool, key, &c, NULL), GP_OK);
    }
    assert_int_equal(gp_agg_prepare(&t[0], pool, KEYS, 2, NULL), GP_OK);
    for (unsigned part = 0; part < 4; part++)
        assert_int_equal(gp_agg_absorb(&t[0], pool, &t[1], part, 2, NULL), GP_OK);
    size_t seen = 0;
    const uint64_t *key;
    gp_counters c;
    for (gp_agg_iter it = gp_agg_entries(&t[0], 0, 0); gp_agg_next(&it, &key, &c); seen++)
        assert_memory_equal(&c, &sums[key[1] >> 8], sizeof c);
    size_t touched = 0;
    for (size_t k = 0; k < KEYS; k++)
        touched += sums[k].bytes_rcvd > 0;
    assert_int_equal(seen, touched);
    gp_agg_free(&t[0]);
    gp_agg_free(&t[1]);
    gp_segpool_free(pool);
    free(sums);
}

/* Every width, every place in a vector, with and without gaps: against one value at a time. */
static void counter_columns_are_read_as_they_were_packed(void **state)
{
    enum { N = 61 };
    (void)state;
    uint64_t rng = 77;
    for (unsigned round = 0; round < 400; round++) {
        uint64_t values[4][N];
        uint8_t *packed[4];
        gp_counter_columns cols;
        for (unsigned k = 0; k < 4; k++) {
            unsigned bits = 8 * (unsigned)(next_random(&rng) % 8 + 1);
            uint64_t most = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
            for (unsigned i = 0; i < N; i++)
                values[k][i] = next_random(&rng) % 4 ? (next_random(&rng) * next_random(&rng)) & most : 0;
            values[k][0] = most;
            size_t len = gp_bitpack_size(N, most);
            packed[k] = malloc(len + GP_PACKED_SLACK); /* not one byte more */
            assert_non_null(packed[k]);
            assert_int_equal(gp_bitpack(values[k], sizeof **values, N, most, packed[k]), len);
            cols.col[k] = gp_packed(packed[k]);
        }
        size_t first = next_random(&rng) % 5;
        uint32_t rows[N];
        gp_counters loaded[N];
        gp_counters added[3] = {{0}};
        gp_counters *to[N];
        size_t n = 0;
        for (uint32_t r = 0; r < N - first; r++)
            if (round % 2 || next_random(&rng) % 3)
                rows[n++] = r;
        gp_counters_load(&cols, first, rows, n, loaded);
        gp_counters want[3] = {{0}};
        gp_counters sum = {0};
        bool idle = false;
        for (size_t i = 0; i < n; i++) {
            size_t r = first + rows[i];
            const gp_counters c = {values[0][r], values[1][r], values[2][r], values[3][r]};
            assert_memory_equal(&loaded[i], &c, sizeof c);
            to[i] = &added[i % 3];
            gp_counters_add(&want[i % 3], &c);
            gp_counters_add(&sum, &c);
            idle |= (c.pkts_rcvd | c.pkts_sent) == 0;
        }
        assert_int_equal(gp_counters_scatter(&cols, first, rows, n, to), idle);
        assert_memory_equal(added, want, sizeof want);
        if (n == N - first) {
            const gp_counters got = gp_counters_sum(&cols, first, n);
            assert_memory_equal(&got, &sum, sizeof sum);
        }
        for (unsigned k = 0; k < 4; k++)
            free(packed[k]);
    }
}

static void equal_neighbours_are_added_up(void **state)
{
    enum { N = 200 };
    (void)state;
    uint64_t rng = 5;
    for (unsigned words = 1; words <= GP_KEY_MAX_WORDS; words += words == 3 ? 2 : 1) {
        uint64_t keys[N * GP_KEY_MAX_WORDS];
        uint64_t before[N];
        gp_counters sums[N];
        gp_counters total = {0};
        gp_counters after = {0};
        size_t runs = 0;
        for (size_t i = 0; i < N; i++) {
            uint64_t k = i && next_random(&rng) % 3 ? before[i - 1] : next_random(&rng) % 50;
            before[i] = k;
            runs += i == 0 || before[i - 1] != k;
            make_key(keys + i * words, words, k);
            sums[i] = (gp_counters){next_random(&rng), 1, 2, k};
            gp_counters_add(&total, &sums[i]);
        }
        size_t n = gp_counters_combine(keys, words, sums, N);
        assert_int_equal(n, runs);
        for (size_t i = 0; i < n; i++) {
            gp_counters_add(&after, &sums[i]);
            assert_int_equal(sums[i].pkts_sent, sums[i].bytes_sent * (keys[i * words + words - 1] >> 8));
        }
        assert_memory_equal(&after, &total, sizeof total);
    }
}

static void queries_share_a_budget(void **state)
{
    (void)state;
    gp_mem_budget all = {.limit = 100 << 20};
    gp_mem_budget one = {.parent = &all, .limit = 60 << 20, .pct = 60};
    gp_mem_budget two = {.parent = &all, .limit = 60 << 20, .pct = 60};
    gp_error err = GP_ERROR_INIT;
    assert_false(gp_mem_take(&one, 61 << 20));
    assert_int_equal(gp_mem_fail(&one, &err), GP_ENOMEM);
    assert_non_null(strstr(err.msg, "60%"));
    assert_true(gp_mem_take(&one, 60 << 20));
    assert_false(gp_mem_take(&two, 60 << 20));
    assert_true(gp_mem_take(&two, 40 << 20));
    assert_false(gp_mem_take(&two, 1));
    assert_int_equal(gp_mem_fail(&two, &err), GP_ENOMEM);
    assert_non_null(strstr(err.msg, "together"));
    gp_mem_give(&one, 60 << 20);
    assert_true(gp_mem_take(&two, 20 << 20));
    gp_mem_give(&two, 60 << 20);
    assert_int_equal(atomic_load(&all.used), 0);
}

static void dense_tables_have_a_place_for_all(void **state)
{
    (void)state;
    gp_mem_budget budget = {.limit = UINT64_MAX};
    gp_segpool *pool = NULL;
    gp_dense *a = calloc(1, sizeof *a);
    gp_dense *b = calloc(1, sizeof *b);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(gp_segpool_new(&pool, &budget, NULL), GP_OK);
    static const uint64_t keys[] = {1, 1 | 255 << 8, UINT64_C(65535) << 16 | 1,
                                    UINT64_C(65535) << 16 | 255 << 8 | 1, 443 << 16 | 6 << 8 | 1};
    enum { N = sizeof keys / sizeof keys[0] };
    for (unsigned i = 0; i < N; i++) {
        const gp_counters c = {0, 0, 0, i + 1};
        assert_int_equal(gp_dense_key(gp_dense_place(keys[i])), keys[i]);
        const uint32_t place = gp_dense_place(keys[i]);
        const uint32_t other = gp_dense_place(keys[N - 1 - i]);
        gp_counters *to = NULL;
        assert_int_equal(gp_dense_find(a, pool, &place, 1, &to, NULL), GP_OK);
        gp_counters_add(to, &c);
        assert_int_equal(gp_dense_find(b, pool, &other, 1, &to, NULL), GP_OK);
        gp_counters_add(to, &c);
    }
    assert_int_equal(gp_dense_merge(a, pool, b, NULL), GP_OK);
    unsigned seen = 0;
    const gp_counters *c;
    for (uint32_t place = 0; (c = gp_dense_next(a, &place));) {
        assert_ptr_equal(c, gp_dense_at(a, place - 1));
        assert_int_equal(c->pkts_sent, N + 1);
        assert_int_equal(c->bytes_rcvd, 0);
        seen++;
    }
    assert_int_equal(seen, N);
    assert_null(gp_dense_at(a, 4711));
    gp_segpool_free(pool);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_round_trip),
        cmocka_unit_test(tables_sum_and_merge),
        cmocka_unit_test(counters_outgrow_32_bits),
        cmocka_unit_test(queries_share_a_budget),
        cmocka_unit_test(counter_columns_are_read_as_they_were_packed),
        cmocka_unit_test(equal_neighbours_are_added_up),
        cmocka_unit_test(budget_is_kept),
        cmocka_unit_test(segments_are_reused),
        cmocka_unit_test(dense_tables_have_a_place_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
