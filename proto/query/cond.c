#include "proto/query/cond.h"

#include "proto/base/buf.h"
#include "proto/query/cond_internal.h"
#include "proto/query/timeparse.h"

#include <stdlib.h>

static gp_code rewrite(cond_ast *ast, const cond_lookup *lookup, cond_direction *direction, char **texts,
                       gp_error *err)
{
    gp_code code = cond_take_direction(ast, direction, err);
    if (code == GP_OK && ast->root)
        code = cond_desugar(ast, err);
    if (code == GP_OK && ast->root)
        code = cond_resolve(ast, lookup, texts, err);
    return code;
}

gp_code cond_parse_with(const char *text, const cond_lookup *lookup, gp_cond **out, gp_error *err)
{
    cond_tokens tokens;
    cond_ast ast = {NULL, 0, 0, 0};
    cond_direction direction;
    char *texts = NULL;
    *out = NULL;
    gp_code code = cond_tokenize(text, &tokens, err);
    if (code != GP_OK || tokens.n == 0) {
        cond_tokens_free(&tokens);
        return code;
    }
    code = cond_parse_tokens(&tokens, &ast, err);
    if (code == GP_OK)
        code = rewrite(&ast, lookup, &direction, &texts, err);
    if (code == GP_OK)
        code = cond_build(&ast, &direction, out, err);
    free(texts);
    cond_ast_free(&ast);
    cond_tokens_free(&tokens);
    return code;
}

gp_code gp_cond_parse(const char *text, int64_t dns_timeout_ns, gp_cond **out, gp_error *err)
{
    cond_lookup lookup = {cond_dns_resolver, NULL, dns_timeout_ns > 0 ? dns_timeout_ns : GP_NS_PER_SEC};
    return cond_parse_with(text, &lookup, out, err);
}

void gp_cond_free(gp_cond *cond)
{
    if (!cond)
        return;
    free(cond->nodes);
    free(cond->text);
    free(cond);
}

const gp_cond_node *gp_cond_nodes(const gp_cond *cond, size_t *n)
{
    *n = cond->n_nodes;
    return cond->nodes;
}

int gp_cond_root(const gp_cond *cond)
{
    return cond->root;
}

gp_direction_filter gp_cond_direction(const gp_cond *cond)
{
    return cond->direction;
}

uint32_t gp_cond_columns(const gp_cond *cond)
{
    return cond->columns;
}

gp_ip_version gp_cond_ip_version(const gp_cond *cond)
{
    return cond->ip_version;
}

const char *gp_cond_string(const gp_cond *cond)
{
    return cond->text;
}

gp_code gp_cond_canonical(const char *text, char **out, gp_error *err)
{
    cond_tokens tokens;
    gp_buf joined = GP_BUF_INIT;
    gp_code code = cond_tokenize(text, &tokens, err);
    if (code != GP_OK)
        return code;
    for (size_t i = 0; i < tokens.n; i++) {
        if (i)
            gp_buf_putc(&joined, ' ');
        gp_buf_add(&joined, tokens.items[i].at, tokens.items[i].len);
    }
    cond_tokens_free(&tokens);
    *out = gp_buf_detach(&joined);
    return *out ? GP_OK : gp_fail(err, GP_ENOMEM, "out of memory for the text of a condition");
}

gp_code gp_cond_plain(const char *text, char **out, gp_error *err)
{
    cond_tokens tokens;
    gp_code code = cond_tokenize(text, &tokens, err);
    if (code != GP_OK)
        return code;
    *out = tokens.text;
    tokens.text = NULL;
    cond_tokens_free(&tokens);
    return GP_OK;
}
