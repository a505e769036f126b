/* SPDX-License-Identifier: MIT */
/* The trials that stand here for what a paper says, and why a store lacks them. */
#include "analysis/compare/paper_parts.h"
#include "core/suggest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool meets(const RgGroup *group, const RgPaperTrials *of) {
    for (int i = 0; i < of->conditions; i++) {
        bool met = false;
        for (int k = 0; k < group->swept->count; k++) {
            const RgField *field = &group->swept->at[k];
            met |= strcmp(rg_last_part(field->name), of->where[i].name) == 0 &&
                   fabs(field->number - of->where[i].value) <= 1e-9 * fabs(of->where[i].value);
        }
        if (!met)
            return false;
    }
    return true;
}

static bool is_of_method(const RgGroup *group, const RgPaperTrials *of) {
    return strcmp(group->label, of->method) == 0 || strcmp(group->algorithm, of->method) == 0;
}

int rg_paper_group(const RgResults *results, const RgPaperTrials *of) {
    int found = -1;
    for (int i = results->group_count - 1; i >= 0; i--) {
        const RgGroup *group = &results->groups[i];
        bool labelled = strcmp(group->label, of->method) == 0;
        bool found_label = found >= 0 && strcmp(results->groups[found].label, of->method) == 0;
        if (meets(group, of) &&
            (labelled || (!found_label && strcmp(group->algorithm, of->method) == 0)))
            found = i;
    }
    return found;
}

/* ---- why a store has no figure ---- */

/* 'no metric "rewardz" in results/x.db; did you mean "reward"?'. malloc'd, as the next two. */
static char *without_metric(const RgResults *results, const char *name) {
    const char **names = rg_results_quantities(results);
    char *why = rg_string_format("no metric \"%s\" in %s%s", name, results->path,
                                 rg_suggest(name, names).text);
    free(names);
    return why;
}

static char *without_method(const RgResults *results, const char *method) {
    const char **names = rg_allocate(2 * results->group_count + 1, sizeof *names);
    for (int i = 0; i < results->group_count; i++) {
        names[2 * i] = results->groups[i].label;
        names[2 * i + 1] = results->groups[i].algorithm;
    }
    char *why = rg_string_format("no trials of \"%s\" in %s%s", method, results->path,
                                 rg_suggest(method, names).text);
    free(names);
    return why;
}

/* The suggestion for the first condition on an option that is not swept. */
static RgSuggestion suggest_option(const RgResults *results, const RgPaperTrials *of) {
    int count = 0;
    while (results->swept[count])
        count++;
    const char **names = rg_allocate(count + 1, sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = rg_last_part(results->swept[i]);
    RgSuggestion suggestion = {""};
    for (int i = 0; i < of->conditions && !suggestion.text[0]; i++) {
        const char *nearest = rg_nearest_name(of->where[i].name, names);
        if (nearest && strcmp(nearest, of->where[i].name) != 0)
            suggestion = rg_suggest_this(nearest);
    }
    free(names);
    return suggestion;
}

static char *without_conditions(const RgResults *results, const RgPaperTrials *of) {
    char *where = rg_string_copy("");
    for (int i = 0; i < of->conditions; i++) {
        char *longer = rg_string_format("%s%s%s=%g", where, i ? ", " : "", of->where[i].name,
                                        of->where[i].value);
        free(where);
        where = longer;
    }
    char *why = rg_string_format("no trials of \"%s\" with %s in %s%s", of->method, where,
                                 results->path, suggest_option(results, of).text);
    free(where);
    return why;
}

char *rg_paper_missing(const RgResults *results, const RgPaperTrials *of, int group,
                       const char *measure_name) {
    bool any = false;
    RgMeasure measure;
    for (int i = 0; i < results->group_count; i++)
        any = any || is_of_method(&results->groups[i], of);
    if (!any)
        return without_method(results, of->method);
    if (group < 0)
        return without_conditions(results, of);
    const RgGroup *g = &results->groups[group];
    if (g->by_status[RG_TRIAL_FAILED] == g->count)
        return rg_string_format("all trials of \"%s\" in %s failed", g->name, results->path);
    if (!rg_results_has(results, measure_name, &measure))
        return without_metric(results, measure_name);
    return rg_string_format("no value of \"%s\" in the trials of \"%s\" in %s", measure_name,
                            g->name, results->path);
}

const RgResults *rg_paper_results(const RgPaperResults *stores, const char *experiment) {
    for (int64_t i = 0; i < stores->count; i++) {
        const char *name = stores->of[i].experiment;
        if (!name || strcmp(name, experiment) == 0 || !experiment[0])
            return stores->results[i];
    }
    return NULL;
}
