/* SPDX-License-Identifier: MIT */
/* regatta list and regatta show: print the registered types from their descriptors and option
 * tables. */
#include "algorithms/parl/estimator.h"
#include "analysis/store/query.h"
#include "core/suggest.h"
#include "envs/judges/judge.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/config/experiment.h"
#include "experiments/program/config/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the registered types ---- */

/* Any type with a name and options. */
typedef struct Entry {
    const char *kind; /* plural, as `regatta list` takes it */
    const char *name, *summary, *reference;
    const RgOption *options;      /* of the type itself */
    const RgOption *part_options; /* further options of its config group, or NULL */
    const RgDescriptor *about;    /* NULL for parts */
} Entry;

/* The kinds in the order of `regatta list`. */
static const struct {
    RgKind kind;
    const RgOption *part_options;
} listed[] = {
    {RG_ALGORITHM, rg_algorithm_part_options},
    {RG_ENVIRONMENT, rg_environment_part_options},
    {RG_JUDGE, NULL},
    {RG_POLICY, rg_policy_part_options},
    {RG_ESTIMATOR, NULL},
    {RG_OPTIMIZER, rg_optimizer_options},
};

static Entry *add(Entry *entries, int *count, Entry entry) {
    entries = rg_reallocate(entries, (size_t)*count + 1, sizeof *entries);
    entries[(*count)++] = entry;
    return entries;
}

/* Collects all entries. The caller frees the array. */
static Entry *collect(int *count) {
    Entry *entries = NULL;
    *count = 0;
    for (size_t k = 0; k < sizeof listed / sizeof *listed; k++) {
        const RgDescriptor *d;
        for (int i = 0; (d = rg_registered(listed[k].kind, i)); i++)
            entries = add(entries, count,
                          (Entry){rg_kind_plurals[listed[k].kind], d->name, d->summary,
                                  d->reference, d->options, listed[k].part_options, d});
    }
    static const Entry parts[] = {
        {"parts", "experiment", "top level of a config, beside the parts", NULL,
         rg_experiment_options, NULL, NULL},
        {"parts", "adapter", "policy.adapter: a low-rank update, trained instead of all weights",
         "Hu et al. 2021, arXiv:2106.09685", rg_adapter_options, NULL, NULL},
        {"parts", "optimizer", "how parameters are updated from the gradient", NULL,
         rg_optimizer_options, NULL, NULL},
        {"parts", "training", "batches and the sampling of training responses", NULL,
         rg_training_options, NULL, NULL},
        {"parts", "budget", "when a trial ends", NULL, rg_budget_options, NULL, NULL},
        {"parts", "evaluation", "when policies are measured", NULL, rg_evaluation_options, NULL,
         NULL},
        {"parts", "sweep", "a list of options, each with a list of values: their grid", NULL,
         rg_swept_options, NULL, NULL},
        {"parts", "search", "random draws of options, from values or ranges", NULL,
         rg_search_options, NULL, NULL},
        {"parts", "range", "an element of search.options, instead of values", NULL,
         rg_range_options, rg_swept_options, NULL},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        entries = add(entries, count, parts[i]);
    return entries;
}

/* ---- list ---- */

/* What to list, and for which results store. */
typedef struct ListArguments {
    const char *kind, *store;
} ListArguments;

static void print_metric(const RgMeasure *measure) {
    static const char *const units[] = {"", ", %", "", ", s", ", bytes"};
    if (strcmp(measure->heading, measure->name) == 0)
        printf("  %s\n", measure->name);
    else
        printf("  %-27s%s%s\n", measure->name, measure->heading, units[measure->unit]);
}

/* Metrics that have a known heading, independent of a store. */
static RgStatus list_known_metrics(void) {
    printf("metrics\n");
    for (size_t i = 0; rg_measure_known(i); i++)
        print_metric(rg_measure_known(i));
    printf(
        "\nand those of an environment or a method's training: see regatta list metrics RESULTS\n");
    return 0;
}

static RgStatus list_metrics(const char *store, RgError *error) {
    RgResults *results = NULL;
    RG_TRY(rg_results_open(store, NULL, &results, error));
    const char **names = rg_results_quantities(results);
    printf("metrics\n");
    for (int i = 0; names[i]; i++) {
        RgMeasure measure;
        if (rg_results_has(results, names[i], &measure))
            print_metric(&measure);
    }
    free(names);
    rg_results_close(results);
    return RG_OK;
}

/* Only metrics have a further argument. */
static RgStatus check_list(void *arguments, RgError *error) {
    const ListArguments *a = arguments;
    return a->store && strcmp(a->kind, "metrics") != 0
               ? rg_fail(error, RG_E_USAGE, "one name at a time: %s is one too many", a->store)
               : RG_OK;
}

static RgStatus check_kind(const char *kind, RgError *error) {
    static const char *const kinds[] = {"algorithms", "environments", "judges", "policies",
                                        "estimators", "optimizers",   "parts"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!kind || strcmp(kinds[i], kind) == 0)
            return RG_OK;
    return rg_fail(error, RG_E_USAGE,
                   "list: no kind \"%s\": expected algorithms, environments, judges, "
                   "policies, estimators, optimizers, parts or metrics",
                   kind);
}

static RgStatus list(void *arguments, RgError *error) {
    const ListArguments *a = arguments;
    if (a->kind && strcmp(a->kind, "metrics") == 0)
        return a->store ? list_metrics(a->store, error) : list_known_metrics();
    RG_TRY(check_kind(a->kind, error));
    int count;
    Entry *entries = collect(&count);
    const char *heading = "";
    for (int i = 0; i < count; i++) {
        if (a->kind && strcmp(a->kind, entries[i].kind) != 0)
            continue;
        if (strcmp(heading, entries[i].kind) != 0)
            printf("%s%s\n", heading[0] ? "\n" : "", entries[i].kind);
        heading = entries[i].kind;
        printf("  %-18s %s\n", entries[i].name, entries[i].summary);
    }
    free(entries);
    return RG_OK;
}

static const RgArgument list_arguments[] = {
    RG_ARGUMENT_POSITIONAL(ListArguments, kind, NULL, .single = "name"),
    RG_ARGUMENT_POSITIONAL(ListArguments, store, NULL, .single = "name"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_list = {
    .name = "list",
    .summary = "list algorithms, environments, judges, policies and other types",
    .usage = "[KIND]\nmetrics RESULTS",
    .purpose = "List the names that a config can use: algorithms, environments, judges, policies, "
               "estimators (of hypergradients), optimizers, parts; or the metrics that table, plot "
               "and compare accept.",
    .details = "Without KIND, everything but metrics. With a results store, its metrics, including "
               "those of training. regatta show NAME prints one of the others with its options.",
    .arguments = list_arguments,
    .size = sizeof(ListArguments),
    .check = check_list,
    .run = list,
};

/* ---- show ---- */

static const char *source_name(RgSource source) {
    switch (source) {
    case RG_FROM_DATASET:
        return "the data set";
    case RG_FROM_POLICY:
        return "the policy";
    case RG_FROM_JUDGE:
        return "the judge";
    case RG_FROM_REFERENCE:
        return "the reference";
    case RG_FROM_MIXTURE:
        return "the geometric mixture of policy and reference";
    case RG_FROM_OTHERS:
        return "other prompts";
    case RG_FROM_NOWHERE:
        break;
    }
    return "none";
}

/* The cost of a step: responses per prompt. */
static void show_counts(const RgRecipe *r) {
    RgRecipeCounts c = rg_recipe_counts(r);
    printf("responses per prompt: %lld sampled, %lld judged, %lld trained, %lld by the reference",
           (long long)(c.sampled + c.third), (long long)c.judged, (long long)c.trained,
           (long long)c.referenced);
    if (r->on_policy < 1 && c.sampled + c.judged > 0)
        printf("; %g of the prompts are on-policy", r->on_policy);
    if (r->epochs > 1)
        printf("; %lld epochs", (long long)r->epochs);
    printf("\n");
}

/* The same for a method that has its own step: totals. */
static void show_work(const RgAlgorithm *a, const void *options) {
    static const struct {
        RgWorkKind kind;
        const char *done;
    } kinds[] = {{RG_WORK_SAMPLED, "sampled"},
                 {RG_WORK_JUDGED, "judged"},
                 {RG_WORK_TRAINED, "passed through the policy with a gradient"},
                 {RG_WORK_SCORED, "passed without one"},
                 {RG_WORK_REFERENCED, "scored by the reference"},
                 {RG_WORK_CURVATURE, "in Hessian-vector products"}};
    const RgWorkTerms terms = {.batch = 32, .steps = 1, .parameters = 1};
    RgWork create, step;
    if (!rg_algorithm_work(a, options, &terms, &create, &step))
        return;
    printf("responses of a step of %lld prompts%s:", (long long)terms.batch,
           step.at_most ? ", at most" : "");
    const char *separator = " ";
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        double responses = rg_work_responses(&step, kinds[k].kind);
        if (responses > 0) {
            printf("%s%.0f %s", separator, responses, kinds[k].done);
            separator = ", ";
        }
    }
    printf("\n");
}

/* The recipe for default options. */
static void show_sources(const RgAlgorithm *a) {
    RgSettings *none = rg_settings_create();
    void *options = rg_allocate(1, a->about.options_size);
    RgStatus status = rg_options_read(a->about.options, none, "algorithm", options, NULL);
    RG_ASSERT(status == RG_OK); /* defaults are within their bounds */
    RgRecipe r = rg_recipe_of(a, options);
    printf("responses: %s\n", source_name(r.responses));
    if (r.opponents != RG_FROM_NOWHERE)
        printf("opponents: %s\n", source_name(r.opponents));
    printf("preferences: %s\n", source_name(r.preferences));
    if (r.rivals != RG_FROM_NOWHERE)
        printf("rivals: %s\n", source_name(r.rivals));
    if (r.third != RG_FROM_NOWHERE)
        printf("third responses: %s\n", source_name(r.third));
    if (r.rewards)
        printf("judge: must give rewards; a judge that only compares is refused\n");
    if (a->loss)
        show_counts(&r);
    else
        show_work(a, options);
    free(options);
    rg_settings_destroy(none);
}

static void show_entry(const Entry *entry) {
    printf("%s: %s\n", entry->name, entry->summary);
    if (entry->reference)
        printf("source: %s\n", entry->reference);
    const RgAlgorithm *algorithm = rg_algorithm_find(entry->name);
    if (algorithm && entry->about == &algorithm->about)
        show_sources(algorithm);
    if (entry->part_options || entry->options)
        printf("\noptions\n");
    if (entry->part_options)
        rg_options_print(entry->part_options, stdout);
    if (entry->options)
        rg_options_print(entry->options, stdout);
}

typedef struct Wanted {
    const char *kind; /* NULL: any */
    const char *name;
} Wanted;

/* Matches a kind by its plural, as in regatta list, or its singular: "judge", "policy". */
static bool is_kind(const char *plural, const char *word) {
    size_t length = strlen(plural);
    bool changes = length > 3 && strcmp(plural + length - 3, "ies") == 0;
    size_t stem = length - (changes ? 3 : 1);
    return strcmp(plural, word) == 0 ||
           (strncmp(plural, word, stem) == 0 && strcmp(word + stem, changes ? "y" : "") == 0);
}

/* The error for an unknown name; `names` are those of the kind. */
static RgStatus refuse_wanted(const Wanted *wanted, const char *const *names, RgError *error) {
    if (wanted->kind && !names[0])
        return rg_fail(error, RG_E_USAGE,
                       "show: no kind \"%s\": expected algorithm, environment, judge, policy, "
                       "estimator, optimizer or part",
                       wanted->kind);
    RgSuggestion suggestion = rg_suggest(wanted->name, names);
    return rg_fail(error, RG_E_USAGE, "show: no%s%s is named \"%s\"%s",
                   wanted->kind ? " " : "thing", wanted->kind ? wanted->kind : "", wanted->name,
                   suggestion.text[0] ? suggestion.text : "; see: regatta list");
}

/* The kind is the first of two arguments; the only one is the name. */
static RgStatus check_show(void *arguments, RgError *error) {
    Wanted *wanted = arguments;
    (void)error;
    if (!wanted->name) {
        wanted->name = wanted->kind;
        wanted->kind = NULL;
    }
    return RG_OK;
}

static RgStatus show(void *arguments, RgError *error) {
    const Wanted *wanted = arguments;
    if (!wanted->name)
        return list(&(ListArguments){0}, error);
    int count;
    Entry *entries = collect(&count);
    const Entry *found = NULL;
    const char **names = rg_allocate(count + 1, sizeof *names);
    int among = 0;
    for (int i = 0; i < count && !found; i++) {
        if (wanted->kind && !is_kind(entries[i].kind, wanted->kind))
            continue;
        names[among++] = entries[i].name;
        if (strcmp(wanted->name, entries[i].name) == 0)
            found = &entries[i];
    }
    RgStatus status = RG_OK;
    if (found)
        show_entry(found);
    else
        status = refuse_wanted(wanted, names, error);
    free(names);
    free(entries);
    return status;
}

static const RgArgument show_arguments[] = {
    RG_ARGUMENT_POSITIONAL(Wanted, kind, NULL, .single = "name"),
    RG_ARGUMENT_POSITIONAL(Wanted, name, NULL, .single = "name"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_show = {
    .name = "show",
    .summary = "show an algorithm, environment, policy or config part with its options",
    .usage = "[KIND] NAME",
    .purpose =
        "Show an algorithm, environment, judge, policy or part of a config: its summary, the paper "
        "and equation that it follows, and every option with type, default and range.",
    .details = "KIND (algorithm, environment, judge, policy, estimator, optimizer or part) may "
               "precede the name. See regatta list for the names.",
    .arguments = show_arguments,
    .size = sizeof(Wanted),
    .check = check_show,
    .run = show,
};
