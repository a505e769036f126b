/* SPDX-License-Identifier: MIT */
/* Comparing a rerun with its package: core/results/trial_compare.h compares the records; this file
 * compares the weights, tensor by tensor. */
#include "experiments/program/package/trial_verify.h"

#include "core/names.h"
#include "core/results/trial_compare.h"
#include "core/results/trial_find.h"
#include "core/train/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Both records of the trial: packed and repeated. */
typedef struct Pair {
    RgStore *packed, *rerun;
    RgTrialRow packed_row, rerun_row;
    char *packed_weights, *rerun_weights; /* paths */
} Pair;

/* ---- weights ---- */

typedef struct WeightsDifference {
    bool compared; /* both have weights */
    bool same;
    double largest;  /* relative to the tensor's largest magnitude; ∞: another tensor or shape */
    char tensor[96]; /* of the largest */
} WeightsDifference;

static bool same_shape(const RgStoredTensor *a, const RgStoredTensor *b) {
    bool same = b && a->type == b->type && a->rank == b->rank;
    for (int axis = 0; same && axis < a->rank; axis++)
        same = a->size[axis] == b->size[axis];
    return same;
}

static int64_t tensor_count(const RgStoredTensor *tensor) {
    int64_t count = 1;
    for (int axis = 0; axis < tensor->rank; axis++)
        count *= tensor->size[axis];
    return count;
}

/* max |a − b| / max |a|, |b|; 0 for equal bits. */
static RgStatus tensor_difference(const RgStoredTensor *a, const RgStoredTensor *b, double *apart,
                                  RgError *error) {
    *apart = 0;
    if (memcmp(a->data, b->data, a->bytes) == 0)
        return RG_OK;
    int64_t count = tensor_count(a);
    RgReal *x = rg_allocate(count, sizeof *x), *y = rg_allocate(count, sizeof *y);
    RgStatus status = rg_stored_to_real(a, x, error);
    if (status == RG_OK)
        status = rg_stored_to_real(b, y, error);
    double largest = 0, scale = 0;
    for (int64_t i = 0; i < count && status == RG_OK; i++) {
        double difference = fabs((double)x[i] - (double)y[i]);
        largest = difference > largest || isnan(difference) ? difference : largest;
        scale = fmax(scale, fmax(fabs((double)x[i]), fabs((double)y[i])));
    }
    *apart = isfinite(largest) && isfinite(scale) && scale > 0 ? largest / scale : INFINITY;
    free(x);
    free(y);
    return status;
}

static RgStatus compare_tensors(const RgSafetensors *a, const RgSafetensors *b,
                                WeightsDifference *difference, RgError *error) {
    bool same_count = rg_safetensors_count(a) == rg_safetensors_count(b);
    *difference = (WeightsDifference){true, same_count, same_count ? 0 : INFINITY, "their number"};
    for (int i = 0; i < rg_safetensors_count(a); i++) {
        const RgStoredTensor *left = rg_safetensors_at(a, i);
        const RgStoredTensor *right = rg_safetensors_find(b, left->name);
        double apart = INFINITY;
        bool alike = same_shape(left, right);
        bool same = alike && memcmp(left->data, right->data, left->bytes) == 0;
        if (alike)
            RG_TRY(tensor_difference(left, right, &apart, error));
        difference->same = difference->same && same;
        if (apart <= difference->largest)
            continue;
        difference->largest = apart;
        snprintf(difference->tensor, sizeof difference->tensor, "%s", left->name);
        rg_make_printable(difference->tensor);
    }
    return RG_OK;
}

static RgStatus compare_weights(const Pair *pair, WeightsDifference *difference, RgError *error) {
    RgSafetensors *a = NULL, *b = NULL;
    *difference = (WeightsDifference){.same = true};
    if (access(pair->packed_weights, F_OK) != 0)
        return RG_OK;
    RgStatus status = rg_safetensors_open(pair->packed_weights, &a, error);
    if (status == RG_OK)
        status = rg_safetensors_open(pair->rerun_weights, &b, error);
    if (status == RG_OK)
        status = compare_tensors(a, b, difference, error);
    rg_safetensors_close(a);
    rg_safetensors_close(b);
    return status;
}

/* ---- report ---- */

static void print_quantities(const RgTrialComparison *comparison, FILE *out) {
    int64_t rows = 0, apart = 0;
    for (int i = 0; i < comparison->count; i++) {
        rows += comparison->measures[i].rows;
        apart += comparison->measures[i].differing + comparison->measures[i].missing;
    }
    fprintf(out, "results: %lld of %lld numbers and texts have the same bits\n",
            (long long)(rows - apart), (long long)rows);
    if (apart > 0)
        fprintf(out, "  %-28s %9s %9s %11s %s\n", "metric", "differing", "missing", "largest",
                "at step");
    for (int i = 0; i < comparison->count; i++) {
        const RgMeasureDifference *q = &comparison->measures[i];
        if (q->differing + q->missing == 0)
            continue;
        char *name = rg_string_copy(q->name);
        rg_make_printable(name);
        fprintf(out, "  %-28s %9lld %9lld %11.3g %lld\n", name, (long long)q->differing,
                (long long)q->missing, q->largest, (long long)q->step);
        free(name);
    }
}

static void print_weights(const WeightsDifference *w, FILE *out) {
    if (!w->compared)
        fputs("weights: none were packed\n", out);
    else if (w->same)
        fputs("weights: the same bits\n", out);
    else
        fprintf(out, "weights: largest relative difference %.3g, in %s\n", w->largest, w->tensor);
}

static void print_difference(const char *what, const char *name, const char *there,
                             const char *here, FILE *out) {
    fprintf(out, "why %s may differ: %s was %s, and is %s here\n", what, name, there, here);
}

/* The libraries that decide which ids a text has: patterns and normal forms follow their Unicode. */
static bool decides_ids(const char *name) {
    return strcmp(name, "PCRE2") == 0 || strcmp(name, "utf8proc") == 0;
}

/* The version of `name` in "NAME VERSION, NAME VERSION, …"; "absent" if it is not there. The caller
 * frees it. */
static char *version_in(const char *built_with, const char *name) {
    size_t length = strlen(name);
    for (const char *item = built_with; item; item = strstr(item, ", ")) {
        item += item == built_with ? 0 : 2;
        if (strncmp(item, name, length) == 0 && item[length] == ' ')
            return rg_string_format("%.*s", (int)strcspn(item + length + 1, ","),
                                    item + length + 1);
    }
    return rg_string_copy("absent");
}

/* Compiler and libraries, each with its version: those that differ. */
static bool print_versions(const char *there, const char *here, FILE *out) {
    bool differ = false;
    for (const char *item = there; item; item = strstr(item, ", ")) {
        item += item == there ? 0 : 2;
        char *name = rg_string_format("%.*s", (int)strcspn(item, " ,"), item);
        char *left = version_in(there, name), *right = version_in(here, name);
        if (strcmp(left, right) != 0) {
            print_difference(decides_ids(name) ? "ids of tokens" : "bits", name, left, right, out);
            differ = true;
        }
        free(name);
        free(left);
        free(right);
    }
    return differ;
}

/* Possible reasons: program, libraries, kernels, a budget in seconds. */
static void print_reasons(const RgTrialPackage *package, const Pair *pair, FILE *out) {
    static const char *const keys[] = {"version", "commit", "built_with", "blas_core"};
    json_t *here = json_loads(pair->rerun_row.provenance, 0, NULL);
    const json_t *there = json_object_get(package->record, "provenance");
    bool differ = false;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *left = json_string_value(json_object_get(there, keys[i]));
        const char *right = json_string_value(json_object_get(here, keys[i]));
        if (!left || !right || strcmp(left, right) == 0 || rg_label_fault(left))
            continue;
        bool parts = strcmp(keys[i], "built_with") == 0;
        if (!parts || !print_versions(left, right, out)) /* they may be in another order */
            print_difference("bits", keys[i], left, right, out);
        differ = true;
    }
    if (package->experiment->trials[0].budget.seconds > 0) {
        fputs("why steps may differ: the trial's budget is in seconds\n", out);
        differ = true;
    }
    if (!differ)
        fputs("version, commit, libraries and kernels equal those of the packed trial\n", out);
    json_decref(here);
}

static RgRerunVerdict judge(const RgTrialComparison *comparison, const WeightsDifference *weights,
                            double tolerance) {
    if (!comparison->worst && weights->same)
        return RG_RERUN_IDENTICAL;
    bool rounding = weights->largest <= tolerance;
    for (int i = 0; i < comparison->count; i++)
        rounding = rounding && comparison->measures[i].missing == 0 &&
                   comparison->measures[i].largest <= tolerance;
    return rounding ? RG_RERUN_ROUNDING : RG_RERUN_DIFFERENT;
}

static void print_verdict(RgRerunVerdict verdict, double tolerance, FILE *out) {
    switch (verdict) {
    case RG_RERUN_IDENTICAL:
        fputs("the same result, bit for bit\n", out);
        break;
    case RG_RERUN_ROUNDING:
        fprintf(out, "the same result up to rounding: no relative difference above %g\n",
                tolerance);
        break;
    case RG_RERUN_DIFFERENT:
        fprintf(out, "another result: differences above %g, or other texts or steps\n", tolerance);
        break;
    }
}

/* ---- both records ---- */

/* Checks that trial.json and the results agree about the outcome. */
static RgStatus check_record(const RgTrialPackage *package, const RgTrialRow *row, RgError *error) {
    const struct {
        const char *name, *found;
    } facts[] = {{"experiment", row->experiment}, {"label", row->label}, {"status", row->status}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const char *recorded = rg_trial_package_text(package, facts[i].name);
        if (strcmp(recorded, facts[i].found) != 0)
            return rg_fail(error, RG_E_FORMAT,
                           "%s: trial.json: %s is \"%.300s\", but results.db has \"%s\"",
                           package->folder, facts[i].name, recorded, facts[i].found);
    }
    return RG_OK;
}

static RgStatus open_pair(Pair *pair, const RgTrialPackage *package, const char *results,
                          RgError *error) {
    const char *key = rg_trial_package_text(package, "key");
    const char *rerun_key = package->experiment->trials[0].key;
    char *path = rg_string_format("%s/results.db", package->folder);
    char *folder = rg_store_folder(results);
    pair->packed_weights = rg_string_format("%s/results/%s.safetensors", package->folder, key);
    pair->rerun_weights = rg_string_format("%s/%s.safetensors", folder, rerun_key);
    RgStatus status = rg_store_open(path, false, &pair->packed, error);
    if (status == RG_OK)
        status = rg_store_open(results, false, &pair->rerun, error);
    if (status == RG_OK)
        status = rg_trial_find(pair->packed, NULL, key, -1, &pair->packed_row, error);
    if (status == RG_OK)
        status = check_record(package, &pair->packed_row, error);
    if (status == RG_OK)
        status = rg_trial_find(pair->rerun, NULL, rerun_key, -1, &pair->rerun_row, error);
    free(path);
    free(folder);
    return status;
}

static void close_pair(Pair *pair) {
    rg_store_close(pair->packed);
    rg_store_close(pair->rerun);
    rg_trial_row_clear(&pair->packed_row);
    rg_trial_row_clear(&pair->rerun_row);
    free(pair->packed_weights);
    free(pair->rerun_weights);
}

RgStatus rg_trial_verify(const RgTrialPackage *package, const char *results, double tolerance,
                         void *out, RgRerunVerdict *verdict, RgError *error) {
    Pair pair = {0};
    RgTrialComparison comparison = {0};
    WeightsDifference weights;
    RgStatus status = open_pair(&pair, package, results, error);
    if (status == RG_OK)
        status = rg_trial_compare(pair.packed, pair.packed_row.id, pair.rerun, pair.rerun_row.id,
                                  &comparison, error);
    if (status == RG_OK)
        status = compare_weights(&pair, &weights, error);
    if (status == RG_OK) {
        *verdict = judge(&comparison, &weights, tolerance);
        print_quantities(&comparison, out);
        print_weights(&weights, out);
        if (*verdict != RG_RERUN_IDENTICAL)
            print_reasons(package, &pair, out);
        print_verdict(*verdict, tolerance, out);
    }
    rg_trial_comparison_clear(&comparison);
    close_pair(&pair);
    return status;
}
