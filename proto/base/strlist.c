#include "proto/base/strlist.h"

#include <stdlib.h>
#include <string.h>

gp_code gp_strlist_add(char ***list, size_t *n, const char *s, gp_error *err)
{
    /* Capacity is the next power of two: grow when n reaches one. */
    if ((*n & (*n - 1)) == 0) {
        char **bigger = realloc(*list, (*n ? *n * 2 : 1) * sizeof *bigger);
        if (!bigger)
            return gp_fail(err, GP_ENOMEM, "out of memory for a list of names");
        *list = bigger;
    }
    char *copy = strdup(s);
    if (!copy)
        return gp_fail(err, GP_ENOMEM, "out of memory for a name");
    (*list)[(*n)++] = copy;
    return GP_OK;
}

void gp_strlist_free(char **list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        free(list[i]);
    free(list);
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

gp_code gp_strlist_finish(char ***list, size_t *n, gp_code code)
{
    if (code == GP_OK && *n > 0)
        qsort(*list, *n, sizeof **list, compare_strings);
    if (code != GP_OK) {
        gp_strlist_free(*list, *n);
        *list = NULL;
        *n = 0;
    }
    return code;
}
