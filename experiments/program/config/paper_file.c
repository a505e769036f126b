/* SPDX-License-Identifier: MIT */
/* Reading reported figures. */
#include "experiments/program/config/paper_file.h"

#include "core/config_file.h"
#include "core/files.h"
#include "core/options.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One figure of the file. */
typedef struct FigureOptions {
    const char *method, *metric, *quantity, *value, *setting, *source, *checked, *experiment;
    int64_t first_step, last_step; /* −1: not given */
    double exact, tolerance;       /* UNSET: not given */
    const char *tolerance_reason, *differs, *not_comparable;
    RgOptionList where;
} FigureOptions;

#define UNSET (-1e30)

static const RgOption figure_options[] = {
    RG_OPTION_STRING(FigureOptions, method, NULL, "label or algorithm to compare it with"),
    RG_OPTION_STRING(FigureOptions, metric, NULL, "the paper's name of the metric"),
    RG_OPTION_STRING(FigureOptions, quantity, "", "metric of the experiment shown beside it"),
    RG_OPTION_STRING(FigureOptions, value, "", "as printed, with its uncertainty"),
    RG_OPTION_STRING(FigureOptions, setting, NULL, "model, data, judge"),
    RG_OPTION_STRING(FigureOptions, source, NULL, "table, figure or section of the paper"),
    RG_OPTION_STRING(FigureOptions, checked, NULL, "how it was verified"),
    RG_OPTION_STRING(FigureOptions, experiment, "",
                     "name of the experiment among `experiments` (default: the first)"),
    RG_OPTION_INTEGER(FigureOptions, first_step, "-1", -1, 1e12,
                      "the figure here is a mean over the rows from this step on"),
    RG_OPTION_INTEGER(FigureOptions, last_step, "-1", -1, 1e12, "to this step"),
    RG_OPTION_REAL(FigureOptions, exact, "-1e30", UNSET, 1e30, "the exact value, where known"),
    RG_OPTION_REAL(FigureOptions, tolerance, "-1e30", UNSET, 1e30,
                   "largest difference, beside that of the seeds, that counts as agreement"),
    RG_OPTION_STRING(FigureOptions, tolerance_reason, "", "where the tolerance comes from"),
    RG_OPTION_STRING(FigureOptions, differs, "", "the reason of a known difference"),
    RG_OPTION_STRING(FigureOptions, not_comparable, "", "the reason why it cannot be compared"),
    RG_OPTION_LIST(FigureOptions, where, "swept options that trials must have: \"name=value\""),
    RG_OPTION_END,
};

typedef struct PaperOptions {
    const char *title, *reference;
    RgOptionList experiments, differences, unknown;
} PaperOptions;

static const RgOption paper_options[] = {
    RG_OPTION_STRING(PaperOptions, title, NULL, "of the paper"),
    RG_OPTION_STRING(PaperOptions, reference, NULL, "authors, year, place of publication"),
    RG_OPTION_LIST(PaperOptions, experiments, "configs that run the figures again"),
    RG_OPTION_LIST(PaperOptions, differences, "how its settings differ from those here"),
    RG_OPTION_LIST(PaperOptions, unknown, "what could not be verified"),
    RG_OPTION_END,
};

struct RgPaperFile {
    RgSettings *settings; /* holds the texts */
    RgReported *figures;
    const char *experiments[RG_LIST_MOST + 1];
    const char *differences[RG_LIST_MOST + 1], *unknown[RG_LIST_MOST + 1];
    RgPaper paper;
};

/* ---- content ---- */

static void take_sentences(const RgOptionList *list, const char **sentence) {
    for (int64_t i = 0; i < list->count; i++)
        sentence[i] = list->item[i].text;
    sentence[list->count] = NULL;
}

/* Splits "beta=0.001" at the equals sign. */
static RgStatus read_condition(RgPaperFile *file, const char *path, const char *text,
                               RgReported *reported, RgError *error) {
    const char *equals = strchr(text, '=');
    char *end = NULL;
    double value = equals ? strtod(equals + 1, &end) : 0;
    if (!equals || equals == text || end == equals + 1 || *end != '\0' ||
        reported->conditions == RG_PAPER_CONDITIONS)
        return rg_setting_refuse(rg_settings_find(file->settings, path), error,
                                 "expected at most %d conditions \"option=number\"",
                                 RG_PAPER_CONDITIONS);
    struct RgReportedWhere *where = &reported->where[reported->conditions++];
    where->value = value;
    where->name = rg_string_format("%.*s", (int)(equals - text), text);
    return RG_OK;
}

/* The name of a config's experiment: its file's name without folders and suffix. */
static bool is_named(const char *path, const char *name) {
    const char *slash = strrchr(path, '/'), *own = slash ? slash + 1 : path;
    size_t length = strlen(name);
    return strncmp(own, name, length) == 0 && strcmp(own + length, ".cfg") == 0;
}

/* Refuse what the keys of one figure require of each other. */
static RgStatus check_figure(const RgPaperFile *file, const char *path, const FigureOptions *o,
                             RgError *error) {
    bool named = o->experiment[0] == '\0';
    for (int i = 0; file->experiments[i]; i++)
        named = named || is_named(file->experiments[i], o->experiment);
    const RgRequirement requirements[] = {
        {o->value[0] || o->exact > UNSET, "value, or exact without it"},
        {o->tolerance == UNSET || o->tolerance >= 0, "tolerance of 0 or more"},
        {o->tolerance == UNSET || o->tolerance_reason[0], "tolerance_reason beside tolerance"},
        {(o->first_step < 0) == (o->last_step < 0) && o->first_step <= o->last_step,
         "first_step and last_step, in this order, or neither"},
        {named, "experiment that is the name of one of `experiments`"},
    };
    for (size_t i = 0; i < sizeof requirements / sizeof *requirements; i++)
        if (!requirements[i].met) {
            char *at = rg_string_format("%s.method", path);
            RgStatus status =
                rg_setting_refuse(rg_settings_find(file->settings, at), error,
                                  "expected %s in this figure", requirements[i].expected);
            free(at);
            return status;
        }
    return RG_OK;
}

static RgStatus read_figure(RgPaperFile *file, int64_t index, RgError *error) {
    FigureOptions o;
    char *path = rg_string_format("figures.%lld", (long long)index);
    RgReported *reported = &file->figures[index];
    RgStatus status = rg_options_read(figure_options, file->settings, path, &o, error);
    if (status == RG_OK)
        *reported = (RgReported){.method = o.method,
                                 .metric = o.metric,
                                 .measure = o.quantity,
                                 .value = o.value,
                                 .setting = o.setting,
                                 .source = o.source,
                                 .checked = o.checked,
                                 .experiment = o.experiment,
                                 .first_step = o.first_step,
                                 .last_step = o.last_step,
                                 .exact = o.exact > UNSET ? o.exact : NAN,
                                 .tolerance = o.tolerance > UNSET ? o.tolerance : NAN,
                                 .tolerance_reason = o.tolerance_reason,
                                 .differs = o.differs,
                                 .not_comparable = o.not_comparable};
    if (status == RG_OK)
        status = check_figure(file, path, &o, error);
    for (int64_t i = 0; status == RG_OK && i < o.where.count; i++) {
        char *at = rg_string_format("%s.where.%lld", path, (long long)i);
        status = read_condition(file, at, o.where.item[i].text, reported, error);
        free(at);
    }
    static const char *const known[] = {
        "method",  "metric",     "quantity",  "value",     "setting",          "source",
        "checked", "where",      "experiment", "first_step", "last_step",       "exact",
        "tolerance", "tolerance_reason", "differs", "not_comparable", NULL};
    if (status == RG_OK)
        status = rg_settings_check_used(file->settings, path, known, error);
    free(path);
    return status;
}

static RgStatus read_content(RgPaperFile *file, const char *path, RgError *error) {
    PaperOptions o;
    RG_TRY(rg_config_read(path, file->settings, error));
    int64_t count = rg_settings_length(file->settings, "figures");
    if (count == 0)
        return rg_fail(error, RG_E_USAGE, "%s: no figures, expected figures = ( { … } );", path);
    RG_TRY(rg_options_read(paper_options, file->settings, "", &o, error));
    take_sentences(&o.experiments, file->experiments);
    file->figures = rg_allocate(count, sizeof *file->figures);
    file->paper.figure_count = count;
    for (int64_t i = 0; i < count; i++)
        RG_TRY(read_figure(file, i, error));
    static const char *const known[] = {"title",       "reference", "experiments", "figures",
                                        "differences", "unknown",   NULL};
    RG_TRY(rg_settings_check_used(file->settings, "", known, error));
    take_sentences(&o.differences, file->differences);
    take_sentences(&o.unknown, file->unknown);
    file->paper.title = o.title;
    file->paper.reference = o.reference;
    file->paper.figures = file->figures;
    file->paper.experiments = file->experiments;
    file->paper.differences = file->differences;
    file->paper.unknown = file->unknown;
    return RG_OK;
}

/* ---- files ---- */

static int is_paper(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".cfg") == 0;
}

char **rg_paper_names(int64_t *count) {
    struct dirent **entries;
    char *folder = rg_own_file("analysis/papers");
    int found = scandir(folder, &entries, is_paper, alphasort);
    free(folder);
    *count = found > 0 ? found : 0;
    char **names = rg_allocate(*count + 1, sizeof *names);
    for (int i = 0; i < found; i++) {
        names[i] =
            rg_string_format("%.*s", (int)strlen(entries[i]->d_name) - 4, entries[i]->d_name);
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return names;
}

/* "dpo, hpgd, parl, sail". The caller frees it. */
static char *joined_names(void) {
    int64_t count;
    char **names = rg_paper_names(&count), *all = rg_string_copy("");
    for (int64_t i = 0; i < count; i++) {
        char *longer = rg_string_format("%s%s%s", all, i ? ", " : "", names[i]);
        free(all);
        free(names[i]);
        all = longer;
    }
    free(names);
    return all;
}

static RgStatus find_paper(const char *name, char **path, RgError *error) {
    size_t length = strlen(name);
    if (strchr(name, '/') || (length > 4 && strcmp(name + length - 4, ".cfg") == 0)) {
        *path = rg_string_copy(name);
        return RG_OK;
    }
    char *folder = rg_own_file("analysis/papers"), *names = joined_names();
    char *listed = rg_string_format(", %s,", names), *wanted = rg_string_format(" %s,", name);
    RgStatus status = RG_OK;
    if (strstr(listed, wanted))
        *path = rg_string_format("%s/%s.cfg", folder, name);
    else
        status = rg_fail(error, RG_E_USAGE,
                         "no paper \"%s\": expected one of %s (in %s), or the path of a .cfg", name,
                         names[0] ? names : "none", folder);
    free(wanted);
    free(listed);
    free(names);
    free(folder);
    return status;
}

RgStatus rg_paper_read(const char *name, RgPaperFile **file, RgError *error) {
    *file = NULL;
    char *path = NULL;
    RG_TRY(find_paper(name, &path, error));
    RgPaperFile *new = rg_allocate(1, sizeof *new);
    new->settings = rg_settings_create();
    RgStatus status = read_content(new, path, error);
    free(path);
    if (status == RG_OK)
        *file = new;
    else
        rg_paper_close(new);
    return status;
}

void rg_paper_close(RgPaperFile *file) {
    if (!file)
        return;
    for (int64_t i = 0; i < file->paper.figure_count; i++)
        for (int k = 0; k < file->figures[i].conditions; k++)
            free((char *)file->figures[i].where[k].name);
    free(file->figures);
    rg_settings_destroy(file->settings);
    free(file);
}

const RgPaper *rg_paper_of(const RgPaperFile *file) {
    return &file->paper;
}
