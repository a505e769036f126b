/* SPDX-License-Identifier: MIT */
/* Swept options, their values and cells. */
#include "analysis/store/swept.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *rg_swept_option(const RgResults *results, const char *name) {
    const char *found = NULL;
    for (int i = 0; results->swept[i]; i++) {
        const char *dot = strrchr(results->swept[i], '.');
        if (strcmp(results->swept[i], name) == 0)
            return results->swept[i];
        if (dot && strcmp(dot + 1, name) == 0)
            found = found ? "" : results->swept[i];
    }
    return found && *found ? found : NULL;
}

static int compare_values(const void *a, const void *b) {
    const RgSweptValue *x = a, *y = b;
    if (isnan(x->number) || isnan(y->number))
        return strcmp(x->text, y->text);
    return (x->number > y->number) - (x->number < y->number);
}

int rg_swept_values(const RgResults *results, const char *option, RgSweptValue **values) {
    int count = 0;
    *values = rg_allocate(results->group_count + 1, sizeof **values);
    for (int g = 0; g < results->group_count; g++) {
        const RgField *field = rg_fields_find(results->groups[g].swept, option);
        bool known = !field;
        for (int i = 0; i < count && !known; i++)
            known = strcmp((*values)[i].text, field->text) == 0;
        if (!known)
            (*values)[count++] = (RgSweptValue){field->text, field->number};
    }
    qsort(*values, (size_t)count, sizeof **values, compare_values);
    return count;
}

char *rg_swept_name(const RgGroup *group, const char *const *without, int count) {
    char *name = rg_string_copy(group->label);
    for (int i = 0; i < group->swept->count; i++) {
        const RgField *field = &group->swept->at[i];
        bool shown = true;
        for (int k = 0; k < count; k++)
            shown = shown && !(without[k] && strcmp(field->name, without[k]) == 0);
        if (!shown)
            continue;
        char *longer = rg_string_format("%s, %s %s", name, rg_last_part(field->name), field->text);
        free(name);
        name = longer;
    }
    return name;
}

char *rg_swept_list(const RgResults *results) {
    char *list = NULL;
    for (int i = 0; results->swept[i]; i++) {
        const char *last = rg_last_part(results->swept[i]);
        const char *name = rg_swept_option(results, last) ? last : results->swept[i];
        char *longer = list ? rg_string_format("%s,%s", list, name) : rg_string_copy(name);
        free(list);
        list = longer;
    }
    return list;
}

/* ---- the options ---- */

static RgStatus add_option(const RgResults *results, const char *name, RgSweptCells *cells,
                           RgError *error) {
    const char *option = rg_swept_option(results, name);
    if (!option && !results->swept[0])
        return rg_fail(error, RG_E_USAGE, "--by %s: nothing was swept in %s", name, results->path);
    if (!option)
        return rg_unknown_name(error, "swept option", name, results->swept);
    for (int i = 0; i < cells->option_count; i++)
        if (cells->options[i] == option)
            return rg_fail(error, RG_E_USAGE, "--by names \"%s\" twice: expected it once", name);
    cells->options =
        rg_reallocate(cells->options, (size_t)cells->option_count + 1, sizeof *cells->options);
    cells->options[cells->option_count++] = option;
    return RG_OK;
}

static RgStatus read_options(const RgResults *results, const RgBy *by, RgSweptCells *cells,
                             RgError *error) {
    RgStatus status = RG_OK;
    for (int i = 0; i < by->count; i++) {
        char *list = rg_string_copy(by->lists[i]), *next = list, *name;
        while (status == RG_OK && (name = strsep(&next, ",")))
            status = add_option(results, name, cells, error);
        free(list);
    }
    return status;
}

/* ---- the cells ---- */

/* Whether a group ran in the cell: it has these values, or lacks the option. `all`: it has all. */
static bool is_in(const RgSweptCells *cells, const RgGroup *group, const char *const *values,
                  bool *all) {
    bool in = true;
    *all = true;
    for (int i = 0; i < cells->option_count; i++) {
        const RgField *field = rg_fields_find(group->swept, cells->options[i]);
        *all = *all && field;
        in = in && (!field || strcmp(field->text, values[i]) == 0);
    }
    return in;
}

static char *cell_name(const RgSweptCells *cells, const char *const *values) {
    char *name = rg_string_copy("");
    for (int i = 0; i < cells->option_count; i++) {
        char *longer = rg_string_format("%s%s%s %s", name, i ? ", " : "",
                                        rg_last_part(cells->options[i]), values[i]);
        free(name);
        name = longer;
    }
    return name;
}

/* The results with the cell's groups alone; everything else is shared. NULL: no method with all
 * options ran there. */
static RgResults *results_of_cell(const RgResults *results, const RgSweptCells *cells,
                                  const char *const *values) {
    bool any = false, all;
    RgResults *view = rg_allocate(1, sizeof *view);
    *view = *results;
    view->groups = rg_allocate(results->group_count, sizeof *view->groups);
    view->group_count = 0;
    for (int g = 0; g < results->group_count; g++) {
        if (!is_in(cells, &results->groups[g], values, &all))
            continue;
        RgGroup *group = &view->groups[view->group_count++];
        *group = results->groups[g];
        group->name = rg_swept_name(group, cells->options, cells->option_count);
        any = any || all;
    }
    if (any)
        return view;
    for (int g = 0; g < view->group_count; g++)
        free(view->groups[g].name);
    free(view->groups);
    free(view);
    return NULL;
}

/* Add the cell of one combination of values, if a method ran there. */
static void add_cell(const RgResults *results, RgSweptCells *cells, const char *const *values) {
    RgResults *view = results_of_cell(results, cells, values);
    if (!view)
        return;
    cells->at = rg_reallocate(cells->at, (size_t)cells->count + 1, sizeof *cells->at);
    RgSweptCell *cell = &cells->at[cells->count++];
    *cell = (RgSweptCell){.name = cell_name(cells, values),
                          .values = rg_allocate(cells->option_count, sizeof *cell->values),
                          .results = view};
    memcpy(cell->values, values, (size_t)cells->option_count * sizeof *values);
}

/* All combinations, the last option's values changing fastest. */
static void add_cells(const RgResults *results, RgSweptCells *cells, const char **values,
                      int option) {
    RgSweptValue *of_option;
    if (option == cells->option_count) {
        add_cell(results, cells, values);
        return;
    }
    int count = rg_swept_values(results, cells->options[option], &of_option);
    for (int i = 0; i < count; i++) {
        values[option] = of_option[i].text;
        add_cells(results, cells, values, option + 1);
    }
    free(of_option);
}

static void add_whole(const RgResults *results, RgSweptCells *cells) {
    cells->at = rg_allocate(1, sizeof *cells->at);
    cells->at[0] = (RgSweptCell){.name = rg_string_copy(""), .results = results};
    cells->count = 1;
}

RgStatus rg_swept_cells_create(const RgResults *results, const RgBy *by, RgSweptCells **result,
                               RgError *error) {
    RgSweptCells *cells = rg_allocate(1, sizeof *cells);
    RgStatus status = read_options(results, by, cells, error);
    if (status == RG_OK && cells->option_count > 0) {
        const char **values = rg_allocate(cells->option_count, sizeof *values);
        add_cells(results, cells, values, 0);
        free(values);
    } else if (status == RG_OK) {
        add_whole(results, cells);
    }
    if (status == RG_OK && cells->count == 0)
        status = rg_fail(error, RG_E_USAGE, "%s: no method was swept over all options of --by",
                         results->path);
    if (status != RG_OK) {
        rg_swept_cells_destroy(cells);
        cells = NULL;
    }
    *result = cells;
    return status;
}

void rg_swept_cells_destroy(RgSweptCells *cells) {
    if (!cells)
        return;
    for (int i = 0; i < cells->count; i++) {
        RgSweptCell *cell = &cells->at[i];
        for (int g = 0; cell->values && g < cell->results->group_count; g++)
            free(cell->results->groups[g].name);
        if (cell->values) { /* else the results are the experiment's own */
            free(cell->results->groups);
            free((void *)cell->results);
        }
        free(cell->values);
        free(cell->name);
    }
    free(cells->at);
    free(cells->options);
    free(cells);
}
