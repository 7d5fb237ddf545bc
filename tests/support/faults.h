/*
 * faults.h - makes calls that change the disk fail, or kills the process at them.
 *
 * Works by the linker's --wrap: gp_wrap_disk(<test>) in tests/support/CMakeLists.txt. Counted are calls that
 * create, write, sync, rename, remove and close; in the order in which they are made. One process,
 * one thread.
 */
#ifndef GP_TESTS_FAULTS_H
#define GP_TESTS_FAULTS_H

#include <stdbool.h>

typedef enum gp_fault {
    GP_FAULT_NONE, /* only count */
    GP_FAULT_KILL, /* SIGKILL instead of the call; a write leaves half of its bytes */
    GP_FAULT_EIO,  /* this call fails, once */
    GP_FAULT_FULL  /* the disk is full: this write leaves half of its bytes, and nothing can be written or
                      created  from then on */
} gp_fault;

/* The fault comes with call number `at`, counted from 0 from now on. */
void gp_faults_arm(gp_fault kind, unsigned at);
/* Calls since then; nothing fails any more. */
unsigned gp_faults_disarm(void);

#endif
