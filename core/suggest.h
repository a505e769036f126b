/* SPDX-License-Identifier: MIT */
/* What was meant by a name that nobody has. */
#ifndef RG_CORE_SUGGEST_H
#define RG_CORE_SUGGEST_H

/* Edits that lead from a to b: insert, delete, replace, swap neighbours. */
int rg_edit_distance(const char *a, const char *b);

/* Name in `names` (NULL-terminated) with the smallest edit distance to `name`, or NULL when none is
 * near enough to be what was meant. */
const char *rg_nearest_name(const char *name, const char *const *names);

/* What a message about an unknown name ends with: `; did you mean "beta"?`, or nothing where none
 * of `names` (NULL-terminated, or NULL) is near. Used in the call that makes the message:
 *     rg_fail(error, RG_E_USAGE, "no key %s%s", name, rg_suggest(name, names).text) */
typedef struct RgSuggestion {
    char text[160]; /* names of more than 128 bytes are near to none */
} RgSuggestion;
RgSuggestion rg_suggest(const char *name, const char *const *names);

/* The same where it is known what was meant; NULL: nothing. */
RgSuggestion rg_suggest_this(const char *meant);

/* "a, b, c" of names (NULL-terminated) for a message; of more than 400 bytes the first ones, "and
 * 12 more". malloc'd. */
char *rg_list_names(const char *const *names);

#endif
