/* SPDX-License-Identifier: MIT */
/* Regular expressions of a tokenizer.json find in PCRE2 what they find in Oniguruma, or are
 * refused.
 */
#include "core/text/pattern.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A pattern, a text, and all matches that are not empty, as libonig 6.9.8 finds them in Ruby's
 * syntax; [:punct:] as in the newer one of the Rust library. */
static const struct {
    const char *pattern, *text, *matches;
} golden[] = {
    {"\\p{N}{1,3}+|[^\\p{N}]+", "a1234567 89", "a|1234567| |89"},
    {"a{,2}|[^a]+", "aaaab", "aa|aa"},
    {"(?m:.+)", "a\nb", "a\nb"},
    {".+", "a\nb", "a|b"},
    {"\\w+|[^\\w]+", "nai\314\210ve cafe\314\201 x_1 \342\222\266",
     "nai\314\210ve| |cafe\314\201| |x_1| |\342\222\266"},
    {"\\w+", "a\302\275 \302\262b-", "a\302\275|\302\262b"},
    {"[\\w]+", "a\302\275b", "a|b"},
    {"[[:punct:]]+", "\302\2435 + 6 = x!\302\247\302\253", "\302\243|+|=|!\302\247\302\253"},
    {"\\s+|\\S+", "a \341\240\216! b\302\205c\342\200\203d",
     "a| |\341\240\216!| |b|\302\205|c|\342\200\203|d"},
    {"[^\\S]+", "a \341\240\216 b", " | "},
    {"[\\s\\S]", "\341\240\216 ", "\341\240\216| "},
    {"(?i:ss)", "stra\303\237e SS \341\272\236", "\303\237|SS|\341\272\236"},
    {"(?i:st)", "\357\254\206 ST", "\357\254\206|ST"},
    {"(?i:'s|'re)", "'\305\277 'S 'RE", "'\305\277|'S|'RE"},
    {"\\b\\w", "\340\244\225\340\244\277\340\244\250\340\245\215\340\244\246 a", "\340\244\225|a"},
    {"a\\Bb", "ab a b", "ab"},
    {"\\h+", "xyzABf09g", "ABf09"},
    {"[A-C\\h]+", "zzAf0", "Af0"},
    {"\\p{Greek}+", "\316\261\316\262\315\202\316\263", "\316\261\316\262|\316\263"},
    {"\\p{Han}+", "\344\270\200\343\200\205\343\200\206\343\203\274", "\344\270\200\343\200\205"},
    {"x{2}?y", "xxy y xy", "xxy|y|y"},
    {"(?:ab){1,2}+", "ababababab", "ababababab"},
    {"(ab){2}+c?", "ababababc", "ababababc"},
    {"[[:alpha:]]+", "\340\244\225\340\244\277\340\244\250\340\245\215\340\244\246 x1",
     "\340\244\225\340\244\277\340\244\250|\340\244\246|x"},
    {"[[:upper:]]+", "ABc\342\205\243", "AB|\342\205\243"},
    {"[[:space:]]+", "a \341\240\216\343\200\200b", " |\343\200\200"},
    {"[^[:punct:]]+", "a!b+c", "a|b|c"},
    {"^b$", "a\nb\n", "b"},
    {"\\u0061+", "aab", "aa"},
    {"a{2", "a{2 aa", "a{2"},
    {"\\p{^L}+", "ab12", "12"},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
     "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     "I'LL say   12345\n\n x\302\240\302\240y",
     "I|'LL| say|  | |123|45|\n\n| x|\302\240|\302\240y"},
};

static char *all_matches(const RgPattern *pattern, const char *text) {
    RgMatcher *matcher = rg_matcher_create();
    RgBuffer found = {0};
    size_t size = strlen(text), from = 0;
    RgSpan match;
    while (from <= size && rg_pattern_find(pattern, matcher, text, size, from, &match)) {
        if (match.end > match.start && found.size > 0)
            rg_buffer_append(&found, "|", 1);
        rg_buffer_append(&found, text + match.start, match.end - match.start);
        from = match.end > match.start ? match.end : match.end + 1;
        while (from < size && ((unsigned char)text[from] & 0xC0) == 0x80)
            from++;
    }
    rg_buffer_append(&found, "", 1);
    rg_matcher_destroy(matcher);
    return found.bytes;
}

Test(pattern, finds_what_oniguruma_finds) {
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        RgPattern *pattern;
        RgError error = {0};
        cr_assert_eq(rg_pattern_create(golden[i].pattern, RG_PATTERN_ONIGURUMA, &pattern, &error),
                     RG_OK, "%s", error.text);
        char *found = all_matches(pattern, golden[i].text);
        cr_expect_str_eq(found, golden[i].matches, "%s", golden[i].pattern);
        free(found);
        rg_pattern_destroy(pattern);
    }
}

Test(pattern, what_pcre2_cannot_do_is_refused_by_name) {
    static const char *const refused[][2] = {
        {"[a[bc]]", "a class within a class"},
        {"[a-z&&[^x]]", "an intersection of classes"},
        {"[\\W]", "\\W or \\H within a class"},
        {"\\Qa\\E", "a \\ before one of"},
        {"(?i:ss+)", "matching of letters"},
        {"(?i:ffi)", "matching of letters"},
        {"(?i:\303\237)", "matching of a letter"},
        {"a(?i)b|c", "flags that are not at the start"},
        {"(?~ab)", "a group of this kind"},
        {"(*FAIL)", "(*"},
        {"[[:print:]]", "a class in [: :]"},
        {"\\x80", "a byte that is not a character"},
        {"a\\", "a \\ at the end"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        RgPattern *pattern = NULL;
        RgError error = {0};
        cr_expect_eq(rg_pattern_create(refused[i][0], RG_PATTERN_ONIGURUMA, &pattern, &error),
                     RG_E_FORMAT, "%s", refused[i][0]);
        cr_expect(strstr(error.text, refused[i][1]) && strstr(error.text, "is not supported"),
                  "%s: %s", refused[i][0], error.text);
    }
}

/* Beginnings of sound patterns, and some that close what they never opened: refused or compiled,
 * never past the end. */
Test(pattern, a_pattern_cut_anywhere_does_no_harm) {
    static const char *const more[] = {
        ")", "a)b", "[", "[^", "[[:", "(?", "(?<", "{2}", "\\p", "\\x{"};
    size_t count = sizeof golden / sizeof *golden;
    for (size_t i = 0; i < count + sizeof more / sizeof *more; i++) {
        char *source = rg_string_copy(i < count ? golden[i].pattern : more[i - count]);
        for (size_t size = strlen(source) + 1; size > 0; size--) {
            RgPattern *pattern = NULL;
            RgError error = {0};
            source[size - 1] = '\0';
            if (rg_pattern_create(source, RG_PATTERN_ONIGURUMA, &pattern, &error) == RG_OK)
                rg_pattern_destroy(pattern);
        }
        free(source);
    }
}
