#include "proto/base/suggest.h"

#include <string.h>

enum { MAX_LEN = 64 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* The table of distances, of which the last three rows are enough. */
static size_t distance(const char *a, size_t len, const char *b, size_t n)
{
    size_t rows[3][MAX_LEN + 1];
    for (size_t j = 0; j <= n; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= len; i++) {
        const size_t *before = rows[(i + 1) % 3];
        const size_t *above = rows[(i - 1) % 3];
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            row[j] = min3(above[j - 1] + (a[i - 1] != b[j - 1]), above[j] + 1, row[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
    }
    return rows[len % 3][n];
}

void gp_suggest(gp_suggestion *s, const char *word, size_t len, const char *known)
{
    size_t n = strlen(known);
    if (len > MAX_LEN || n > MAX_LEN)
        return;
    size_t d = distance(word, len, known, n);
    size_t longer = len > n ? len : n;
    if (3 * d > longer + 1 || (s->best && d >= s->distance))
        return;
    *s = (gp_suggestion){known, d};
}
