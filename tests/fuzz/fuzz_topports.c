/* Lists of the heaviest ports: arbitrary bytes, as a file and as what a whole file says, either do not count
 * or make sense; one that is made of some groups has each of them, or bounds it. */
#include "sensor/godb/topports.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { GROUP = 6 /* bytes of input */ };

static gp_codec *codec;

static bool has_port(const gp_topports *t, uint32_t place)
{
    for (size_t i = 0; i < gp_topports_n_protos(t); i++) {
        const gp_topports_proto *p = &gp_topports_protos(t)[i];
        const size_t at = place % GP_PORTS / 8;
        if (p->proto == place / GP_PORTS && at >= p->first && at < p->first + p->n)
            return p->ports[at - p->first] >> place % 8 & 1;
    }
    return false;
}

static void check_sense(const gp_topports *t)
{
    int64_t before = -1;
    for (gp_topports_iter it = gp_topports_listed(t); gp_topports_next(&it); before = it.place)
        if (it.place <= before || !has_port(t, it.place))
            abort();
}

static void decode(const uint8_t *data, size_t size, const gp_blockmeta *m)
{
    gp_topports *t = NULL;
    gp_error err = GP_ERROR_INIT;
    gp_code code = gp_topports_decode(data, size, m, codec, &t, &err);
    if ((code == GP_OK) != (t != NULL) || (code != GP_OK && !err.msg[0]))
        abort();
    if (t)
        check_sense(t);
    gp_topports_free(t);
}

/* The day's totals come from the input, too, so that they can be right. */
static void decode_content(const uint8_t *data, size_t size)
{
    const gp_blockmeta m = {.sum.c = {data[0], data[1], data[2], data[3]}};
    gp_buf raw = GP_BUF_INIT;
    gp_buf file = GP_BUF_INIT;
    gp_buf_add(&raw, data + 4, size - 4);
    if (gp_topports_seal(&raw, &m, codec, &file, NULL) != GP_OK)
        abort();
    decode((const uint8_t *)file.data, file.len, &m);
    gp_buf_free(&raw);
    gp_buf_free(&file);
}

/* ---- right ones ---------------------------------------------------------------------------------------- */

static uint32_t place_at(const uint8_t *group)
{
    return (uint32_t)group[0] % 4 << 16 | (uint32_t)group[1] << 8 | group[2];
}

static void add_group(gp_portsums *p, gp_blockmeta *m, const uint8_t *group)
{
    const gp_counters sum = {group[3], group[4] * UINT64_C(1000), group[5], 1};
    const uint32_t place = place_at(group);
    gp_portsums_chunk **c = &p->chunks[place / GP_PORTSUMS_CHUNK];
    if (!*c && !(*c = calloc(1, sizeof **c)))
        abort();
    gp_counters_add(&(*c)->sums[place % GP_PORTSUMS_CHUNK], &sum);
    (*c)->present[place % GP_PORTSUMS_CHUNK / 64] |= UINT64_C(1) << place % 64;
    gp_counters_add(&m->sum.c, &sum);
}

static void check_group(const gp_topports *t, const gp_portsums *p, uint32_t place)
{
    const gp_counters *sum = &p->chunks[place / GP_PORTSUMS_CHUNK]->sums[place % GP_PORTSUMS_CHUNK];
    if (!has_port(t, place))
        abort();
    for (gp_topports_iter it = gp_topports_listed(t); gp_topports_next(&it);)
        if (it.place == place) {
            if (memcmp(&it.sum, sum, sizeof *sum) != 0)
                abort();
            return;
        }
    for (gp_rank r = 0; r < GP_RANK_COUNT; r++)
        if (gp_rank_value(sum, r) > gp_topports_bound(t, r))
            abort();
}

static void make(const uint8_t *data, size_t size)
{
    gp_blockmeta m = {0};
    gp_portsums *p = calloc(1, sizeof *p);
    gp_topports *t = NULL;
    gp_buf file = GP_BUF_INIT;
    const unsigned worth = 1 + data[0] % 8;
    if (!p)
        abort();
    for (size_t at = 1; at + GROUP <= size; at += GROUP)
        add_group(p, &m, data + at);
    if (gp_topports_encode(p, worth, &m, codec, &file, NULL) != GP_OK ||
        gp_topports_decode((const uint8_t *)file.data, file.len, &m, codec, &t, NULL) != GP_OK)
        abort();
    check_sense(t);
    for (size_t at = 1; at + GROUP <= size; at += GROUP)
        check_group(t, p, place_at(data + at));
    gp_topports_free(t);
    gp_portsums_free(p);
    gp_buf_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { LEAST = 5, MOST_MADE = 200 };
    if (!codec && gp_codec_new(&codec, NULL) != GP_OK)
        abort();
    if (size < LEAST)
        return 0;
    decode(data, size, &(gp_blockmeta){0});
    decode_content(data, size);
    make(data, size < MOST_MADE ? size : MOST_MADE);
    return 0;
}
