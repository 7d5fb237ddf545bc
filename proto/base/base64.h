/*
 * base64.h - base64 as in RFC 4648, section 4: with padding, no line breaks. Thread-safe.
 */
#ifndef GP_BASE_BASE64_H
#define GP_BASE_BASE64_H

#include "proto/base/buf.h"

void gp_base64_encode(const void *data, size_t len, gp_buf *out); /* appends */
/* Appends the bytes; false if the text is not base64 (out may then hold some of it). */
bool gp_base64_decode(const char *text, size_t len, gp_buf *out);

#endif
