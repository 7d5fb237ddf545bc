#include "proto/base/hugepages.h"

#include <stdint.h>
#include <sys/mman.h>

enum { PAGE = 4096, WORTHWHILE = 4 << 20 };

/* All pages of the piece, also the first, where malloc keeps its own notes: a mapping that is half of one
 * kind cannot be moved when it grows (mremap(2)), and would be copied. */
void gp_want_huge_pages(void *p, size_t bytes)
{
    size_t before = (uintptr_t)p % PAGE;
    if (bytes < WORTHWHILE)
        return;
    (void)madvise((char *)p - before, (before + bytes + PAGE - 1) / PAGE * PAGE, MADV_HUGEPAGE);
}
