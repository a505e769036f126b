/* The one message about descriptors. */
#include "core/descriptor.h"

RgStatus rg_descriptor_check(const char *noun, const char *name, const RgRequirement *requirements,
                             size_t count, RgError *error) {
    if (!name || !name[0])
        return rg_fail(error, RG_E_USAGE, "the descriptor of a registered %s has no name", noun);
    for (size_t i = 0; i < count; i++)
        if (!requirements[i].met)
            return rg_fail(error, RG_E_USAGE, "the descriptor of the %s \"%s\": expected %s", noun,
                           name, requirements[i].expected);
    return RG_OK;
}
