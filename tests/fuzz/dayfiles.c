#include "tests/fuzz/dayfiles.h"

#include "sensor/godb/daypath.h"
#include "tests/support/tempdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DB_LEN = 64, FOLDER_LEN = 128, FILE_LEN = 256 };

/* One for the whole process: a folder for every input would be most of the time. */
static char db[DB_LEN];
static char folder[FOLDER_LEN];

static void remove_db(void)
{
    gp_tempdir_remove(db);
}

static void make_folders(void)
{
    char month[GP_DB_PATH_MAX];
    snprintf(db, sizeof db, "/tmp/gp_fuzz_XXXXXX");
    if (!mkdtemp(db) || atexit(remove_db) != 0 ||
        gp_month_path(db, GP_DAYFILES_IFACE, GP_DAYFILES_DAY, month, NULL) != GP_OK ||
        snprintf(folder, sizeof folder, "%s/%d", month, GP_DAYFILES_DAY) >= FOLDER_LEN ||
        gp_folders_make(folder, 0700, NULL, NULL) != GP_OK)
        abort();
}

static void put_file(const char *name, const uint8_t *data, size_t len)
{
    char path[FILE_LEN];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len)
        abort();
    close(fd);
}

/* Takes the next file from the input, NULL if there is none. */
static const uint8_t *take_file(const uint8_t **data, size_t *size, size_t *len)
{
    *len = 0;
    if (*size < 2)
        return NULL;
    const uint8_t *file = *data + 2;
    *len = (size_t)((*data)[0] | (*data)[1] << 8);
    if (*len > *size - 2)
        *len = *size - 2;
    *data += 2 + *len;
    *size -= 2 + *len;
    return file;
}

gp_dayfiles gp_dayfiles_write(const uint8_t *data, size_t size)
{
    size_t len = 0;
    if (!folder[0])
        make_folders();
    const uint8_t *file = take_file(&data, &size, &len);
    put_file(GP_BLOCKMETA_FILE, file, len);
    for (unsigned col = 0; col < GP_COL_COUNT; col++) {
        char name[GP_COLUMN_FILE_MAX];
        gp_column_file((gp_column)col, name);
        file = take_file(&data, &size, &len);
        put_file(name, file, len);
    }
    return (gp_dayfiles){.db = db, .folder = folder};
}
