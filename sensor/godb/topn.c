#include "sensor/godb/topn.h"

#include <stdlib.h>

bool gp_topn_init(gp_topn *t, size_t most)
{
    *t = (gp_topn){.items = malloc(most * sizeof *t->items), .most = most};
    return t->items != NULL;
}

void gp_topn_free(gp_topn *t)
{
    free(t->items);
    *t = (gp_topn){0};
}

static bool is_less(const gp_topn_item *a, const gp_topn_item *b)
{
    return a->value != b->value ? a->value < b->value : a->id > b->id;
}

static void sink(gp_topn *t, size_t at, gp_topn_item item)
{
    for (size_t child; (child = 2 * at + 1) < t->n; at = child) {
        if (child + 1 < t->n && is_less(&t->items[child + 1], &t->items[child]))
            child++;
        if (!is_less(&t->items[child], &item))
            break;
        t->items[at] = t->items[child];
    }
    t->items[at] = item;
}

static void rise(gp_topn *t, size_t at, gp_topn_item item)
{
    for (size_t parent; at > 0; at = parent) {
        parent = (at - 1) / 2;
        if (!is_less(&item, &t->items[parent]))
            break;
        t->items[at] = t->items[parent];
    }
    t->items[at] = item;
}

void gp_topn_offer(gp_topn *t, uint64_t value, uint32_t id)
{
    const gp_topn_item item = {value, id};
    if (t->n < t->most) {
        t->n++;
        rise(t, t->n - 1, item);
    } else if (is_less(&t->items[0], &item)) {
        sink(t, 0, item);
    }
}
