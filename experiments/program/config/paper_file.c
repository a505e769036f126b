/* SPDX-License-Identifier: MIT */
/* Reading reported figures and claims. */
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

/* One claim. */
typedef struct ClaimOptions {
    const char *claim, *method, *than, *quantity, *source, *checked, *experiment, *differs;
    double value, within; /* UNSET: not given */
    double floor;
    int64_t at, than_at;
    int relation, reading;
    bool deterministic;
    RgOptionList where, than_where;
} ClaimOptions;

static const char *const relations[] = {[RG_RELATION_ABOVE] = "above",
                                        [RG_RELATION_BELOW] = "below",
                                        [RG_RELATION_NEAR] = "near",
                                        NULL};
static const char *const readings[] = {"value", "order", NULL};

static const RgOption claim_options[] = {
    RG_OPTION_STRING(ClaimOptions, claim, NULL, "in a sentence"),
    RG_OPTION_STRING(ClaimOptions, method, NULL, "label or algorithm that it is about"),
    RG_OPTION_STRING(ClaimOptions, than, "", "label or algorithm that it is compared with"),
    RG_OPTION_REAL(ClaimOptions, value, "-1e30", UNSET, 1e30, "the number, instead of than"),
    RG_OPTION_STRING(ClaimOptions, quantity, NULL, "metric of the experiment"),
    RG_OPTION_CHOICE(ClaimOptions, relation, NULL, relations, "of method to than or value"),
    RG_OPTION_REAL(ClaimOptions, within, "-1e30", UNSET, 1e30, "the largest distance of near"),
    RG_OPTION_CHOICE(ClaimOptions, reading, "value", readings,
                     "the metric's value, or its order of convergence"),
    RG_OPTION_INTEGER(ClaimOptions, at, "-1", -1, 1e15, "step of method's value (-1: the end)"),
    RG_OPTION_INTEGER(ClaimOptions, than_at, "-1", -1, 1e15, "step of than's value"),
    RG_OPTION_REAL(ClaimOptions, floor, "0", 0, 1e30, "values that rounding sets, of an order"),
    RG_OPTION_BOOLEAN(ClaimOptions, deterministic, "false", "nothing is drawn: one seed decides"),
    RG_OPTION_STRING(ClaimOptions, source, NULL, "table, figure or section of the paper"),
    RG_OPTION_STRING(ClaimOptions, checked, NULL, "how it was verified"),
    RG_OPTION_STRING(ClaimOptions, experiment, "",
                     "name of the experiment among `experiments` (default: the first)"),
    RG_OPTION_STRING(ClaimOptions, differs, "", "why it is known not to hold"),
    RG_OPTION_LIST(ClaimOptions, where, "swept options of method and than: \"name=value\""),
    RG_OPTION_LIST(ClaimOptions, than_where, "those of than, where they differ"),
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
    RgPaperClaim *claims;
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
                               RgPaperTrials *trials, RgError *error) {
    const char *equals = strchr(text, '=');
    char *end = NULL;
    double value = equals ? strtod(equals + 1, &end) : 0;
    if (!equals || equals == text || end == equals + 1 || *end != '\0' ||
        trials->conditions == RG_PAPER_CONDITIONS)
        return rg_setting_refuse(rg_settings_find(file->settings, path), error,
                                 "expected at most %d conditions \"option=number\"",
                                 RG_PAPER_CONDITIONS);
    struct RgPaperWhere *where = &trials->where[trials->conditions++];
    where->value = value;
    where->name = rg_string_format("%.*s", (int)(equals - text), text);
    return RG_OK;
}

/* The list `key` of the figure or claim at `path`. */
static RgStatus read_conditions(RgPaperFile *file, const char *path, const char *key,
                                const RgOptionList *list, RgPaperTrials *trials, RgError *error) {
    RgStatus status = RG_OK;
    for (int64_t i = 0; status == RG_OK && i < list->count; i++) {
        char *at = rg_string_format("%s.%s.%lld", path, key, (long long)i);
        status = read_condition(file, at, list->item[i].text, trials, error);
        free(at);
    }
    return status;
}

char *rg_paper_experiment(const char *config) {
    const char *slash = strrchr(config, '/'), *own = slash ? slash + 1 : config;
    const char *suffix = strrchr(own, '.');
    return rg_string_format("%.*s", (int)(suffix ? suffix - own : (long)strlen(own)), own);
}

/* Whether one of the paper's experiments has that name; "" is the first. */
static bool has_experiment(const RgPaperFile *file, const char *name) {
    bool named = name[0] == '\0';
    for (int i = 0; file->experiments[i] && !named; i++) {
        char *own = rg_paper_experiment(file->experiments[i]);
        named = strcmp(own, name) == 0;
        free(own);
    }
    return named;
}

/* Refuse what the keys of a figure or claim require of each other; the message has the line of its
 * first key. */
static RgStatus check_requirements(const RgPaperFile *file, const char *path, const char *key,
                                   const char *what, const RgRequirement *requirements,
                                   size_t count, RgError *error) {
    for (size_t i = 0; i < count; i++)
        if (!requirements[i].met) {
            char *at = rg_string_format("%s.%s", path, key);
            RgStatus status =
                rg_setting_refuse(rg_settings_find(file->settings, at), error,
                                  "expected %s in this %s", requirements[i].expected, what);
            free(at);
            return status;
        }
    return RG_OK;
}

static const char named_experiment[] = "experiment that is the name of one of `experiments`";

static RgStatus check_figure(const RgPaperFile *file, const char *path, const FigureOptions *o,
                             RgError *error) {
    const RgRequirement requirements[] = {
        {o->value[0] || o->exact > UNSET, "value, or exact without it"},
        {o->tolerance == UNSET || o->tolerance >= 0, "tolerance of 0 or more"},
        {o->tolerance == UNSET || o->tolerance_reason[0], "tolerance_reason beside tolerance"},
        {(o->first_step < 0) == (o->last_step < 0) && o->first_step <= o->last_step,
         "first_step and last_step, in this order, or neither"},
        {has_experiment(file, o->experiment), named_experiment},
    };
    return check_requirements(file, path, "method", "figure", requirements,
                              sizeof requirements / sizeof *requirements, error);
}

static RgStatus read_figure(RgPaperFile *file, int64_t index, RgError *error) {
    FigureOptions o;
    char *path = rg_string_format("figures.%lld", (long long)index);
    RgReported *reported = &file->figures[index];
    RgStatus status = rg_options_read(figure_options, file->settings, path, &o, error);
    if (status == RG_OK)
        *reported = (RgReported){.of.method = o.method,
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
    if (status == RG_OK)
        status = read_conditions(file, path, "where", &o.where, &reported->of, error);
    static const char *const known[] = {
        "method",     "metric",           "quantity",  "value",
        "setting",    "source",           "checked",   "where",
        "experiment", "first_step",       "last_step", "exact",
        "tolerance",  "tolerance_reason", "differs",   "not_comparable",
        NULL};
    if (status == RG_OK)
        status = rg_settings_check_used(file->settings, path, known, error);
    free(path);
    return status;
}

static RgStatus check_claim(const RgPaperFile *file, const char *path, const ClaimOptions *o,
                            RgError *error) {
    bool two = o->than[0] != '\0', near = o->relation == RG_RELATION_NEAR, order = o->reading == 1;
    const RgRequirement requirements[] = {
        {two != (o->value > UNSET), "either than or value"},
        {near == (o->within > UNSET), "within beside relation \"near\", and only there"},
        {!near || o->within >= 0, "within of 0 or more"},
        {!order || (o->at < 0 && o->than_at < 0), "no at or than_at beside reading \"order\""},
        {order || o->floor == 0, "reading \"order\" beside floor"},
        {two || (o->than_at < 0 && o->than_where.count == 0), "than beside than_at or than_where"},
        {has_experiment(file, o->experiment), named_experiment},
    };
    return check_requirements(file, path, "claim", "claim", requirements,
                              sizeof requirements / sizeof *requirements, error);
}

static RgPaperClaim claim_of(const ClaimOptions *o) {
    bool at_step = o->at >= 0 || o->than_at >= 0;
    return (RgPaperClaim){.claim = o->claim,
                          .of.method = o->method,
                          .than.method = o->than,
                          .value = o->value > UNSET ? o->value : NAN,
                          .measure = o->quantity,
                          .as = o->reading == 1 ? RG_READ_ORDER
                                : at_step       ? RG_READ_STEP
                                                : RG_READ_END,
                          .step = o->at,
                          .than_step = o->than_at,
                          .floor = o->floor,
                          .relation = (RgRelation)o->relation,
                          .within = o->within > UNSET ? o->within : NAN,
                          .deterministic = o->deterministic,
                          .experiment = o->experiment,
                          .source = o->source,
                          .checked = o->checked,
                          .differs = o->differs};
}

static RgStatus read_claim(RgPaperFile *file, int64_t index, RgError *error) {
    ClaimOptions o;
    char *path = rg_string_format("claims.%lld", (long long)index);
    RgPaperClaim *claim = &file->claims[index];
    RgStatus status = rg_options_read(claim_options, file->settings, path, &o, error);
    if (status == RG_OK)
        *claim = claim_of(&o);
    if (status == RG_OK)
        status = check_claim(file, path, &o, error);
    bool own = status == RG_OK && o.than_where.count > 0;
    if (status == RG_OK)
        status = read_conditions(file, path, "where", &o.where, &claim->of, error);
    if (status == RG_OK)
        status = read_conditions(file, path, own ? "than_where" : "where",
                                 own ? &o.than_where : &o.where, &claim->than, error);
    static const char *const known[] = {"claim",    "method",     "than",       "value",
                                        "quantity", "relation",   "within",     "reading",
                                        "at",       "than_at",    "floor",      "deterministic",
                                        "source",   "checked",    "experiment", "differs",
                                        "where",    "than_where", NULL};
    if (status == RG_OK)
        status = rg_settings_check_used(file->settings, path, known, error);
    free(path);
    return status;
}

static RgStatus read_content(RgPaperFile *file, const char *path, RgError *error) {
    PaperOptions o;
    RG_TRY(rg_config_read(path, file->settings, error));
    int64_t count = rg_settings_length(file->settings, "figures");
    if (count == 0 && rg_settings_length(file->settings, "claims") == 0)
        return rg_fail(error, RG_E_USAGE,
                       "%s: no figures and no claims, expected figures = ( { … } ); or "
                       "claims = ( { … } );",
                       path);
    RG_TRY(rg_options_read(paper_options, file->settings, "", &o, error));
    take_sentences(&o.experiments, file->experiments);
    file->figures = rg_allocate(count, sizeof *file->figures);
    file->paper.figure_count = count;
    for (int64_t i = 0; i < count; i++)
        RG_TRY(read_figure(file, i, error));
    int64_t claims = rg_settings_length(file->settings, "claims");
    file->claims = rg_allocate(claims, sizeof *file->claims);
    file->paper.claim_count = claims;
    for (int64_t i = 0; i < claims; i++)
        RG_TRY(read_claim(file, i, error));
    static const char *const known[] = {"title",  "reference",   "experiments", "figures",
                                        "claims", "differences", "unknown",     NULL};
    RG_TRY(rg_settings_check_used(file->settings, "", known, error));
    take_sentences(&o.differences, file->differences);
    take_sentences(&o.unknown, file->unknown);
    file->paper.title = o.title;
    file->paper.reference = o.reference;
    file->paper.figures = file->figures;
    file->paper.claims = file->claims;
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

static void free_conditions(RgPaperTrials *trials) {
    for (int k = 0; k < trials->conditions; k++)
        free((char *)trials->where[k].name);
}

void rg_paper_close(RgPaperFile *file) {
    if (!file)
        return;
    for (int64_t i = 0; i < file->paper.figure_count; i++)
        free_conditions(&file->figures[i].of);
    for (int64_t i = 0; i < file->paper.claim_count; i++) {
        free_conditions(&file->claims[i].of);
        free_conditions(&file->claims[i].than);
    }
    free(file->figures);
    free(file->claims);
    rg_settings_destroy(file->settings);
    free(file);
}

const RgPaper *rg_paper_of(const RgPaperFile *file) {
    return &file->paper;
}
