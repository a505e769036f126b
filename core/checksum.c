/* Checksums by libmd: the one file that knows it. */
#include "core/checksum.h"

#include <errno.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

RgStatus rg_file_checksum(const char *path, RgChecksum *checksum, RgError *error) {
    struct stat about;
    errno = 0;
    if (stat(path, &about) != 0 || !SHA256File(path, checksum->sha256))
        return rg_fail(error, RG_E_FILE, "%s: cannot read: %s", path, strerror(errno));
    checksum->size = about.st_size;
    return RG_OK;
}
