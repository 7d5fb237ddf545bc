#include "global-query/pace.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PLACES = 1 << 16, WEIGHT = 4 /* a new answer counts a quarter */ };

struct gp_pace {
    atomic_uint_least32_t us[PLACES];
};

gp_code gp_pace_new(gp_pace **out, gp_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for the pace of hosts");
}

void gp_pace_free(gp_pace *p)
{
    free(p);
}

static size_t place_of(const char *host)
{
    return (size_t)XXH3_64bits(host, strlen(host)) % PLACES;
}

/* Of two that note at the same time one may be lost, which does not matter to a forecast. */
void gp_pace_answered(gp_pace *p, const char *host, int64_t took_ns)
{
    atomic_uint_least32_t *place = &p->us[place_of(host)];
    int64_t us = took_ns / 1000;
    int64_t now = us < 1 ? 1 : us > INT32_MAX ? INT32_MAX : us;
    int64_t before = atomic_load_explicit(place, memory_order_relaxed);
    int64_t next = before ? before + (now - before) / WEIGHT : now;
    atomic_store_explicit(place, (uint_least32_t)next, memory_order_relaxed);
}

void gp_pace_failed(gp_pace *p, const char *host)
{
    atomic_store_explicit(&p->us[place_of(host)], 0, memory_order_relaxed);
}

uint32_t gp_pace_of(const gp_pace *p, const char *host)
{
    return (uint32_t)atomic_load_explicit(&p->us[place_of(host)], memory_order_relaxed);
}
