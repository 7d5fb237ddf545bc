#include "proto/query/cond_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* Enough of a value for a message. */
enum { SHOWN = 200 };

static int shown(gp_span s)
{
    return (int)(s.len < SHOWN ? s.len : SHOWN);
}

static bool wants_address(const cond_ast_node *node)
{
    return node->type == GP_COND_LEAF && (node->attr == COND_SIP || node->attr == COND_DIP);
}

static bool is_address(gp_span value)
{
    gp_addr a;
    return gp_addr_parse(value.at, value.len, &a);
}

static bool host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
           (unsigned char)c >= 0x80; /* international names are left to the resolver */
}

static bool looks_like_host(gp_span s)
{
    bool letter = false;
    for (size_t i = 0; i < s.len; i++) {
        if (!host_char(s.at[i]))
            return false;
        letter = letter || (s.at[i] != '.' && s.at[i] != '_');
    }
    return letter && s.len < sizeof((cond_host *)0)->name;
}

/* "1.2.3" or "8": the C library would take them for addresses, the user meant something else. The last
 * label of a host name is never a number (RFC 1123, section 2.1). */
static bool ends_in_number(const char *name)
{
    struct in_addr ignored;
    if (inet_aton(name, &ignored))
        return true;
    const char *dot = strrchr(name, '.');
    const char *last = dot ? dot + 1 : name;
    return *last && strspn(last, "0123456789") == strlen(last);
}

typedef struct host_list {
    cond_host *hosts;
    size_t n;
} host_list;

static cond_host *find_host(const host_list *l, gp_span name)
{
    for (size_t i = 0; i < l->n; i++)
        if (cond_span_is(name, l->hosts[i].name))
            return &l->hosts[i];
    return NULL;
}

static gp_code add_host(host_list *l, gp_span name, gp_error *err)
{
    if (!looks_like_host(name))
        return gp_fail(err, GP_EINVAL, "invalid value in condition: '%.*s' is neither an ip nor a hostname",
                       shown(name), name.at);
    if (find_host(l, name))
        return GP_OK;
    if (l->n == COND_MAX_HOSTS)
        return gp_fail(err, GP_ELIMIT, "the condition names more than %d hosts; use addresses or networks",
                       COND_MAX_HOSTS);
    if (!l->hosts)
        l->hosts = calloc(COND_MAX_HOSTS, sizeof *l->hosts);
    if (!l->hosts)
        return gp_fail(err, GP_ENOMEM, "out of memory for looking up %.*s", shown(name), name.at);
    cond_host *host = &l->hosts[l->n];
    memcpy(host->name, name.at, name.len);
    host->name[name.len] = '\0';
    if (ends_in_number(host->name))
        return gp_fail(err, GP_EINVAL, "lookup %.*s: no such host", shown(name), name.at);
    l->n++;
    return GP_OK;
}

static gp_code collect_hosts(const cond_ast *ast, host_list *l, gp_error *err)
{
    for (uint32_t i = 1; i < ast->n; i++) {
        const cond_ast_node *node = &ast->nodes[i];
        if (!wants_address(node) || is_address(node->value))
            continue;
        gp_code code = add_host(l, node->value, err);
        if (code != GP_OK)
            return code;
    }
    return GP_OK;
}

/* The addresses of all hosts as text, GP_ADDR_STRLEN apart, in the order of the hosts. */
static gp_code format_addresses(const host_list *l, char **texts, gp_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += l->hosts[i].n_addrs;
    *texts = calloc(n ? n : 1, GP_ADDR_STRLEN);
    if (!*texts)
        return gp_fail(err, GP_ENOMEM, "out of memory for the addresses of %zu hosts", l->n);
    char *to = *texts;
    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < l->hosts[i].n_addrs; k++, to += GP_ADDR_STRLEN)
            (void)gp_addr_format(&l->hosts[i].addrs[k], to);
    return GP_OK;
}

/* "sip = name" becomes one comparison, or a list: equal to any, or different from all of them. */
static gp_code replace(cond_ast *ast, uint32_t index, const char *texts, size_t n, gp_error *err)
{
    cond_ast_node leaf = ast->nodes[index];
    if (n == 1) {
        ast->nodes[index].value = (gp_span){texts, strlen(texts)};
        return GP_OK;
    }
    uint32_t next = 0;
    for (size_t k = n; k-- > 0;) {
        const char *text = texts + k * GP_ADDR_STRLEN;
        leaf.value = (gp_span){text, strlen(text)};
        leaf.next = next;
        gp_code code = cond_ast_add(ast, &leaf, &next, err);
        if (code != GP_OK)
            return code;
    }
    ast->nodes[index].type = leaf.op == GP_OP_EQ ? GP_COND_OR : GP_COND_AND;
    ast->nodes[index].first = next;
    return GP_OK;
}

static gp_code replace_all(cond_ast *ast, const host_list *l, const char *texts, gp_error *err)
{
    uint32_t n = ast->n;
    for (uint32_t i = 1; i < n; i++) {
        const cond_ast_node *node = &ast->nodes[i];
        if (!wants_address(node) || is_address(node->value))
            continue;
        const char *first = texts;
        const cond_host *host = l->hosts;
        for (; !cond_span_is(node->value, host->name); host++)
            first += host->n_addrs * GP_ADDR_STRLEN;
        gp_code code = replace(ast, i, first, host->n_addrs, err);
        if (code != GP_OK)
            return code;
    }
    return GP_OK;
}

static gp_code check_found(const host_list *l, gp_error *err)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->hosts[i].n_addrs == 0)
            return gp_fail(err, GP_EINVAL, "lookup %s: no such host", l->hosts[i].name);
    return GP_OK;
}

gp_code cond_resolve(cond_ast *ast, const cond_lookup *lookup, char **texts, gp_error *err)
{
    host_list list = {NULL, 0};
    *texts = NULL;
    gp_code code = collect_hosts(ast, &list, err);
    if (code == GP_OK && list.n > 0) {
        code = lookup->resolve(lookup->ctx, list.hosts, list.n, lookup->timeout_ns, err);
        if (code == GP_OK)
            code = check_found(&list, err);
        if (code == GP_OK)
            code = format_addresses(&list, texts, err);
        if (code == GP_OK)
            code = replace_all(ast, &list, *texts, err);
    }
    free(list.hosts);
    return code;
}
