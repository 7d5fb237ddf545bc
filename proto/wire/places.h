/* places.h - the distinct keys of a column, each with its place in the order of first appearance. Internal to
 * proto/wire. Zeroed but for `size` it is empty and ready. */
#ifndef GP_WIRE_PLACES_H
#define GP_WIRE_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gp_places {
    size_t size; /* bytes of a key */
    uint8_t *keys;
    size_t n, cap;
    uint32_t *slots; /* open addressing, place + 1; power of two */
    size_t mask;
} gp_places;

/* False when out of memory. */
bool gp_places_add(gp_places *p, const void *key, uint32_t *place);
void gp_places_free(gp_places *p);

#endif
