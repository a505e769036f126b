/* SPDX-License-Identifier: MIT */
/* The alphabet of GPT-2 (openai/gpt-2, bytes_to_unicode). Printable bytes of Latin-1 map to
 * themselves; the others map, in order, to the characters from U+0100 on. */
#include "core/text/byte_alphabet.h"

static bool stands_for_itself(int byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

void rg_byte_alphabet_make(RgByteAlphabet *alphabet) {
    uint16_t next = 0x100;
    for (int c = 0; c < RG_ALPHABET_END; c++)
        alphabet->byte_of[c] = -1;
    for (int byte = 0; byte < 256; byte++) {
        alphabet->character[byte] = stands_for_itself(byte) ? (uint16_t)byte : next++;
        alphabet->byte_of[alphabet->character[byte]] = (int16_t)byte;
    }
    RG_ASSERT(next == RG_ALPHABET_END);
}

char *rg_byte_alphabet_write(const RgByteAlphabet *alphabet, const char *bytes, size_t size) {
    char *out = rg_allocate(2 * size + 1, 1), *end = out;
    for (size_t i = 0; i < size; i++) {
        uint16_t c = alphabet->character[(unsigned char)bytes[i]];
        if (c >= 0x80)
            *end++ = (char)(0xC0 | c >> 6);
        *end++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
    }
    return out;
}

int64_t rg_byte_alphabet_read(const RgByteAlphabet *alphabet, const char *characters, char *bytes) {
    char *out = bytes;
    for (const char *in = characters; *in;) {
        unsigned c = (unsigned char)*in++;
        if (c >= 0x80) {
            if ((c & 0xE0) != 0xC0)
                return -1;
            c = (c & 0x1F) << 6 | ((unsigned char)*in++ & 0x3F);
        }
        if (c >= RG_ALPHABET_END || alphabet->byte_of[c] < 0)
            return -1;
        *out++ = (char)alphabet->byte_of[c];
    }
    return out - bytes;
}
