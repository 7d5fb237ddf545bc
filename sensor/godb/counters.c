#include "sensor/godb/counters.h"

#include <string.h>

enum { COLUMNS = 4, MAX_WORDS = 5 }; /* of a key; widths are 1, 2, 3 and 5 */
_Static_assert(sizeof(gp_counters) == COLUMNS * sizeof(uint64_t), "counters are four words side by side");

/* ---- portable ------------------------------------------------------------------------------------------ */

static inline gp_counters counters_at(const gp_counter_columns *c, size_t row)
{
    return (gp_counters){gp_packed_at(&c->col[0], row), gp_packed_at(&c->col[1], row),
                         gp_packed_at(&c->col[2], row), gp_packed_at(&c->col[3], row)};
}

static void load_plain(const gp_counter_columns *c, size_t first, const uint32_t *rows, size_t n,
                       gp_counters *out)
{
    const gp_counter_columns cols = *c; /* a copy that no store below can change */
    for (size_t i = 0; i < n; i++)
        out[i] = counters_at(&cols, first + rows[i]);
}

static bool scatter_plain(const gp_counter_columns *c, size_t first, const uint32_t *rows, size_t n,
                          gp_counters *const *to)
{
    const gp_counter_columns cols = *c;
    bool idle = false;
    for (size_t i = 0; i < n; i++) {
        const gp_counters add = counters_at(&cols, first + rows[i]);
        idle |= (add.pkts_rcvd | add.pkts_sent) == 0;
        gp_counters_accumulate(to[i], &add);
    }
    return idle;
}

static uint64_t sum_plain(const gp_packed_column *c, size_t first, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += gp_packed_at(c, first + i);
    return sum;
}

/* ---- AVX2 ---------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

static bool have_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

static bool without_gaps(const uint32_t *rows, size_t n)
{
    return n > 0 && rows[n - 1] - rows[0] == n - 1;
}

/* Two values of a width side by side become two words, in each half of a vector: by width. */
#define Z 0x80 /* a zero */
static const uint8_t spreads[9][16] = {
    {0},
    {0, Z, Z, Z, Z, Z, Z, Z, 1, Z, Z, Z, Z, Z, Z, Z},
    {0, 1, Z, Z, Z, Z, Z, Z, 2, 3, Z, Z, Z, Z, Z, Z},
    {0, 1, 2, Z, Z, Z, Z, Z, 3, 4, 5, Z, Z, Z, Z, Z},
    {0, 1, 2, 3, Z, Z, Z, Z, 4, 5, 6, 7, Z, Z, Z, Z},
    {0, 1, 2, 3, 4, Z, Z, Z, 5, 6, 7, 8, 9, Z, Z, Z},
    {0, 1, 2, 3, 4, 5, Z, Z, 6, 7, 8, 9, 10, 11, Z, Z},
    {0, 1, 2, 3, 4, 5, 6, Z, 7, 8, 9, 10, 11, 12, 13, Z},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};
#undef Z

AVX2 static inline __m256i spreading(unsigned width)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)spreads[width]));
}

/* Four values. Reads 16 bytes from the first and from the third on: GP_PACKED_SLACK covers them. */
AVX2 static inline __m256i load4(const uint8_t *p, unsigned width, __m256i spread)
{
    __m128i low = _mm_loadu_si128((const __m128i *)p);
    __m128i high = _mm_loadu_si128((const __m128i *)(p + (size_t)2 * width));
    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), spread);
}

/* A place in each of the columns. */
typedef struct cursor {
    const uint8_t *at[COLUMNS];
    unsigned width[COLUMNS];
    __m256i spread[COLUMNS];
} cursor;

AVX2 static inline cursor cursor_at(const gp_counter_columns *c, size_t row)
{
    cursor cur;
    for (unsigned k = 0; k < COLUMNS; k++) {
        cur.width[k] = c->col[k].width;
        cur.at[k] = c->col[k].values + row * cur.width[k];
        cur.spread[k] = spreading(cur.width[k]);
    }
    return cur;
}

/* The next four rows, the counters of each in one vector. Lanes of *idle become all ones for rows without any
 * packet. */
AVX2 static inline void next_rows(cursor *cur, __m256i rows[4], __m256i *idle)
{
    __m256i v[COLUMNS];
    for (unsigned k = 0; k < COLUMNS; k++) {
        v[k] = load4(cur->at[k], cur->width[k], cur->spread[k]);
        cur->at[k] += (size_t)4 * cur->width[k];
    }
    __m256i pkts = _mm256_or_si256(v[2], v[3]);
    *idle = _mm256_or_si256(*idle, _mm256_cmpeq_epi64(pkts, _mm256_setzero_si256()));
    /* From four rows of each column to four columns of each row. */
    __m256i bytes02 = _mm256_unpacklo_epi64(v[0], v[1]);
    __m256i bytes13 = _mm256_unpackhi_epi64(v[0], v[1]);
    __m256i pkts02 = _mm256_unpacklo_epi64(v[2], v[3]);
    __m256i pkts13 = _mm256_unpackhi_epi64(v[2], v[3]);
    rows[0] = _mm256_permute2x128_si256(bytes02, pkts02, 0x20);
    rows[1] = _mm256_permute2x128_si256(bytes13, pkts13, 0x20);
    rows[2] = _mm256_permute2x128_si256(bytes02, pkts02, 0x31);
    rows[3] = _mm256_permute2x128_si256(bytes13, pkts13, 0x31);
}

AVX2 static void load_avx2(const gp_counter_columns *c, size_t first, const uint32_t *rows, size_t n,
                           gp_counters *out)
{
    cursor cur = cursor_at(c, first + rows[0]);
    __m256i idle = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256i v[4];
        next_rows(&cur, v, &idle);
        for (unsigned k = 0; k < 4; k++)
            _mm256_storeu_si256((__m256i *)(void *)(out + i + k), v[k]);
    }
    load_plain(c, first, rows + i, n - i, out + i);
}

AVX2 static bool scatter_avx2(const gp_counter_columns *c, size_t first, const uint32_t *rows, size_t n,
                              gp_counters *const *to)
{
    cursor cur = cursor_at(c, first + rows[0]);
    __m256i idle = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m256i v[4];
        next_rows(&cur, v, &idle);
        for (unsigned k = 0; k < 4; k++) {
            __m256i *sum = (__m256i *)(void *)to[i + k];
            _mm256_storeu_si256(sum, _mm256_add_epi64(_mm256_loadu_si256(sum), v[k]));
        }
    }
    bool rest = scatter_plain(c, first, rows + i, n - i, to + i);
    return rest || !_mm256_testz_si256(idle, idle);
}

AVX2 static uint64_t sum_avx2(const gp_packed_column *c, size_t first, size_t n)
{
    const uint8_t *p = c->values + first * c->width;
    const __m256i spread = spreading(c->width);
    __m256i even = _mm256_setzero_si256();
    __m256i odd = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= n; i += 8, p += (size_t)8 * c->width) {
        even = _mm256_add_epi64(even, load4(p, c->width, spread));
        odd = _mm256_add_epi64(odd, load4(p + (size_t)4 * c->width, c->width, spread));
    }
    uint64_t sums[4];
    _mm256_storeu_si256((__m256i *)(void *)sums, _mm256_add_epi64(even, odd));
    return sums[0] + sums[1] + sums[2] + sums[3] + sum_plain(c, first + i, n - i);
}
#endif

/* ---- by what the processor has ------------------------------------------------------------------------- */

void gp_counters_load(const gp_counter_columns *c, size_t first, const uint32_t *rows, size_t n,
                      gp_counters *out)
{
#if defined(__x86_64__)
    if (without_gaps(rows, n) && have_avx2()) {
        load_avx2(c, first, rows, n, out);
        return;
    }
#endif
    load_plain(c, first, rows, n, out);
}

bool gp_counters_scatter(const gp_counter_columns *c, size_t first, const uint32_t *rows, size_t n,
                         gp_counters *const *to)
{
#if defined(__x86_64__)
    if (without_gaps(rows, n) && have_avx2())
        return scatter_avx2(c, first, rows, n, to);
#endif
    return scatter_plain(c, first, rows, n, to);
}

uint64_t gp_packed_sum(const gp_packed_column *c, size_t first, size_t n)
{
#if defined(__x86_64__)
    if (have_avx2())
        return sum_avx2(c, first, n);
#endif
    return sum_plain(c, first, n);
}

gp_counters gp_counters_sum(const gp_counter_columns *c, size_t first, size_t n)
{
    return (gp_counters){gp_packed_sum(&c->col[0], first, n), gp_packed_sum(&c->col[1], first, n),
                         gp_packed_sum(&c->col[2], first, n), gp_packed_sum(&c->col[3], first, n)};
}

/* ---- equal neighbours ---------------------------------------------------------------------------------- */

/* Without a branch on whether neighbours are equal, which nobody could predict. Inlined once for each
 * width. */
static inline __attribute__((always_inline)) size_t combine(uint64_t *keys, unsigned words,
                                                            gp_counter_vector *sums, size_t n)
{
    uint64_t before[MAX_WORDS];
    size_t last = 0;
    gp_counter_vector sum = sums[0];
    for (unsigned k = 0; k < words; k++)
        before[k] = keys[k];
    for (size_t i = 1; i < n; i++) {
        uint64_t differs = 0;
        for (unsigned k = 0; k < words; k++)
            differs |= keys[i * words + k] ^ before[k];
        uint64_t keep = (uint64_t)(differs != 0) - 1; /* all ones: the sum goes on */
        sum = (sum & keep) + sums[i];
        last += differs != 0;
        for (unsigned k = 0; k < words; k++)
            keys[last * words + k] = before[k] = keys[i * words + k];
        sums[last] = sum;
    }
    return last + 1;
}

static inline __attribute__((always_inline)) size_t combine_words(uint64_t *keys, unsigned words,
                                                                  gp_counter_vector *sums, size_t n)
{
    switch (words) {
    case 1:
        return combine(keys, 1, sums, n);
    case 2:
        return combine(keys, 2, sums, n);
    case 3:
        return combine(keys, 3, sums, n);
    default:
        return combine(keys, MAX_WORDS, sums, n);
    }
}

#if defined(__x86_64__)
AVX2 static size_t combine_avx2(uint64_t *keys, unsigned words, gp_counter_vector *sums, size_t n)
{
    return combine_words(keys, words, sums, n);
}
#endif

size_t gp_counters_combine(uint64_t *keys, unsigned words, gp_counters *sums, size_t n)
{
    gp_counter_vector *vectors = (gp_counter_vector *)(void *)sums;
    if (n == 0)
        return 0;
#if defined(__x86_64__)
    if (have_avx2())
        return combine_avx2(keys, words, vectors, n);
#endif
    return combine_words(keys, words, vectors, n);
}
