#include "sensor/capture/journalfile.h"

#include "proto/base/buf.h"
#include "proto/base/fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

/* File: magic, version, seed of the checksums, commit note (time and checksum; zeros: none). Frame: length of
 * the payload, type, lane, time, number of the frame, checksum of all that and of the payload; then the
 * payload. */
enum { FILE_HEADER = 32, COMMIT_AT = 16, FRAME_HEADER = 32, CHECKED_HEADER = 24, VERSION = 1 };
enum { FRAME_BEGIN = 1, FRAME_SESSIONS = 2 };
enum { SESSION_MAX = 2 + 2 * 16 + 2 * 2 + 4 * 10, PAYLOAD_MAX = 10 + GP_JOURNAL_BATCH_MAX * SESSION_MAX };
enum { SESSION_V6 = 1 };
enum { PERMISSIONS = 0600 };

static const uint8_t magic[8] = {'G', 'P', 'J', 'R', 'N', 'L', 0, VERSION};

struct gp_journalfile {
    int fd, dir_fd;
    char name[64];      /* as it is called now */
    char published[64]; /* as it is to be called */
    uint64_t seed, size, frames;
    bool broken;
    gp_buf frame; /* scratch */
};

/* ---- numbers ------------------------------------------------------------------------------------------- */

static inline uint8_t *put_le(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *p++ = (uint8_t)(v >> 8 * i);
    return p;
}

static inline uint64_t get_le(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

/* LEB128, as in DWARF. */
static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

/* What is left of a payload; failed once something did not fit. */
typedef struct cursor {
    const uint8_t *at, *end;
    bool failed;
} cursor;

static const uint8_t *take(cursor *c, size_t n)
{
    if ((size_t)(c->end - c->at) < n) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += n;
    return p;
}

static uint64_t take_le(cursor *c, unsigned bytes)
{
    const uint8_t *p = take(c, bytes);
    return p ? get_le(p, bytes) : 0;
}

static uint64_t take_varint(cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *p = take(c, 1);
        if (!p)
            return 0;
        v |= (uint64_t)(*p & 0x7f) << shift;
        if (!(*p & 0x80))
            return v;
    }
    c->failed = true;
    return 0;
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

static uint8_t *put_session(uint8_t *p, const gp_session *s)
{
    size_t len = s->sip.len;
    *p++ = len == 16 ? SESSION_V6 : 0;
    *p++ = s->proto;
    p = put_le(p, s->sport, 2);
    p = put_le(p, s->dport, 2);
    memcpy(p, s->sip.bytes, len);
    memcpy(p + len, s->dip.bytes, len);
    p += 2 * len;
    p = put_varint(p, s->c.bytes_rcvd);
    p = put_varint(p, s->c.bytes_sent);
    p = put_varint(p, s->c.pkts_rcvd);
    return put_varint(p, s->c.pkts_sent);
}

static bool take_session(cursor *c, gp_session *s)
{
    uint64_t flags = take_le(c, 1);
    size_t len = flags & SESSION_V6 ? 16 : 4;
    *s = (gp_session){.proto = (uint8_t)take_le(c, 1)};
    s->sport = (uint16_t)take_le(c, 2);
    s->dport = (uint16_t)take_le(c, 2);
    const uint8_t *addresses = take(c, 2 * len);
    if (!addresses || flags > SESSION_V6)
        return false;
    s->sip = gp_addr_from_bytes(addresses, len);
    s->dip = gp_addr_from_bytes(addresses + len, len);
    s->c.bytes_rcvd = take_varint(c);
    s->c.bytes_sent = take_varint(c);
    s->c.pkts_rcvd = take_varint(c);
    s->c.pkts_sent = take_varint(c);
    return !c->failed;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static gp_code write_at(const gp_journalfile *f, uint64_t at, const void *data, size_t len, gp_error *err)
{
    if (gp_pwrite_all(f->fd, data, len, at))
        return GP_OK;
    return gp_fail_errno(err, errno, "cannot write to the journal '%s'", f->name);
}

/* The payload is in f->frame behind the room for the header. */
static gp_code write_frame(gp_journalfile *f, unsigned type, unsigned lane, int64_t ts, size_t payload,
                           gp_error *err)
{
    uint8_t *h = (uint8_t *)f->frame.data;
    uint8_t *p = put_le(h, payload, 4);
    p = put_le(p, type, 2);
    p = put_le(p, lane, 2);
    p = put_le(p, (uint64_t)ts, 8);
    p = put_le(p, f->frames, 8);
    XXH64_hash_t sum = XXH3_64bits_withSeed(h, CHECKED_HEADER, f->seed);
    put_le(p, XXH3_64bits_withSeed(h + FRAME_HEADER, payload, sum), 8);
    gp_code code = write_at(f, f->size, h, FRAME_HEADER + payload, err);
    if (code == GP_OK) {
        f->frames++;
        f->size += FRAME_HEADER + payload;
    } else if (ftruncate(f->fd, (off_t)f->size) != 0) { /* what is behind a torn frame would never be read */
        f->broken = true;
    }
    return code;
}

static bool reserve_frame(gp_journalfile *f, size_t payload, gp_error *err)
{
    gp_buf_clear(&f->frame);
    if (gp_buf_reserve(&f->frame, FRAME_HEADER + payload))
        return true;
    gp_fail(err, GP_ENOMEM, "out of memory for a frame of the journal '%s'", f->name);
    return false;
}

static gp_code write_begin(gp_journalfile *f, const char *iface, gp_error *err)
{
    uint8_t head[FILE_HEADER] = {0};
    size_t len = strlen(iface);
    memcpy(head, magic, sizeof magic);
    put_le(head + sizeof magic, f->seed, 8);
    gp_code code = write_at(f, 0, head, sizeof head, err);
    f->size = sizeof head;
    if (code == GP_OK && !reserve_frame(f, len, err))
        code = GP_ENOMEM;
    if (code != GP_OK)
        return code;
    memcpy(f->frame.data + FRAME_HEADER, iface, len);
    return write_frame(f, FRAME_BEGIN, 0, (int64_t)time(NULL), len, err);
}

static gp_code open_dir(gp_journalfile **out, const char *dir, gp_error *err)
{
    gp_journalfile *f = calloc(1, sizeof *f);
    if (!f)
        return gp_fail(err, GP_ENOMEM, "out of memory for a journal");
    f->fd = -1;
    f->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir_fd < 0) {
        gp_code code = gp_fail_errno(err, errno, "cannot open the folder '%s' of the journal", dir);
        free(f);
        return code;
    }
    *out = f;
    return GP_OK;
}

static bool is_linked(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* Nobody else has it, and it is still there. */
static gp_code lock_file(const gp_journalfile *f, gp_error *err)
{
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return gp_fail(err, GP_EBUSY, "the journal '%s' is in use by another goprobe", f->name);
    if (!is_linked(f->fd))
        return gp_fail(err, GP_ENOTFOUND, "the journal '%s' has just been removed", f->name);
    return GP_OK;
}

gp_code gp_journalfile_create(gp_journalfile **out, const char *dir, const char *iface, gp_error *err)
{
    gp_journalfile *f = NULL;
    if (!*iface || strlen(iface) >= GP_JOURNAL_IFACE_MAX || strchr(iface, '/'))
        return gp_fail(err, GP_EINVAL, "'%s' cannot be the name of an interface", iface);
    gp_code code = open_dir(&f, dir, err);
    if (code != GP_OK)
        return code;
    if (getrandom(&f->seed, sizeof f->seed, 0) != (ssize_t)sizeof f->seed)
        code = gp_fail_errno(err, errno, "cannot get random numbers for a journal");
    snprintf(f->name, sizeof f->name, GP_JOURNAL_NEW_PREFIX "%016" PRIx64 ".%s", f->seed, iface);
    snprintf(f->published, sizeof f->published, GP_JOURNAL_PREFIX "%016" PRIx64 ".%s", f->seed, iface);
    if (code == GP_OK) {
        f->fd = openat(f->dir_fd, f->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, PERMISSIONS);
        code = f->fd < 0 ? gp_fail_errno(err, errno, "cannot create the journal '%s/%s'", dir, f->name)
                         : lock_file(f, err);
    }
    if (code == GP_OK)
        code = write_begin(f, iface, err);
    if (code != GP_OK) {
        (void)gp_journalfile_remove(f, NULL);
        return code;
    }
    *out = f;
    return GP_OK;
}

gp_code gp_journalfile_resume(gp_journalfile *f, uint64_t good, uint64_t frames, gp_error *err)
{
    uint8_t head[FILE_HEADER];
    f->size = good;
    f->frames = frames;
    if (pread(f->fd, head, sizeof head, 0) != (ssize_t)sizeof head)
        return gp_fail_errno(err, errno, "cannot read the journal '%s'", f->name);
    f->seed = get_le(head + sizeof magic, 8);
    if (ftruncate(f->fd, (off_t)f->size) != 0)
        return gp_fail_errno(err, errno, "cannot cut off the torn end of the journal '%s'", f->name);
    return GP_OK;
}

gp_code gp_journalfile_claim(gp_journalfile **out, const char *dir, const char *name, gp_error *err)
{
    gp_journalfile *f = NULL;
    gp_code code = open_dir(&f, dir, err);
    if (code != GP_OK)
        return code;
    snprintf(f->name, sizeof f->name, "%s", name);
    snprintf(f->published, sizeof f->published, "%s", name);
    f->fd = openat(f->dir_fd, name, O_RDWR | O_CLOEXEC);
    code = f->fd < 0 ? gp_fail_errno(err, errno, "cannot open the journal '%s/%s'", dir, name)
                     : lock_file(f, err);
    if (code != GP_OK) {
        gp_journalfile_close(f);
        return code;
    }
    *out = f;
    return GP_OK;
}

gp_code gp_journalfile_append(gp_journalfile *f, const gp_journal_batch *batch, const gp_session *sessions,
                              size_t n, gp_error *err)
{
    if (n > GP_JOURNAL_BATCH_MAX || batch->lane >= GP_JOURNAL_LANES)
        return gp_fail(err, GP_EINTERNAL, "%zu sessions of lane %u do not fit a journal", n, batch->lane);
    if (!reserve_frame(f, 10 + n * SESSION_MAX, err))
        return GP_ENOMEM;
    uint8_t *payload = (uint8_t *)f->frame.data + FRAME_HEADER;
    uint8_t *p = put_varint(payload, batch->dropped);
    for (size_t i = 0; i < n; i++)
        p = put_session(p, &sessions[i]);
    return write_frame(f, FRAME_SESSIONS, batch->lane, batch->block_ts, (size_t)(p - payload), err);
}

/* In place: that works on a full disk, too. */
gp_code gp_journalfile_commit(gp_journalfile *f, int64_t ts, bool sync, gp_error *err)
{
    uint8_t note[FILE_HEADER - COMMIT_AT];
    put_le(note, (uint64_t)ts, 8);
    put_le(note + 8, XXH3_64bits_withSeed(note, 8, f->seed), 8);
    gp_code code = write_at(f, COMMIT_AT, note, sizeof note, err);
    return code == GP_OK && sync ? gp_journalfile_sync(f, err) : code;
}

gp_code gp_journalfile_sync(gp_journalfile *f, gp_error *err)
{
    if (fdatasync(f->fd) != 0)
        return gp_fail_errno(err, errno, "cannot sync the journal '%s'", f->name);
    return GP_OK;
}

/* Some file systems cannot sync a folder; they order renames by themselves. */
static gp_code sync_dir(const gp_journalfile *f, gp_error *err)
{
    if (fsync(f->dir_fd) != 0 && errno != EINVAL)
        return gp_fail_errno(err, errno, "cannot sync the folder of the journal '%s'", f->name);
    return GP_OK;
}

gp_code gp_journalfile_publish(gp_journalfile *f, const gp_journalfile *over, bool sync, gp_error *err)
{
    if (over)
        memcpy(f->published, over->published, sizeof f->published);
    gp_code code = sync ? gp_journalfile_sync(f, err) : GP_OK;
    if (code != GP_OK)
        return code;
    if (renameat(f->dir_fd, f->name, f->dir_fd, f->published) != 0)
        return gp_fail_errno(err, errno, "cannot rename the journal '%s' to '%s'", f->name, f->published);
    snprintf(f->name, sizeof f->name, "%s", f->published);
    return sync ? sync_dir(f, err) : GP_OK;
}

bool gp_journalfile_broken(const gp_journalfile *f)
{
    return f->broken;
}

uint64_t gp_journalfile_size(const gp_journalfile *f)
{
    return f->size;
}

void gp_journalfile_close(gp_journalfile *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    close(f->dir_fd);
    gp_buf_free(&f->frame);
    free(f);
}

gp_code gp_journalfile_remove(gp_journalfile *f, gp_error *err)
{
    gp_code code = GP_OK;
    if (unlinkat(f->dir_fd, f->name, 0) != 0 && errno != ENOENT)
        code = gp_fail_errno(err, errno, "cannot remove the journal '%s'", f->name);
    gp_journalfile_close(f);
    return code;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

typedef struct parser {
    gp_journal_sink sink;
    void *ctx;
    gp_journal_content *out;
    uint64_t seed;
} parser;

typedef enum step { STEP_DONE, STEP_MORE, STEP_DAMAGED } step;

static gp_code parse_file_header(parser *s, const uint8_t *data, size_t len, gp_error *err)
{
    if (len < FILE_HEADER || memcmp(data, magic, sizeof magic - 1) != 0)
        return gp_fail(err, GP_ECORRUPT, "this is no journal");
    if (data[sizeof magic - 1] != VERSION)
        return gp_fail(err, GP_EUNSUPPORTED, "journal of version %u: this program knows version %d",
                       data[sizeof magic - 1], VERSION);
    s->seed = get_le(data + sizeof magic, 8);
    s->out->good = FILE_HEADER;
    const uint8_t *note = data + COMMIT_AT;
    int64_t ts = (int64_t)get_le(note, 8);
    /* A torn note was not finished, so that nothing was written to the database yet. */
    if (ts > 0 && get_le(note + 8, 8) == XXH3_64bits_withSeed(note, 8, s->seed))
        s->out->committed = ts;
    return GP_OK;
}

static bool parse_begin(parser *s, const uint8_t *payload, size_t len)
{
    if (len == 0 || len >= GP_JOURNAL_IFACE_MAX || s->out->frames != 0)
        return false;
    memcpy(s->out->iface, payload, len);
    s->out->iface[len] = '\0';
    return strlen(s->out->iface) == len && !strchr(s->out->iface, '/');
}

/* All of a frame's sessions or none, so that its end is as good a place to stop as any. */
static bool parse_sessions(parser *s, unsigned lane, int64_t ts, const uint8_t *payload, size_t len)
{
    cursor c = {payload, payload + len, false};
    gp_session session;
    uint64_t n = 0;
    uint64_t dropped = take_varint(&c);
    if (c.failed || lane >= GP_JOURNAL_LANES || ts <= 0)
        return false;
    cursor sessions = c;
    for (; c.at < c.end; n++)
        if (!take_session(&c, &session))
            return false;
    while (sessions.at < sessions.end && take_session(&sessions, &session))
        s->sink(s->ctx, (uint16_t)lane, &session);
    s->out->sessions += n;
    s->out->block_ts = ts;
    s->out->dropped = dropped;
    return true;
}

static bool parse_payload(parser *s, unsigned type, unsigned lane, int64_t ts, const uint8_t *payload,
                          size_t len)
{
    if ((type == FRAME_BEGIN) != (s->out->frames == 0))
        return false;
    if (type == FRAME_BEGIN)
        return parse_begin(s, payload, len);
    return type == FRAME_SESSIONS && parse_sessions(s, lane, ts, payload, len);
}

/* One frame; *used is its length. */
static step parse_frame(parser *s, const uint8_t *p, size_t len, size_t *used)
{
    if (len < FRAME_HEADER)
        return STEP_MORE;
    uint64_t payload = get_le(p, 4);
    if (payload > PAYLOAD_MAX)
        return STEP_DAMAGED;
    *used = FRAME_HEADER + (size_t)payload;
    if (len < *used)
        return STEP_MORE;
    XXH64_hash_t sum = XXH3_64bits_withSeed(p, CHECKED_HEADER, s->seed);
    bool good =
        get_le(p + 16, 8) == s->out->frames &&
        get_le(p + CHECKED_HEADER, 8) == XXH3_64bits_withSeed(p + FRAME_HEADER, (size_t)payload, sum) &&
        parse_payload(s, (unsigned)get_le(p + 4, 2), (unsigned)get_le(p + 6, 2), (int64_t)get_le(p + 8, 8),
                      p + FRAME_HEADER, (size_t)payload);
    if (!good)
        return STEP_DAMAGED;
    s->out->frames++;
    s->out->good += *used;
    return STEP_DONE;
}

/* As many frames as there are; returns how many bytes they were. */
static size_t parse_frames(parser *s, const uint8_t *p, size_t len, step *last)
{
    size_t at = 0;
    size_t used = 0;
    while ((*last = parse_frame(s, p + at, len - at, &used)) == STEP_DONE)
        at += used;
    return at;
}

static gp_code check_begun(const gp_journal_content *c, gp_error *err)
{
    if (c->frames)
        return GP_OK;
    return gp_fail(err, GP_ECORRUPT, "damaged at its very beginning");
}

gp_code gp_journal_parse(const uint8_t *data, size_t len, gp_journal_sink sink, void *ctx,
                         gp_journal_content *out, gp_error *err)
{
    parser s = {.sink = sink, .ctx = ctx, .out = out};
    step last;
    *out = (gp_journal_content){0};
    gp_code code = parse_file_header(&s, data, len, err);
    if (code != GP_OK)
        return code;
    size_t used = parse_frames(&s, data + FILE_HEADER, len - FILE_HEADER, &last);
    out->damaged = FILE_HEADER + used < len;
    return check_begun(out, err);
}

/* Fills the buffer up; *end at the end of the file. */
static gp_code fill(int fd, gp_buf *b, size_t size, bool *end, gp_error *err)
{
    while (b->len < size && !*end) {
        ssize_t n = read(fd, b->data + b->len, size - b->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gp_fail_errno(err, errno, "cannot read");
        *end = n == 0;
        b->len += (size_t)n;
    }
    return GP_OK;
}

static gp_code read_frames(int fd, parser *s, gp_buf *b, gp_error *err)
{
    enum { WINDOW = 2 * (PAYLOAD_MAX + FRAME_HEADER) };
    bool end = false;
    if (!gp_buf_reserve(b, WINDOW))
        return gp_fail(err, GP_ENOMEM, "out of memory");
    gp_code code = fill(fd, b, WINDOW, &end, err);
    if (code == GP_OK)
        code = parse_file_header(s, (const uint8_t *)b->data, b->len, err);
    for (size_t used = FILE_HEADER; code == GP_OK;) {
        step last;
        used += parse_frames(s, (const uint8_t *)b->data + used, b->len - used, &last);
        b->len -= used;
        memmove(b->data, b->data + used, b->len);
        used = 0;
        if (end || last == STEP_DAMAGED) {
            s->out->damaged = b->len > 0;
            return check_begun(s->out, err);
        }
        code = fill(fd, b, WINDOW, &end, err);
    }
    return code;
}

gp_code gp_journal_read(const char *path, gp_journal_sink sink, void *ctx, gp_journal_content *out,
                        gp_error *err)
{
    gp_buf b = GP_BUF_INIT;
    parser s = {.sink = sink, .ctx = ctx, .out = out};
    *out = (gp_journal_content){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gp_fail_errno(err, errno, "cannot open the journal '%s'", path);
    gp_code code = read_frames(fd, &s, &b, err);
    if (code != GP_OK)
        gp_error_prefix(err, "journal '%s'", path);
    close(fd);
    gp_buf_free(&b);
    return code;
}
