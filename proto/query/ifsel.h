/*
 * ifsel.h - which interfaces a query is about: "eth0,eth1", "any", "any,!lo" or "/^eth[0-3]$/".
 */
#ifndef GP_QUERY_IFSEL_H
#define GP_QUERY_IFSEL_H

#include "proto/base/error.h"

/* A name of at most 15 characters of [a-zA-Z0-9.:_-], optionally after '!'. */
bool gp_iface_name_valid(const char *name);
bool gp_ifsel_is_regex(const char *text);

/* Checks the syntax only. Messages as goProbe v4 words them ("interface name `x` is invalid"). */
gp_code gp_ifsel_validate(const char *text, gp_error *err);

/*
 * Selects from `available` (n names, sorted or not). *out receives a calloc'ed array of pointers into
 * `available`, in the order of `available`, and *n_out their number (0 is no error). Free *out with free().
 */
gp_code gp_ifsel_select(const char *text, const char *const *available, size_t n, const char ***out,
                        size_t *n_out, gp_error *err);

#endif
