/* SPDX-License-Identifier: MIT */
/* Checksums by libcrypto, which uses the processor's own instructions. The only file that includes
 * it. */
#include "core/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct RgHashing {
    EVP_MD_CTX *context;
};

RgHashing *rg_hashing_begin(void) {
    RgHashing *hashing = rg_allocate(1, sizeof *hashing);
    hashing->context = EVP_MD_CTX_new();
    RG_ASSERT(hashing->context && EVP_DigestInit_ex(hashing->context, EVP_sha256(), NULL));
    return hashing;
}

void rg_hashing_add(RgHashing *hashing, const void *bytes, size_t size) {
    RG_ASSERT(EVP_DigestUpdate(hashing->context, bytes, size));
}

void rg_hashing_sum(const RgHashing *hashing, char sha256[RG_SHA256_TEXT]) {
    unsigned char sum[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    RG_ASSERT(copy && EVP_MD_CTX_copy_ex(copy, hashing->context) &&
              EVP_DigestFinal_ex(copy, sum, NULL));
    EVP_MD_CTX_free(copy);
    for (int i = 0; i < (RG_SHA256_TEXT - 1) / 2; i++)
        snprintf(sha256 + 2 * i, 3, "%02x", sum[i]);
}

void rg_hashing_end(RgHashing *hashing) {
    if (hashing)
        EVP_MD_CTX_free(hashing->context);
    free(hashing);
}

/* False, with errno set, if the file cannot be read to its end. */
static bool hash_all(int file, RgHashing *hashing, int64_t *size) {
    enum { AT_ONCE = 1 << 18 };
    char *bytes = rg_allocate(AT_ONCE, 1);
    ssize_t got;
    while ((got = read(file, bytes, AT_ONCE)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0) {
            rg_hashing_add(hashing, bytes, (size_t)got);
            *size += got;
        }
    free(bytes);
    return got == 0;
}

RgStatus rg_file_checksum(const char *path, RgChecksum *checksum, RgError *error) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    RgHashing *hashing = rg_hashing_begin();
    checksum->size = 0;
    RgStatus status = file >= 0 && hash_all(file, hashing, &checksum->size)
                          ? RG_OK
                          : rg_fail(error, RG_E_FILE, "%s: cannot read: %s", path, strerror(errno));
    rg_hashing_sum(hashing, checksum->sha256);
    rg_hashing_end(hashing);
    if (file >= 0)
        close(file);
    return status;
}
