/*
 * suggest.h - "did you mean": the known word that is nearest to a misspelt one.
 *
 * Distance: bytes inserted, deleted, replaced, or swapped with their neighbour (F. Damerau, 1964, in the
 * variant that touches no byte twice). Stateless.
 */
#ifndef GP_BASE_SUGGEST_H
#define GP_BASE_SUGGEST_H

#include <stddef.h>

typedef struct gp_suggestion {
    const char *best; /* NULL: nothing is near */
    size_t distance;
} gp_suggestion;

/*
 * Offers one known word for `word` (len bytes); *s keeps the nearest that was offered, begin with {0}. Words
 * of which more than a third would have to change are not near.
 */
void gp_suggest(gp_suggestion *s, const char *word, size_t len, const char *known);

#endif
