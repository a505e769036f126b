/* SPDX-License-Identifier: MIT */
/* The report's section on the runs: the trials, the configuration with the source of each value,
 * and the provenance of the numbers. */
#include "analysis/compare/format.h"
#include "analysis/report/report_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Names with texts, in order of appearance. */

static RgField *field_named(RgFields *fields, const char *name) {
    for (int i = 0; i < fields->count; i++)
        if (strcmp(fields->at[i].name, name) == 0)
            return &fields->at[i];
    return NULL;
}

/* Whether "a; b" contains the text as one of its parts. */
static bool holds_part(const char *joined, const char *text, const char *between) {
    size_t length = strlen(text), gap = strlen(between);
    for (const char *at = joined; at; at = strstr(at, between) ? strstr(at, between) + gap : NULL)
        if (strncmp(at, text, length) == 0 &&
            (at[length] == '\0' || strncmp(at + length, between, gap) == 0))
            return true;
    return false;
}

/* Add a name's value to its values so far, unless it is among them. */
static void merge(RgFields *all, const char *name, const char *text, const char *between) {
    RgField *known = field_named(all, name);
    if (!known) {
        all->at = rg_reallocate(all->at, (size_t)all->count + 1, sizeof *all->at);
        all->at[all->count++] = (RgField){rg_string_copy(name), rg_string_copy(text), NAN};
    } else if (!holds_part(known->text, text, between)) {
        char *both = rg_string_format("%s%s%s", known->text, between, text);
        free(known->text);
        known->text = both;
    }
}

/* "1, 2" from "seeds.0", "seeds.1", …; an override of a single element is unchanged. */
static char *join_elements(const RgFields *fields, const char *list) {
    char *values = NULL;
    for (int i = 0; i < fields->count; i++) {
        char *name = rg_string_format("%s.%d", list, i);
        const RgField *value = rg_fields_find(fields, name);
        free(name);
        if (!value)
            continue;
        char *longer =
            values ? rg_string_format("%s, %s", values, value->text) : rg_string_copy(value->text);
        free(values);
        values = longer;
    }
    return values ? values : rg_string_copy("");
}

/* Join "seeds.0", "seeds.1", … into one setting "seeds", "1, 2"; the rest is unchanged. */
static RgFields without_lists(const RgFields *fields) {
    RgFields short_list = {0};
    for (int i = 0; i < fields->count; i++) {
        const char *last = rg_last_part(fields->at[i].name);
        bool element = last != fields->at[i].name && last[strspn(last, "0123456789")] == '\0';
        if (!element) {
            merge(&short_list, fields->at[i].name, fields->at[i].text, "; ");
            continue;
        }
        char *list =
            rg_string_format("%.*s", (int)(last - fields->at[i].name - 1), fields->at[i].name);
        if (!rg_fields_find(&short_list, list)) {
            char *values = join_elements(fields, list);
            merge(&short_list, list, values, "; ");
            free(values);
        }
        free(list);
    }
    return short_list;
}

/* Trials. */

typedef struct Times {
    const char *first, *last; /* ISO 8601 sorts as text */
} Times;

static Times times_of(const RgGroup *group) {
    Times t = {0};
    for (int i = 0; i < group->count; i++) {
        const char *updated = group->trials[i]->updated;
        if (updated && (!t.first || strcmp(updated, t.first) < 0))
            t.first = updated;
        if (updated && (!t.last || strcmp(updated, t.last) > 0))
            t.last = updated;
    }
    return t;
}

/* "1, 2, 5": seeds of one status, a dash if there are none. */
static void write_seeds(FILE *out, const RgGroup *group, RgTrialStatus status) {
    const char *between = "";
    for (int i = 0; i < group->count; i++)
        if (group->trials[i]->status == status) {
            fprintf(out, "%s%lld", between, (long long)group->trials[i]->seed);
            between = ", ";
        }
    if (!*between)
        fputs(RG_DASH, out);
}

static void write_trial_table(FILE *out, const RgResults *results) {
    rg_page_open_table(out, "left", "trials by method and outcome");
    fputs("<thead><tr><th scope=\"col\">method</th><th scope=\"col\">finished seeds</th>"
          "<th scope=\"col\">diverged</th><th scope=\"col\">failed</th>"
          "<th scope=\"col\">running or interrupted</th><th scope=\"col\">last change, UTC</th>"
          "</tr></thead>\n<tbody>\n",
          out);
    for (int g = 0; g < results->group_count; g++) {
        const RgGroup *group = &results->groups[g];
        static const RgTrialStatus columns[] = {RG_TRIAL_FINISHED, RG_TRIAL_DIVERGED,
                                                RG_TRIAL_FAILED, RG_TRIAL_RUNNING};
        fputs("<tr><th scope=\"row\">", out);
        rg_write_html(out, group->name);
        fputs("</th>", out);
        for (int i = 0; i < 4; i++) {
            bool bad = (i == 1 || i == 2) && group->by_status[columns[i]];
            fputs(bad ? "<td class=\"bad\">" : "<td>", out);
            write_seeds(out, group, columns[i]);
            fputs("</td>", out);
        }
        fputs("<td>", out);
        rg_write_html(out, times_of(group).last);
        fputs("</td></tr>\n", out);
    }
    rg_page_close_table(out);
}

static void write_unfinished(FILE *out, const RgResults *results) {
    static const char *const names[] = {"running or interrupted", "finished", "diverged", "failed"};
    fputs("<h3>Trials that did not finish</h3>\n", out);
    rg_page_open_table(out, "left", "trials that did not finish");
    fputs("<thead><tr><th scope=\"col\">method</th><th scope=\"col\">seed</th><th scope=\"col\">"
          "outcome</th><th scope=\"col\">step</th><th scope=\"col\">reason</th></tr></thead>\n"
          "<tbody>\n",
          out);
    for (int g = 0; g < results->group_count; g++)
        for (int i = 0; i < results->groups[g].count; i++) {
            const RgTrial *trial = results->groups[g].trials[i];
            if (trial->status == RG_TRIAL_FINISHED)
                continue;
            fputs("<tr><th scope=\"row\">", out);
            rg_write_html(out, results->groups[g].name);
            char *step = trial->last_step < 0
                             ? rg_string_copy(RG_DASH)
                             : rg_string_format("%lld", (long long)trial->last_step);
            fprintf(out, "</th><td>%lld</td><td class=\"%s\">%s</td><td>%s</td><td>",
                    (long long)trial->seed, trial->status == RG_TRIAL_RUNNING ? "soft" : "bad",
                    names[trial->status], step);
            free(step);
            rg_write_html(out,
                          trial->status == RG_TRIAL_RUNNING ? RG_DASH : rg_trial_reason(trial));
            fputs("</td></tr>\n", out);
        }
    rg_page_close_table(out);
}

void rg_page_trials(FILE *out, const RgResults *results) {
    bool unfinished = false;
    for (int i = 0; i < results->trial_count; i++)
        unfinished |= results->trials[i].status != RG_TRIAL_FINISHED;
    if (results->trial_count == 0)
        return;
    rg_page_section(out, "trials", "Trials");
    if (results->superseded > 0)
        fprintf(out,
                "<p class=\"soft\">%d older trial%s of the same method, setting and seed %s left "
                "out.</p>\n",
                results->superseded, results->superseded == 1 ? "" : "s",
                results->superseded == 1 ? "is" : "are");
    char *left_out = rg_results_left_out(results);
    if (left_out)
        fprintf(out, "<p class=\"soft\">%s</p>\n", left_out);
    free(left_out);
    write_trial_table(out, results);
    if (unfinished)
        write_unfinished(out, results);
    fputs("</section>\n", out);
}

/* Configuration. */

typedef struct Settings {
    const char **labels; /* of the methods */
    int label_count;
    RgFields *resolved; /* [label_count] every setting; several values are joined */
    RgFields names;     /* of all settings */
    RgFields given;     /* settings of the config */
    RgFields overrides; /* those given on the command line */
} Settings;

static void load_resolved(Settings *s, const RgGroup *group) {
    int label = 0;
    while (label < s->label_count && strcmp(s->labels[label], group->label) != 0)
        label++;
    if (label == s->label_count)
        s->labels[s->label_count++] = group->label;
    for (int i = 0; i < group->count; i++) {
        RgFields all = rg_fields_parse(group->trials[i]->config), fields = without_lists(&all);
        for (int j = 0; j < fields.count; j++) {
            if (strcmp(fields.at[j].name, "seed") == 0)
                continue;
            merge(&s->resolved[label], fields.at[j].name, fields.at[j].text, "; ");
            merge(&s->names, fields.at[j].name, "", "; ");
        }
        rg_fields_free(&fields);
        rg_fields_free(&all);
    }
}

static Settings load_settings(const RgResults *results) {
    size_t room = (size_t)results->group_count + 1;
    Settings s = {.labels = rg_allocate(room, sizeof *s.labels),
                  .resolved = rg_allocate(room, sizeof *s.resolved)};
    for (int g = 0; g < results->group_count; g++)
        load_resolved(&s, &results->groups[g]);
    RgFields given = rg_fields_parse(results->config);
    s.given = without_lists(&given);
    rg_fields_free(&given);
    RgFields overrides = {0};
    for (int i = 0; i < results->trial_count; i++) {
        RgFields fields = rg_fields_parse(results->trials[i].provenance);
        for (int j = 0; j < fields.count; j++)
            if (strncmp(fields.at[j].name, "overrides.", 10) == 0)
                merge(&overrides, fields.at[j].name + 10, fields.at[j].text, "; ");
        rg_fields_free(&fields);
    }
    s.overrides = without_lists(&overrides);
    rg_fields_free(&overrides);
    return s;
}

static void free_settings(Settings *s) {
    for (int i = 0; i < s->label_count; i++)
        rg_fields_free(&s->resolved[i]);
    free(s->resolved);
    free(s->labels);
    rg_fields_free(&s->names);
    rg_fields_free(&s->given);
    rg_fields_free(&s->overrides);
}

/* "algorithms.3.beta" in the config is "algorithm.beta" of a trial; a shared group's option may
 * also be set in an algorithm's group. */
static bool names_setting(const char *given, const char *setting) {
    size_t prefix = strlen("algorithms.");
    if (strcmp(given, setting) == 0)
        return true;
    if (strncmp(given, "algorithms.", prefix) != 0)
        return false;
    const char *rest = given + prefix + strspn(given + prefix, "0123456789");
    if (strncmp(setting, "algorithm.", prefix - 1) == 0)
        setting += prefix - 1;
    return *rest == '.' && strcmp(rest + 1, setting) == 0;
}

static bool any_names(const RgFields *given, const char *setting) {
    for (int i = 0; i < given->count; i++)
        if (names_setting(given->at[i].name, setting))
            return true;
    return false;
}

static const char *origin_of(const Settings *s, const RgResults *results, const char *setting) {
    if (strncmp(setting, "inputs.", 7) == 0)
        return "SHA-256";
    for (int i = 0; results->swept[i]; i++)
        if (strcmp(rg_last_part(results->swept[i]), rg_last_part(setting)) == 0)
            return "swept";
    if (any_names(&s->overrides, setting))
        return "command line";
    return any_names(&s->given, setting) ? "config" : "default";
}

static void write_row(FILE *out, const char *name, const char *value, const char *origin) {
    fprintf(out, "<tr%s><th scope=\"row\">",
            strcmp(origin, "default") == 0 ? " class=\"default\"" : "");
    rg_write_html(out, name);
    fputs("</th><td>", out);
    rg_write_html(out, value);
    fprintf(out, "</td><td>%s</td></tr>\n", origin);
}

static const char setting_heading[] =
    "<thead><tr><th scope=\"col\">setting</th><th scope=\"col\">value</th><th scope=\"col\">from"
    "</th></tr></thead>\n<tbody>\n";

static void write_given(FILE *out, const Settings *s) {
    rg_page_open_table(out, "left", "settings of the experiment");
    fputs(setting_heading, out);
    for (int i = 0; i < s->given.count; i++) {
        const char *name = s->given.at[i].name;
        write_row(out, name, s->given.at[i].text,
                  rg_fields_find(&s->overrides, name) ? "command line" : "config");
    }
    rg_page_close_table(out);
}

static const char *value_of(const Settings *s, int label, const char *name) {
    const RgField *field = rg_fields_find(&s->resolved[label], name);
    return field ? field->text : NULL;
}

/* Whether all methods that have the setting have the same value. */
static bool is_shared(const Settings *s, const char *name) {
    const char *first = NULL;
    for (int i = 0; i < s->label_count; i++) {
        const char *value = value_of(s, i, name);
        if (value && first && strcmp(value, first) != 0)
            return false;
        first = first ? first : value;
    }
    return true;
}

static int count_shared(const Settings *s, bool shared) {
    int count = 0;
    for (int i = 0; i < s->names.count; i++)
        count += is_shared(s, s->names.at[i].name) == shared;
    return count;
}

static void write_shared(FILE *out, const Settings *s, const RgResults *results) {
    fprintf(out,
            "<details><summary>%d settings that are the same in all methods that have them, "
            "resolved</summary>\n",
            count_shared(s, true));
    rg_page_open_table(out, "left", "settings that methods share");
    fputs(setting_heading, out);
    for (int i = 0; i < s->names.count; i++) {
        const char *name = s->names.at[i].name, *value = NULL;
        for (int j = 0; j < s->label_count && !value; j++)
            value = value_of(s, j, name);
        if (is_shared(s, name))
            write_row(out, name, value, origin_of(s, results, name));
    }
    rg_page_close_table(out);
    fputs("</details>\n", out);
}

static void write_different(FILE *out, const Settings *s, const RgResults *results) {
    fprintf(out, "<details><summary>%d settings in which methods differ, resolved</summary>\n",
            count_shared(s, false));
    rg_page_open_table(out, "left", "settings in which methods differ");
    fputs("<thead><tr><th scope=\"col\">setting</th>", out);
    for (int j = 0; j < s->label_count; j++) {
        fputs("<th scope=\"col\">", out);
        rg_write_html(out, s->labels[j]);
        fputs("</th>", out);
    }
    fputs("<th scope=\"col\">from</th></tr></thead>\n<tbody>\n", out);
    for (int i = 0; i < s->names.count; i++) {
        const char *name = s->names.at[i].name;
        if (is_shared(s, name))
            continue;
        fputs("<tr><th scope=\"row\">", out);
        rg_write_html(out, name);
        fputs("</th>", out);
        for (int j = 0; j < s->label_count; j++) {
            const char *value = value_of(s, j, name);
            fputs("<td>", out);
            rg_write_html(out, value ? value : RG_DASH);
            fputs("</td>", out);
        }
        fprintf(out, "<td>%s</td></tr>\n", origin_of(s, results, name));
    }
    rg_page_close_table(out);
    fputs("</details>\n", out);
}

void rg_page_configuration(FILE *out, const RgResults *results) {
    Settings s = load_settings(results);
    rg_page_section(out, "configuration", "Configuration");
    if (s.given.count > 0) {
        fputs("<p class=\"soft\">The config sets", out);
        if (s.overrides.count > 0)
            fprintf(out, ", %d of it on the command line", s.overrides.count);
        fputs("; all other settings have their defaults.", out);
        if (results->of_others)
            fputs(" It is the config that was run last. Some trials shown here ran with another "
                  "one; their settings follow.",
                  out);
        fputs("</p>\n", out);
        fprintf(out, "<details%s><summary>%d settings of the experiment</summary>\n",
                s.given.count <= 30 ? " open=\"open\"" : "", s.given.count);
        write_given(out, &s);
        fputs("</details>\n", out);
    } else {
        fputs("<p class=\"soft\">None was recorded.</p>\n", out);
    }
    if (count_shared(&s, true) > 0)
        write_shared(out, &s, results);
    if (count_shared(&s, false) > 0)
        write_different(out, &s, results);
    fputs("</section>\n", out);
    free_settings(&s);
}

/* Provenance. */

static void write_fact(FILE *out, const char *name, const char *text) {
    fputs("<tr><th scope=\"row\">", out);
    rg_write_html(out, name);
    fputs("</th><td>", out);
    rg_write_html(out, text && *text ? text : RG_DASH);
    fputs("</td></tr>\n", out);
}

static Times span_of(const RgResults *results) {
    Times span = {0};
    for (int g = 0; g < results->group_count; g++) {
        Times t = times_of(&results->groups[g]);
        if (t.first && (!span.first || strcmp(t.first, span.first) < 0))
            span.first = t.first;
        if (t.last && (!span.last || strcmp(t.last, span.last) > 0))
            span.last = t.last;
    }
    return span;
}

static void merge_trials(const RgResults *results, RgFields *all, RgFields *seeds) {
    for (int i = 0; i < results->trial_count; i++) {
        RgFields fields = rg_fields_parse(results->trials[i].provenance);
        for (int j = 0; j < fields.count; j++)
            if (strncmp(fields.at[j].name, "overrides.", 10) != 0)
                merge(all, fields.at[j].name, fields.at[j].text, "; ");
        rg_fields_free(&fields);
        char *seed = rg_string_format("%lld", (long long)results->trials[i].seed);
        merge(seeds, "seeds", seed, ", ");
        free(seed);
    }
}

void rg_page_provenance(FILE *out, const RgResults *results) {
    static const char *const known[][2] = {{"version", "version of regatta"},
                                           {"commit", "commit"},
                                           {"built_with", "built with"},
                                           {"blas_core", "kernels"},
                                           {"threads", "threads"},
                                           {"host", "host"},
                                           {NULL, NULL}};
    RgFields all = {0}, seeds = {0};
    int by_status[RG_TRIAL_STATUSES] = {0};
    merge_trials(results, &all, &seeds);
    for (int i = 0; i < results->trial_count; i++)
        by_status[results->trials[i].status]++;
    rg_page_section(out, "provenance", "Provenance");
    fputs("<p class=\"soft\">Provenance of the numbers; if trials differ, all their values are "
          "listed.</p>\n",
          out);
    rg_page_open_table(out, "left", "provenance of the trials");
    fputs("<thead><tr><th scope=\"col\">what</th><th scope=\"col\">value</th></tr></thead>\n<tbody>"
          "\n",
          out);
    for (int i = 0; known[i][0]; i++) {
        const RgField *field = rg_fields_find(&all, known[i][0]);
        write_fact(out, known[i][1], field ? field->text : NULL);
    }
    for (int i = 0; i < all.count; i++) {
        bool shown = false;
        for (int j = 0; known[j][0]; j++)
            shown |= strcmp(known[j][0], all.at[i].name) == 0;
        if (!shown)
            write_fact(out, all.at[i].name, all.at[i].text);
    }
    write_fact(out, "seeds", seeds.count ? seeds.at[0].text : NULL);
    char *outcomes =
        rg_string_format("%d finished, %d diverged, %d failed, %d running or interrupted",
                         by_status[RG_TRIAL_FINISHED], by_status[RG_TRIAL_DIVERGED],
                         by_status[RG_TRIAL_FAILED], by_status[RG_TRIAL_RUNNING]);
    write_fact(out, "trials", outcomes);
    free(outcomes);
    write_fact(out, "experiment begun, UTC", results->created);
    write_fact(out, "first trial done, UTC", span_of(results).first);
    write_fact(out, "last trial done, UTC", span_of(results).last);
    rg_page_close_table(out);
    fputs("</section>\n", out);
    rg_fields_free(&all);
    rg_fields_free(&seeds);
}
