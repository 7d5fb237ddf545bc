/*
 * yaml.h - a YAML (and so JSON) document as a tree that knows where each value was written.
 *
 * libyaml does the scanning; this adds what a configuration loader needs: one tree, typed getters whose
 * errors name file, line, column, key and value, and bounds against hostile files. Anchors, aliases and
 * the merge key "<<" work; a key given twice is an error. Plain scalars are typed when they are read (the
 * getters), by the rules of YAML 1.2 plus 0777 as octal, which configuration files use for file modes.
 *
 * Absent is not an error: every getter takes NULL or a null node, leaves *out as it is and gives GP_OK:
 *
 *   int64_t timeout = 30;
 *   gp_code rc = gp_yaml_int(gp_yaml_find(root, "api.request_timeout"), 0, 86400, &timeout, &err);
 *   => goprobe.yaml:12:20: api.request_timeout: "soon" is not an integer (allowed: 0 to 86400)
 *
 * Ownership: the document owns all nodes and their texts until gp_yaml_free. A document is never changed
 * after parsing, so any number of threads may read it.
 */
#ifndef GP_YAML_YAML_H
#define GP_YAML_YAML_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#include <stdint.h>

enum {
    GP_YAML_MAX_FILE = 16 << 20, /* bytes */
    GP_YAML_MAX_DEPTH = 64,
    GP_YAML_MAX_NODES = 1 << 18 /* counted with every alias expanded, so that no tree walk explodes */
};

typedef enum gp_yaml_kind { GP_YAML_NULL, GP_YAML_SCALAR, GP_YAML_LIST, GP_YAML_MAP } gp_yaml_kind;

typedef struct gp_yaml_doc gp_yaml_doc;
typedef struct gp_yaml_node gp_yaml_node;

typedef struct gp_yaml_entry {
    const char *key;           /* mappings: the key; lists: NULL */
    unsigned line, column;     /* of the key (mappings) or the item (lists), from 1 */
    const gp_yaml_node *value; /* never NULL */
} gp_yaml_entry;

struct gp_yaml_node { /* read-only */
    gp_yaml_kind kind;
    bool quoted;                  /* scalars: written in quotes or as a block, so a string for sure */
    unsigned line, column;        /* from 1 */
    const char *text;             /* scalars: NUL-terminated, without NUL inside */
    const gp_yaml_entry *entries; /* lists and mappings, in the order of the file */
    size_t n;
    const gp_yaml_doc *doc;
    const gp_yaml_node *parent; /* NULL for the root; of an aliased list or mapping: where it was written */
    const char *key;            /* below parent, NULL for list items */
    size_t index;               /* below parent */
};

/* name appears in messages; it is copied. An empty document has a root of kind GP_YAML_NULL. */
gp_code gp_yaml_parse(gp_yaml_doc **out, const char *name, const char *text, size_t len, gp_error *err);
/* Reads and parses a file of at most GP_YAML_MAX_FILE bytes. */
gp_code gp_yaml_load(gp_yaml_doc **out, const char *path, gp_error *err);
void gp_yaml_free(gp_yaml_doc *doc);

const gp_yaml_node *gp_yaml_root(const gp_yaml_doc *doc); /* never NULL for a parsed document */
const char *gp_yaml_name(const gp_yaml_doc *doc);

/* The value under a key; upper and lower case are the same unless both spellings exist (v4 reads
 * configuration keys that way). NULL if map is NULL, no mapping, or has no such key. */
const gp_yaml_node *gp_yaml_get(const gp_yaml_node *map, const char *key);
/* The same for a dotted path, "api.query_rate_limit.max_burst". A key may itself be written with dots. */
const gp_yaml_node *gp_yaml_find(const gp_yaml_node *map, const char *path);

/* Absent or null leaves *out (see above); otherwise the value must have the type. */
gp_code gp_yaml_str(const gp_yaml_node *n, const char **out, gp_error *err); /* owned by the document */
gp_code gp_yaml_strdup(const gp_yaml_node *n, char **out, gp_error *err);    /* frees and replaces *out */
gp_code gp_yaml_bool(const gp_yaml_node *n, bool *out, gp_error *err);       /* true/false, t/f, a number */
gp_code gp_yaml_int(const gp_yaml_node *n, int64_t min, int64_t max, int64_t *out, gp_error *err);
gp_code gp_yaml_f64(const gp_yaml_node *n, double min, double max, double *out, gp_error *err);
/* One of n names (case-insensitive); *out becomes its index. */
gp_code gp_yaml_choice(const gp_yaml_node *node, const char *const *names, size_t n, size_t *out,
                       gp_error *err);
/* A list of scalars, or one scalar with commas ("a,b"). Frees and replaces *out and *n. */
gp_code gp_yaml_strlist(const gp_yaml_node *node, char ***out, size_t *n, gp_error *err);
void gp_yaml_strlist_free(char **list, size_t n);
/* GP_OK if n is NULL, null, or of this kind. */
gp_code gp_yaml_expect(const gp_yaml_node *n, gp_yaml_kind kind, gp_error *err);

/* "FILE:LINE:COLUMN: PATH: <message>" with GP_EINVAL, for checks of the caller's own. */
gp_code gp_yaml_fail(const gp_yaml_node *n, gp_error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__ /* never GP_OK */
#define gp_yaml_fail(n, err, ...) (gp_yaml_fail(n, err, __VA_ARGS__), GP_EINVAL)
#endif

/* Appends the dotted path of a node: "interfaces.eth0.extra_bpf_filters[2]". */
void gp_yaml_path(const gp_yaml_node *n, gp_buf *out);

/* Calls report with one sentence for each key of map that is not among the known ones (file, line, the
 * nearest known key). Whether that is fatal is the caller's decision. */
void gp_yaml_unknown(const gp_yaml_node *map, const char *const *known, size_t n,
                     void (*report)(void *ctx, const char *sentence), void *ctx);
/* The same for the map at a path of root ("server.tls"; "" is root itself), where the n keys are all that are
 * known, as paths from root: what follows the section in them, and its first part. */
void gp_yaml_unknown_below(const gp_yaml_node *root, const char *section, const char *const *keys, size_t n,
                           void (*report)(void *ctx, const char *sentence), void *ctx);

#endif
