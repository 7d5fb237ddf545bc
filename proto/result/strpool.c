#include "proto/result/strpool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_SLOTS = 64, CHUNK_SIZE = 4096 };

/* Strings lie one after the other in chunks that never move. */
typedef struct chunk {
    struct chunk *next;
    size_t used, size;
    char text[];
} chunk;

struct gp_strpool {
    const char **slots; /* open addressing, power of two */
    size_t mask;
    size_t n;
    size_t bytes;
    chunk *chunks;
};

gp_strpool *gp_strpool_new(void)
{
    gp_strpool *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->slots = calloc(FIRST_SLOTS, sizeof *p->slots);
    if (!p->slots) {
        free(p);
        return NULL;
    }
    p->mask = FIRST_SLOTS - 1;
    return p;
}

void gp_strpool_free(gp_strpool *p)
{
    if (!p)
        return;
    for (chunk *c = p->chunks; c;) {
        chunk *next = c->next;
        free(c);
        c = next;
    }
    free(p->slots);
    free(p);
}

static const char **find(const char **slots, size_t mask, const char *s, size_t len)
{
    size_t i = (size_t)XXH3_64bits(s, len) & mask;
    while (slots[i] && (strncmp(slots[i], s, len) != 0 || slots[i][len] != '\0'))
        i = (i + 1) & mask;
    return &slots[i];
}

static int grow(gp_strpool *p)
{
    size_t mask = p->mask * 2 + 1;
    const char **slots = calloc(mask + 1, sizeof *slots);
    if (!slots)
        return 0;
    for (size_t i = 0; i <= p->mask; i++)
        if (p->slots[i])
            *find(slots, mask, p->slots[i], strlen(p->slots[i])) = p->slots[i];
    free(p->slots);
    p->slots = slots;
    p->mask = mask;
    return 1;
}

static char *store(gp_strpool *p, const char *s, size_t len)
{
    chunk *c = p->chunks;
    if (!c || c->size - c->used <= len) {
        size_t size = len + 1 > CHUNK_SIZE ? len + 1 : CHUNK_SIZE;
        c = malloc(sizeof *c + size);
        if (!c)
            return NULL;
        *c = (chunk){.next = p->chunks, .size = size};
        p->chunks = c;
    }
    char *copy = c->text + c->used;
    memcpy(copy, s, len);
    copy[len] = '\0';
    c->used += len + 1;
    p->bytes += len + 1;
    return copy;
}

const char *gp_strpool_add(gp_strpool *p, const char *s, size_t len)
{
    if ((p->n + 1) * 2 > p->mask && !grow(p))
        return NULL;
    const char **slot = find(p->slots, p->mask, s, len);
    if (!*slot) {
        *slot = store(p, s, len);
        p->n += *slot != NULL;
    }
    return *slot;
}

const char *gp_strpool_find(const gp_strpool *p, const char *s, size_t len)
{
    return *find(p->slots, p->mask, s, len);
}

size_t gp_strpool_bytes(const gp_strpool *p)
{
    return p->bytes;
}
