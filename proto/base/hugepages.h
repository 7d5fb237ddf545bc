/* hugepages.h - large tables in large pages (madvise(2), MADV_HUGEPAGE): a fault for 2 MiB instead of 4 KiB.
 */
#ifndef GP_BASE_HUGEPAGES_H
#define GP_BASE_HUGEPAGES_H

#include <stddef.h>

/* A wish, for memory of malloc and its kin; ask again after realloc. Small pieces are left as they are. */
void gp_want_huge_pages(void *p, size_t bytes);

#endif
