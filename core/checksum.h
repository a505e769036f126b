/* SHA-256 of files: the name of a content across machines, as sha256sum and the hubs of models and
 * data sets print it. Inside one program there is core/digest.h, which is faster. */
#ifndef RG_CORE_CHECKSUM_H
#define RG_CORE_CHECKSUM_H

#include "core/base.h"

typedef struct RgChecksum {
    int64_t size; /* bytes */
    char sha256[65];
} RgChecksum;

RgStatus rg_file_checksum(const char *path, RgChecksum *checksum, RgError *error);

#endif
