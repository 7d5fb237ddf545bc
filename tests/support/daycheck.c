#include "tests/support/daycheck.h"

#include "sensor/godb/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct notes {
    const char *file;
    unsigned n;
} notes;

static void take(void *ctx, const gp_finding *f)
{
    notes *seen = ctx;
    assert_false(f->damage);
    assert_non_null(strstr(f->text, seen->file));
    seen->n++;
}

unsigned gp_test_notes_of_check(const char *db, const char *file)
{
    notes seen = {.file = file};
    const gp_finding_sink sink = {take, &seen};
    gp_day_folder *folders = NULL;
    gp_codec *codec = NULL;
    gp_day_verdict v;
    size_t n = 0;
    assert_int_equal(gp_codec_new(&codec, NULL), GP_OK);
    assert_int_equal(gp_day_folders_list(db, "eth0", &sink, &folders, &n, NULL), GP_OK);
    assert_int_equal(n, 1);
    assert_int_equal(gp_day_verify(&folders[0], codec, &sink, &v, NULL), GP_OK);
    assert_int_equal(v.n_intact, v.n_blocks);
    gp_day_verdict_free(&v);
    gp_day_folders_free(folders, n);
    gp_codec_free(codec);
    return seen.n;
}
