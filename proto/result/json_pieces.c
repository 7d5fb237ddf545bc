#include "proto/result/json_pieces.h"

#include "proto/result/json_in.h"
#include "proto/result/strpool.h"

#include <stdlib.h>
#include <string.h>

/* What comes next. */
typedef enum stage {
    AT_START,
    AT_KEY,   /* a member, or the end of the result */
    AT_VALUE, /* of the member whose key was read */
    AT_ROW,   /* the comma before a row, or the end of the list */
    IN_ROW,
    AT_END
} stage;

/* How far it is known what the text is, up to where reading can go on. Only brackets, strings and commas are
 * looked at: whether it is JSON is found out in reading. */
typedef struct scan {
    size_t at; /* bytes behind the place where reading stands */
    unsigned depth;
    bool in_string, escaped;
    bool began; /* something else than blanks was there */
    bool colon;
} scan;

struct gp_result_reader {
    gp_json_in in;
    gp_result result;
    stage stage;
    scan scan;
    gp_json_in_fn read_value;
    gp_buf text; /* what was not read yet */
    bool whole;  /* no more will come */
    gp_code code;
    gp_error err;
};

gp_code gp_result_reader_new(gp_result_reader **out, gp_error *err)
{
    gp_result_reader *r = calloc(1, sizeof *r);
    if (!r)
        return gp_fail(err, GP_ENOMEM, "out of memory for an answer");
    gp_result_init(&r->result);
    r->in.r = r->in.rows.result = &r->result;
    r->in.err = &r->err;
    gp_json_init(&r->in.j, "", 0);
    *out = r;
    return GP_OK;
}

void gp_result_reader_free(gp_result_reader *r)
{
    if (!r)
        return;
    gp_json_free(&r->in.j);
    gp_result_free(&r->result);
    gp_buf_free(&r->text);
    free(r);
}

void gp_result_reader_limit(gp_result_reader *r, uint64_t max_rows)
{
    r->in.max_rows = max_rows;
}

/* ---- is it all there? ---------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* One character of a string; true: it was the last. */
static bool string_ends(scan *s, char c)
{
    if (s->escaped)
        s->escaped = false;
    else if (c == '\\')
        s->escaped = true;
    else if (c == '"')
        s->in_string = false;
    return !s->in_string;
}

static bool opens(char c)
{
    return c == '{' || c == '[';
}

static bool closes(char c)
{
    return c == '}' || c == ']';
}

/* One character; true: with it a value is complete. The one behind a number or word is what ends it. */
static bool value_ends(scan *s, char c)
{
    if (s->in_string)
        return string_ends(s, c) && s->depth == 0;
    if (!s->began && is_blank(c))
        return false;
    bool first = !s->began;
    s->began = true;
    if (c == '"') {
        s->in_string = true;
        return false;
    }
    if (opens(c)) {
        s->depth++;
        return false;
    }
    if (s->depth == 0)
        return !first && (is_blank(c) || c == ',' || closes(c));
    s->depth -= closes(c);
    return s->depth == 0;
}

/* One character; true: with it the key of a member is complete and its value has begun, or the result
 * ends. */
static bool key_ends(scan *s, char c)
{
    if (s->in_string)
        (void)string_ends(s, c);
    else if (c == '"' && !s->colon)
        s->in_string = true;
    else if (c == ':' && !s->colon)
        s->colon = true;
    else
        return closes(c) || (s->colon && !is_blank(c));
    return false;
}

static bool not_blank(scan *s, char c)
{
    (void)s;
    return !is_blank(c);
}

/* Whether reading can go on without running out of text. */
static bool is_there(gp_result_reader *r, bool (*ends)(scan *s, char c))
{
    scan *s = &r->scan;
    const gp_json *j = &r->in.j;
    size_t left = (size_t)(j->end - j->at);
    bool found = r->whole;
    while (!found && s->at < left)
        found = ends(s, j->at[s->at++]);
    if (found)
        *s = (scan){0};
    return found;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static bool read_start(gp_result_reader *r)
{
    if (!is_there(r, not_blank))
        return false;
    r->stage = gp_json_object(&r->in.j) ? AT_KEY : AT_END;
    return true;
}

static bool read_key(gp_result_reader *r)
{
    const char *key;
    size_t len;
    if (!is_there(r, key_ends))
        return false;
    r->stage = AT_END;
    if (!gp_json_key(&r->in.j, &key, &len))
        return true;
    r->read_value = gp_json_in_member(key, len);
    r->stage = AT_VALUE;
    if (r->read_value == gp_json_in_rows && gp_json_peek(&r->in.j) == GP_JSON_ARRAY) {
        gp_json_array(&r->in.j);
        r->stage = AT_ROW;
    }
    return true;
}

static bool read_value(gp_result_reader *r)
{
    if (!is_there(r, value_ends))
        return false;
    r->read_value(&r->in);
    r->stage = AT_KEY;
    return true;
}

static bool read_comma(gp_result_reader *r)
{
    if (!is_there(r, not_blank))
        return false;
    r->stage = gp_json_item(&r->in.j) ? IN_ROW : AT_KEY;
    return true;
}

/* Nearly always all of a row of the usual form is there. Where it is not, what was looked at once is not
 * looked at again with every piece. */
static bool read_row(gp_result_reader *r)
{
    bool is_new = r->scan.at == 0;
    if (!is_new || !gp_json_in_usual_row(&r->in)) {
        if (!is_there(r, value_ends))
            return false;
        gp_json_in_row(&r->in);
    }
    r->stage = AT_ROW;
    return true;
}

/* Blanks may follow; anything else is found by gp_json_done. */
static bool read_end(gp_result_reader *r)
{
    (void)gp_json_peek(&r->in.j);
    return false;
}

/* False: more text is needed, or nothing is left to be read. */
static bool read_next(gp_result_reader *r)
{
    static bool (*const read[])(gp_result_reader *) = {
        [AT_START] = read_start, [AT_KEY] = read_key, [AT_VALUE] = read_value,
        [AT_ROW] = read_comma,   [IN_ROW] = read_row, [AT_END] = read_end};
    return read[r->stage](r);
}

/* What was read is forgotten. */
static void drop_read(gp_result_reader *r)
{
    gp_json *j = &r->in.j;
    size_t read = (size_t)(j->at - j->text);
    if (read == 0)
        return;
    j->before += read;
    r->text.len -= read;
    memmove(r->text.data, r->text.data + read, r->text.len);
    if (r->stage == AT_END && r->text.len == 0)
        gp_buf_free(&r->text);
}

static gp_code read_on(gp_result_reader *r)
{
    gp_json *j = &r->in.j;
    if (r->text.failed)
        return gp_fail(&r->err, GP_ENOMEM, "out of memory for an answer");
    j->text = j->at = r->text.data;
    j->end = r->text.data + r->text.len;
    while (!j->what && read_next(r))
        ;
    bool over = r->whole || j->what || (r->stage == AT_END && j->at < j->end);
    if (over)
        return gp_json_in_code(&r->in, &r->err);
    drop_read(r);
    return GP_OK;
}

static gp_code tell(const gp_result_reader *r, gp_error *err)
{
    return r->code == GP_OK ? GP_OK : gp_fail(err, r->code, "%s", r->err.msg);
}

gp_code gp_result_reader_feed(gp_result_reader *r, const char *data, size_t len, gp_error *err)
{
    if (r->code == GP_OK && len > 0) {
        gp_buf_add(&r->text, data, len);
        r->code = read_on(r);
    }
    return tell(r, err);
}

size_t gp_result_reader_bytes(const gp_result_reader *r)
{
    const gp_result *got = &r->result;
    return r->text.len + got->cap_rows * sizeof *got->rows + got->n_hosts * sizeof *got->hosts +
           got->n_ifaces * sizeof *got->ifaces + got->n_digest * sizeof *got->digest +
           (got->pool ? gp_strpool_bytes(got->pool) : 0);
}

gp_code gp_result_reader_finish(gp_result_reader *r, gp_result *out, gp_error *err)
{
    r->whole = true;
    if (r->code == GP_OK) {
        (void)gp_buf_reserve(&r->text, 0); /* an empty text is one, too */
        r->code = read_on(r);
    }
    gp_result_init(out);
    if (r->code != GP_OK)
        return tell(r, err);
    *out = r->result;
    gp_result_init(&r->result);
    return GP_OK;
}
