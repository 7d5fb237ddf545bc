/* What shells ask for: candidates for the word under the cursor, one a line. */
#include "client/goquery/goquery.h"

#include "client/endpoints.h"
#include "sensor/godb/reader.h"

#include <stdlib.h>
#include <string.h>

static const char *const sort_words[] = {"bytes", "packets", "time", NULL};
static const char *const format_words[] = {"txt", "csv", "json", NULL};
static const char *const command_words[] = {"list", "help", "examples", "version", NULL};
static const char *const condition_words[] = {"sip", "dip",   "host",  "snet", "dnet",
                                              "net", "dport", "proto", "dir",  NULL};

static void print_words(const char *const *words)
{
    for (; *words; words++)
        puts(*words);
}

static void print_columns(void)
{
    for (size_t i = 0; gp_query_type_name(i); i++)
        puts(gp_query_type_name(i));
}

/* A database that is not there has no candidates: a shell is no place for errors. */
static void print_ifaces(const options *o)
{
    char **names = NULL;
    size_t n = 0;
    puts("any");
    if (!o->db || gp_db_list_ifaces(o->db, &names, &n, NULL) != GP_OK)
        return;
    for (size_t i = 0; i < n; i++)
        puts(names[i]);
    gp_strlist_free(names, n);
}

static void print_hosts(const char *path)
{
    gp_endpoints e = {0};
    if (gp_endpoints_load(path, &e, NULL) == GP_OK)
        for (size_t i = 0; i < e.n; i++)
            puts(e.items[i].host);
    gp_endpoints_free(&e);
}

gp_code run_completion(const options *o, gp_error *err)
{
    const char *kind = o->n_rest > 1 ? o->rest[1] : "";
    if (strcmp(kind, "flags") == 0)
        print_flags();
    else if (strcmp(kind, "columns") == 0)
        print_columns();
    else if (strcmp(kind, "ifaces") == 0)
        print_ifaces(o);
    else if (strcmp(kind, "hosts") == 0)
        print_hosts(o->n_rest > 2 ? o->rest[2] : "/etc/goprobe/endpoints.yaml");
    else if (strcmp(kind, "sort") == 0)
        print_words(sort_words);
    else if (strcmp(kind, "format") == 0)
        print_words(format_words);
    else if (strcmp(kind, "commands") == 0)
        print_words(command_words);
    else if (strcmp(kind, "conditions") == 0)
        print_words(condition_words);
    else
        return gp_fail(err, GP_EINVAL,
                       "completion: bash, zsh, fish (scripts to source), flags, columns, ifaces, hosts, "
                       "sort, format, commands or "
                       "conditions");
    return GP_OK;
}
