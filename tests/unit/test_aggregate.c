/* Keys and tables of the query engine against a naive oracle. */
#include "sensor/godb/aggtable.h"

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

enum { N_KEYS = 5000, N_ADDS = 40000 };

static void fill(gp_agg *t, const uint64_t *keys, gp_counters *sums, uint64_t seed)
{
    uint64_t rng = seed;
    uint64_t batch[GP_AGG_BATCH * GP_KEY_MAX_WORDS];
    uint64_t counter[GP_AGG_BATCH];
    uint32_t rows[GP_AGG_BATCH];
    for (size_t done = 0; done < N_ADDS;) {
        size_t n = next_random(&rng) % GP_AGG_BATCH + 1;
        for (size_t i = 0; i < n; i++) {
            size_t k = next_random(&rng) % N_KEYS;
            memcpy(batch + i * t->words, keys + k * t->words, t->words * sizeof *keys);
            rows[i] = (uint32_t)i;
            counter[i] = next_random(&rng) % 1000;
            sums[k].bytes_rcvd += counter[i];
            sums[k].bytes_sent += counter[i];
            sums[k].pkts_rcvd += counter[i];
            sums[k].pkts_sent += counter[i];
        }
        const gp_counter_columns c = {counter, counter, counter, counter};
        assert_int_equal(gp_agg_add_batch(t, batch, rows, n, &c, NULL), GP_OK);
        done += n;
    }
}

static void assert_sums(const gp_agg *tables, size_t n, const gp_counters *sums)
{
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        const uint64_t *key;
        gp_counters c;
        while (gp_agg_next(&tables[i], &at, &key, &c)) {
            size_t k = (size_t)(key[tables[i].words - 1] >> 8);
            assert_true(k < N_KEYS);
            assert_memory_equal(&c, &sums[k], sizeof c);
            seen++;
        }
    }
    size_t expected = 0;
    for (size_t k = 0; k < N_KEYS; k++)
        expected += sums[k].bytes_rcvd != 0;
    assert_true(seen >= expected);
    assert_true(seen <= N_KEYS);
}

static void tables_sum_and_merge(void **state)
{
    (void)state;
    static const unsigned widths[] = {1, 2, 3, 5};
    const uint64_t seed[2] = {42, 4711};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        unsigned words = widths[w];
        uint64_t *keys = calloc(N_KEYS * words, sizeof *keys);
        gp_counters *sums = calloc(N_KEYS, sizeof *sums);
        assert_non_null(keys);
        assert_non_null(sums);
        for (size_t k = 0; k < N_KEYS; k++)
            keys[k * words + words - 1] = k << 8 | 1;
        gp_agg t[2];
        gp_agg merged[4];
        for (unsigned i = 0; i < 2; i++) {
            gp_agg_init(&t[i], words, seed, NULL);
            fill(&t[i], keys, sums, i + 1);
        }
        for (unsigned p = 0; p < 4; p++) {
            gp_agg_init(&merged[p], words, seed, NULL);
            assert_int_equal(gp_agg_merge_part(&merged[p], &t[0], p, 4, NULL), GP_OK);
            assert_int_equal(gp_agg_merge_part(&merged[p], &t[1], p, 4, NULL), GP_OK);
            assert_true(merged[p].n > N_KEYS / 8);
        }
        assert_sums(merged, 4, sums);
        for (unsigned p = 0; p < 4; p++)
            gp_agg_free(&merged[p]);
        gp_agg_free(&t[0]);
        gp_agg_free(&t[1]);
        free(keys);
        free(sums);
    }
}

static void budget_is_kept(void **state)
{
    (void)state;
    const uint64_t seed[2] = {1, 2};
    gp_mem_budget budget = {.limit = 1 << 20, .pct = 7};
    gp_agg t;
    gp_agg_init(&t, 1, seed, &budget);
    gp_error err = GP_ERROR_INIT;
    gp_code code = GP_OK;
    const gp_counters one = {1, 1, 1, 1};
    uint64_t added = 0;
    while (code == GP_OK && added < 1000000) {
        uint64_t key = added << 8 | 1;
        code = gp_agg_add(&t, &key, &one, &err);
        added += code == GP_OK;
    }
    assert_int_equal(code, GP_ENOMEM);
    assert_non_null(strstr(err.msg, "more than 7% of this host's memory"));
    assert_true(budget.used <= budget.limit);
    assert_int_equal(t.n, added);
    gp_agg_free(&t);
    assert_int_equal(budget.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_round_trip),
        cmocka_unit_test(tables_sum_and_merge),
        cmocka_unit_test(budget_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
