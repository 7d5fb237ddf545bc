/* Journals: any bytes are survived, and what is read is never more than what the file says. The checksums are
 * put right first, so that the fuzzer gets behind them. */
#include "sensor/capture/journalfile.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_HEADER = 32, FRAME_HEADER = 32 };

static void count_session(void *ctx, uint16_t lane, const gp_session *s)
{
    uint64_t *n = ctx;
    if (lane >= GP_JOURNAL_LANES || s->sip.len != s->dip.len || (s->sip.len != 4 && s->sip.len != 16))
        abort();
    ++*n;
}

static void parse(const uint8_t *data, size_t size)
{
    uint64_t n = 0;
    gp_journal_content c;
    gp_code code = gp_journal_parse(data, size, count_session, &n, &c, NULL);
    if (n != c.sessions || c.good > size || (code == GP_OK && !c.damaged && c.good != size))
        abort();
}

static uint64_t le(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    memcpy(&v, p, bytes); /* little-endian machines only, as fuzzing goes */
    return v;
}

static void put_sum(uint8_t *at, uint64_t sum)
{
    memcpy(at, &sum, sizeof sum);
}

static void mend(uint8_t *data, size_t size)
{
    uint64_t seed = le(data + 8, 8);
    put_sum(data + 24, XXH3_64bits_withSeed(data + 16, 8, seed));
    uint64_t number = 0;
    for (size_t at = FILE_HEADER; size - at >= FRAME_HEADER; number++) {
        uint64_t payload = le(data + at, 4);
        if (payload > size - at - FRAME_HEADER)
            break;
        memcpy(data + at + 16, &number, sizeof number);
        XXH64_hash_t sum = XXH3_64bits_withSeed(data + at, 24, seed);
        put_sum(data + at + 24, XXH3_64bits_withSeed(data + at + FRAME_HEADER, (size_t)payload, sum));
        at += FRAME_HEADER + (size_t)payload;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(data, size);
    uint8_t *copy = size >= FILE_HEADER ? malloc(size) : NULL;
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    mend(copy, size);
    parse(copy, size);
    free(copy);
    return 0;
}
