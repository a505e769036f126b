/* SPDX-License-Identifier: MIT */
/* Removing secrets: escapes are decoded one character at a time; encoded forms are generated and
 * searched. */
#include "envs/judges/secret.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTEST_PART = 6 };

/* ---- names ---- */

bool rg_secret_named(const char *name, size_t size) {
    static const char *const whole[] = {"key",       "token",  "auth",        "authorization",
                                        "bearer",    "pwd",    "sig",         "signature",
                                        "sas",       "code",   "credential",  "credentials",
                                        "sessionid", "cookie", "accesskeyid", NULL};
    static const char *const ends[] = {"apikey",      "accesskey", "secretkey", "subscriptionkey",
                                       "accesstoken", "authtoken", "secret",    "password",
                                       "passwd",      NULL};
    char plain[64] = "";
    size_t length = 0;
    for (size_t i = 0; i < size && length + 1 < sizeof plain; i++) {
        int c = (unsigned char)name[i];
        if (c == '%' && i + 2 < size && isxdigit((unsigned char)name[i + 1]) &&
            isxdigit((unsigned char)name[i + 2])) {
            char digits[3] = {name[i + 1], name[i + 2], '\0'};
            c = (int)strtol(digits, NULL, 16);
            i += 2;
        }
        if (c < 0x80 && isalnum(c))
            plain[length++] = (char)tolower(c);
    }
    for (int k = 0; whole[k]; k++)
        if (strcmp(plain, whole[k]) == 0)
            return true;
    for (int k = 0; ends[k]; k++)
        if (length >= strlen(ends[k]) && strcmp(plain + length - strlen(ends[k]), ends[k]) == 0)
            return true;
    return false;
}

/* ---- striking out ---- */

/* The number in `digits` hexadecimal or decimal digits at `at`, −1 if invalid. */
static int number_at(const char *at, size_t digits, int base) {
    char text[8] = "";
    if (digits == 0 || digits >= sizeof text)
        return -1;
    for (size_t i = 0; i < digits; i++) {
        bool good = base == 16 ? isxdigit((unsigned char)at[i]) : isdigit((unsigned char)at[i]);
        if (!good)
            return -1;
        text[i] = at[i];
    }
    return (int)strtol(text, NULL, base);
}

/* &#47; &#x2F; &amp; */
static size_t read_entity(const char *at, int *character) {
    static const struct {
        const char *name;
        int character;
    } named[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strncmp(at + 1, named[i].name, strlen(named[i].name)) == 0) {
            *character = named[i].character;
            return 1 + strlen(named[i].name);
        }
    if (at[1] != '#')
        return 0;
    bool hexadecimal = at[2] == 'x' || at[2] == 'X';
    const char *digits = at + 2 + hexadecimal;
    size_t length = strcspn(digits, ";");
    *character = number_at(digits, length, hexadecimal ? 16 : 10);
    return *character < 0 || digits[length] != ';' ? 0 : (size_t)(digits - at) + length + 1;
}

/* The character of the escape at `at`; returns its size in bytes, 0 if there is no escape. */
static size_t read_escape(const char *at, int *character) {
    if (*at == '%') {
        size_t skip = 1; /* %252F is %2F, escaped twice */
        while (strncmp(at + skip, "25", 2) == 0 && number_at(at + skip + 2, 2, 16) >= 0)
            skip += 2;
        *character = number_at(at + skip, 2, 16);
        return *character < 0 ? 0 : skip + 2;
    }
    if (*at == '&')
        return read_entity(at, character);
    size_t skip = strspn(at, "\\");
    if (skip == 0 || !at[skip])
        return 0;
    size_t digits = at[skip] == 'u' ? 4 : at[skip] == 'x' ? 2 : 0;
    *character = digits > 0 ? number_at(at + skip + 1, digits, 16) : -1;
    if (*character >= 0)
        return skip + 1 + digits;
    *character = (unsigned char)at[skip];
    return skip + 1;
}

/* Number of bytes at `at` that encode the first character of `secret`; 0 if none do. */
static size_t match_one(const char *at, char secret) {
    int character = 0;
    if (*at == secret)
        return 1;
    size_t bytes = *at == '%' || *at == '&' || *at == '\\' ? read_escape(at, &character) : 0;
    return bytes > 0 && character == (unsigned char)secret ? bytes : 0;
}

/* Number of bytes at `at` that encode the longest run of the secret; 0 if it is too short. */
static size_t match_part(const char *secret, const char *at) {
    size_t longest = 0;
    for (size_t left = strlen(secret); left >= SHORTEST_PART; left--, secret++) {
        size_t bytes = 0, count = 0, next;
        while (secret[count] && (next = match_one(at + bytes, secret[count])) > 0) {
            bytes += next;
            count++;
        }
        if (count >= SHORTEST_PART && bytes > longest)
            longest = bytes;
    }
    return longest;
}

static void strike(const char *secret, char *text) {
    while (*text) {
        size_t bytes = match_part(secret, text);
        memset(text, '*', bytes);
        text += bytes > 0 ? bytes : 1;
    }
}

/* ---- encoded forms ---- */

/* Base64 of the secret from byte `skip` on, as far as the secret alone determines it. `last` are
 * the two characters in which alphabets differ. */
static char *in_base64(const char *secret, size_t skip, const char last[2]) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t size = strlen(secret), count = size > skip ? (size - skip) * 8 / 6 : 0;
    char *form = rg_allocate(count + 1, 1);
    const unsigned char *bytes = (const unsigned char *)secret + skip;
    for (size_t i = 0; i < count; i++) {
        size_t bit = 6 * i, at = bit / 8, shift = bit % 8;
        unsigned pair = (unsigned)bytes[at] << 8 | (shift > 2 ? bytes[at + 1] : 0);
        unsigned value = pair >> (10 - shift) & 63;
        form[i] = value < 62 ? alphabet[value] : last[value - 62];
    }
    return form;
}

static char *in_hexadecimal(const char *secret, const char *digits) {
    size_t size = strlen(secret);
    char *form = rg_allocate(2 * size + 1, 1);
    for (size_t i = 0; i < size; i++) {
        form[2 * i] = digits[(unsigned char)secret[i] >> 4];
        form[2 * i + 1] = digits[(unsigned char)secret[i] & 15];
    }
    return form;
}

static void strike_form(char *form, char *text) {
    strike(form, text);
    free(form);
}

void rg_secret_strike(const char *secret, char *text) {
    if (strlen(secret) < SHORTEST_PART)
        return;
    strike(secret, text);
    for (size_t skip = 0; skip < 3; skip++) { /* for any position in the encoded text */
        strike_form(in_base64(secret, skip, "+/"), text);
        strike_form(in_base64(secret, skip, "-_"), text);
    }
    strike_form(in_hexadecimal(secret, "0123456789abcdef"), text);
    strike_form(in_hexadecimal(secret, "0123456789ABCDEF"), text);
}
