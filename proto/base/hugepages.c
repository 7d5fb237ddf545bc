#include "proto/base/hugepages.h"

#include <stdint.h>
#include <sys/mman.h>

enum { PAGE = 4096, WORTHWHILE = 4 << 20 };

void gp_want_huge_pages(void *p, size_t bytes)
{
    size_t to_page = (PAGE - (uintptr_t)p % PAGE) % PAGE;
    if (bytes < WORTHWHILE)
        return;
    (void)madvise((char *)p + to_page, (bytes - to_page) / PAGE * PAGE, MADV_HUGEPAGE);
}
