/* A key is struck out in whatever form it comes back. */
#include "envs/secret.h"

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
