/* SPDX-License-Identifier: MIT */
/* A key is struck out in whatever form it comes back. */
#include "envs/judges/secret.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char secret[] = "sk-Ab/cd+9=_Zz.0123456789";

static void struck(const char *text, const char *expected) {
    char *copy = rg_string_copy(text);
    rg_secret_strike(secret, copy);
    cr_expect_str_eq(copy, expected, "%s: %s", text, copy);
    free(copy);
}

Test(secret, whole_and_cut_forms_are_struck) {
    struck("bad key sk-Ab/cd+9=_Zz.0123456789.", "bad key *************************.");
    struck("sk-Ab/cd+9...", "**********...");
    struck("...0123456789", "..***********");
    struck("x _Zz.01 y", "x ****** y");
    struck("sk-Ab/sk-Ab/", "************");
    struck("nothing of it: 12345 sk-Ab", "nothing of it: 12345 sk-Ab");
    struck("", "");
}

Test(secret, escaped_forms_are_struck) {
    struck("sk-Ab\\/cd+9", "***********");
    struck("sk-Ab\\u002fcd\\u002B9", "********************");
    struck("sk-Ab%2Fcd%2b9%3D", "*****************");
    struck("sk-Ab%252Fcd", "************");
    struck("sk-Ab&#47;cd&#x2B;9", "*******************");
    struck("sk-Ab\\\\/cd", "**********");
    struck("\\x73k-Ab/c", "**********");
    struck("100 % &c \\", "100 % &c \\");
}

/* By Python's base64.b64encode and bytes.hex, of the secret behind nothing, one and two characters.
 * In base64 the characters at its ends are half its neighbours', and may stay. */
Test(secret, encoded_forms_are_struck) {
    static const char *const forms[] = {"c2stQWIvY2QrOT1fWnouMDEyMzQ1Njc4OQ",
                                        "YXNrLUFiL2NkKzk9X1p6LjAxMjM0NTY3ODk",
                                        "YWJzay1BYi9jZCs5PV9aei4wMTIzNDU2Nzg5",
                                        "c2stQWIvY2QrOT1fWnouMDEyMzQ1Njc4OQ",
                                        "736b2d41622f63642b393d5f5a7a2e30313233343536373839",
                                        "736B2D41622F63642B393D5F5A7A2E30313233343536373839"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char *text = rg_string_copy(forms[i]);
        size_t size = strlen(text), stars = 0;
        rg_secret_strike(secret, text);
        for (size_t c = 0; c < size; c++)
            stars += text[c] == '*';
        cr_expect_geq(stars + 5, size, "%s: %s", forms[i], text);
        free(text);
    }
}

Test(secret, a_short_one_is_none) {
    char text[] = "EMPTY key";
    rg_secret_strike("EMPTY", text);
    cr_expect_str_eq(text, "EMPTY key");
    rg_secret_strike("", text);
    cr_expect_str_eq(text, "EMPTY key");
}

Test(secret, names_of_keys_are_known_and_others_are_not) {
    static const char *const keys[] = {
        "key",           "api_key", "API-Key",       "apikey",   "x-goog-api-key",
        "access_token",  "token",   "client_secret", "Password", "subscription-key",
        "Authorization", "k%65y",   "sig",           "code"};
    static const char *const others[] = {"",      "model",   "max_tokens",       "api-version",
                                         "top_p", "keyword", "prompt_cache_key", "codec",
                                         "%"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        cr_expect(rg_secret_named(keys[i], strlen(keys[i])), "%s", keys[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_not(rg_secret_named(others[i], strlen(others[i])), "%s", others[i]);
}
