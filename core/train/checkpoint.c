/* SPDX-License-Identifier: MIT */
/* The list of a run's state, written to and read from one safetensors file. The trial decides what
 * the state is and when it is saved. */
#include "core/train/checkpoint.h"

#include "core/train/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef RG_DOUBLE
static const RgStoredType stored_real = RG_F64;
#else
static const RgStoredType stored_real = RG_F32;
#endif

/* The checkpoint owns copies of the names; data is borrowed. */
struct RgCheckpoint {
    RgStoredTensor *tensors;
    void **memory; /* [count] where loading writes the data of tensors[i] */
    int count, capacity;
    char *kernels; /* NULL: unknown */
};

RgCheckpoint *rg_checkpoint_create(void) {
    return rg_allocate(1, sizeof(RgCheckpoint));
}

void rg_checkpoint_destroy(RgCheckpoint *checkpoint) {
    if (!checkpoint)
        return;
    for (int i = 0; i < checkpoint->count; i++)
        free((char *)checkpoint->tensors[i].name);
    free(checkpoint->tensors);
    free(checkpoint->memory);
    free(checkpoint->kernels);
    free(checkpoint);
}

/* Takes ownership of `name`. Numbers of every listed type but RgReal have 8 bytes. */
static void list(RgCheckpoint *c, char *name, RgStoredType type, void *memory, int rank,
                 const int64_t *size) {
    for (int i = 0; i < c->count; i++)
        RG_ASSERT(strcmp(c->tensors[i].name, name) != 0);
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 16;
        c->tensors = rg_reallocate(c->tensors, (size_t)c->capacity, sizeof *c->tensors);
        c->memory = rg_reallocate(c->memory, (size_t)c->capacity, sizeof *c->memory);
    }
    RgStoredTensor tensor = {.name = name, .type = type, .rank = rank, .data = memory};
    tensor.bytes = type == RG_F32 ? 4 : 8;
    for (int axis = 0; axis < rank; axis++) {
        tensor.size[axis] = size[axis];
        tensor.bytes *= (size_t)size[axis];
    }
    c->memory[c->count] = memory;
    c->tensors[c->count++] = tensor;
}

void rg_checkpoint_reals(RgCheckpoint *checkpoint, const char *name, RgReal *data, int64_t count) {
    list(checkpoint, rg_string_copy(name), stored_real, data, 1, &count);
}

void rg_checkpoint_doubles(RgCheckpoint *checkpoint, const char *name, double *data,
                           int64_t count) {
    list(checkpoint, rg_string_copy(name), RG_F64, data, 1, &count);
}

void rg_checkpoint_integers(RgCheckpoint *checkpoint, const char *name, int64_t *data,
                            int64_t count) {
    list(checkpoint, rg_string_copy(name), RG_I64, data, 1, &count);
}

/* One tensor per view, so that other programs can read the weights of an unfinished run. */
void rg_checkpoint_parameters(RgCheckpoint *checkpoint, const char *name,
                              RgParameters *parameters) {
    for (int i = 0; i < parameters->view_count; i++) {
        const RgParameterView *view = &parameters->views[i];
        list(checkpoint, rg_string_format("%s.%s", name, view->name), stored_real,
             parameters->value + view->offset, view->rank, view->size);
    }
}

void rg_checkpoint_optimizer(RgCheckpoint *checkpoint, const char *name, RgOptimizer *optimizer) {
    list(checkpoint, rg_string_format("%s.step", name), RG_I64, &optimizer->step, 0, NULL);
    list(checkpoint, rg_string_format("%s.first", name), stored_real, optimizer->first, 1,
         &optimizer->count);
    if (optimizer->second)
        list(checkpoint, rg_string_format("%s.second", name), stored_real, optimizer->second, 1,
             &optimizer->count);
}

void rg_checkpoint_meter(RgCheckpoint *checkpoint, RgMeter *meter) {
    rg_checkpoint_doubles(checkpoint, "meter.flops", &meter->flops, 1);
    rg_checkpoint_doubles(checkpoint, "meter.seconds", &meter->seconds, 1);
    rg_checkpoint_integers(checkpoint, "meter.trained_tokens", &meter->trained_tokens, 1);
    rg_checkpoint_integers(checkpoint, "meter.generated_tokens", &meter->generated_tokens, 1);
    rg_checkpoint_integers(checkpoint, "meter.judge_queries", &meter->judge_queries, 1);
    rg_checkpoint_integers(checkpoint, "meter.dataset_responses", &meter->dataset_responses, 1);
    rg_checkpoint_integers(checkpoint, "meter.hessian_products", &meter->hessian_products, 1);
    rg_checkpoint_doubles(checkpoint, "meter.peak_memory", &meter->peak_memory, 1);
}

void rg_checkpoint_set_kernels(RgCheckpoint *checkpoint, const char *name) {
    char *copy = name ? rg_string_copy(name) : NULL;
    free(checkpoint->kernels);
    checkpoint->kernels = copy;
}

const char *rg_checkpoint_kernels(const RgCheckpoint *checkpoint) {
    return checkpoint->kernels;
}

RgStatus rg_checkpoint_write(const RgCheckpoint *checkpoint, RgNewFile *file, const char *identity,
                             RgError *error) {
    const char *const metadata[] = {"identity", identity, checkpoint->kernels ? "kernels" : NULL,
                                    checkpoint->kernels, NULL};
    return rg_safetensors_write_into(file, checkpoint->tensors, checkpoint->count, metadata, error);
}

/* ---- loading ---- */

static bool same_shape(const RgStoredTensor *a, const RgStoredTensor *b) {
    return a->type == b->type && a->rank == b->rank &&
           memcmp(a->size, b->size, (size_t)a->rank * sizeof *a->size) == 0;
}

/* Type and shape for a message: "F32 [3, 4]". */
typedef struct Kind {
    char text[128];
} Kind;
static Kind kind_of(const RgStoredTensor *tensor) {
    Kind kind;
    int used = snprintf(kind.text, sizeof kind.text, "%s [", rg_stored_type_name(tensor->type));
    for (int axis = 0; axis < tensor->rank; axis++)
        used += snprintf(kind.text + used, sizeof kind.text - (size_t)used, "%s%lld",
                         axis > 0 ? ", " : "", (long long)tensor->size[axis]);
    snprintf(kind.text + used, sizeof kind.text - (size_t)used, "]");
    return kind;
}

static bool is_listed(const RgCheckpoint *checkpoint, const char *name) {
    for (int i = 0; i < checkpoint->count; i++)
        if (strcmp(checkpoint->tensors[i].name, name) == 0)
            return true;
    return false;
}

static RgStatus check(const RgCheckpoint *checkpoint, const RgSafetensors *file, const char *path,
                      const char *identity, RgError *error) {
    const char *found = rg_safetensors_metadata(file, "identity");
    if (!found || strcmp(found, identity) != 0)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: a checkpoint of another run: identity \"%s\" expected, \"%s\" found",
                       path, identity, found ? found : "");
    for (int i = 0; i < checkpoint->count; i++) {
        const RgStoredTensor *listed = &checkpoint->tensors[i];
        const RgStoredTensor *stored = rg_safetensors_find(file, listed->name);
        if (!stored)
            return rg_fail(error, RG_E_FORMAT, "%s: no tensor \"%s\"", path, listed->name);
        if (!same_shape(listed, stored))
            return rg_fail(error, RG_E_FORMAT, "%s: tensor \"%s\": %s expected, %s found", path,
                           listed->name, kind_of(listed).text, kind_of(stored).text);
    }
    for (int i = 0; i < rg_safetensors_count(file); i++)
        if (!is_listed(checkpoint, rg_safetensors_at(file, i)->name))
            return rg_fail(error, RG_E_FORMAT, "%s: tensor \"%s\" does not belong to this run",
                           path, rg_safetensors_at(file, i)->name);
    return RG_OK;
}

RgStatus rg_checkpoint_load(RgCheckpoint *checkpoint, const char *path, const char *identity,
                            RgError *error) {
    RgSafetensors *file = NULL;
    RG_TRY(rg_safetensors_open(path, &file, error));
    RgStatus status = check(checkpoint, file, path, identity, error);
    for (int i = 0; status == RG_OK && i < checkpoint->count; i++) {
        const RgStoredTensor *stored = rg_safetensors_find(file, checkpoint->tensors[i].name);
        if (stored->bytes > 0)
            memcpy(checkpoint->memory[i], stored->data, stored->bytes);
        rg_safetensors_release(file, stored);
    }
    if (status == RG_OK)
        rg_checkpoint_set_kernels(checkpoint, rg_safetensors_metadata(file, "kernels"));
    rg_safetensors_close(file);
    return status;
}

void rg_checkpoint_share(RgCheckpoint *checkpoint, RgProcessGroup *process_group) {
    for (int i = 0; i < checkpoint->count; i++)
        rg_process_group_broadcast(process_group, checkpoint->memory[i],
                                   checkpoint->tensors[i].bytes);
}
