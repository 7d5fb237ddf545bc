/* CSV as gpdb import reads it: records, a schema from the first one, rows into flows, flows out again as
 * rows. */
#include "client/gpdb/csv.h"
#include "client/gpdb/flowset.h"
#include "client/gpdb/rows.h"
#include "client/gpdb/schema.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A flow that was read prints as a record that reads as the same flow. */
static void check_row(const gp_csv_row *row)
{
    const gp_row_format *format = NULL;
    gp_buf text = GP_BUF_INIT;
    gp_csv *csv = NULL;
    gp_csv_row back;
    gp_schema schema;
    char *const *fields = NULL;
    size_t n = 0;
    int fd = memfd_create("row", MFD_CLOEXEC);
    if (fd < 0 || gp_row_format_find("csv", &format, NULL) != GP_OK)
        abort();
    format->begin(&text);
    format->row(&text, row->ts, row->iface, &row->flow);
    if (write(fd, text.data, text.len) != (ssize_t)text.len || lseek(fd, 0, SEEK_SET) != 0 ||
        gp_csv_new(&csv, fd, NULL) != GP_OK || gp_csv_next(csv, &fields, &n, NULL) != GP_OK ||
        gp_schema_from_names(fields, n, &schema, NULL) != GP_OK ||
        gp_csv_next(csv, &fields, &n, NULL) != GP_OK ||
        gp_schema_row(&schema, fields, n, NULL, &back, NULL) != GP_OK || back.ts != row->ts ||
        strcmp(back.iface, row->iface) != 0 || memcmp(&back.flow.c, &row->flow.c, sizeof back.flow.c) != 0 ||
        gp_addr_cmp(&back.flow.sip, &row->flow.sip) != 0 || gp_addr_cmp(&back.flow.dip, &row->flow.dip) != 0)
        abort();
    gp_csv_free(csv);
    gp_buf_free(&text);
    close(fd);
}

static void read_all(int fd)
{
    gp_csv *csv = NULL;
    gp_schema schema;
    gp_flowset set = {0};
    gp_error err = GP_ERROR_INIT;
    char *const *fields = NULL;
    size_t n = 0;
    size_t rows = 0;
    if (gp_csv_new(&csv, fd, NULL) != GP_OK)
        return;
    gp_code code = gp_csv_next(csv, &fields, &n, &err);
    bool named = code == GP_OK && n && gp_schema_from_names(fields, n, &schema, NULL) == GP_OK;
    while (code == GP_OK && n) {
        gp_csv_row row;
        for (size_t i = 0; i < n; i++)
            rows += strlen(fields[i]) > GP_CSV_RECORD_MAX;
        if (named && gp_schema_row(&schema, fields, n, "eth0", &row, NULL) == GP_OK) {
            (void)gp_flowset_put(&set, &row.flow, NULL);
            check_row(&row);
        }
        code = gp_csv_next(csv, &fields, &n, &err);
    }
    if (rows || (code != GP_OK && !err.msg[0]))
        abort();
    gp_flowset_free(&set);
    gp_csv_free(csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("csv", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    if (write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0)
        read_all(fd);
    close(fd);
    return 0;
}
