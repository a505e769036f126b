/* What the meter cannot be told by others: the process's memory. All else is added up where it is
 * spent. */
#include "core/train/meter.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

double rg_peak_memory(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return 1024.0 * (double)usage.ru_maxrss;
}

double rg_memory_in_use(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return rg_peak_memory();
    if (fscanf(file, "%*s %ld", &pages) != 1) /* of the program's size, and of what is resident */
        pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}
