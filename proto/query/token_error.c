#include "proto/query/token_error.h"

#include "proto/base/buf.h"

#include <string.h>

/* Leaves room in a gp_error for the line, the marker line below it and the description. */
enum { MAX_LINE = 800 };

static const char cut_mark[] = "...";

static size_t token_width(gp_span t, const char *sep)
{
    return t.len + strlen(sep);
}

/* Widens [*from, *to) around pos, token by token, as long as the text fits into MAX_LINE. */
static void choose_window(const gp_span *tokens, size_t n, size_t pos, const char *sep, size_t *from,
                          size_t *to)
{
    size_t used = 0;
    *from = *to = pos;
    for (bool grew = true; grew;) {
        grew = false;
        if (*to < n && used + token_width(tokens[*to], sep) <= MAX_LINE) {
            used += token_width(tokens[(*to)++], sep);
            grew = true;
        }
        if (*from > 0 && used + token_width(tokens[*from - 1], sep) <= MAX_LINE) {
            used += token_width(tokens[--(*from)], sep);
            grew = true;
        }
    }
}

static void add_tokens(gp_buf *b, const gp_span *tokens, size_t from, size_t to, const char *sep)
{
    for (size_t i = from; i < to; i++) {
        if (i > from)
            gp_buf_puts(b, sep);
        gp_buf_add(b, tokens[i].at, tokens[i].len);
    }
}

gp_code gp_token_error(gp_error *err, const gp_span *tokens, size_t n, size_t pos, const char *sep,
                       const char *description)
{
    size_t from;
    size_t to;
    gp_buf line = GP_BUF_INIT;
    choose_window(tokens, n, pos, sep, &from, &to);
    if (from > 0)
        gp_buf_puts(&line, cut_mark);
    add_tokens(&line, tokens, from, pos, sep);
    if (pos > from)
        gp_buf_puts(&line, sep);
    size_t column = line.len;
    add_tokens(&line, tokens, pos, to, sep);
    /* A single token that is longer than the window is cut, so that the user still sees its start. */
    if (to == pos && pos < n)
        gp_buf_add(&line, tokens[pos].at, tokens[pos].len < MAX_LINE ? tokens[pos].len : MAX_LINE);
    if (to < n)
        gp_buf_puts(&line, cut_mark);
    gp_buf_putc(&line, '\n');
    gp_buf_pad(&line, ' ', column);
    gp_buf_puts(&line, "^\n");
    gp_buf_puts(&line, description);
    gp_code code = line.failed ? gp_fail(err, GP_ENOMEM, "out of memory while reporting: %s", description)
                               : gp_fail(err, GP_EINVAL, "%s", line.data);
    gp_buf_free(&line);
    return code;
}

bool gp_is_token_error(const gp_error *err)
{
    return strchr(err->msg, '\n') != NULL;
}
