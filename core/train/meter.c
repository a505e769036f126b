/* What the meter cannot be told by others: the process's memory. All else is added up where it is
 * spent. */
#include "core/train/meter.h"

#include <sys/resource.h>

double rg_peak_memory(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return 1024.0 * (double)usage.ru_maxrss;
}
