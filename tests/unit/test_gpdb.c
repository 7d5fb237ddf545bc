/* gpdb as a program: what it prints, what it writes, its exit codes, and that a kill at any call leaves whole
 * days. */
#include "proto/base/buf.h"
#include "sensor/godb/verify.h"
#include "sensor/godb/writer.h"
#include "tests/support/gendb.h"
#include "tests/support/program.h"
#include "tests/support/tempdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY = 86400, STEP = 300, N_FLOWS = 30 };
static const int64_t day0 = 1699920000; /* 2023-11-14 */

typedef struct fixture {
    char dir[GP_TEMPDIR_LEN];
    gp_test_ran ran;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    gp_tempdir_make(f->dir);
    *state = f;
    return chdir(f->dir);
}

static int tear_down(void **state)
{
    fixture *f = *state;
    gp_tempdir_remove(f->dir);
    gp_test_ran_free(&f->ran);
    free(f);
    return 0;
}

/* Runs "gpdb ARGS" in the test's folder. */
static void run(fixture *f, const char *args)
{
    gp_test_run(&f->ran, "%s %s", GPDB, args);
}

static void expect(const fixture *f, int exit_code, const char *says)
{
    gp_test_expect(&f->ran, exit_code, says);
}

static void put_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Blocks of a day, from block `first` on, every one with other flows for another seed. */
static void write_iface_day(const char *db, const char *iface, int64_t day, unsigned first, unsigned n,
                            uint64_t seed)
{
    const gp_writer_config cfg = {
        .db = db, .iface = iface, .codec = GP_CODEC_LZ4, .no_sync = true, .batch = true};
    gp_writer *w = NULL;
    assert_int_equal(gp_writer_new(&w, &cfg, NULL), GP_OK);
    for (unsigned b = first; b < first + n; b++) {
        gp_flow flows[N_FLOWS];
        int64_t ts = day + (int64_t)b * STEP;
        size_t len = gp_gendb_block(seed, ts, flows, N_FLOWS);
        assert_int_equal(gp_writer_write(w, ts, flows, len, 1, NULL, NULL), GP_OK);
    }
    assert_int_equal(gp_writer_flush(w, NULL), GP_OK);
    gp_writer_free(w);
}

static void write_day(const char *db, int64_t day, unsigned first, unsigned n, uint64_t seed)
{
    write_iface_day(db, "eth0", day, first, n, seed);
}

static size_t blocks_of(const char *db, int64_t day)
{
    gp_day *d = NULL;
    gp_error err = GP_ERROR_INIT;
    if (gp_day_open(&d, db, "eth0", day, &err) != GP_OK)
        return 0;
    size_t n = gp_day_meta(d)->n_blocks;
    gp_day_close(d);
    return n;
}

/* The export of a database, to compare. */
static char *content(fixture *f, const char *db)
{
    char args[256];
    snprintf(args, sizeof args, "export %s", db);
    run(f, args);
    assert_int_equal(f->ran.exit_code, 0);
    return strdup(f->ran.out.data);
}

static void path_of(const char *db, int64_t day, const char *file, char *dst)
{
    gp_day *d = NULL;
    assert_int_equal(gp_day_open(&d, db, "eth0", day, NULL), GP_OK);
    snprintf(dst, 600, "%s/%s", gp_day_path(d), file);
    gp_day_close(d);
}

static void damage(const char *path, off_t at, size_t len)
{
    char noise[64];
    memset(noise, 0xa5, sizeof noise);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, noise, len, at), len);
    close(fd);
}

/* ---- command line -------------------------------------------------------------------------------------- */

static void usage(void **state)
{
    fixture *f = *state;
    static const char *const cases[][2] = {
        /* as v4 */
        {"", "Error running command: no sub-command provided"},
        {"bogus", "Error running command: unknown command \"bogus\" for \"gpdb\""},
        {"merge a", "Error running command: accepts 2 arg(s), received 1"},
        {"import -x", "Error running command: unknown shorthand flag: 'x' in -x"},
        {"import --overwrite a b", "Error running command: unknown flag: --overwrite"},
        {"import a b --max-rows", "Error running command: flag needs an argument: --max-rows"},
        {"import a b -n x", "Error running command: invalid argument \"x\" for \"-n, --max-rows\" flag: "},
        {"merge a b --complete-tolerance 3x",
         "Error running command: invalid argument \"3x\" for \"--complete-tolerance\" flag: "},
        {"import a b --encoder bogus", "Error running command: unsupported encoder: bogus"},
        {"import a b --encoder 4", "Error running command: encoder type `4` is out of range"},
        {"import a b --permissions abc", "Error running command: invalid permissions `abc`"},
        {"import nosuch b", "Error running command: failed to import CSV `nosuch` into DB `b`: failed to "
                            "open CSV input `nosuch`: "},
        {"import a b -n -1", "max rows must be >= 0, got -1"},
        {"merge nosuch b", "failed to merge source DB `nosuch` into destination DB `b`: failed to access "
                           "source path `nosuch`: "},
        {"merge a a", "source and destination paths must differ"},
        /* ours */
        {"chekc", "Error running command: unknown command \"chekc\" for \"gpdb\" (did you mean check?)"},
        {"import a b --level 99", "--level: encoder lz4 has levels up to 12"},
        {"export a -e xml", "'xml' is none of csv, json and rowbinary"},
        {"index nosuch", "failed to index DB `nosuch`: cannot open database 'nosuch'"},
        {"check nosuch", "failed to check DB `nosuch`: cannot open database 'nosuch'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run(f, cases[i][0]);
        expect(f, 1, cases[i][1]);
    }
    run(f, "help repair");
    expect(f, 0, "--aside");
    run(f, "import --help");
    expect(f, 0, "gpdb import SOURCE_CSV DESTINATION_DB");
    run(f, "version");
    expect(f, 0, "gpdb - ");
}

/* ---- import -------------------------------------------------------------------------------------------- */

static const char flows_csv[] =
    "time,iface,sip,dip,dport,proto,packets received,packets sent,data vol. received,data vol. sent\n"
    "1700000100,eth0,10.0.0.1,10.0.0.2,443,6,1,2,100,200\n"
    "1700000100,eth0,10.0.0.1,10.0.0.2,443,TCP,1,2,7,7\n"
    "1700000100,eth0,10.0.0.1,2001:db8::2,443,tcp,1,2,7,7\n"
    "1700000100, eth1 , 2001:db8::1 ,2001:db8::2,53,udp,1,2,7,7\n"
    "1700000400,eth0,10.0.0.9,10.0.0.2,443,99999,1,2,100,200\n"
    "1700000400,eth0,10.0.0.9,10.0.0.2,443,17,1,2,100,200\n"
    "x\n";

static void import_as_v4_does(void **state)
{
    fixture *f = *state;
    put_file("a.csv", flows_csv);
    run(f, "import a.csv db");
    /* Printed, and folder names written, by v4's gpdb from the same file. */
    expect(f, 0,
           "Import completed\nRows read: 7\nRows imported: 4\nRows skipped: 3\nInterfaces written: 2\nBlocks "
           "written: 3\n");
    assert_int_equal(access("db/eth0/2023/11/1699920000_2-0-0-J1-l3-2-4/.blockmeta", F_OK), 0);
    assert_int_equal(access("db/eth1/2023/11/1699920000_0-1-0-7-7-1-2/.blockmeta", F_OK), 0);
    run(f, "export db");
    expect(f, 0,
           "data vol. "
           "sent\n1700000100,eth0,10.0.0.1,10.0.0.2,443,6,1,2,7,7\n1700000400,eth0,10.0.0.9,10.0.0.2,443,17,"
           "1,2,100,200\n1700000100,eth1,2001:db8::1,2001:db8::2,53,17,1,2,7,7\n");
    run(f, "check db");
    expect(f, 0, "Blocks intact: 3\nDamages: 0\n");
    run(f, "import a.csv db"); /* the blocks are there already */
    expect(f, 1, "failed to write block `1700000100` for interface `eth0`");
}

static void import_options(void **state)
{
    fixture *f = *state;
    struct stat st;
    put_file("s.csv", "1700000100,10.0.0.1\n1700000400,10.0.0.2\n1700000700,10.0.0.3\n");
    run(f,
        "import s.csv db --schema time,sip --iface eth7 -n 2 --permissions 0600 --encoder zstd --level 19");
    expect(f, 0, "Rows read: 2\n");
    assert_int_equal(stat("db/eth7", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    run(f, "import s.csv db2 --schema time,sip");
    expect(f, 1, "schema does not contain `iface` field and no interface was provided via option");
    put_file("u.csv", "time,iface\n1700000400,eth0\n1700000100,eth0\n");
    run(f, "import u.csv db3");
    expect(f, 1,
           "input must be ordered by non-decreasing timestamp for each interface (row=2, iface=eth0, "
           "previous=1700000400, current=1700000100)");
    put_file("q.csv", "time,iface\n1700000100,eth0\n1700000400,\"eth0\n");
    run(f, "import q.csv db4");
    expect(f, 1,
           "failed to read CSV row 2 from `q.csv`: parse error on line 3, column 17: extraneous or missing");
    put_file("e.csv", "");
    run(f, "import e.csv db5");
    expect(f, 1, "input CSV `e.csv` is empty");
}

static void export_and_import_round_trip(void **state)
{
    fixture *f = *state;
    write_day("db", day0, 0, 4, 1);
    write_day("db", day0 + DAY, 0, 4, 1);
    char *before = content(f, "db");
    run(f, "export db -o all.csv");
    expect(f, 0, "Rows written: ");
    run(f, "import all.csv copy");
    expect(f, 0, "Blocks written: 8\n");
    char *after = content(f, "copy");
    assert_string_equal(before, after);
    run(f, "export db -f 1699920300 -l 1699920600 --iface eth0 -e json");
    expect(f, 0, "{\"time\":1699920300,");
    assert_null(strstr(f->ran.out.data, "1699920000"));
    assert_null(strstr(f->ran.out.data, "1699920900"));
    run(f, "stats db");
    expect(f, 0, "eth0: 2 days, 8 blocks from 2023-11-14 00:00:00 UTC to 2023-11-15 00:15:00 UTC");
    run(f, "stats db -e json");
    expect(f, 0, "{\"iface\":\"eth0\",\"days\":2,\"unreadable_days\":0,\"blocks\":8,");
    free(before);
    free(after);
}

static void import_in_order_of_interfaces(void **state)
{
    fixture *f = *state;
    write_iface_day("db", "eth0", day0, 0, 4, 8);
    write_iface_day("db", "eth1", day0, 0, 3, 7);
    write_iface_day("db", "eth1", day0 + DAY, 0, 3, 7);
    write_iface_day("db", "wg0", day0, 0, 2, 5);
    run(f, "export db -o all.csv");
    expect(f, 0, "Rows written: ");
    run(f, "import all.csv copy");
    expect(f, 0, "Interfaces written: 3\nBlocks written: 12\n");
    run(f, "export copy -o again.csv");
    assert_int_equal(system("cmp all.csv again.csv"), 0);
    run(f, "check copy");
    expect(f, 0, "Blocks intact: 12\nDamages: 0\nNotes: 0\n");
    assert_int_equal(system("ulimit -n 52 && " GPDB " import all.csv few >/dev/null"), 0); /* two writers */
    run(f, "export few -o again.csv");
    assert_int_equal(system("cmp all.csv again.csv"), 0);
}

/* What is complete is kept and told; the block that the input broke off in is not. */
static void import_that_breaks_off(void **state)
{
    fixture *f = *state;
    put_file("b.csv", "time,iface,sip\n1700000100,eth0,10.0.0.1\n1700000400,eth0,10.0.0.1\n"
                      "1700000100,eth1,10.0.0.1\n1700000700,eth1,10.0.0.1\n1700000700,eth1,10.0.0.2\n"
                      "1700000100,eth1,10.0.0.1\n");
    run(f, "import b.csv db");
    expect(f, 1,
           "Import ended early\nRows read: 6\nRows imported: 3\nRows skipped: 0\nInterfaces written: 2\n"
           "Blocks written: 3\nRows left out, as their block may lack others: 2\n");
    assert_non_null(strstr(f->ran.out.data, "(row=6, iface=eth1, previous=1700000700, current=1700000100)"));
    run(f, "check db");
    expect(f, 0, "Blocks intact: 3\nDamages: 0\n");
}

/* ---- merge --------------------------------------------------------------------------------------------- */

static void merge_days(void **state)
{
    fixture *f = *state;
    write_day("a", day0, 0, 288, 1);     /* complete, only in the source */
    write_day("a", day0 + DAY, 0, 4, 1); /* in both, incomplete */
    write_day("b", day0 + DAY, 2, 4, 2);
    write_day("a", day0 + 2 * DAY, 0, 288, 1); /* complete in both */
    write_day("b", day0 + 2 * DAY, 0, 288, 2);
    run(f, "merge a b --dry-run");
    expect(f, 0,
           "Merge completed (dry-run=true)\nInterfaces processed: 1\nDays copied: 1\nDays rebuilt: 1\nDays "
           "skipped: 1\n");
    assert_int_equal(blocks_of("b", day0), 0);
    run(f, "merge a b");
    expect(f, 0,
           "Merge completed (dry-run=false)\nInterfaces processed: 1\nDays copied: 1\nDays rebuilt: 1\nDays "
           "skipped: 1\n"
           "Conflicts resolved by destination: 2\nConflicts resolved by source: 0\n");
    assert_int_equal(blocks_of("b", day0), 288);
    assert_int_equal(blocks_of("b", day0 + DAY), 6);
    run(f, "check b");
    expect(f, 0, "Blocks intact: 582\nDamages: 0\nNotes: 0\n");
    run(f, "merge a b --overwrite");
    expect(f, 0,
           "Days copied: 2\nDays rebuilt: 1\nDays skipped: 0\nConflicts resolved by destination: "
           "0\nConflicts resolved "
           "by source: 4\n");
    run(f, "check b");
    expect(f, 0, "Blocks intact: 582\nDamages: 0\nNotes: 0\n");
    run(f, "merge a b --iface eth1");
    expect(f, 1, "requested interface `eth1` not found in source");
    DIR *dir = opendir("b");
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        assert_true(strncmp(e->d_name, ".gpdb", 5) != 0); /* nothing is left over */
    closedir(dir);
}

static void merge_refuses_damaged_blocks(void **state)
{
    fixture *f = *state;
    char path[600];
    write_day("a", day0, 0, 4, 1);
    write_day("b", day0, 2, 4, 2);
    char *before = content(f, "b");
    path_of("a", day0, "dip.gpf", path);
    assert_int_equal(truncate(path, 20), 0);
    run(f, "merge a b");
    expect(f, 1, "dip.gpf has 20 bytes");
    char *after = content(f, "b");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* ---- check and repair ---------------------------------------------------------------------------------- */

static void repair_keeps_what_is_intact(void **state)
{
    fixture *f = *state;
    char path[600];
    write_day("db", day0, 0, 10, 1);
    write_day("db", day0 + DAY, 0, 10, 1);
    write_day("db", day0 + 2 * DAY, 0, 10, 1);
    path_of("db", day0, "dip.gpf", path);
    gp_day *d = NULL;
    assert_int_equal(gp_day_open(&d, "db", "eth0", day0, NULL), GP_OK);
    off_t at = (off_t)gp_day_meta(d)->blocks[3].col[GP_COL_DIP].offset;
    gp_day_close(d);
    damage(path, at, 16); /* one block */
    path_of("db", day0 + DAY, "pkts_sent.gpf", path);
    assert_int_equal(unlink(path), 0); /* all of a day */
    run(f, "check db");
    expect(f, 2, "block 1699920900 (2023-11-14 00:15:00 UTC): column dip");
    expect(f, 2, "pkts_sent.gpf is missing: 10 blocks are lost");
    expect(f, 2, "Blocks checked: 30\nBlocks intact: 19\nDamages: 2\n");
    run(f, "repair db --dry-run");
    expect(f, 2, "eth0 2023-11-14: would keep 9 of 10 blocks");
    expect(f, 2, "Days repaired: 1\nDays removed: 1\nDays renamed: 0\nDays left alone: 0\nBlocks lost: 11\n");
    assert_int_equal(access("db.damaged", F_OK), -1);
    run(f, "repair db");
    expect(f, 0, "eth0 2023-11-15: keeping 0 of 10 blocks: nothing of the day can be read");
    assert_int_equal(blocks_of("db", day0), 9);
    assert_int_equal(blocks_of("db", day0 + DAY), 0);
    assert_int_equal(blocks_of("db", day0 + 2 * DAY), 10);
    assert_int_equal(blocks_of("db.damaged", day0), 10); /* put aside whole */
    assert_int_equal(blocks_of("db.damaged", day0 + DAY), 10);
    run(f, "check db");
    expect(f, 0, "Blocks intact: 19\nDamages: 0\nNotes: 0\n");
    run(f, "repair db");
    expect(f, 0, "Days repaired: 0\nDays removed: 0\nDays renamed: 0\nDays left alone: 0\nBlocks lost: 0\n");
}

static void repair_names_and_doubles(void **state)
{
    fixture *f = *state;
    char path[600];
    char other[700];
    write_day("db", day0, 0, 3, 1);
    path_of("db", day0, "", path);
    path[strlen(path) - 1] = '\0';
    snprintf(other, sizeof other, "db/eth0/2023/11/%lld_1-0-0-1-1-1-1", (long long)day0);
    assert_int_equal(rename(path, other), 0);
    run(f, "check db");
    expect(f, 0, "the folder's name states other totals");
    run(f, "repair db");
    expect(f, 0, "Days renamed: 1\n");
    assert_int_equal(access(path, F_OK), 0);
    /* A second folder of the day, with blocks of its own. */
    write_day("more", day0, 2, 3, 2);
    path_of("more", day0, "", path);
    path[strlen(path) - 1] = '\0';
    snprintf(other, sizeof other, "db/eth0/2023/11/%s", strrchr(path, '/') + 1);
    assert_int_equal(rename(path, other), 0);
    run(f, "check db");
    expect(f, 2, "second folder of one day");
    run(f, "repair db");
    expect(f, 0, "Days repaired: 1\n");
    assert_int_equal(blocks_of("db", day0), 5);
    run(f, "check db");
    expect(f, 0, "Damages: 0\nNotes: 0\n");
}

static void export_passes_over_damage(void **state)
{
    fixture *f = *state;
    char path[600];
    write_day("db", day0, 0, 3, 1);
    path_of("db", day0, "proto.gpf", path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 1), 0);
    run(f, "export db");
    expect(f, 2, "gpdb: passed over: ");
    assert_non_null(strstr(f->ran.out.data, "\n1699920300,"));
    assert_null(strstr(f->ran.out.data, "\n1699920600,"));
}

/* ---- index --------------------------------------------------------------------------------------------- */

static void index_adds_what_is_missing(void **state)
{
    fixture *f = *state;
    char path[600];
    write_day("db", day0, 0, 5, 1);
    write_day("db", day0 + DAY, 0, 5, 2);
    write_day("db", (int64_t)time(NULL) / DAY * DAY, 0, 1, 3);
    char *before = content(f, "db");
    run(f, "index db");
    expect(
        f, 0,
        "Index completed (dry-run=false)\nDays indexed: 0\nDays with nothing to add: 2\nDays left alone: 1\n"
        "Days failed: 0\nBlocks damaged: 0\nBytes written: 0\n");
    path_of("db", day0, ".blocksums", path);
    assert_int_equal(unlink(path), 0);
    run(f, "index db --dry-run");
    expect(f, 0, "eth0 2023-11-14: would add 5 records\nIndex completed (dry-run=true)\nDays indexed: 1\n");
    assert_int_equal(access(path, F_OK), -1);
    run(f, "index db --iface eth1");
    expect(f, 1, "requested interface `eth1` not found in the database");
    run(f, "index db --iface eth0");
    expect(f, 0, "eth0 2023-11-14: added 5 records\nIndex completed (dry-run=false)\nDays indexed: 1\n");
    assert_int_equal(access(path, F_OK), 0);
    run(f, "check db");
    expect(f, 0, "Damages: 0\nNotes: 0\n");
    char *after = content(f, "db");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* A day that fails is named, and the others are indexed. */
static void index_goes_on_after_damage(void **state)
{
    fixture *f = *state;
    char path[600];
    for (unsigned i = 0; i < 3; i++) {
        write_day("db", day0 + i * DAY, 0, 3, 1);
        path_of("db", day0 + i * DAY, ".blocksums", path);
        assert_int_equal(unlink(path), 0);
    }
    path_of("db", day0, ".blockmeta", path);
    assert_int_equal(truncate(path, 100), 0);
    path_of("db", day0 + DAY, "bytes_rcvd.gpf", path);
    assert_int_equal(truncate(path, 1), 0);
    run(f, "index db");
    expect(f, 2, "eth0 2023-11-14: FAILED: ");
    expect(f, 2, "eth0 2023-11-15: 3 damaged blocks passed over (see gpdb check): block 1700006400: ");
    expect(f, 2, "eth0 2023-11-16: added 3 records\n");
    expect(f, 2,
           "Days indexed: 1\nDays with nothing to add: 0\nDays left alone: 0\nDays failed: 1\nBlocks "
           "damaged: 3\n");
    run(f, "index db");
    expect(f, 2, "Days indexed: 0\nDays with nothing to add: 1\n");
}

/* What a kill in the first block of a day leaves is no day, and no damage. */
static void days_that_never_began(void **state)
{
    fixture *f = *state;
    write_day("db", day0, 0, 3, 1);
    assert_int_equal(mkdir("db/eth0/2023/11/1700006400", 0700), 0);
    put_file("db/eth0/2023/11/1700006400/sip.gpf", "half a block");
    run(f, "check db");
    expect(f, 0, "Damages: 0\nNotes: 1\n");
    run(f, "export db -o all.csv");
    expect(f, 0, "Damaged blocks passed over: 0\n");
    run(f, "stats db");
    expect(f, 0, "eth0: 1 days, 3 blocks");
    run(f, "index db");
    expect(f, 0, "Days failed: 0\n");
    run(f, "repair db");
    expect(f, 0, "Days repaired: 0\nDays removed: 0\n");
    run(f, "merge db copy");
    expect(f, 0, "Days copied: 0\nDays rebuilt: 1\n");
    write_day("more", day0 + DAY, 0, 2, 1);
    run(f, "merge more db");
    expect(f, 0, "Days copied: 0\nDays rebuilt: 1\n");
    assert_int_equal(blocks_of("db", day0 + DAY), 2);
    run(f, "check db");
    expect(f, 0, "Blocks intact: 5\nDamages: 0\nNotes: 0\n");
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(usage),
        WITH_FOLDER(import_as_v4_does),
        WITH_FOLDER(import_options),
        WITH_FOLDER(export_and_import_round_trip),
        WITH_FOLDER(import_in_order_of_interfaces),
        WITH_FOLDER(import_that_breaks_off),
        WITH_FOLDER(merge_days),
        WITH_FOLDER(merge_refuses_damaged_blocks),
        WITH_FOLDER(repair_keeps_what_is_intact),
        WITH_FOLDER(repair_names_and_doubles),
        WITH_FOLDER(export_passes_over_damage),
        WITH_FOLDER(index_adds_what_is_missing),
        WITH_FOLDER(index_goes_on_after_damage),
        WITH_FOLDER(days_that_never_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
