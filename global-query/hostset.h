/*
 * hostset.h - named hosts with their groups and tags, and the choice of some of them by a text:
 *
 *   web1,db*        names and shell patterns (fnmatch(3)), of hosts, groups and tags alike
 *   ~^web[0-9]+$    a regular expression (PCRE2) over the names of hosts
 *   web,&eu,!web7   of those so far only the ones in eu, and without web7 (as Ansible's patterns)
 *   any, all        every host
 *
 * Terms work from left to right, separated by commas; a list that begins with & or ! begins with all hosts.
 * A plain name that no host, group or tag has is an error, so that misspelling asks nobody.
 *
 * Ownership: a gp_hostset owns everything in it. Not thread-safe; a finished one may be read by any number of
 * threads.
 */
#ifndef GP_GLOBAL_QUERY_HOSTSET_H
#define GP_GLOBAL_QUERY_HOSTSET_H

#include "proto/base/error.h"

/* The result of a choice: hosts in the order of their names. addr NULL: the querier knows it. */
typedef struct gp_named_host {
    char *name;
    char *addr;
} gp_named_host;

typedef struct gp_host_list {
    gp_named_host *items;
    size_t n;
} gp_host_list;

gp_code gp_host_list_add(gp_host_list *l, const char *name, const char *addr, gp_error *err);
void gp_host_list_sort(gp_host_list *l); /* by name, each once */
void gp_host_list_free(gp_host_list *l);

typedef struct gp_hostset gp_hostset;

gp_code gp_hostset_new(gp_hostset **out, gp_error *err);
void gp_hostset_free(gp_hostset *s);
size_t gp_hostset_count(const gp_hostset *s);
/* Adds a host, or finds it; addr NULL leaves its address as it is. */
gp_code gp_hostset_add(gp_hostset *s, const char *name, const char *addr, gp_error *err);
/* Puts a host, which is added where it is not there yet, into a group (or under a tag). */
gp_code gp_hostset_label(gp_hostset *s, const char *name, const char *label, gp_error *err);

gp_code gp_hostset_choose(const gp_hostset *s, const char *text, gp_host_list *out, gp_error *err);

#endif
