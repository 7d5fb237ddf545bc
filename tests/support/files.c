#include "tests/support/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

size_t gp_test_read(const char *path, uint8_t *dst, size_t room)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(dst, 1, room, f);
    assert_int_equal(fclose(f), 0);
    return len;
}

void gp_test_read_text(const char *path, char *dst, size_t room)
{
    dst[gp_test_read(path, (uint8_t *)dst, room - 1)] = '\0';
}

void gp_test_write(const char *path, const uint8_t *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}
