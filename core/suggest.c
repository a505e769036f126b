/* SPDX-License-Identifier: MIT */
/* Edit distance between names, and suggestions for unknown ones. */
#include "core/suggest.h"

#include "core/base.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int least(int a, int b) {
    return a < b ? a : b;
}

enum { LONGEST_NAME = 128 };

/* Edits that lead from a to b: insert, delete, replace, swap neighbours (Damerau 1964, in the
 * restricted form that edits no place twice). INT_MAX when either is too long to be a name. */
int rg_edit_distance(const char *a, const char *b) {
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > LONGEST_NAME || b_length > LONGEST_NAME)
        return INT32_MAX;
    int rows[3][LONGEST_NAME + 1];
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *second_above = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            int replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(replaced, 1 + least(above[j], row[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], second_above[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

const char *rg_nearest_name(const char *name, const char *const *names) {
    size_t third = strlen(name) / 3;
    int best_distance = third > 2 ? (int)third : 2;
    const char *best = NULL;
    for (; *names; names++) {
        int distance = rg_edit_distance(name, *names);
        size_t length = strlen(name), other = strlen(*names);
        bool shares_nothing = distance >= (int)(length > other ? length : other);
        if (!shares_nothing && (distance < best_distance || (distance == best_distance && !best))) {
            best_distance = distance;
            best = *names;
        }
    }
    return best;
}

RgSuggestion rg_suggest_this(const char *meant) {
    RgSuggestion suggestion = {""};
    if (meant)
        snprintf(suggestion.text, sizeof suggestion.text, "; did you mean \"%.*s\"?", LONGEST_NAME,
                 meant);
    return suggestion;
}

RgSuggestion rg_suggest(const char *name, const char *const *names) {
    return rg_suggest_this(names ? rg_nearest_name(name, names) : NULL);
}

/* Edits count only up to half of the name: beyond that they tell little but how long a name is. */
static int unlikeness(const char *name, const char *other) {
    int half = (int)(strlen(name) / 2), most = half > 2 ? half : 2;
    int distance = rg_edit_distance(name, other);
    return distance <= most ? distance : name[0] && strstr(other, name) ? most + 1 : most + 2;
}

static int by_likeness(const void *a, const void *b, void *name) {
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int difference = unlikeness(name, x) - unlikeness(name, y);
    return difference ? difference : strcmp(x, y);
}

const char **rg_names_by_likeness(const char *name, const char *const *names) {
    size_t count = 0;
    while (names[count])
        count++;
    const char **sorted = rg_allocate(count + 1, sizeof *sorted);
    memcpy(sorted, names, count * sizeof *sorted);
    qsort_r(sorted, count, sizeof *sorted, by_likeness, (void *)name);
    return sorted;
}

char *rg_list_names(const char *const *names) {
    enum { MOST = 400 };
    char *list = rg_string_copy("");
    size_t listed = 0, left = 0;
    for (; names[listed] && strlen(list) < MOST; listed++) {
        char *longer = rg_string_format("%s%s%.60s", list, listed ? ", " : "", names[listed]);
        free(list);
        list = longer;
    }
    while (names[listed + left])
        left++;
    char *all = left ? rg_string_format("%s and %zu more", list, left) : rg_string_copy(list);
    free(list);
    return all;
}
