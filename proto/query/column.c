#include "proto/query/column.h"

#include "proto/query/token_error.h"

#include <stdlib.h>
#include <string.h>

static const char *const column_names[GP_COL_COUNT] = {
    [GP_COL_SIP] = "sip",
    [GP_COL_DIP] = "dip",
    [GP_COL_PROTO] = "proto",
    [GP_COL_DPORT] = "dport",
    [GP_COL_BYTES_RCVD] = "bytes_rcvd",
    [GP_COL_BYTES_SENT] = "bytes_sent",
    [GP_COL_PKTS_RCVD] = "pkts_rcvd",
    [GP_COL_PKTS_SENT] = "pkts_sent",
};

const char *gp_column_name(gp_column col)
{
    return (size_t)col < GP_COL_COUNT ? column_names[col] : "";
}

typedef struct word {
    const char *name;
    int value;
} word;

static const word attribute_words[] = {
    {"sip", GP_COL_SIP},       {"src", GP_COL_SIP},
    {"dip", GP_COL_DIP},       {"dst", GP_COL_DIP},
    {"proto", GP_COL_PROTO},   {"protocol", GP_COL_PROTO},
    {"ipproto", GP_COL_PROTO}, {"dport", GP_COL_DPORT},
    {"port", GP_COL_DPORT},    {NULL, 0},
};

static const word label_words[] = {
    {"time", GP_LABEL_TIME},         {"iface", GP_LABEL_IFACE},   {"host", GP_LABEL_HOSTNAME},
    {"hostname", GP_LABEL_HOSTNAME}, {"hostid", GP_LABEL_HOSTID}, {NULL, 0},
};

/* Names that stand for several columns. */
static const struct {
    const char *name;
    const char *columns;
} compounds[] = {
    {"talk_conv", "sip,dip"},
    {"talk_src", "sip"},
    {"talk_dst", "dip"},
    {"apps_port", "dport,proto"},
    {"agg_talk_port", "sip,dip,dport,proto"},
    {"raw", "time,host,hostid,iface,sip,dip,dport,proto"},
};

static bool span_is(gp_span s, const char *name)
{
    return strlen(name) == s.len && memcmp(s.at, name, s.len) == 0;
}

static bool find_word(const word *words, gp_span name, int *value)
{
    for (; words->name; words++) {
        if (span_is(name, words->name)) {
            *value = words->value;
            return true;
        }
    }
    return false;
}

/* Length of the white space at s: ASCII, and the two of Latin-1 (U+0085, U+00A0) in UTF-8. */
static size_t space_len(const char *s)
{
    if (*s == ' ' || (*s >= '\t' && *s <= '\r'))
        return 1;
    if (s[0] == '\xc2' && (s[1] == '\x85' || s[1] == '\xa0'))
        return 2;
    return 0;
}

static void remove_spaces(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        size_t n = space_len(from);
        if (n)
            from += n;
        else
            *to++ = *from++;
    }
    *to = '\0';
}

typedef struct token_list {
    gp_span *items;
    size_t n;
    size_t cap;
} token_list;

static bool push(token_list *l, gp_span token)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        gp_span *items = reallocarray(l->items, cap, sizeof *items);
        if (!items)
            return false;
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = token;
    return true;
}

static bool push_split(token_list *l, const char *text)
{
    for (;;) {
        size_t len = strcspn(text, ",");
        if (!push(l, (gp_span){text, len}))
            return false;
        if (!text[len])
            return true;
        text += len + 1;
    }
}

static bool push_expanded(token_list *l, gp_span token)
{
    for (size_t i = 0; i < sizeof compounds / sizeof compounds[0]; i++)
        if (span_is(token, compounds[i].name))
            return push_split(l, compounds[i].columns);
    return push(l, token);
}

static gp_code tokenize(const char *text, token_list *l, gp_error *err)
{
    for (;;) {
        size_t len = strcspn(text, ",");
        if (!push_expanded(l, (gp_span){text, len}))
            return gp_fail(err, GP_ENOMEM, "out of memory for a query type of more than %zu names", l->n);
        if (!text[len])
            return GP_OK;
        text += len + 1;
    }
}

static void add_attribute(gp_query_type *t, gp_column col)
{
    uint32_t bit = 1u << col;
    if (t->attr_mask & bit)
        return;
    t->attr_mask |= bit;
    t->attrs[t->n_attrs++] = col;
}

static gp_code classify(const token_list *l, gp_query_type *out, gp_error *err)
{
    gp_query_type t = {.n_attrs = 0};
    for (size_t i = 0; i < l->n; i++) {
        int value;
        if (find_word(label_words, l->items[i], &value))
            t.label_mask |= (uint32_t)value;
        else if (find_word(attribute_words, l->items[i], &value))
            add_attribute(&t, (gp_column)value);
        else
            return gp_token_error(err, l->items, l->n, i, ",", "unknown attribute");
    }
    *out = t;
    return GP_OK;
}

gp_code gp_query_type_parse(const char *text, gp_query_type *out, gp_error *err)
{
    token_list list = {NULL, 0, 0};
    char *compact = strdup(text);
    if (!compact)
        return gp_fail(err, GP_ENOMEM, "out of memory for the query type");
    remove_spaces(compact);
    gp_code code = tokenize(compact, &list, err);
    if (code == GP_OK)
        code = classify(&list, out, err);
    free(list.items);
    free(compact);
    return code;
}

const char *gp_query_type_name(size_t i)
{
    const size_t n_attributes = sizeof attribute_words / sizeof attribute_words[0] - 1;
    const size_t n_labels = sizeof label_words / sizeof label_words[0] - 1;
    const size_t n_compounds = sizeof compounds / sizeof compounds[0];
    if (i < n_attributes)
        return attribute_words[i].name;
    if (i < n_attributes + n_labels)
        return label_words[i - n_attributes].name;
    i -= n_attributes + n_labels;
    return i < n_compounds ? compounds[i].name : NULL;
}
