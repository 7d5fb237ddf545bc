#include "proto/base/jsonread.h"

#include <string.h>

void gp_json_init(gp_json *j, const char *text, size_t len)
{
    *j = (gp_json){.text = text, .at = text, .end = text + len};
}

void gp_json_free(gp_json *j)
{
    gp_buf_free(&j->scratch);
}

void gp_json_reject(gp_json *j, const char *what)
{
    if (!j->what)
        j->what = what;
}

static void skip_space(gp_json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\n' || *j->at == '\r' || *j->at == '\t'))
        j->at++;
}

static bool accept(gp_json *j, char c)
{
    skip_space(j);
    if (j->what || j->at == j->end || *j->at != c)
        return false;
    j->at++;
    return true;
}

static bool expect(gp_json *j, char c, const char *what)
{
    if (accept(j, c))
        return true;
    gp_json_reject(j, what);
    return false;
}

gp_json_type gp_json_peek(gp_json *j)
{
    skip_space(j);
    if (j->what || j->at == j->end)
        return GP_JSON_NOTHING;
    switch (*j->at) {
    case '{':
        return GP_JSON_OBJECT;
    case '[':
        return GP_JSON_ARRAY;
    case '"':
        return GP_JSON_STRING;
    case 't':
    case 'f':
        return GP_JSON_BOOL;
    case 'n':
        return GP_JSON_NULL;
    default:
        return *j->at == '-' || (*j->at >= '0' && *j->at <= '9') ? GP_JSON_NUMBER : GP_JSON_NOTHING;
    }
}

static bool enter(gp_json *j, char open, const char *what)
{
    if (!expect(j, open, what))
        return false;
    if (j->depth + 1 >= GP_JSON_DEPTH) {
        gp_json_reject(j, "nested too deeply");
        return false;
    }
    j->depth++;
    j->first |= UINT64_C(1) << j->depth;
    return true;
}

/* True if another element follows on this level; consumes the comma before it or the bracket after the
 * last. */
static bool another(gp_json *j, char close)
{
    uint64_t bit = UINT64_C(1) << j->depth;
    if (j->what)
        return false;
    if (accept(j, close)) {
        j->depth--;
        return false;
    }
    if (!(j->first & bit) && !expect(j, ',', "expected ',' or the end of a list"))
        return false;
    j->first &= ~bit;
    return true;
}

bool gp_json_object(gp_json *j)
{
    return enter(j, '{', "expected an object");
}

bool gp_json_array(gp_json *j)
{
    return enter(j, '[', "expected a list");
}

bool gp_json_item(gp_json *j)
{
    return another(j, ']');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_hex4(gp_json *j, uint32_t *out)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < 4; i++) {
        int d = j->at < j->end ? hex_digit(*j->at++) : -1;
        if (d < 0)
            return false;
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return true;
}

static void put_utf8(gp_buf *b, uint32_t c)
{
    if (c < 0x80) {
        gp_buf_putc(b, (char)c);
    } else if (c < 0x800) {
        gp_buf_putc(b, (char)(0xc0 | c >> 6));
        gp_buf_putc(b, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        gp_buf_putc(b, (char)(0xe0 | c >> 12));
        gp_buf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
        gp_buf_putc(b, (char)(0x80 | (c & 0x3f)));
    } else {
        gp_buf_putc(b, (char)(0xf0 | c >> 18));
        gp_buf_putc(b, (char)(0x80 | (c >> 12 & 0x3f)));
        gp_buf_putc(b, (char)(0x80 | (c >> 6 & 0x3f)));
        gp_buf_putc(b, (char)(0x80 | (c & 0x3f)));
    }
}

/* Behind "\u": one UTF-16 unit, or a surrogate pair. Lone surrogates become U+FFFD. */
static bool read_unicode(gp_json *j)
{
    uint32_t c;
    uint32_t low;
    if (!read_hex4(j, &c))
        return false;
    bool high = c >= 0xd800 && c < 0xdc00;
    if (high && j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u') {
        const char *back = j->at;
        j->at += 2;
        if (read_hex4(j, &low) && low >= 0xdc00 && low < 0xe000) {
            put_utf8(&j->scratch, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
            return true;
        }
        j->at = back;
    }
    put_utf8(&j->scratch, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return true;
}

static bool read_escape(gp_json *j)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (j->at == j->end)
        return false;
    char c = *j->at++;
    if (c == 'u')
        return read_unicode(j);
    const char *hit = c ? strchr(from, c) : NULL;
    if (!hit)
        return false;
    gp_buf_putc(&j->scratch, to[hit - from]);
    return true;
}

/* From the first backslash on, the string is built in scratch. */
static const char *read_escaped(gp_json *j, const char *start, size_t *len)
{
    gp_buf_clear(&j->scratch);
    gp_buf_add(&j->scratch, start, (size_t)(j->at - start));
    while (j->at < j->end && *j->at != '"') {
        if ((unsigned char)*j->at < 0x20)
            break;
        if (*j->at == '\\') {
            j->at++;
            if (!read_escape(j)) {
                gp_json_reject(j, "bad escape in a string");
                return "";
            }
            continue;
        }
        gp_buf_putc(&j->scratch, *j->at++);
    }
    if (j->at == j->end || *j->at != '"' || j->scratch.failed) {
        gp_json_reject(j, j->scratch.failed ? "out of memory" : "unterminated string");
        return "";
    }
    j->at++;
    *len = j->scratch.len;
    return j->scratch.data ? j->scratch.data : "";
}

const char *gp_json_str(gp_json *j, size_t *len)
{
    *len = 0;
    if (!expect(j, '"', "expected a string"))
        return "";
    const char *start = j->at;
    while (j->at < j->end && *j->at != '"' && *j->at != '\\' && (unsigned char)*j->at >= 0x20)
        j->at++;
    if (j->at < j->end && *j->at == '\\')
        return read_escaped(j, start, len);
    if (j->at == j->end || *j->at != '"') {
        gp_json_reject(j, "unterminated string");
        return "";
    }
    *len = (size_t)(j->at - start);
    j->at++;
    return start;
}

bool gp_json_key(gp_json *j, const char **key, size_t *len)
{
    if (!another(j, '}'))
        return false;
    *key = gp_json_str(j, len);
    return expect(j, ':', "expected ':' after a key") && !j->what;
}

uint64_t gp_json_u64(gp_json *j)
{
    uint64_t v = 0;
    skip_space(j);
    const char *start = j->at;
    while (!j->what && j->at < j->end && *j->at >= '0' && *j->at <= '9') {
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(*j->at - '0'), &v)) {
            gp_json_reject(j, "number out of range");
            return 0;
        }
        j->at++;
    }
    if (j->at == start || (j->at < j->end && (*j->at == '.' || *j->at == 'e' || *j->at == 'E'))) {
        gp_json_reject(j, "expected a whole number");
        return 0;
    }
    return v;
}

int64_t gp_json_i64(gp_json *j)
{
    bool negative = accept(j, '-');
    uint64_t v = gp_json_u64(j);
    if (v > (uint64_t)INT64_MAX + negative) {
        gp_json_reject(j, "number out of range");
        return 0;
    }
    return negative ? (int64_t)(0 - v) : (int64_t)v;
}

static bool accept_word(gp_json *j, const char *word)
{
    size_t len = strlen(word);
    skip_space(j);
    if (j->what || (size_t)(j->end - j->at) < len || memcmp(j->at, word, len) != 0)
        return false;
    j->at += len;
    return true;
}

bool gp_json_bool(gp_json *j)
{
    if (accept_word(j, "true"))
        return true;
    if (!accept_word(j, "false"))
        gp_json_reject(j, "expected true or false");
    return false;
}

static bool in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* One scalar, or the opening bracket of a container. */
static void skip_scalar(gp_json *j)
{
    size_t len;
    switch (gp_json_peek(j)) {
    case GP_JSON_STRING:
        (void)gp_json_str(j, &len);
        break;
    case GP_JSON_NUMBER:
        while (j->at < j->end && in_number(*j->at))
            j->at++;
        break;
    case GP_JSON_BOOL:
        (void)gp_json_bool(j);
        break;
    case GP_JSON_NULL:
        if (!accept_word(j, "null"))
            gp_json_reject(j, "expected a value");
        break;
    default:
        gp_json_reject(j, "expected a value");
    }
}

void gp_json_skip(gp_json *j)
{
    const char *key;
    size_t len;
    gp_json_type type = gp_json_peek(j);
    /* Recursion is bounded by GP_JSON_DEPTH. */
    if (type == GP_JSON_OBJECT) {
        if (gp_json_object(j))
            while (gp_json_key(j, &key, &len))
                gp_json_skip(j);
    } else if (type == GP_JSON_ARRAY) {
        if (gp_json_array(j))
            while (gp_json_item(j))
                gp_json_skip(j);
    } else {
        skip_scalar(j);
    }
}

bool gp_json_is(const char *key, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(key, name, len) == 0;
}

bool gp_json_done(gp_json *j, gp_error *err)
{
    skip_space(j);
    if (!j->what && j->at != j->end)
        j->what = "unexpected text after the end";
    if (j->what)
        gp_fail(err, GP_EINVAL, "invalid JSON at byte %zu: %s", j->before + (size_t)(j->at - j->text),
                j->what);
    return !j->what;
}
