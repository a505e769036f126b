/* What a descriptor (of an algorithm, environment, policy or judge) must have. One that is half
 * filled is refused by its name when it is first looked up, not by a crash in mid-trial. */
#ifndef RG_CORE_DESCRIPTOR_H
#define RG_CORE_DESCRIPTOR_H

#include "core/base.h"

typedef struct RgRequirement {
    bool met;
    const char *expected; /* "a function evaluate" */
} RgRequirement;

/* What all kinds must have. */
#define RG_DESCRIPTOR_REQUIREMENTS(d)                                                              \
    {(d)->summary != NULL, "a summary"}, {                                                         \
        !(d)->options || (d)->options_size > 0, "options_size, as it has options"                  \
    }

/* RG_E_USAGE, with the first of the requirements [count] that is not met. */
RgStatus rg_descriptor_check(const char *noun, const char *name, const RgRequirement *requirements,
                             size_t count, RgError *error);

#endif
