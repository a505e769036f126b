/* SPDX-License-Identifier: MIT */
/* Reading the weights of Hugging Face checkpoints. hugging_face_config.c reads their config.json,
 * hugging_face_layout.c locates a weight in their files. */
#include "core/models/hugging_face.h"

#include "core/files.h"
#include "core/lookup.h"
#include "core/models/hugging_face_config.h"
#include "core/notice.h"
#include "core/train/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- files ---- */

/* The safetensors files of a checkpoint. */
typedef struct Shards {
    const char *folder;
    RgSafetensors **file; /* [count] */
    char **name;          /* [count] */
    int count;
    json_t *map; /* the index's weight_map: names of tensors to those of files; NULL: one file */
} Shards;

static RgStatus add_shard(Shards *shards, const char *name, RgError *error) {
    for (int i = 0; i < shards->count; i++)
        if (strcmp(shards->name[i], name) == 0)
            return RG_OK;
    shards->file = rg_reallocate(shards->file, (size_t)shards->count + 1, sizeof *shards->file);
    shards->name = rg_reallocate(shards->name, (size_t)shards->count + 1, sizeof *shards->name);
    char *path = rg_string_format("%s/%s", shards->folder, name);
    RgStatus status = rg_safetensors_open(path, &shards->file[shards->count], error);
    if (status == RG_OK)
        shards->name[shards->count++] = rg_string_copy(name);
    free(path);
    return status;
}

static RgStatus load_json(const char *path, json_t **root, RgError *error) {
    char *content;
    size_t size;
    RG_TRY(rg_file_read(path, &content, &size, error));
    json_error_t where;
    *root = json_loadb(content, size, 0, &where);
    free(content);
    return *root ? RG_OK : rg_fail(error, RG_E_FORMAT, "%s:%d: %s", path, where.line, where.text);
}

static RgStatus open_indexed(Shards *shards, const char *index, RgError *error) {
    json_t *root;
    RG_TRY(load_json(index, &root, error));
    json_t *map = json_object_get(root, "weight_map"), *file;
    shards->map = json_incref(map);
    RgStatus status = RG_OK;
    if (!json_is_object(map))
        status = rg_fail(error, RG_E_FORMAT, "%s: weight_map: expected an object", index);
    const char *tensor;
    json_object_foreach(map, tensor, file) {
        if (status != RG_OK)
            break;
        const char *name = json_string_value(file);
        status = name && !strchr(name, '/')
                     ? add_shard(shards, name, error)
                     : rg_fail(error, RG_E_FORMAT, "%s: weight_map: %s: expected a file's name",
                               index, tensor);
    }
    json_decref(root);
    return status;
}

static RgStatus open_shards(Shards *shards, RgError *error) {
    char *index = rg_string_format("%s/model.safetensors.index.json", shards->folder);
    FILE *probe = fopen(index, "r");
    RgStatus status =
        probe ? open_indexed(shards, index, error) : add_shard(shards, "model.safetensors", error);
    if (probe)
        fclose(probe);
    free(index);
    return status;
}

static void close_shards(Shards *shards) {
    for (int i = 0; i < shards->count; i++) {
        rg_safetensors_close(shards->file[i]);
        free(shards->name[i]);
    }
    free(shards->file);
    free(shards->name);
    json_decref(shards->map);
}

/* A tensor, and the file that contains it. */
typedef struct Source {
    const RgSafetensors *file;
    const RgStoredTensor *tensor; /* NULL: not found */
} Source;

/* The file that has a tensor: the index decides, if there is one. */
static const RgSafetensors *file_of(const Shards *shards, const char *name) {
    const char *file = shards->map ? json_string_value(json_object_get(shards->map, name)) : NULL;
    for (int i = 0; i < shards->count; i++)
        if (!shards->map || (file && strcmp(shards->name[i], file) == 0))
            return shards->file[i];
    return NULL;
}

/* GPT-2's files name their tensors with or without the name of the module. */
static const char module[] = "transformer.";

static Source find_tensor(const Shards *shards, const char *name) {
    char *longer = rg_string_format("%s%s", module, name);
    Source source = {NULL, NULL};
    for (int i = 0; i < 2 && !source.tensor; i++) {
        source.file = file_of(shards, i ? longer : name);
        if (source.file)
            source.tensor = rg_safetensors_find(source.file, i ? longer : name);
    }
    free(longer);
    return source;
}

/* ---- weights ---- */

/* Fills a view that is stored transposed, some stored rows at a time. */
static RgStatus fill_transposed(Source source, const RgHuggingFacePlace *place,
                                const RgParameterView *view, RgReal *out, RgError *error) {
    enum { AT_ONCE = 32 };
    RgReal *stored = rg_allocate(AT_ONCE * place->rows, sizeof *stored);
    RgStatus status = RG_OK;
    for (int64_t first = 0; first < place->columns && status == RG_OK; first += AT_ONCE) {
        int64_t count = place->columns - first < AT_ONCE ? place->columns - first : AT_ONCE;
        status = rg_safetensors_read(source.file, source.tensor, first * place->rows,
                                     count * place->rows, stored, error);
        for (int64_t row = 0; row < view->size[0] && status == RG_OK; row++)
            for (int64_t i = 0; i < count; i++)
                out[row * place->columns + first + i] =
                    stored[i * place->rows + rg_hugging_face_row(place, row)];
    }
    free(stored);
    return status;
}

/* Checks a view's tensor before memory is allocated for the sizes in config.json. */
static RgStatus check_view(const Shards *shards, const RgHuggingFaceArchitecture *a,
                           const RgPolicy *policy, const RgParameterView *view, RgError *error) {
    RgHuggingFacePlace place =
        rg_hugging_face_place(a->naming, rg_transformer_options(policy), view);
    const RgStoredTensor *stored = find_tensor(shards, place.name).tensor;
    if (!stored)
        return rg_fail(error, RG_E_FORMAT, "%s: no tensor \"%s\"%s", shards->folder, place.name,
                       shards->map ? " in the file that the index names for it" : "");
    int64_t rows = stored->size[place.transposed], columns = stored->size[!place.transposed];
    if (stored->rank == view->rank && rows == place.rows &&
        (view->rank == 1 || columns == place.columns))
        return RG_OK;
    return rg_fail(error, RG_E_FORMAT,
                   "%s: tensor \"%s\" does not have the shape given by config.json: %lld "
                   "rows of %lld, expected %lld of %lld",
                   shards->folder, place.name, (long long)rows,
                   (long long)(stored->rank > 1 ? columns : 1), (long long)place.rows,
                   (long long)place.columns);
}

/* Reads a view's blocks of rows. */
static RgStatus fill_blocks(Source source, const RgHuggingFacePlace *place,
                            const RgParameterView *view, RgReal *out, RgError *error) {
    RgStatus status = RG_OK;
    for (int64_t row = 0; row < view->size[0] && status == RG_OK; row += place->block)
        status = rg_safetensors_read(
            source.file, source.tensor, rg_hugging_face_row(place, row) * place->columns,
            place->block * place->columns, out + row * place->columns, error);
    return status;
}

static RgStatus fill_view(const Shards *shards, const RgHuggingFaceArchitecture *a,
                          const RgPolicy *policy, const RgParameterView *view, RgError *error) {
    RgHuggingFacePlace place =
        rg_hugging_face_place(a->naming, rg_transformer_options(policy), view);
    Source source = find_tensor(shards, place.name);
    RgReal *out = policy->parameters->value + view->offset;
    RgReal offset = rg_hugging_face_offset(a, view);
    RgStatus status = place.transposed ? fill_transposed(source, &place, view, out, error)
                                       : fill_blocks(source, &place, view, out, error);
    for (int64_t i = 0; offset != 0 && i < view->count; i++)
        out[i] += offset;
    return status == RG_OK ? RG_OK : rg_fail_in(error, status, "%s", shards->folder);
}

/* ---- what is not read ---- */

static const char score_name[] = "score.weight";

/* Buffers that some programs store with the weights; and the head where it is tied. */
static bool is_buffer(const RgTransformerOptions *o, const char *name) {
    static const char *const ends[] = {".attn.bias", ".attn.masked_bias", ".attention.bias",
                                       ".attention.masked_bias", "rotary_emb.inv_freq"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (length >= strlen(ends[i]) && strcmp(name + length - strlen(ends[i]), ends[i]) == 0)
            return true;
    return o->tied &&
           (strcmp(name, "lm_head.weight") == 0 || strcmp(name, "embed_out.weight") == 0);
}

/* The names of all tensors that have weights of the policy. */
static RgLookup *wanted_tensors(const RgHuggingFaceArchitecture *a, const RgPolicy *policy) {
    RgLookup *wanted = rg_lookup_create();
    const RgParameters *p = policy->parameters;
    for (int i = 0; i < p->view_count; i++) {
        RgHuggingFacePlace place =
            rg_hugging_face_place(a->naming, rg_transformer_options(policy), &p->views[i]);
        *rg_lookup_at(wanted, place.name, strlen(place.name)) = i;
    }
    return wanted;
}

/* A layer beyond those of config.json is an error: the model would be cut short. Of other tensors
 * that the policy has no place for a notice is given, since they may be a part of the model. */
static RgStatus check_unread(const Shards *shards, const RgHuggingFaceArchitecture *a,
                             const RgPolicy *policy, bool classifies, RgError *error) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    RgLookup *wanted = wanted_tensors(a, policy);
    if (classifies)
        *rg_lookup_at(wanted, score_name, strlen(score_name)) = 0;
    const char *first = NULL, *beyond = NULL;
    int64_t count = 0;
    for (int i = 0; i < shards->count; i++)
        for (int k = 0; k < rg_safetensors_count(shards->file[i]); k++) {
            const char *full = rg_safetensors_at(shards->file[i], k)->name;
            bool longer = strncmp(full, module, strlen(module)) == 0;
            const char *name = longer ? full + strlen(module) : full;
            if (rg_hugging_face_layer(a->naming, name) >= o->layers)
                beyond = full;
            if (is_buffer(o, name) || rg_lookup_find(wanted, name, strlen(name)) >= 0)
                continue;
            first = first ? first : full;
            count++;
        }
    rg_lookup_destroy(wanted);
    if (beyond)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: tensor \"%s\" is of a layer beyond the %lld of config.json",
                       shards->folder, beyond, (long long)o->layers);
    if (count > 0)
        rg_notice("%s: %lld tensors are not used, the first is \"%s\"", shards->folder,
                  (long long)count, first);
    return RG_OK;
}

/* ---- the score head ---- */

/* y = w·x of the hidden state x after the last norm. A bias would be another key. */
static RgStatus read_score(const Shards *shards, int64_t width, RgReal *score, RgError *error) {
    Source source = find_tensor(shards, score_name);
    const RgStoredTensor *stored = source.tensor;
    if (!stored)
        return rg_fail(error, RG_E_FORMAT, "%s: no tensor \"%s\"", shards->folder, score_name);
    if (find_tensor(shards, "score.bias").tensor)
        return rg_fail(error, RG_E_FORMAT, "%s: tensor \"score.bias\" is not supported",
                       shards->folder);
    if (stored->rank != 2 || stored->size[1] != width)
        return rg_fail(error, RG_E_FORMAT, "%s: tensor \"%s\": expected 1 row of %lld",
                       shards->folder, score_name, (long long)width);
    if (stored->size[0] != 1)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: tensor \"%s\" has %lld rows, one for each label (num_labels); "
                       "expected 1, whose value is a reward",
                       shards->folder, score_name, (long long)stored->size[0]);
    RgStatus status = rg_safetensors_read(source.file, stored, 0, width, score, error);
    return status == RG_OK ? RG_OK : rg_fail_in(error, status, "%s", shards->folder);
}

/* ---- the whole ---- */

/* Fills the policy and, if it is not NULL, `score` [width]. */
static RgStatus fill(const char *folder, const RgHuggingFaceArchitecture *a, RgPolicy *policy,
                     RgReal *score, RgError *error) {
    Shards shards = {.folder = folder};
    const RgParameters *parameters = policy->parameters;
    RgStatus status = open_shards(&shards, error);
    for (int i = 0; i < parameters->view_count && status == RG_OK; i++)
        status = check_view(&shards, a, policy, &parameters->views[i], error);
    if (status == RG_OK && score)
        status = read_score(&shards, rg_transformer_options(policy)->width, score, error);
    if (status == RG_OK)
        status = check_unread(&shards, a, policy, score != NULL, error);
    if (status == RG_OK)
        rg_policy_allocate(policy);
    for (int i = 0; i < parameters->view_count && status == RG_OK; i++)
        status = fill_view(&shards, a, policy, &parameters->views[i], error);
    close_shards(&shards);
    return status;
}

/* The policy of a folder; with a `classifier`, its head, too. */
static RgStatus load(const char *folder, const char *path, RgSequenceClassifier *classifier,
                     RgPolicy **policy, RgError *error) {
    RgHuggingFaceConfig config;
    RG_TRY(rg_hugging_face_config_read(path, &config, error));
    if (config.classifies && !classifier)
        return rg_fail(error, RG_E_USAGE,
                       "%s: architectures: a model with a score, expected one with logits; a judge "
                       "of the type sequence-classifier reads it",
                       path);
    if (!config.classifies && classifier)
        return rg_fail(
            error, RG_E_USAGE,
            "%s: architectures: a model with logits, expected …ForSequenceClassification", path);
    if (classifier) {
        config.options.tied = true; /* there is no head with logits */
        classifier->padding = config.padding;
    }
    RgStatus status = rg_transformer_declare(&config.options, config.vocabulary, policy, error);
    if (status != RG_OK)
        return rg_fail_in(error, status, "%s", path);
    if (classifier)
        classifier->score = rg_allocate(config.options.width, sizeof *classifier->score);
    return fill(folder, config.architecture, *policy, classifier ? classifier->score : NULL, error);
}

static RgStatus load_folder(const char *folder, RgSequenceClassifier *classifier, RgPolicy **policy,
                            RgError *error) {
    *policy = NULL;
    char *path = rg_string_format("%s/config.json", folder);
    RgStatus status = load(folder, path, classifier, policy, error);
    if (status != RG_OK) {
        rg_policy_destroy(*policy);
        *policy = NULL;
    }
    free(path);
    return status;
}

RgStatus rg_hugging_face_load(const char *folder, RgPolicy **policy, RgError *error) {
    return load_folder(folder, NULL, policy, error);
}

RgStatus rg_hugging_face_load_classifier(const char *folder, RgSequenceClassifier *classifier,
                                         RgError *error) {
    *classifier = (RgSequenceClassifier){.padding = -1};
    RgStatus status = load_folder(folder, classifier, &classifier->policy, error);
    if (status != RG_OK) {
        rg_sequence_classifier_release(classifier);
        return status;
    }
    RG_ASSERT(classifier->policy);
    rg_parameters_freeze(classifier->policy->parameters);
    return RG_OK;
}
