/* SPDX-License-Identifier: MIT */
/* The memory of the process. Everything else on the meter is added up where it is spent. */
#include "core/train/meter.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

void rg_peak_memory_restart(void) {
    malloc_trim(0); /* memory that was freed but not returned must not count for the next trial */
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file)
        return;
    fputs("5", file); /* proc(5): resets the peak of the resident set */
    fclose(file);
}

/* The peak in /proc/`process`; negative if unknown. */
static double peak_resident(const char *process) {
    char line[128];
    double kilobytes = -1;
    snprintf(line, sizeof line, "/proc/%s/status", process);
    FILE *file = fopen(line, "r");
    while (file && kilobytes < 0 && fgets(line, sizeof line, file))
        sscanf(line, "VmHWM: %lf", &kilobytes);
    if (file)
        fclose(file);
    return 1024.0 * kilobytes;
}

double rg_peak_memory_of(long process) {
    char name[32];
    snprintf(name, sizeof name, "%ld", process);
    double peak = peak_resident(name);
    return peak > 0 ? peak : 0;
}

double rg_peak_memory(void) {
    double peak = peak_resident("self");
    if (peak >= 0)
        return peak;
    struct rusage usage; /* of the process since its start: never restarted */
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return 1024.0 * (double)usage.ru_maxrss;
}

double rg_memory_in_use(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return rg_peak_memory();
    if (fscanf(file, "%*s %ld", &pages) != 1) /* the program's size, then the resident part */
        pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}
