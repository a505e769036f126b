/* SPDX-License-Identifier: MIT */
/* Packing a trial, and opening a package. A package is assembled in a folder with a temporary name
 * beside its final one. So interrupted packing leaves nothing that looks like a package, and the
 * next attempt removes what is left. */
#include "experiments/program/package/trial_package.h"

#include "core/checksum.h"
#include "core/files.h"
#include "core/names.h"
#include "core/new_file.h"
#include "core/results/curve_gaps.h"
#include "core/results/store_merge.h"
#include "core/results/trial_find.h"
#include "experiments/program/config/build_versions.h"
#include "experiments/program/package/archive.h"
#include "experiments/program/package/trial_inputs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char format_name[] = "regatta trial";
enum { FORMAT_VERSION = 1 };

static char *join(const char *folder, const char *name) {
    return rg_string_format("%s/%s", folder, name);
}

/* ---- packing ---- */

typedef struct Packing {
    const RgTrialPackOptions *options;
    const char *folder; /* the package being assembled */
    RgTrialRow row;
    json_t *inputs, *files;
} Packing;

/* Lists a file of the package, by its path in it. */
static RgStatus list_file(Packing *p, const char *name, RgError *error) {
    char *path = join(p->folder, name);
    RgChecksum sum;
    RgStatus status = rg_file_checksum(path, &sum, error);
    free(path);
    if (status == RG_OK)
        json_array_append_new(p->files, json_pack("{s:s, s:I, s:s}", "name", name, "size",
                                                  (json_int_t)sum.size, "sha256", sum.sha256));
    return status;
}

/* Packs a store with this trial alone, and its weights if the store has them. */
static RgStatus pack_results(Packing *p, RgError *error) {
    char *path = join(p->folder, "results.db"), *lock = join(p->folder, "results.db.lock");
    char *weights = rg_string_format("results/%s.safetensors", p->row.key);
    char *weights_path = join(p->folder, weights);
    RgStore *store;
    RgStatus status = rg_store_open(path, true, &store, error);
    if (status == RG_OK)
        status = rg_store_merge_trial(store, p->options->store, p->row.id, NULL, error);
    rg_store_close(store);
    unlink(lock);
    if (status == RG_OK)
        status = list_file(p, "results.db", error);
    if (status == RG_OK && access(weights_path, F_OK) == 0)
        status = list_file(p, weights, error);
    free(path);
    free(lock);
    free(weights);
    free(weights_path);
    return status;
}

static RgStatus pack_input(Packing *p, const json_t *input, RgError *error) {
    char *name =
        rg_string_format("inputs/%s", json_string_value(json_object_get(input, "setting")));
    char *folder = join(p->folder, name), *copy = NULL;
    RgStatus status = rg_folder_make(folder, error);
    if (status == RG_OK)
        status = rg_input_copy(input, folder, &copy, error);
    size_t i;
    const json_t *file;
    json_array_foreach(json_object_get(input, "files"), i, file) {
        char *path = copy ? rg_input_file(input, copy, file) : NULL;
        if (status == RG_OK)
            status = list_file(p, path + strlen(p->folder) + 1, error);
        free(path);
    }
    free(name);
    free(folder);
    free(copy);
    return status;
}

static RgStatus pack_inputs(Packing *p, RgError *error) {
    RgSettings *settings = rg_settings_create();
    RgStatus status = rg_settings_from_json(p->row.config, settings, error);
    if (status == RG_OK)
        status = rg_resolved_check_inputs(settings, error);
    if (status == RG_OK)
        status = rg_inputs_describe(settings, &p->inputs, error);
    rg_settings_destroy(settings);
    if (status != RG_OK || !p->options->with_inputs || json_array_size(p->inputs) == 0)
        return status;
    char *folder = join(p->folder, "inputs");
    status = rg_folder_make(folder, error);
    free(folder);
    size_t i;
    const json_t *input;
    json_array_foreach(p->inputs, i, input) {
        if (status == RG_OK)
            status = pack_input(p, input, error);
    }
    return status;
}

static RgStatus pack_config(Packing *p, RgError *error) {
    char *path = join(p->folder, "config.json");
    RgStatus status = rg_file_write(path, p->row.config, strlen(p->row.config), error);
    free(path);
    return status == RG_OK ? list_file(p, "config.json", error) : status;
}

/* The JSON object in a text; an empty object if there is none. */
static json_t *parsed(const char *text) {
    json_t *value = text ? json_loads(text, 0, NULL) : NULL;
    return value ? value : json_object();
}

static RgStatus pack_record(Packing *p, RgError *error) {
    const RgTrialRow *row = &p->row;
    char *packed_by = rg_string_format("regatta %s (commit %s)", RG_VERSION, rg_build_commit());
    json_t *record =
        json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s?, s:s?, s:o, s:o, s:O, s:O}",
                  "format", format_name, "version", FORMAT_VERSION, "packed_by", packed_by,
                  "experiment", row->experiment, "key", row->key, "label", row->label, "algorithm",
                  row->algorithm, "seed", (json_int_t)row->seed, "status", row->status, "reason",
                  row->reason, "updated", row->updated, "swept", parsed(row->swept), "provenance",
                  parsed(row->provenance), "inputs", p->inputs, "files", p->files);
    free(packed_by);
    if (!record)
        return rg_fail(error, RG_E_STORE, "%s: the trial's texts are missing or not UTF-8",
                       p->options->store);
    char *text = json_dumps(record, JSON_INDENT(2)), *path = join(p->folder, "trial.json");
    json_decref(record);
    RgStatus status = rg_file_write(path, text, strlen(text), error);
    free(path);
    free(text);
    return status;
}

/* Packs all files of the package into one archive, trial.json first. */
static RgStatus pack_archive(const Packing *p, RgError *error) {
    size_t count = json_array_size(p->files);
    const char **names = rg_allocate(count + 1, sizeof *names);
    names[0] = "trial.json";
    for (size_t i = 0; i < count; i++)
        names[i + 1] = json_string_value(json_object_get(json_array_get(p->files, i), "name"));
    RgStatus status = rg_archive_write(p->options->output, p->folder, names, (int)count + 1, error);
    free(names);
    return status;
}

static RgStatus put_in_place(const Packing *p, RgError *error) {
    if (rg_archive_named(p->options->output))
        return pack_archive(p, error);
    if (rename(p->folder, p->options->output) == 0)
        return RG_OK;
    return rg_fail(error, RG_E_FILE, "%s: cannot make the folder: %s", p->options->output,
                   errno == ENOTEMPTY || errno == EEXIST ? "it exists already" : strerror(errno));
}

/* Checks the texts that become parts of paths and are printed. Returns the fault of an invalid one,
 * and which one it is; NULL if all are valid. */
static const char *name_fault(const char *experiment, const char *label, const char *key,
                              const char **what, const char **name) {
    const struct {
        const char *what, *name, *fault;
    } names[] = {
        {"experiment", experiment, rg_experiment_name_fault(experiment)},
        {"label", label, rg_label_fault(label)},
        {"key", key, rg_key_is_valid(key) ? NULL : "expected 16 hexadecimal digits"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].fault) {
            *what = names[i].what;
            *name = names[i].name ? names[i].name : "";
            return names[i].fault;
        }
    return NULL;
}

static RgStatus check_row(const Packing *p, RgError *error) {
    const RgTrialRow *row = &p->row;
    const char *what, *name;
    const char *fault = name_fault(row->experiment, row->label, row->key, &what, &name);
    return fault ? rg_fail(error, RG_E_STORE, "%s: the trial's %s \"%.300s\": %s",
                           p->options->store, what, name, fault)
                 : RG_OK;
}

/* Curves with missing steps could not be verified. */
static RgStatus check_curves(const Packing *p, RgStore *store, RgError *error) {
    char *gaps;
    RG_TRY(rg_curve_gaps(store, p->row.id, &gaps, error));
    RgStatus status =
        gaps ? rg_fail(
                   error, RG_E_STORE,
                   "%s: %s, seed %lld (key %s) cannot be packed: its curves have no rows for %s; "
                   "regatta check-store --save copies the intact trials, and a run into "
                   "that store repeats this one",
                   p->options->store, p->row.label, (long long)p->row.seed, p->row.key, gaps)
             : RG_OK;
    free(gaps);
    return status;
}

static RgStatus find_trial(Packing *p, RgError *error) {
    const RgTrialPackOptions *o = p->options;
    RgStore *store;
    RG_TRY(rg_store_open(o->store, false, &store, error));
    RgStatus status = rg_choose_trial(store, &o->choice, o->trial, o->seed, &p->row, error);
    if (status == RG_OK)
        status = check_curves(p, store, error);
    rg_store_close(store);
    if (status == RG_OK)
        status = check_row(p, error);
    if (status == RG_OK && (!rg_trial_row_is_done(&p->row) || !p->row.config))
        status = rg_fail(error, RG_E_STORE,
                         "%s: %s, seed %lld (key %s) is %s: only a finished or diverged trial "
                         "can be packed",
                         o->store, p->row.label, (long long)p->row.seed, p->row.key,
                         p->row.status ? p->row.status : "of no status");
    return status;
}

static RgStatus pack(Packing *p, RgError *error) {
    RG_TRY(pack_config(p, error));
    RG_TRY(pack_results(p, error));
    RG_TRY(pack_inputs(p, error));
    RG_TRY(pack_record(p, error));
    return put_in_place(p, error);
}

RgStatus rg_trial_pack(const RgTrialPackOptions *options, RgError *error) {
    Packing p = {.options = options, .files = json_array()};
    char *folder = NULL;
    int lock;
    RgStatus status = find_trial(&p, error);
    if (status == RG_OK)
        status = rg_folders_make_above(options->output, error);
    if (status == RG_OK)
        status = rg_new_folder_begin(options->output, &folder, &lock, error);
    if (status == RG_OK) {
        p.folder = folder;
        status = pack(&p, error);
        rg_folder_remove(folder); /* after renaming it is gone already */
        close(lock);
    }
    rg_trial_row_clear(&p.row);
    json_decref(p.files);
    json_decref(p.inputs);
    free(folder);
    return status;
}

/* ---- opening ---- */

const char *rg_trial_package_text(const RgTrialPackage *package, const char *key) {
    const char *text = json_string_value(json_object_get(package->record, key));
    return text ? text : "";
}

static RgStatus unpack(const char *path, RgTrialPackage *package, RgError *error) {
    struct stat about;
    if (stat(path, &about) != 0)
        return rg_fail(error, RG_E_FILE, "%s: %s", path, strerror(errno));
    if (S_ISDIR(about.st_mode)) {
        package->folder = rg_string_copy(path);
        return RG_OK;
    }
    RG_TRY(rg_scratch_folder("trial", &package->folder, error));
    package->temporary = true;
    return rg_archive_read(path, package->folder, error);
}

static RgStatus read_record(const char *path, RgTrialPackage *package, RgError *error) {
    char *name = join(package->folder, "trial.json"), *text;
    json_error_t why;
    RgStatus status = rg_file_read(name, &text, NULL, error);
    free(name);
    if (status != RG_OK)
        return rg_fail(error, RG_E_FORMAT, "%s: is not a packed trial: it has no trial.json", path);
    package->record = json_loads(text, 0, &why);
    free(text);
    if (!package->record || strcmp(rg_trial_package_text(package, "format"), format_name) != 0)
        return rg_fail(error, RG_E_FORMAT, "%s: is not a packed trial: its trial.json is %s", path,
                       package->record ? "of something else" : "not JSON");
    long long version = json_integer_value(json_object_get(package->record, "version"));
    if (version != FORMAT_VERSION)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: is a packed trial of format %lld; this program supports format %d",
                       path, version, FORMAT_VERSION);
    return RG_OK;
}

static RgStatus check_file(const char *path, const RgTrialPackage *package, const json_t *file,
                           RgError *error) {
    const char *name = json_string_value(json_object_get(file, "name"));
    const char *expected = json_string_value(json_object_get(file, "sha256"));
    if (!name || !expected)
        return rg_fail(error, RG_E_FORMAT, "%s: its trial.json lists a file without a name", path);
    if (!rg_inner_path_is_valid(name))
        return rg_fail(error, RG_E_FORMAT,
                       "%s: its trial.json lists \"%s\", which is not a file in it", path, name);
    char *at = join(package->folder, name);
    RgChecksum sum;
    RgStatus status = rg_file_checksum(at, &sum, error);
    if (status != RG_OK)
        status = rg_fail(error, RG_E_FORMAT, "%s: is damaged: %s is missing", path, name);
    else if (strcmp(sum.sha256, expected) != 0)
        status = rg_fail(error, RG_E_FORMAT, "%s: is damaged: %s differs from what was packed",
                         path, name);
    free(at);
    return status;
}

static RgStatus check_files(const char *path, const RgTrialPackage *package, RgError *error) {
    size_t i;
    const json_t *file;
    json_array_foreach(json_object_get(package->record, "files"), i, file)
        RG_TRY(check_file(path, package, file, error));
    return RG_OK;
}

/* Names and values of swept options are printed beside the label. */
static RgStatus check_swept(const char *path, const json_t *swept, RgError *error) {
    const char *name;
    const json_t *value;
    bool good = json_is_object(swept);
    json_object_foreach((json_t *)swept, name, value) {
        const char *text = json_is_string(value) ? json_string_value(value) : "";
        good = good && !rg_label_fault(name) && !rg_label_fault(text);
    }
    return good ? RG_OK
                : rg_fail(error, RG_E_FORMAT,
                          "%s: trial.json: swept: expected an object of names and values", path);
}

/* Checks that the texts used in paths and output have the form that this program writes. */
static RgStatus check_names(const char *path, const RgTrialPackage *package, RgError *error) {
    const char *what, *name;
    const char *fault = name_fault(rg_trial_package_text(package, "experiment"),
                                   rg_trial_package_text(package, "label"),
                                   rg_trial_package_text(package, "key"), &what, &name);
    if (fault)
        return rg_fail(error, RG_E_FORMAT, "%s: trial.json: %s is \"%.300s\": %s", path, what, name,
                       fault);
    return check_swept(path, json_object_get(package->record, "swept"), error);
}

/* ---- inputs ---- */

/* Path of an input as given by the caller, or NULL. */
static const char *given_input(const char *setting, const RgTrialOpening *opening) {
    size_t length = strlen(setting);
    for (int i = 0; i < opening->input_count; i++)
        if (strncmp(opening->inputs[i], setting, length) == 0 && opening->inputs[i][length] == '=')
            return opening->inputs[i] + length + 1;
    return NULL;
}

/* Path of the copy in the package, or NULL if there is none. The caller frees it. */
static char *input_packed(const RgTrialPackage *package, const json_t *input, const char *setting,
                          const char *path) {
    const char *slash = strrchr(path, '/');
    bool folder = json_is_true(json_object_get(input, "folder"));
    char *copy = rg_string_format("%s/inputs/%s%s%s", package->folder, setting, folder ? "" : "/",
                                  folder  ? ""
                                  : slash ? slash + 1
                                          : path);
    if (access(copy, F_OK) == 0)
        return copy;
    free(copy);
    return NULL;
}

/* Checks that a description has the form of rg_inputs_describe, so that its names stay inside. */
static RgStatus check_description(const json_t *input, RgError *error) {
    const char *setting = json_string_value(json_object_get(input, "setting"));
    if (!setting || !json_string_value(json_object_get(input, "path")))
        return rg_fail(error, RG_E_FORMAT, "trial.json lists an input without setting or path");
    if (strchr(setting, '/') || !rg_inner_path_is_valid(setting))
        return rg_fail(error, RG_E_FORMAT,
                       "trial.json lists the input \"%s\", which is not a setting", setting);
    size_t i;
    const json_t *file;
    json_array_foreach(json_object_get(input, "files"), i, file) {
        const char *name = json_string_value(json_object_get(file, "name"));
        if (!name || strchr(name, '/') || !rg_inner_path_is_valid(name))
            return rg_fail(error, RG_E_FORMAT,
                           "trial.json lists \"%s\" as a file of the input %s, expected a name",
                           name ? name : "", setting);
    }
    return RG_OK;
}

static RgStatus place_input(const RgTrialPackage *package, const json_t *input,
                            const RgTrialOpening *opening, RgSettings *settings, RgError *error) {
    RG_TRY(check_description(input, error));
    const char *setting = json_string_value(json_object_get(input, "setting"));
    const char *path = json_string_value(json_object_get(input, "path"));
    const char *given = given_input(setting, opening);
    char *packed = given ? NULL : input_packed(package, input, setting, path);
    const char *at = given ? given : packed ? packed : path;
    RgStatus status = rg_input_check(input, at, error);
    if (status == RG_OK)
        rg_settings_set(settings, setting, RG_SETTING_STRING, at, "trial.json", 0);
    free(packed);
    return status;
}

/* Every --input must name an input of the trial. */
static RgStatus check_given(const RgTrialPackage *package, const char *given, RgError *error) {
    size_t i, length = strcspn(given, "=");
    const json_t *input, *list = json_object_get(package->record, "inputs");
    char names[512] = "";
    json_array_foreach(list, i, input) {
        const char *setting = json_string_value(json_object_get(input, "setting"));
        if (setting && given[length] && strlen(setting) == length &&
            strncmp(setting, given, length) == 0)
            return RG_OK;
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                 setting ? setting : "");
    }
    return rg_fail(error, RG_E_USAGE,
                   "--input %s: expected SETTING=PATH; the trial's inputs are %s", given,
                   names[0] ? names : "none");
}

static RgStatus place_inputs(const RgTrialPackage *package, const RgTrialOpening *opening,
                             RgSettings *settings, RgError *error) {
    size_t i;
    const json_t *input;
    for (int k = 0; k < opening->input_count; k++)
        RG_TRY(check_given(package, opening->inputs[k], error));
    json_array_foreach(json_object_get(package->record, "inputs"), i, input)
        RG_TRY(place_input(package, input, opening, settings, error));
    return RG_OK;
}

/* A path that the trial would read must be one of the described inputs. */
static RgStatus check_listed(void *record, const RgOption *option, const RgSetting *setting,
                             RgError *error) {
    size_t i;
    const json_t *input;
    if (option->kind != RG_KIND_PATH || !setting->text[0])
        return RG_OK;
    json_array_foreach(json_object_get(record, "inputs"), i, input) {
        if (strcmp(json_string_value(json_object_get(input, "setting")), setting->path) == 0)
            return RG_OK;
    }
    return rg_fail(error, RG_E_FORMAT,
                   "config.json: %s = \"%.300s\" is not an input listed in trial.json",
                   setting->path, setting->text);
}

/* ---- the experiment ---- */

/* Checks that trial.json agrees with config.json about the trial. */
static RgStatus check_trial(const RgTrialPackage *package, RgError *error) {
    const RgTrialSpec *plan = &package->experiment->trials[0];
    char seed[32], recorded[32];
    snprintf(seed, sizeof seed, "%lld", (long long)plan->seed);
    snprintf(recorded, sizeof recorded, "%lld",
             (long long)json_integer_value(json_object_get(package->record, "seed")));
    const struct {
        const char *name, *recorded, *resolved;
    } facts[] = {
        {"label", rg_trial_package_text(package, "label"), plan->part.label},
        {"algorithm", rg_trial_package_text(package, "algorithm"), plan->algorithm->about.name},
        {"seed", recorded, seed},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (strcmp(facts[i].recorded, facts[i].resolved) != 0)
            return rg_fail(error, RG_E_FORMAT,
                           "trial.json: %s is \"%.300s\", but config.json has \"%s\"",
                           facts[i].name, facts[i].recorded, facts[i].resolved);
    return RG_OK;
}

static RgStatus make_experiment(RgTrialPackage *package, const RgTrialOpening *opening,
                                RgError *error) {
    char *path = join(package->folder, "config.json"), *text = NULL;
    char *swept =
        json_dumps(json_object_get(package->record, "swept"), JSON_COMPACT | JSON_SORT_KEYS);
    RgSettings *settings = rg_settings_create();
    RgStatus status = rg_file_read(path, &text, NULL, error);
    if (status == RG_OK)
        status = rg_settings_from_json(text, settings, error);
    if (status == RG_OK)
        status = place_inputs(package, opening, settings, error);
    if (status == RG_OK) /* before any path is read */
        status = rg_resolved_visit(settings, check_listed, package->record, error);
    if (status == RG_OK)
        status = rg_experiment_of_trial(rg_trial_package_text(package, "experiment"), settings,
                                        swept, &package->experiment, error);
    if (status == RG_OK)
        status = check_trial(package, error);
    if (status == RG_OK) { /* the settings that will run, with all changes made here */
        const RgSettings *resolved = package->experiment->trials[0].resolved;
        status = rg_allowed_check(&opening->allowed, resolved, error);
        if (status == RG_OK)
            status = rg_resolved_visit(resolved, check_listed, package->record, error);
    }
    rg_settings_destroy(settings);
    free(swept);
    free(text);
    free(path);
    return status;
}

RgStatus rg_trial_package_open(const char *path, const RgTrialOpening *opening,
                               RgTrialPackage *package, RgError *error) {
    *package = (RgTrialPackage){0};
    RgStatus status = unpack(path, package, error);
    if (status == RG_OK)
        status = read_record(path, package, error);
    if (status == RG_OK)
        status = check_names(path, package, error);
    if (status == RG_OK)
        status = check_files(path, package, error);
    if (status == RG_OK) {
        status = make_experiment(package, opening, error);
        if (status != RG_OK)
            rg_fail_in(error, status, "%s", path);
    }
    if (status != RG_OK)
        rg_trial_package_close(package);
    return status;
}

void rg_trial_package_close(RgTrialPackage *package) {
    if (package->temporary)
        rg_folder_remove(package->folder);
    free(package->folder);
    json_decref(package->record);
    rg_experiment_close(package->experiment);
    *package = (RgTrialPackage){0};
}
