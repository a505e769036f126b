/* SPDX-License-Identifier: MIT */
/* Bytes as characters: the alphabet in which byte-level vocabularies are written.
 *
 * Threads: any, once made. */
#ifndef RG_CORE_TEXT_BYTE_ALPHABET_H
#define RG_CORE_TEXT_BYTE_ALPHABET_H

#include "core/base.h"

enum { RG_ALPHABET_END = 0x100 + 68 }; /* 68 bytes map to characters from 0x100 on */

typedef struct RgByteAlphabet {
    uint16_t character[256];          /* of each byte */
    int16_t byte_of[RG_ALPHABET_END]; /* of each character; −1: it is no byte's */
} RgByteAlphabet;

void rg_byte_alphabet_make(RgByteAlphabet *alphabet);

/* Bytes in the alphabet, as UTF-8, NUL-terminated; malloc'd. */
char *rg_byte_alphabet_write(const RgByteAlphabet *alphabet, const char *bytes, size_t size);

/* Decodes such characters into `bytes`, which has space for strlen(characters). Returns the number
 * of bytes, or −1 if another character occurs. */
int64_t rg_byte_alphabet_read(const RgByteAlphabet *alphabet, const char *characters, char *bytes);

#endif
