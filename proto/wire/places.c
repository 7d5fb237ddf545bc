#include "proto/wire/places.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_KEYS = 32 };

static uint32_t *find(const gp_places *p, const void *key)
{
    size_t i = (size_t)XXH3_64bits(key, p->size) & p->mask;
    while (p->slots[i] && memcmp(p->keys + (p->slots[i] - 1) * p->size, key, p->size) != 0)
        i = (i + 1) & p->mask;
    return &p->slots[i];
}

/* Room for twice as many keys, at most half of the slots in use. */
static bool grow(gp_places *p)
{
    size_t cap = p->cap ? p->cap * 2 : FIRST_KEYS;
    uint8_t *keys = realloc(p->keys, cap * p->size);
    uint32_t *slots = calloc(cap * 2, sizeof *slots);
    if (keys)
        p->keys = keys;
    if (!keys || !slots) {
        free(slots);
        return false;
    }
    free(p->slots);
    p->slots = slots;
    p->mask = cap * 2 - 1;
    p->cap = cap;
    for (size_t i = 0; i < p->n; i++)
        *find(p, p->keys + i * p->size) = (uint32_t)i + 1;
    return true;
}

bool gp_places_add(gp_places *p, const void *key, uint32_t *place)
{
    if (p->n == p->cap && (p->n >= UINT32_MAX / 2 || !grow(p)))
        return false;
    uint32_t *slot = find(p, key);
    if (!*slot) {
        memcpy(p->keys + p->n * p->size, key, p->size);
        *slot = (uint32_t)++p->n;
    }
    *place = *slot - 1;
    return true;
}

void gp_places_free(gp_places *p)
{
    free(p->keys);
    free(p->slots);
    *p = (gp_places){.size = p->size};
}
