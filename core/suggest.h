/* SPDX-License-Identifier: MIT */
/* Suggestions for misspelt names.
 *
 * Threads: any. */
#ifndef RG_CORE_SUGGEST_H
#define RG_CORE_SUGGEST_H

/* Number of edits from a to b: insert, delete, replace, or swap two neighbours. */
int rg_edit_distance(const char *a, const char *b);

/* The name in `names` (NULL-terminated) with the smallest edit distance to `name`, or NULL if none
 * is close enough. One that shares no letter in its place is not. */
const char *rg_nearest_name(const char *name, const char *const *names);

/* The end of a message about an unknown name: `; did you mean "beta"?`, or nothing if none of
 * `names` (NULL-terminated, or NULL) is close. Use it in the call that makes the message:
 *
 *     rg_fail(error, RG_E_USAGE, "no key %s%s", name, rg_suggest(name, names).text) */
typedef struct RgSuggestion {
    char text[160]; /* names of more than 128 bytes are never close */
} RgSuggestion;
RgSuggestion rg_suggest(const char *name, const char *const *names);

/* The same for a known intended name. NULL: nothing. */
RgSuggestion rg_suggest_this(const char *meant);

/* The names (NULL-terminated) in another order: those close to `name` first, the closest ahead, then
 * those that contain it, then the others by the alphabet. NULL-terminated; the caller frees the
 * array. */
const char **rg_names_by_likeness(const char *name, const char *const *names);

/* "a, b, c" of names (NULL-terminated), for a message. Beyond 400 bytes only the first ones, then
 * "and 12 more". malloc'd. */
char *rg_list_names(const char *const *names);

#endif
