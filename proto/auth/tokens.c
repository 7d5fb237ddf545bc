#include "proto/auth/tokens.h"

#include "proto/auth/lines.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

enum { MAX_TOKEN = 1024 };

static const char prefix[] = "gp_";
static const char method[] = "sha256:";

/* ---- bytes and hexadecimal digits ---------------------------------------------------------------------- */

static void put_hex(gp_buf *out, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gp_buf_printf(out, "%02x", bytes[i]);
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = digit(text[2 * i]);
        int low = high < 0 ? -1 : digit(text[2 * i + 1]);
        if (low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool hash(const unsigned char *salt, const char *token, size_t len, unsigned char *out)
{
    gnutls_hash_hd_t h;
    if (gnutls_hash_init(&h, GNUTLS_DIG_SHA256) < 0)
        return false;
    bool ok = gnutls_hash(h, salt, GP_SALT_SIZE) >= 0 && gnutls_hash(h, token, len) >= 0;
    gnutls_hash_deinit(h, out);
    return ok;
}

static gp_code random_bytes(unsigned char *out, size_t n, gp_error *err)
{
    return gnutls_rnd(GNUTLS_RND_KEY, out, n) == 0
               ? GP_OK
               : gp_fail(err, GP_EINTERNAL, "the system has no random numbers");
}

gp_code gp_token_make(char out[GP_TOKEN_LEN + 1], gp_error *err)
{
    unsigned char bytes[32];
    gp_buf text = GP_BUF_INIT;
    gp_code rc = random_bytes(bytes, sizeof bytes, err);
    if (rc != GP_OK)
        return rc;
    gp_buf_puts(&text, prefix);
    put_hex(&text, bytes, sizeof bytes);
    if (text.failed)
        rc = gp_fail(err, GP_ENOMEM, "out of memory for a token");
    else
        memcpy(out, text.data, GP_TOKEN_LEN + 1);
    gp_buf_free(&text);
    return rc;
}

/* ---- scopes -------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    gp_scopes bit;
} scope_names[] = {{"query", GP_SCOPE_QUERY}, {"control", GP_SCOPE_CONTROL}};
enum { N_SCOPES = sizeof scope_names / sizeof scope_names[0] };

static gp_scopes scope_named(const char *word, size_t len)
{
    for (size_t i = 0; i < N_SCOPES; i++)
        if (strlen(scope_names[i].name) == len && strncmp(scope_names[i].name, word, len) == 0)
            return scope_names[i].bit;
    return 0;
}

gp_code gp_scopes_parse(const char *text, gp_scopes *out, gp_error *err)
{
    *out = 0;
    for (const char *at = text;;) {
        size_t len = strcspn(at, ",");
        gp_scopes bit = scope_named(at, len);
        if (!bit)
            return gp_fail(err, GP_EINVAL,
                           "'%.*s' is no scope (allowed: query, control, or both with a comma)",
                           (int)(len < 64 ? len : 64), at);
        *out |= bit;
        if (!at[len])
            return GP_OK;
        at += len + 1;
    }
}

void gp_scopes_write(gp_scopes scopes, gp_buf *out)
{
    bool first = true;
    for (size_t i = 0; i < N_SCOPES; i++)
        if (scopes & scope_names[i].bit) {
            gp_buf_puts(out, first ? "" : ",");
            gp_buf_puts(out, scope_names[i].name);
            first = false;
        }
}

/* ---- lines --------------------------------------------------------------------------------------------- */

static gp_code check_name(const char *name, gp_error *err)
{
    size_t len = strlen(name);
    bool plain = len > 0 && len <= GP_TOKEN_NAME_MAX;
    for (size_t i = 0; i < len && plain; i++)
        plain = isalnum((unsigned char)name[i]) || strchr("._-@", name[i]);
    if (plain)
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "'%.80s' is no name for a token (1 to %d of a-z A-Z 0-9 . _ - @)", name,
                   GP_TOKEN_NAME_MAX);
}

static gp_token_line *find(const gp_tokens *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->items[i].who.name, name) == 0)
            return &t->items[i];
    return NULL;
}

static gp_code append(gp_tokens *t, const gp_token_line *line, gp_error *err)
{
    if (t->n >= GP_TOKENS_MAX)
        return gp_fail(err, GP_ELIMIT, "more than %d tokens", GP_TOKENS_MAX);
    if (find(t, line->who.name))
        return gp_fail(err, GP_EEXIST, "there is a token named %s already", line->who.name);
    gp_token_line *more = reallocarray(t->items, t->n + 1, sizeof *more);
    if (!more)
        return gp_fail(err, GP_ENOMEM, "out of memory for tokens");
    t->items = more;
    t->items[t->n++] = *line;
    return GP_OK;
}

static gp_code parse_hash(const char *text, gp_token_line *line, gp_error *err)
{
    static const size_t salt_digits = (size_t)2 * GP_SALT_SIZE;
    static const size_t hash_digits = (size_t)2 * GP_HASH_SIZE;
    const char *salt = text + sizeof method - 1;
    if (strncmp(text, method, sizeof method - 1) == 0 && strlen(salt) == salt_digits + 1 + hash_digits &&
        salt[salt_digits] == ':' && read_hex(salt, line->salt, GP_SALT_SIZE) &&
        read_hex(salt + salt_digits + 1, line->hash, GP_HASH_SIZE))
        return GP_OK;
    return gp_fail(err, GP_EINVAL, "no hash of the form sha256:<32 hex digits>:<64 hex digits>");
}

/* One line without its end; blank ones and comments are nothing. */
static gp_code parse_line(void *ctx, char *text, gp_error *err)
{
    gp_tokens *out = ctx;
    static const char blanks[] = " \t\r";
    char *rest = NULL;
    gp_token_line line = {0};
    const char *name = strtok_r(text, blanks, &rest);
    if (!name || *name == '#')
        return GP_OK;
    const char *scopes = strtok_r(NULL, blanks, &rest);
    const char *hashed = strtok_r(NULL, blanks, &rest);
    if (!hashed || strtok_r(NULL, blanks, &rest))
        return gp_fail(err, GP_EINVAL, "a line is: name, scopes, hash");
    gp_code rc = check_name(name, err);
    if (rc == GP_OK)
        rc = gp_scopes_parse(scopes, &line.who.scopes, err);
    if (rc == GP_OK)
        rc = parse_hash(hashed, &line, err);
    if (rc != GP_OK)
        return rc;
    memcpy(line.who.name, name, strlen(name) + 1);
    return append(out, &line, err);
}

gp_code gp_tokens_parse(const char *name, const char *text, size_t len, gp_tokens *out, gp_error *err)
{
    *out = (gp_tokens){0};
    gp_code rc = gp_lines_parse(name, text, len, parse_line, out, err);
    if (rc != GP_OK)
        gp_tokens_free(out);
    return rc;
}

void gp_tokens_free(gp_tokens *t)
{
    free(t->items);
    *t = (gp_tokens){0};
}

/* No early end: how long it takes says nothing of which line fits. */
bool gp_tokens_check(const gp_tokens *t, const char *token, size_t len, gp_identity *out)
{
    const gp_token_line *fits = NULL;
    if (len == 0 || len > MAX_TOKEN)
        return false;
    for (size_t i = 0; i < t->n; i++) {
        unsigned char sum[GP_HASH_SIZE];
        bool hashed = hash(t->items[i].salt, token, len, sum);
        if (gnutls_memcmp(sum, t->items[i].hash, sizeof sum) == 0 && hashed)
            fits = &t->items[i];
    }
    if (fits)
        *out = fits->who;
    return fits != NULL;
}

gp_code gp_tokens_add(gp_tokens *t, const char *name, gp_scopes scopes, const char *token, gp_error *err)
{
    gp_token_line line = {.who.scopes = scopes};
    gp_code rc = check_name(name, err);
    if (rc == GP_OK)
        rc = random_bytes(line.salt, sizeof line.salt, err);
    if (rc == GP_OK && !hash(line.salt, token, strlen(token), line.hash))
        rc = gp_fail(err, GP_EINTERNAL, "SHA-256 is not available");
    if (rc != GP_OK)
        return rc;
    memcpy(line.who.name, name, strlen(name) + 1);
    return append(t, &line, err);
}

gp_code gp_tokens_remove(gp_tokens *t, const char *name, gp_error *err)
{
    gp_token_line *line = find(t, name);
    if (!line)
        return gp_fail(err, GP_ENOTFOUND, "there is no token named %s", name);
    memmove(line, line + 1, (size_t)(t->items + t->n - (line + 1)) * sizeof *line);
    t->n--;
    return GP_OK;
}

/* ---- file ---------------------------------------------------------------------------------------------- */

gp_code gp_tokens_load(const char *path, gp_tokens *out, gp_error *err)
{
    *out = (gp_tokens){0};
    gp_code rc = gp_lines_load(path, "tokens file", parse_line, out, err);
    if (rc != GP_OK)
        gp_tokens_free(out);
    return rc;
}

void gp_tokens_write(const gp_tokens *t, gp_buf *out)
{
    gp_buf_puts(out, "# Tokens of goprobe and global-query: name, scopes, salted SHA-256.\n");
    for (size_t i = 0; i < t->n; i++) {
        const gp_token_line *line = &t->items[i];
        gp_buf_puts(out, line->who.name);
        gp_buf_putc(out, ' ');
        gp_scopes_write(line->who.scopes, out);
        gp_buf_putc(out, ' ');
        gp_buf_puts(out, method);
        put_hex(out, line->salt, sizeof line->salt);
        gp_buf_putc(out, ':');
        put_hex(out, line->hash, sizeof line->hash);
        gp_buf_putc(out, '\n');
    }
}

static bool share(int fd, gid_t group, mode_t mode)
{
    return fchown(fd, (uid_t)-1, group) == 0 && fchmod(fd, mode | S_IRGRP) == 0;
}

/* A folder of root's with a group other than root's, such as /etc/goprobe of the packages, is where root
 * keeps settings for a service without root: that group may read what root makes there. Folders of others say
 * nothing about who may read tokens. */
static bool share_as_folder(int fd, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = !slash ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    struct stat st;
    bool known = folder && stat(folder, &st) == 0;
    free(folder);
    if (!known)
        return false;
    return geteuid() != 0 || st.st_uid != 0 || st.st_gid == 0 || share(fd, st.st_gid, 0600);
}

/* The service must still be able to read what it could read before. */
static bool give_access(int fd, const char *path, const gid_t *group)
{
    struct stat st;
    bool is_new = stat(path, &st) != 0;
    if (is_new && errno != ENOENT)
        return false;
    if (is_new)
        return group ? share(fd, *group, 0600) : share_as_folder(fd, path);
    if (fchown(fd, st.st_uid, st.st_gid) != 0 || fchmod(fd, st.st_mode & 0777) != 0)
        return false;
    return !group || share(fd, *group, st.st_mode & 0777);
}

static gp_code write_new(int fd, const char *path, const gid_t *group, const char *fresh, const gp_buf *text,
                         gp_error *err)
{
    bool ok = give_access(fd, path, group) && write(fd, text->data, text->len) == (ssize_t)text->len &&
              fsync(fd) == 0;
    int sys = errno;
    ok = close(fd) == 0 && ok;
    if (ok && rename(fresh, path) == 0)
        return GP_OK;
    sys = ok ? errno : sys;
    unlink(fresh);
    return gp_fail_errno(err, sys, "cannot write the tokens file '%s'", path);
}

gp_code gp_tokens_save(const gp_tokens *t, const char *path, const gid_t *group, gp_error *err)
{
    gp_buf text = GP_BUF_INIT;
    gp_buf fresh = GP_BUF_INIT;
    gp_tokens_write(t, &text);
    gp_buf_printf(&fresh, "%s.XXXXXX", path);
    gp_code rc = GP_OK;
    if (text.failed || fresh.failed) {
        rc = gp_fail(err, GP_ENOMEM, "out of memory for tokens");
    } else {
        int fd = mkostemp(fresh.data, O_CLOEXEC); /* mode 0600 */
        rc = fd < 0 ? gp_fail_errno(err, errno, "cannot write the tokens file '%s'", path)
                    : write_new(fd, path, group, fresh.data, &text, err);
    }
    gp_buf_free(&text);
    gp_buf_free(&fresh);
    return rc;
}
