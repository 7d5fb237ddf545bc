#include "sensor/godb/segpool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 1 << 21, FIRST_REGION = 4 * GP_SEGMENT_SIZE, LARGEST_REGION = 1 << 24 };

typedef struct region {
    struct region *next;
    void *map;
    size_t map_size;
    uint8_t *at, *end; /* what no segment has been cut from yet */
} region;

typedef struct free_segment {
    struct free_segment *next;
} free_segment;

struct gp_segpool {
    gp_mem_budget *budget;
    region *regions; /* newest first */
    free_segment *freed;
    uint8_t *cell, *cells_end; /* of the segment that cells come from */
    size_t next_size;
    uint64_t charged;
};

gp_code gp_segpool_new(gp_segpool **out, gp_mem_budget *budget, gp_error *err)
{
    gp_segpool *p = calloc(1, sizeof *p);
    if (!p)
        return gp_fail(err, GP_ENOMEM, "out of memory for the tables of a query");
    p->budget = budget;
    p->next_size = FIRST_REGION;
    *out = p;
    return GP_OK;
}

void gp_segpool_free(gp_segpool *p)
{
    if (!p)
        return;
    while (p->regions) {
        region *r = p->regions;
        p->regions = r->next;
        munmap(r->map, r->map_size);
        free(r);
    }
    gp_mem_give(p->budget, p->charged);
    free(p);
}

static bool take_here(gp_mem_budget *b, uint64_t size)
{
    uint64_t used = atomic_fetch_add(&b->used, size) + size;
    if (used <= b->limit)
        return true;
    atomic_fetch_sub(&b->used, size);
    return false;
}

bool gp_mem_take(gp_mem_budget *b, uint64_t size)
{
    if (!take_here(b, size))
        return false;
    if (!b->parent || take_here(b->parent, size))
        return true;
    atomic_fetch_sub(&b->used, size);
    return false;
}

void gp_mem_give(gp_mem_budget *b, uint64_t size)
{
    atomic_fetch_sub(&b->used, size);
    if (b->parent)
        atomic_fetch_sub(&b->parent->used, size);
}

static bool charge(gp_segpool *p, size_t size)
{
    bool ok = gp_mem_take(p->budget, size);
    p->charged += ok ? size : 0;
    return ok;
}

gp_code gp_mem_fail(const gp_mem_budget *b, gp_error *err)
{
    if (b->parent && atomic_load(&b->parent->used) > b->limit)
        return gp_fail(
            err, GP_ENOMEM,
            "memory limit exceeded: the queries that run at the moment need all of the %llu MiB that they "
            "may use together; ask again later, or narrow the query",
            (unsigned long long)(b->parent->limit >> 20));
    return gp_fail(err, GP_ENOMEM,
                   "memory limit exceeded: the query needs more than %u%% of this host's memory (%llu MiB); "
                   "narrow the time range, the attributes or the condition, or raise max_mem_pct",
                   b->pct, (unsigned long long)(b->limit >> 20));
}

/* Huge pages need alignment; the address space spent on it is not memory. */
static bool map_region(region *r, size_t size)
{
    size_t align = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    r->map_size = size + align;
    r->map = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r->map == MAP_FAILED)
        return false;
    uintptr_t start = (uintptr_t)r->map;
    size_t skip = align ? (HUGE_PAGE - start % HUGE_PAGE) % HUGE_PAGE : 0;
    r->at = (uint8_t *)r->map + skip;
    r->end = r->at + size;
    if (align)
        (void)madvise(r->at, size, MADV_HUGEPAGE); /* only a hint: works without */
    return true;
}

static gp_code add_region(gp_segpool *p, gp_error *err)
{
    size_t size = p->next_size;
    while (!charge(p, size)) { /* near the limit: whatever still fits */
        if (size == GP_SEGMENT_SIZE)
            return gp_mem_fail(p->budget, err);
        size /= 2;
    }
    region *r = calloc(1, sizeof *r);
    if (!r || !map_region(r, size)) {
        free(r);
        return gp_fail(err, GP_ENOMEM, "out of memory: this host has no %zu KiB left for a query",
                       size >> 10);
    }
    r->next = p->regions;
    p->regions = r;
    if (p->next_size < LARGEST_REGION)
        p->next_size *= 2;
    return GP_OK;
}

gp_code gp_segpool_get(gp_segpool *p, void **out, gp_error *err)
{
    if (p->freed) {
        *out = p->freed;
        p->freed = p->freed->next;
        memset(*out, 0, GP_SEGMENT_SIZE);
        return GP_OK;
    }
    if (!p->regions || p->regions->at == p->regions->end) {
        gp_code code = add_region(p, err);
        if (code != GP_OK)
            return code;
    }
    *out = p->regions->at;
    p->regions->at += GP_SEGMENT_SIZE;
    return GP_OK;
}

void gp_segpool_put(gp_segpool *p, void *segment)
{
    free_segment *f = segment;
    f->next = p->freed;
    p->freed = f;
}

gp_code gp_segpool_get_cell(gp_segpool *p, void **out, gp_error *err)
{
    if (p->cell == p->cells_end) {
        void *segment = NULL;
        gp_code code = gp_segpool_get(p, &segment, err);
        if (code != GP_OK)
            return code;
        p->cell = segment;
        p->cells_end = p->cell + GP_SEGMENT_SIZE;
    }
    *out = p->cell;
    p->cell += GP_CELL_SIZE;
    return GP_OK;
}
