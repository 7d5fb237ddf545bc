/* Builds the tree from libyaml's events. */
#include "proto/yaml/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* What the document owns of a node; the public part comes first. */
typedef struct tree_node {
    gp_yaml_node pub;
    size_t weight; /* nodes below and including this one, aliases expanded */
    char *text;
    gp_yaml_entry *entries;
    size_t cap;
    bool complete; /* false while its own children are being read: an alias to it would be a cycle */
    struct tree_node *next;
} tree_node;

typedef struct anchor {
    char *name;
    tree_node *node;
} anchor;

struct gp_yaml_doc {
    char *name;
    tree_node *nodes; /* all of them, for freeing */
    tree_node *root;
};

typedef struct parser {
    yaml_parser_t yaml;
    gp_yaml_doc *doc;
    anchor *anchors;
    size_t n_anchors, cap_anchors;
    size_t total; /* expanded nodes so far */
    gp_error *err;
} parser;

/* An entry while its mapping is being read: rank 0 was written here, others came through "<<". */
typedef struct ranked {
    gp_yaml_entry entry;
    size_t rank;
} ranked;

typedef struct ranked_list {
    ranked *items;
    size_t n, cap;
} ranked_list;

static gp_code parse_node(parser *p, yaml_event_t *ev, unsigned depth, tree_node **out);

static unsigned from_one(size_t zero_based)
{
    return zero_based >= UINT32_MAX ? UINT32_MAX : (unsigned)zero_based + 1;
}

static gp_code no_memory(parser *p)
{
    return gp_fail(p->err, GP_ENOMEM, "%s: out of memory while reading YAML", p->doc->name);
}

static gp_code fail_at(parser *p, unsigned line, unsigned column, const char *what)
{
    return gp_fail(p->err, GP_EINVAL, "%s:%u:%u: %s", p->doc->name, line, column, what);
}

static gp_code fail_mark(parser *p, yaml_mark_t at, const char *what)
{
    return fail_at(p, from_one(at.line), from_one(at.column), what);
}

static bool grow(void **items, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return true;
    size_t larger = *cap ? *cap * 2 : 8;
    void *moved = realloc(*items, larger * size);
    if (!moved)
        return false;
    *items = moved;
    *cap = larger;
    return true;
}

static gp_code next_event(parser *p, yaml_event_t *ev)
{
    if (yaml_parser_parse(&p->yaml, ev))
        return GP_OK;
    const yaml_parser_t *y = &p->yaml;
    if (y->error == YAML_MEMORY_ERROR)
        return no_memory(p);
    const char *problem = y->problem ? y->problem : "not YAML";
    if (y->error == YAML_READER_ERROR)
        return gp_fail(p->err, GP_EINVAL, "%s: %s at byte %zu", p->doc->name, problem, y->problem_offset);
    return gp_fail(p->err, GP_EINVAL, "%s:%u:%u: %s%s%s", p->doc->name, from_one(y->problem_mark.line),
                   from_one(y->problem_mark.column), problem, y->context ? " " : "",
                   y->context ? y->context : "");
}

/* Counts nodes, those behind aliases included, and stops documents that would explode. */
static gp_code account(parser *p, yaml_mark_t at, size_t weight)
{
    p->total += weight;
    if (p->total <= GP_YAML_MAX_NODES)
        return GP_OK;
    char what[96];
    snprintf(what, sizeof what, "more than %d values (aliases counted as often as they are used)",
             GP_YAML_MAX_NODES);
    return fail_mark(p, at, what);
}

static gp_code new_node(parser *p, gp_yaml_kind kind, yaml_mark_t at, tree_node **out)
{
    gp_code rc = account(p, at, 1);
    if (rc != GP_OK)
        return rc;
    tree_node *n = calloc(1, sizeof *n);
    if (!n)
        return no_memory(p);
    n->pub =
        (gp_yaml_node){.kind = kind, .line = from_one(at.line), .column = from_one(at.column), .doc = p->doc};
    n->weight = 1;
    n->next = p->doc->nodes;
    p->doc->nodes = n;
    *out = n;
    return GP_OK;
}

static gp_code remember_anchor(parser *p, const yaml_char_t *name, tree_node *node)
{
    if (!name)
        return GP_OK;
    if (!grow((void **)&p->anchors, &p->cap_anchors, p->n_anchors, sizeof *p->anchors))
        return no_memory(p);
    char *copy = strdup((const char *)name);
    if (!copy)
        return no_memory(p);
    p->anchors[p->n_anchors++] = (anchor){copy, node};
    return GP_OK;
}

static bool is_null_text(const char *s)
{
    return !*s || strcmp(s, "~") == 0 || strcmp(s, "null") == 0 || strcmp(s, "Null") == 0 ||
           strcmp(s, "NULL") == 0;
}

static gp_code set_text(parser *p, tree_node *n, const char *text, size_t len)
{
    if (memchr(text, '\0', len))
        return fail_at(p, n->pub.line, n->pub.column, "a text with a NUL character is not allowed");
    n->text = malloc(len + 1);
    if (!n->text)
        return no_memory(p);
    memcpy(n->text, text, len);
    n->text[len] = '\0';
    n->pub.text = n->text;
    return GP_OK;
}

static gp_code parse_scalar(parser *p, const yaml_event_t *ev, tree_node **out)
{
    gp_code rc = new_node(p, GP_YAML_SCALAR, ev->start_mark, out);
    if (rc != GP_OK)
        return rc;
    tree_node *n = *out;
    rc = set_text(p, n, (const char *)ev->data.scalar.value, ev->data.scalar.length);
    if (rc != GP_OK)
        return rc;
    const char *tag = (const char *)ev->data.scalar.tag;
    n->pub.quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || (tag && !strcmp(tag, YAML_STR_TAG));
    if (!n->pub.quoted && is_null_text(n->text))
        n->pub.kind = GP_YAML_NULL;
    n->complete = true;
    return remember_anchor(p, ev->data.scalar.anchor, n);
}

/* A scalar behind an alias is copied, so that messages name the place of use; lists and mappings are
 * shared. */
static gp_code parse_alias(parser *p, const yaml_event_t *ev, tree_node **out)
{
    const char *name = (const char *)ev->data.alias.anchor;
    tree_node *target = NULL;
    for (size_t i = p->n_anchors; i > 0 && !target; i--) /* the latest definition counts */
        if (strcmp(p->anchors[i - 1].name, name) == 0)
            target = p->anchors[i - 1].node;
    char what[160];
    if (!target) {
        snprintf(what, sizeof what, "unknown anchor '%.100s'", name);
        return fail_mark(p, ev->start_mark, what);
    }
    if (!target->complete) {
        snprintf(what, sizeof what, "anchor '%.100s' contains itself", name);
        return fail_mark(p, ev->start_mark, what);
    }
    if (target->pub.kind == GP_YAML_LIST || target->pub.kind == GP_YAML_MAP) {
        *out = target;
        return account(p, ev->start_mark, target->weight);
    }
    gp_code rc = new_node(p, target->pub.kind, ev->start_mark, out);
    if (rc != GP_OK)
        return rc;
    (*out)->pub.quoted = target->pub.quoted;
    (*out)->complete = true;
    return set_text(p, *out, target->text, strlen(target->text));
}

/* Called as soon as a value is complete, hence before any alias to it can be read: the first adoption is
 * the place where it was written. */
static void adopt(tree_node *parent, tree_node *child, const char *key, size_t index)
{
    parent->weight += child->weight;
    if (child->pub.parent)
        return;
    child->pub.parent = &parent->pub;
    child->pub.key = key;
    child->pub.index = index;
}

static gp_code parse_list(parser *p, const yaml_event_t *start, unsigned depth, tree_node **out)
{
    gp_code rc = new_node(p, GP_YAML_LIST, start->start_mark, out);
    tree_node *list = *out;
    if (rc == GP_OK)
        rc = remember_anchor(p, start->data.sequence_start.anchor, list);
    while (rc == GP_OK) {
        yaml_event_t ev;
        rc = next_event(p, &ev);
        if (rc != GP_OK)
            return rc;
        if (ev.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&ev);
            break;
        }
        tree_node *item = NULL;
        yaml_mark_t at = ev.start_mark;
        rc = parse_node(p, &ev, depth + 1, &item);
        if (rc != GP_OK)
            return rc;
        if (!grow((void **)&list->entries, &list->cap, list->pub.n, sizeof *list->entries))
            return no_memory(p);
        adopt(list, item, NULL, list->pub.n);
        list->entries[list->pub.n++] =
            (gp_yaml_entry){NULL, from_one(at.line), from_one(at.column), &item->pub};
        list->pub.entries = list->entries;
    }
    if (rc == GP_OK)
        list->complete = true;
    return rc;
}

static gp_code push(parser *p, ranked_list *l, gp_yaml_entry entry, size_t rank)
{
    if (!grow((void **)&l->items, &l->cap, l->n, sizeof *l->items))
        return no_memory(p);
    l->items[l->n++] = (ranked){entry, rank};
    return GP_OK;
}

static gp_code merge_map(parser *p, ranked_list *l, const gp_yaml_node *from, yaml_mark_t at, size_t *rank)
{
    if (from->kind != GP_YAML_MAP)
        return fail_mark(p, at, "'<<' takes a mapping or a list of mappings");
    (*rank)++;
    for (size_t i = 0; i < from->n; i++) {
        gp_code rc = push(p, l, from->entries[i], *rank);
        if (rc != GP_OK)
            return rc;
    }
    return GP_OK;
}

/* "<<": *defaults, or [*a, *b]: keys of the mapping itself win, then those of the earlier source. */
static gp_code merge_value(parser *p, ranked_list *l, const gp_yaml_node *v, yaml_mark_t at, size_t *rank)
{
    if (v->kind != GP_YAML_LIST)
        return merge_map(p, l, v, at, rank);
    gp_code rc = GP_OK;
    for (size_t i = 0; i < v->n && rc == GP_OK; i++)
        rc = merge_map(p, l, v->entries[i].value, at, rank);
    return rc;
}

static int by_key_then_rank(const void *pa, const void *pb)
{
    const ranked *a = pa;
    const ranked *b = pb;
    int c = strcmp(a->entry.key, b->entry.key);
    if (c != 0)
        return c;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->entry.line != b->entry.line)
        return a->entry.line < b->entry.line ? -1 : 1;
    return (a->entry.column > b->entry.column) - (a->entry.column < b->entry.column);
}

static int by_rank_then_place(const void *pa, const void *pb)
{
    const ranked *a = pa;
    const ranked *b = pb;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->entry.line != b->entry.line)
        return a->entry.line < b->entry.line ? -1 : 1;
    return (a->entry.column > b->entry.column) - (a->entry.column < b->entry.column);
}

/* Rejects a key that was written twice and drops merged ones that are overridden. Sorting keeps that
 * cheap for large mappings. */
static gp_code settle(parser *p, ranked_list *l)
{
    if (l->n == 0)
        return GP_OK;
    qsort(l->items, l->n, sizeof *l->items, by_key_then_rank);
    size_t kept = 1;
    for (size_t i = 1; i < l->n; i++) {
        const ranked *before = &l->items[kept - 1];
        ranked *it = &l->items[i];
        if (strcmp(before->entry.key, it->entry.key) != 0) {
            l->items[kept++] = *it;
            continue;
        }
        if (it->rank > 0)
            continue;
        return gp_fail(p->err, GP_EINVAL, "%s:%u:%u: key '%s' is given twice (first in line %u)",
                       p->doc->name, it->entry.line, it->entry.column, it->entry.key, before->entry.line);
    }
    l->n = kept;
    qsort(l->items, l->n, sizeof *l->items, by_rank_then_place);
    return GP_OK;
}

static gp_code fill_map(parser *p, tree_node *map, ranked_list *l)
{
    gp_code rc = settle(p, l);
    if (rc != GP_OK || l->n == 0)
        return rc;
    map->entries = malloc(l->n * sizeof *map->entries);
    if (!map->entries)
        return no_memory(p);
    for (size_t i = 0; i < l->n; i++)
        map->entries[i] = l->items[i].entry;
    map->pub.entries = map->entries;
    map->pub.n = l->n;
    return GP_OK;
}

/* Reads one "key: value" whose key event is given. */
static gp_code parse_pair(parser *p, yaml_event_t *key_ev, unsigned depth, tree_node *map, ranked_list *l,
                          size_t *rank)
{
    yaml_mark_t at = key_ev->start_mark;
    tree_node *key = NULL;
    tree_node *value = NULL;
    yaml_event_t ev;
    gp_code rc = parse_node(p, key_ev, depth + 1, &key);
    if (rc != GP_OK)
        return rc;
    if (!key->text)
        return fail_mark(p, at, "a key must be a text, not a list or mapping");
    rc = next_event(p, &ev);
    if (rc == GP_OK)
        rc = parse_node(p, &ev, depth + 1, &value);
    if (rc != GP_OK)
        return rc;
    /* Key nodes live as long as the document, so their text can be pointed to. */
    adopt(map, value, key->text, l->n);
    if (!key->pub.quoted && strcmp(key->text, "<<") == 0)
        return merge_value(p, l, &value->pub, at, rank);
    return push(p, l, (gp_yaml_entry){key->text, from_one(at.line), from_one(at.column), &value->pub}, 0);
}

static gp_code parse_map(parser *p, const yaml_event_t *start, unsigned depth, tree_node **out)
{
    ranked_list pairs = {0};
    size_t rank = 0;
    gp_code rc = new_node(p, GP_YAML_MAP, start->start_mark, out);
    tree_node *map = *out;
    if (rc == GP_OK)
        rc = remember_anchor(p, start->data.mapping_start.anchor, map);
    while (rc == GP_OK) {
        yaml_event_t ev;
        rc = next_event(p, &ev);
        if (rc != GP_OK)
            break;
        if (ev.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&ev);
            break;
        }
        rc = parse_pair(p, &ev, depth, map, &pairs, &rank);
    }
    if (rc == GP_OK)
        rc = fill_map(p, map, &pairs);
    if (rc == GP_OK)
        map->complete = true;
    free(pairs.items);
    return rc;
}

/* Takes the event over. */
static gp_code parse_node(parser *p, yaml_event_t *ev, unsigned depth, tree_node **out)
{
    gp_code rc;
    if (depth > GP_YAML_MAX_DEPTH) {
        char what[64];
        snprintf(what, sizeof what, "nested deeper than %d levels", GP_YAML_MAX_DEPTH);
        rc = fail_mark(p, ev->start_mark, what);
    } else if (ev->type == YAML_SCALAR_EVENT) {
        rc = parse_scalar(p, ev, out);
    } else if (ev->type == YAML_ALIAS_EVENT) {
        rc = parse_alias(p, ev, out);
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        rc = parse_list(p, ev, depth, out);
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        rc = parse_map(p, ev, depth, out);
    } else {
        rc = fail_mark(p, ev->start_mark, "a value was expected here");
    }
    yaml_event_delete(ev);
    return rc;
}

/* Reads the first document of the stream; what follows it is not looked at (as in v4). */
static gp_code parse_stream(parser *p)
{
    for (;;) {
        yaml_event_t ev;
        gp_code rc = next_event(p, &ev);
        if (rc != GP_OK)
            return rc;
        if (ev.type == YAML_STREAM_END_EVENT) { /* nothing but comments */
            rc = new_node(p, GP_YAML_NULL, ev.start_mark, &p->doc->root);
            yaml_event_delete(&ev);
            return rc;
        }
        if (ev.type != YAML_STREAM_START_EVENT && ev.type != YAML_DOCUMENT_START_EVENT)
            return parse_node(p, &ev, 0, &p->doc->root);
        yaml_event_delete(&ev);
    }
}

static void parser_free(parser *p)
{
    for (size_t i = 0; i < p->n_anchors; i++)
        free(p->anchors[i].name);
    free(p->anchors);
    yaml_parser_delete(&p->yaml);
}

gp_code gp_yaml_parse(gp_yaml_doc **out, const char *name, const char *text, size_t len, gp_error *err)
{
    *out = NULL;
    parser p = {.err = err};
    p.doc = calloc(1, sizeof *p.doc);
    if (p.doc)
        p.doc->name = strdup(name);
    if (!p.doc || !p.doc->name || !yaml_parser_initialize(&p.yaml)) {
        gp_yaml_free(p.doc);
        return gp_fail(err, GP_ENOMEM, "%s: out of memory while reading YAML", name);
    }
    yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text, len);
    gp_code rc = parse_stream(&p);
    if (rc != GP_OK)
        gp_yaml_free(p.doc);
    else
        *out = p.doc;
    parser_free(&p);
    return rc;
}

gp_code gp_yaml_load(gp_yaml_doc **out, const char *path, gp_error *err)
{
    *out = NULL;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return gp_fail_errno(err, errno, "cannot open '%s'", path);
    gp_buf text = {.limit = GP_YAML_MAX_FILE};
    char part[16384];
    size_t got;
    while ((got = fread(part, 1, sizeof part, f)) > 0 && !text.failed)
        gp_buf_add(&text, part, got);
    int sys = ferror(f) ? errno : 0;
    gp_code rc;
    if (sys)
        rc = gp_fail_errno(err, sys, "cannot read '%s'", path);
    else if (text.failed)
        rc = gp_fail(err, GP_ELIMIT, "'%s' is larger than %d MiB", path, GP_YAML_MAX_FILE >> 20);
    else
        rc = gp_yaml_parse(out, path, text.data ? text.data : "", text.len, err);
    gp_buf_free(&text);
    (void)fclose(f); /* only read */
    return rc;
}

void gp_yaml_free(gp_yaml_doc *doc)
{
    if (!doc)
        return;
    for (tree_node *n = doc->nodes, *next; n; n = next) {
        next = n->next;
        free(n->text);
        free(n->entries);
        free(n);
    }
    free(doc->name);
    free(doc);
}

const gp_yaml_node *gp_yaml_root(const gp_yaml_doc *doc)
{
    return &doc->root->pub;
}

const char *gp_yaml_name(const gp_yaml_doc *doc)
{
    return doc->name;
}
