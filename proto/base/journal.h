/*
 * journal.h - log lines for journald in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one
 * datagram for each, so that fields stay fields. Internal to log.c.
 */
#ifndef GP_BASE_JOURNAL_H
#define GP_BASE_JOURNAL_H

#include "proto/base/buf.h"
#include "proto/base/error.h"

#define GP_JOURNAL_SOCKET "/run/systemd/journal/socket"

/* A socket that is connected to journald's. GP_ENOTFOUND or GP_EIO: there is none here. */
gp_code gp_journal_open(const char *path, int *fd, gp_error *err);

/* Appends a field. The key is turned into what journald takes: upper case, with GP_ in front where it is
 * ours. */
void gp_journal_put(gp_buf *datagram, const char *prefix, const char *key, const char *value);

#endif
