/* Any bytes as a YAML document: parse it, read every value as every type, report every key. */
#include "proto/yaml/yaml.h"

#include <stdlib.h>

static void ignore(void *ctx, const char *sentence)
{
    (void)ctx;
    (void)sentence;
}

static void walk(const gp_yaml_node *n, unsigned *budget)
{
    if (*budget == 0)
        return;
    (*budget)--;
    static const char *const names[] = {"lz4", "zstd"};
    gp_error err = GP_ERROR_INIT;
    const char *s = NULL;
    bool b = false;
    int64_t i = 0;
    double f = 0;
    size_t choice = 0;
    char **list = NULL;
    size_t n_list = 0;
    (void)gp_yaml_str(n, &s, &err);
    (void)gp_yaml_bool(n, &b, &err);
    (void)gp_yaml_int(n, -5, 5, &i, &err);
    (void)gp_yaml_f64(n, -5, 5, &f, &err);
    (void)gp_yaml_choice(n, names, 2, &choice, &err);
    (void)gp_yaml_strlist(n, &list, &n_list, &err);
    gp_yaml_strlist_free(list, n_list);
    gp_yaml_unknown(n, names, 2, ignore, NULL);
    for (size_t k = 0; k < n->n; k++)
        walk(n->entries[k].value, budget);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gp_yaml_doc *doc = NULL;
    gp_error err = GP_ERROR_INIT;
    if (gp_yaml_parse(&doc, "fuzz", (const char *)data, size, &err) != GP_OK)
        return 0;
    unsigned budget = 2000;
    walk(gp_yaml_root(doc), &budget);
    gp_yaml_free(doc);
    return 0;
}
