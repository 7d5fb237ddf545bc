#include "proto/query/cond_internal.h"

#include "proto/base/buf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * The lexer knows what may come next, because words mean different things in different places: in
 * "host = g or host g b" the first g is a host name and the second one is an operator.
 */
typedef enum expectation { PRIMARY, COMPARATOR, VALUE, CONNECTIVE } expectation;

typedef struct lexer {
    const char *in;
    gp_buf text; /* never longer than the input, reserved once: tokens point into it */
    cond_tokens *out;
    size_t cap;
    expectation next;
} lexer;

static const struct {
    const char *word;
    const char *op;
} comparator_words[] = {
    {"eq", "="},    {"-eq", "="},   {"equals", "="}, {"ne", "!="},  {"-ne", "!="},
    {"neq", "!="},  {"-neq", "!="}, {"le", "<="},    {"-le", "<="}, {"leq", "<="},
    {"-leq", "<="}, {"ge", ">="},   {"-ge", ">="},   {"geq", ">="}, {"-geq", ">="},
    {"g", ">"},     {"-g", ">"},    {"gt", ">"},     {"-gt", ">"},  {"greater", ">"},
    {"l", "<"},     {"-l", "<"},    {"lt", "<"},     {"-lt", "<"},  {"less", "<"},
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool ends_word(char c)
{
    return c == '\0' || is_blank(c) || strchr("!=<>|&(){}[]*+", c);
}

static bool push_token(lexer *l, size_t start)
{
    if (l->out->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 32;
        gp_span *items = reallocarray(l->out->items, cap, sizeof *items);
        if (!items)
            return false;
        l->out->items = items;
        l->cap = cap;
    }
    l->out->items[l->out->n++] = (gp_span){l->text.data + start, l->text.len - start};
    return true;
}

static bool emit(lexer *l, const char *token, expectation next)
{
    size_t start = l->text.len;
    gp_buf_puts(&l->text, token);
    l->next = next;
    return push_token(l, start);
}

/* Operators that are words replace the blanks around them, too. */
static bool emit_word_operator(lexer *l, const char *token, expectation next)
{
    while (l->text.len > 0 && is_blank(l->text.data[l->text.len - 1]))
        l->text.len--;
    while (is_blank(*l->in))
        l->in++;
    return emit(l, token, next);
}

static bool emit_word(lexer *l, const char *word, size_t len)
{
    static const expectation after[] = {
        [PRIMARY] = COMPARATOR, [COMPARATOR] = CONNECTIVE, [VALUE] = CONNECTIVE, [CONNECTIVE] = COMPARATOR};
    size_t start = l->text.len;
    gp_buf_add(&l->text, word, len);
    for (char *c = l->text.data + start; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
    l->next = after[l->next];
    return push_token(l, start);
}

static bool word_is(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(word, name, len) == 0;
}

static bool take_word(lexer *l)
{
    const char *word = l->in;
    while (!ends_word(*l->in))
        l->in++;
    size_t len = (size_t)(l->in - word);
    if (l->next == PRIMARY && word_is(word, len, "not"))
        return emit_word_operator(l, "!", PRIMARY);
    if (l->next == CONNECTIVE && word_is(word, len, "and"))
        return emit_word_operator(l, "&", PRIMARY);
    if (l->next == CONNECTIVE && word_is(word, len, "or"))
        return emit_word_operator(l, "|", PRIMARY);
    if (l->next == COMPARATOR)
        for (size_t i = 0; i < sizeof comparator_words / sizeof comparator_words[0]; i++)
            if (word_is(word, len, comparator_words[i].word))
                return emit_word_operator(l, comparator_words[i].op, VALUE);
    return emit_word(l, word, len);
}

/* "=", "==", "===" and (v4 again) "====" are the same. */
static bool skip_equals(lexer *l)
{
    int n = 0;
    while (n < 4 && *l->in == '=') {
        l->in++;
        n++;
    }
    return n > 0;
}

static bool take_doubled(lexer *l, char symbol, const char *token)
{
    if (*l->in == symbol)
        l->in++;
    return emit(l, token, PRIMARY);
}

static bool take_symbol(lexer *l)
{
    switch (*l->in++) {
    case '(':
    case '[':
    case '{':
        return emit(l, "(", PRIMARY);
    case ')':
    case ']':
    case '}':
        return emit(l, ")", CONNECTIVE);
    case '&':
        return take_doubled(l, '&', "&");
    case '|':
        return take_doubled(l, '|', "|");
    case '*':
        return emit(l, "&", PRIMARY);
    case '+':
        return emit(l, "|", PRIMARY);
    case '!':
        return skip_equals(l) ? emit(l, "!=", VALUE) : emit(l, "!", PRIMARY);
    case '<':
        return emit(l, skip_equals(l) ? "<=" : "<", VALUE);
    case '>':
        return emit(l, skip_equals(l) ? ">=" : ">", VALUE);
    default: /* '=' */
        l->in--;
        (void)skip_equals(l);
        return emit(l, "=", VALUE);
    }
}

static bool take_token(lexer *l)
{
    if (is_blank(*l->in)) {
        gp_buf_putc(&l->text, *l->in++);
        return true;
    }
    return ends_word(*l->in) ? take_symbol(l) : take_word(l);
}

gp_code cond_tokenize(const char *input, cond_tokens *out, gp_error *err)
{
    *out = (cond_tokens){NULL, NULL, 0};
    lexer l = {.in = input, .text = GP_BUF_INIT, .out = out, .next = PRIMARY};
    bool ok = gp_buf_reserve(&l.text, strlen(input));
    while (ok && *l.in)
        ok = take_token(&l);
    if (ok)
        l.text.data[l.text.len] = '\0';
    out->text = l.text.data;
    if (ok && !l.text.failed)
        return GP_OK;
    cond_tokens_free(out);
    return gp_fail(err, GP_ENOMEM, "out of memory for a condition of %zu characters", strlen(input));
}

void cond_tokens_free(cond_tokens *t)
{
    free(t->items);
    free(t->text);
    *t = (cond_tokens){NULL, NULL, 0};
}

bool cond_span_is(gp_span s, const char *text)
{
    return strlen(text) == s.len && memcmp(s.at, text, s.len) == 0;
}
