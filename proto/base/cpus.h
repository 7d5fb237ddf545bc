/* cpus.h - how many processors this process may use. */
#ifndef GP_BASE_CPUS_H
#define GP_BASE_CPUS_H

/* Those that it may run on (taskset, cpusets of containers), not all there are. At least 1. */
unsigned gp_usable_cpus(void);

#endif
