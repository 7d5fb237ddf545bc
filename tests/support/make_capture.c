/* make_capture FILE: writes the capture of mixed_capture.h, to feed it to another program. */
#include "tests/support/mixed_capture.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_capture FILE\n");
        return 2;
    }
    return gp_test_mixed_capture(argv[1]) ? 0 : 1;
}
