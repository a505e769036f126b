/* SPDX-License-Identifier: MIT */
/* Inputs of trials: the settings that name them, and their contents. */
#include "experiments/program/package/trial_inputs.h"

#include "core/new_file.h"
#include "experiments/program/config/experiment.h"
#include "experiments/program/config/input_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- describing ---- */

static RgStatus add_file(json_t *files, const char *path, const char *name, RgError *error) {
    RgChecksum sum;
    RG_TRY(rg_input_file_sum(path, &sum, error));
    json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "name", name, "size",
                                           (json_int_t)sum.size, "sha256", sum.sha256));
    return RG_OK;
}

static RgStatus add_files(json_t *files, const RgOption *option, const char *path, bool folder,
                          RgError *error) {
    RgInputNames names;
    RG_TRY(rg_input_names(option, path, &names, error));
    RgStatus status = RG_OK;
    for (int i = 0; i < names.count && status == RG_OK; i++) {
        char *file = rg_input_path(path, folder, names.name[i]);
        status = add_file(files, file, names.name[i], error);
        free(file);
    }
    rg_input_names_clear(&names);
    return status;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static RgStatus add_input(json_t *inputs, const RgOption *option, const RgSetting *named,
                          RgError *error) {
    const char *setting = named->path, *path = named->text;
    struct stat about;
    if (stat(path, &about) != 0)
        return rg_fail(error, RG_E_FILE, "%s = \"%s\": %s", setting, path, strerror(errno));
    bool folder = S_ISDIR(about.st_mode);
    json_t *files = json_array();
    RgStatus status = add_files(files, option, path, folder, error);
    json_array_append_new(inputs, json_pack("{s:s, s:s, s:b, s:o}", "setting", setting, "path",
                                            path, "folder", folder, "files", files));
    return status;
}

static RgStatus add_path(void *inputs, const RgOption *option, const RgSetting *setting,
                         RgError *error) {
    return option->kind == RG_KIND_PATH && setting->text[0]
               ? add_input(inputs, option, setting, error)
               : RG_OK;
}

RgStatus rg_inputs_describe(const RgSettings *resolved, json_t **inputs, RgError *error) {
    *inputs = json_array();
    RgStatus status = rg_resolved_visit(resolved, add_path, *inputs, error);
    if (status != RG_OK) {
        json_decref(*inputs);
        *inputs = NULL;
    }
    return status;
}

/* ---- checking ---- */

/* The file that an input names may have another name elsewhere; those beside it may not. */
char *rg_input_file(const json_t *input, const char *path, const json_t *file) {
    bool folder = json_is_true(json_object_get(input, "folder"));
    const char *name = text_of(file, "name");
    return !folder && strcmp(name, base_name(text_of(input, "path"))) == 0
               ? rg_string_copy(path)
               : rg_input_path(path, folder, name);
}

static RgStatus check_file(const json_t *input, const json_t *file, const char *path,
                           RgError *error) {
    RgChecksum sum;
    if (rg_input_file_sum(path, &sum, error) != RG_OK)
        return rg_fail_in(error, RG_E_FILE, "input %s is missing: give its path by --input %s=PATH",
                          text_of(input, "setting"), text_of(input, "setting"));
    long long size = json_integer_value(json_object_get(file, "size"));
    if (sum.size == size && strcmp(sum.sha256, text_of(file, "sha256")) == 0)
        return RG_OK;
    return rg_fail(error, RG_E_FORMAT,
                   "input %s differs: %s has %lld bytes of SHA-256 %.12s..., expected %lld "
                   "of %.12s...",
                   text_of(input, "setting"), path, (long long)sum.size, sum.sha256, size,
                   text_of(file, "sha256"));
}

RgStatus rg_input_check(const json_t *input, const char *path, RgError *error) {
    size_t i;
    const json_t *file;
    RgStatus status = RG_OK;
    json_array_foreach(json_object_get(input, "files"), i, file) {
        char *at = rg_input_file(input, path, file);
        if (status == RG_OK)
            status = check_file(input, file, at, error);
        free(at);
    }
    return status;
}

RgStatus rg_input_copy(const json_t *input, const char *folder, char **copy, RgError *error) {
    size_t i;
    const json_t *file;
    RgStatus status = RG_OK;
    const char *path = text_of(input, "path");
    bool is_folder = json_is_true(json_object_get(input, "folder"));
    *copy = is_folder ? rg_string_copy(folder) : rg_string_format("%s/%s", folder, base_name(path));
    json_array_foreach(json_object_get(input, "files"), i, file) {
        char *from = rg_input_file(input, path, file), *to = rg_input_file(input, *copy, file);
        if (status == RG_OK)
            status = rg_file_copy(from, to, error);
        free(from);
        free(to);
    }
    return status;
}
