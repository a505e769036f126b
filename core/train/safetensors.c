/* SPDX-License-Identifier: MIT */
/* Reading and writing safetensors files: the header's JSON, the checks that make an open file safe
 * to use, and the conversion of stored numbers. */
#include "core/train/safetensors.h"

#include "core/files.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "numbers are copied as they lie in files");

enum { LENGTH_BYTES = 8, LARGEST_RANK = 4 };
/* The format's own limit, which prevents a corrupt length from requesting all memory. */
#define LARGEST_HEADER UINT64_C(100000000)
#define METADATA_KEY   "__metadata__"

/* Indexed by RgStoredType. */
static const struct {
    const char *name;
    size_t bytes;
} stored_types[] = {
    [RG_F32] = {"F32", 4},   [RG_F64] = {"F64", 8},         [RG_F16] = {"F16", 2},
    [RG_BF16] = {"BF16", 2}, [RG_I32] = {"I32", 4},         [RG_I64] = {"I64", 8},
    [RG_U8] = {"U8", 1},     [RG_BOOL] = {"BOOL", 1},       [RG_I8] = {"I8", 1},
    [RG_I16] = {"I16", 2},   [RG_U16] = {"U16", 2},         [RG_U32] = {"U32", 4},
    [RG_U64] = {"U64", 8},   [RG_F8_E4M3] = {"F8_E4M3", 1}, [RG_F8_E5M2] = {"F8_E5M2", 1},
};
enum { STORED_TYPE_COUNT = sizeof stored_types / sizeof *stored_types };

const char *rg_stored_type_name(RgStoredType type) {
    return stored_types[type].name;
}

struct RgSafetensors {
    const char *content; /* [size], mapped; NULL for an empty file */
    size_t size;
    json_t *header; /* owns names and metadata */
    RgStoredTensor *tensors;
    int count;
};

/* Bytes of a tensor with this shape; false if they overflow a size_t. */
static bool tensor_bytes(RgStoredType type, int rank, const int64_t *size, size_t *bytes) {
    *bytes = stored_types[type].bytes;
    for (int axis = 0; axis < rank; axis++)
        if (__builtin_mul_overflow(*bytes, (size_t)size[axis], bytes))
            return false;
    return true;
}

/* ---- writing ---- */

/* Wide numbers first, so that every tensor is aligned in the file; otherwise in the given order. */
static const RgStoredTensor **file_order(const RgStoredTensor *tensors, int count) {
    const RgStoredTensor **order = rg_allocate(count, sizeof *order);
    int placed = 0;
    for (size_t width = 8; width > 0; width /= 2)
        for (int i = 0; i < count; i++)
            if (stored_types[tensors[i].type].bytes == width)
                order[placed++] = &tensors[i];
    RG_ASSERT(placed == count);
    return order;
}

static json_t *describe_tensor(const RgStoredTensor *tensor, size_t offset) {
    json_t *shape = json_array();
    for (int axis = 0; axis < tensor->rank; axis++)
        json_array_append_new(shape, json_integer(tensor->size[axis]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", stored_types[tensor->type].name, "shape",
                     shape, "data_offsets", (json_int_t)offset,
                     (json_int_t)(offset + tensor->bytes));
}

/* The header's text, padded so that the numbers start at a multiple of 8. NULL, with the invalid
 * string, if a name or a metadata string is not UTF-8. */
static char *header_text(const RgStoredTensor *const *order, int count, const char *const *metadata,
                         const char **blame) {
    json_t *header = json_object();
    char *text = NULL;
    if (metadata && *metadata) {
        json_t *strings = json_object();
        json_object_set_new(header, METADATA_KEY, strings);
        for (; *metadata; metadata += 2)
            if (json_object_set_new(strings, metadata[0], json_string(metadata[1])) != 0) {
                *blame = metadata[0];
                goto done;
            }
    }
    size_t offset = 0;
    for (int i = 0; i < count; i++) {
        RG_ASSERT(!json_object_get(header, order[i]->name));
        if (json_object_set_new(header, order[i]->name, describe_tensor(order[i], offset)) != 0) {
            *blame = order[i]->name;
            goto done;
        }
        offset += order[i]->bytes;
    }
    char *compact = json_dumps(header, JSON_COMPACT);
    RG_ASSERT(compact);
    text = rg_string_format("%s%*s", compact, (int)((8 - strlen(compact) % 8) % 8), "");
    free(compact);
done:
    json_decref(header);
    return text;
}

/* Where the numbers of tensors without any come from. */
typedef struct Source {
    RgTensorFill *fill; /* NULL: all have them */
    void *context;
} Source;

/* Written tensor by tensor, so the weights are never in memory twice. */
static RgStatus write_content(RgNewFile *file, const char *header,
                              const RgStoredTensor *const *order, int count, Source source,
                              RgError *error) {
    uint64_t length = strlen(header);
    size_t largest = 0;
    RG_TRY(rg_new_file_write(file, &length, LENGTH_BYTES, error));
    RG_TRY(rg_new_file_write(file, header, length, error));
    for (int i = 0; i < count; i++)
        if (!order[i]->data && order[i]->bytes > largest)
            largest = order[i]->bytes;
    void *filled = rg_allocate(1, largest);
    RgStatus status = RG_OK;
    for (int i = 0; i < count && status == RG_OK; i++) {
        const void *data = order[i]->data ? order[i]->data : filled;
        RG_ASSERT(order[i]->data || source.fill);
        if (!order[i]->data && order[i]->bytes > 0)
            source.fill(source.context, order[i], filled);
        status = rg_new_file_write(file, data, order[i]->bytes, error);
    }
    free(filled);
    return status;
}

static RgStatus write_all(RgNewFile *file, const RgStoredTensor *tensors, int count,
                          const char *const *metadata, Source source, RgError *error) {
    for (int i = 0; i < count; i++) {
        size_t bytes = 0;
        RG_ASSERT(tensors[i].rank >= 0 && tensors[i].rank <= LARGEST_RANK);
        RG_ASSERT(tensor_bytes(tensors[i].type, tensors[i].rank, tensors[i].size, &bytes));
        RG_ASSERT(bytes == tensors[i].bytes);
    }
    const RgStoredTensor **order = file_order(tensors, count);
    const char *blame = NULL;
    char *header = header_text(order, count, metadata, &blame);
    RgStatus status =
        header ? write_content(file, header, order, count, source, error)
               : rg_fail(error, RG_E_FORMAT, "%s: \"%s\": the name or its text is not UTF-8",
                         file->path, blame);
    free(header);
    free(order);
    return status;
}

RgStatus rg_safetensors_write_into(RgNewFile *file, const RgStoredTensor *tensors, int count,
                                   const char *const *metadata, RgError *error) {
    return write_all(file, tensors, count, metadata, (Source){0}, error);
}

RgStatus rg_safetensors_write_filled(const char *path, const RgStoredTensor *tensors, int count,
                                     const char *const *metadata, RgTensorFill *fill, void *context,
                                     RgError *error) {
    RgNewFile file;
    RG_TRY(rg_new_file_begin(path, &file, error));
    Source source = {fill, context};
    return rg_new_file_end(&file, write_all(&file, tensors, count, metadata, source, error), error);
}

RgStatus rg_safetensors_write(const char *path, const RgStoredTensor *tensors, int count,
                              const char *const *metadata, RgError *error) {
    return rg_safetensors_write_filled(path, tensors, count, metadata, NULL, NULL, error);
}

/* ---- reading ---- */

static RgStatus read_header(RgSafetensors *file, const char *path, size_t size, uint64_t *start,
                            RgError *error) {
    uint64_t length = 0;
    if (size < LENGTH_BYTES)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: not a safetensors file: %zu bytes, too few for its header's length",
                       path, size);
    memcpy(&length, file->content, LENGTH_BYTES);
    if (length > LARGEST_HEADER || length > size - LENGTH_BYTES)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: truncated or not a safetensors file: a header of %llu bytes is "
                       "announced, but only %zu bytes follow",
                       path, (unsigned long long)length, size - LENGTH_BYTES);
    json_error_t json = {0};
    file->header = json_loadb(file->content + LENGTH_BYTES, length, JSON_REJECT_DUPLICATES, &json);
    if (!file->header)
        return rg_fail(error, RG_E_FORMAT, "%s: header is not JSON: %s, at byte %d", path,
                       json.text, json.position);
    if (!json_is_object(file->header))
        return rg_fail(error, RG_E_FORMAT, "%s: header is not a JSON object", path);
    *start = LENGTH_BYTES + length;
    return RG_OK;
}

static RgStatus check_metadata(const RgSafetensors *file, const char *path, RgError *error) {
    json_t *metadata = json_object_get(file->header, METADATA_KEY), *value = NULL;
    const char *key = NULL;
    if (metadata && !json_is_object(metadata))
        return rg_fail(error, RG_E_FORMAT, "%s: " METADATA_KEY " is not a JSON object", path);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return rg_fail(error, RG_E_FORMAT, "%s: metadata \"%s\" is not a string", path, key);
    }
    return RG_OK;
}

static RgStatus bad_tensor(RgError *error, const char *path, const char *name, const char *what) {
    return rg_fail(error, RG_E_FORMAT, "%s: tensor \"%s\": %s", path, name, what);
}

static RgStatus read_type(RgStoredTensor *tensor, json_t *description, const char *path,
                          RgError *error) {
    const char *type = json_string_value(json_object_get(description, "dtype"));
    if (!type)
        return bad_tensor(error, path, tensor->name, "no dtype");
    for (int i = 0; i < STORED_TYPE_COUNT; i++)
        if (strcmp(type, stored_types[i].name) == 0) {
            tensor->type = (RgStoredType)i;
            return RG_OK;
        }
    return rg_fail(error, RG_E_FORMAT,
                   "%s: tensor \"%s\": dtype %s is none of F32, F64, F16, BF16, F8_E4M3, F8_E5M2, "
                   "BOOL, I8, I16, I32, I64, U8, U16, U32, U64",
                   path, tensor->name, type);
}

static RgStatus read_shape(RgStoredTensor *tensor, json_t *description, const char *path,
                           RgError *error) {
    json_t *shape = json_object_get(description, "shape");
    if (!json_is_array(shape))
        return bad_tensor(error, path, tensor->name, "no shape");
    if (json_array_size(shape) > LARGEST_RANK)
        return rg_fail(error, RG_E_FORMAT, "%s: tensor \"%s\": %zu dimensions, at most %d expected",
                       path, tensor->name, json_array_size(shape), LARGEST_RANK);
    tensor->rank = (int)json_array_size(shape);
    for (int axis = 0; axis < tensor->rank; axis++) {
        json_t *size = json_array_get(shape, (size_t)axis);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return bad_tensor(error, path, tensor->name, "its shape is not a list of integers ≥ 0");
        tensor->size[axis] = json_integer_value(size);
    }
    return RG_OK;
}

static RgStatus read_offsets(RgStoredTensor *tensor, json_t *description, const char *numbers,
                             size_t available, const char *path, RgError *error) {
    json_t *offsets = json_object_get(description, "data_offsets");
    json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return bad_tensor(error, path, tensor->name, "data_offsets are not two integers");
    json_int_t begin = json_integer_value(from), end = json_integer_value(to);
    if (begin < 0 || end < begin || (uint64_t)end > available)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: tensor \"%s\": its bytes %lld to %lld are not within the file's %zu "
                       "bytes of numbers: truncated or corrupt",
                       path, tensor->name, (long long)begin, (long long)end, available);
    size_t expected = 0;
    bool fits = tensor_bytes(tensor->type, tensor->rank, tensor->size, &expected);
    tensor->bytes = (size_t)(end - begin);
    if (!fits || tensor->bytes != expected)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: tensor \"%s\": %zu bytes, but its dtype and shape require %zu%s", path,
                       tensor->name, tensor->bytes, expected, fits ? "" : " and more");
    tensor->data = numbers + begin;
    return RG_OK;
}

static int by_place(const void *left, const void *right) {
    const RgStoredTensor *a = left, *b = right;
    const char *a_data = a->data, *b_data = b->data;
    if (a_data != b_data)
        return a_data < b_data ? -1 : 1;
    if (a->bytes != b->bytes) /* empty tensors precede the one that starts at the same byte */
        return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* The format requires every byte to belong to exactly one tensor. */
static RgStatus check_layout(RgSafetensors *file, const char *numbers, size_t available,
                             const char *path, RgError *error) {
    qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, by_place);
    const char *end = numbers;
    for (int i = 0; i < file->count; i++) {
        const RgStoredTensor *tensor = &file->tensors[i];
        if ((const char *)tensor->data < end)
            return rg_fail(error, RG_E_FORMAT, "%s: tensor \"%s\" overlaps tensor \"%s\"", path,
                           tensor->name, file->tensors[i - 1].name);
        if ((const char *)tensor->data > end)
            return rg_fail(error, RG_E_FORMAT,
                           "%s: tensor \"%s\": the %td bytes before it belong to no tensor", path,
                           tensor->name, (const char *)tensor->data - end);
        end = (const char *)tensor->data + tensor->bytes;
    }
    if (end != numbers + available)
        return rg_fail(error, RG_E_FORMAT, "%s: the last %td bytes belong to no tensor", path,
                       numbers + available - end);
    return RG_OK;
}

static RgStatus read_tensors(RgSafetensors *file, const char *path, const char *numbers,
                             size_t available, RgError *error) {
    file->tensors = rg_allocate(json_object_size(file->header), sizeof *file->tensors);
    const char *name = NULL;
    json_t *description = NULL;
    json_object_foreach(file->header, name, description) {
        if (strcmp(name, METADATA_KEY) == 0)
            continue;
        RgStoredTensor *tensor = &file->tensors[file->count++];
        tensor->name = name;
        if (!json_is_object(description))
            return bad_tensor(error, path, name, "its description is not a JSON object");
        RG_TRY(read_type(tensor, description, path, error));
        RG_TRY(read_shape(tensor, description, path, error));
        RG_TRY(read_offsets(tensor, description, numbers, available, path, error));
    }
    return check_layout(file, numbers, available, path, error);
}

/* Mapped, so that weights of any size are read only where needed, and are never in memory twice. */
static RgStatus map_file(RgSafetensors *file, const char *path, RgError *error) {
    RgBytes content;
    RG_TRY(rg_file_map(path, &content, error));
    file->content = content.data;
    file->size = content.size;
    return RG_OK;
}

RgStatus rg_safetensors_open(const char *path, RgSafetensors **file, RgError *error) {
    *file = NULL;
    RgSafetensors *new = rg_allocate(1, sizeof *new);
    uint64_t start = 0;
    RgStatus status = map_file(new, path, error);
    if (status == RG_OK)
        status = read_header(new, path, new->size, &start, error);
    if (status == RG_OK)
        status = check_metadata(new, path, error);
    if (status == RG_OK)
        status = read_tensors(new, path, new->content + start, new->size - start, error);
    if (status != RG_OK) {
        rg_safetensors_close(new);
        return status;
    }
    *file = new;
    return RG_OK;
}

void rg_safetensors_close(RgSafetensors *file) {
    if (!file)
        return;
    json_decref(file->header);
    free(file->tensors);
    rg_file_unmap(&(RgBytes){file->content, file->size});
    free(file);
}

int rg_safetensors_count(const RgSafetensors *file) {
    return file->count;
}

const RgStoredTensor *rg_safetensors_at(const RgSafetensors *file, int index) {
    RG_ASSERT(index >= 0 && index < file->count);
    return &file->tensors[index];
}

const RgStoredTensor *rg_safetensors_find(const RgSafetensors *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *rg_safetensors_metadata(const RgSafetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, METADATA_KEY), key));
}

/* ---- numbers ---- */

static float float_of_bits(uint32_t bits) {
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of fraction. */
static float half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> 10) & 31, fraction = half & 1023;
    if (exponent == 31) /* infinity or NaN */
        return float_of_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent > 0)
        return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float subnormal = (float)fraction * 0x1p-24F;
    return sign ? -subnormal : subnormal;
}

/* Converts stored numbers; false if the type is not floating point. memcpy, because other programs'
 * files may not align their numbers; for aligned numbers it costs nothing. */
static bool convert(RgStoredType type, const char *data, size_t count, RgReal *out) {
    size_t each = stored_types[type].bytes;
    for (size_t i = 0; i < count; i++) {
        float single;
        double wide;
        uint16_t half;
        switch (type) {
        case RG_F32:
            memcpy(&single, data + i * each, each);
            out[i] = single;
            break;
        case RG_F64:
            memcpy(&wide, data + i * each, each);
            out[i] = (RgReal)wide;
            break;
        case RG_F16:
            memcpy(&half, data + i * each, each);
            out[i] = half_to_float(half);
            break;
        case RG_BF16: /* the upper half of a float */
            memcpy(&half, data + i * each, each);
            out[i] = float_of_bits((uint32_t)half << 16);
            break;
        default:
            return false;
        }
    }
    return true;
}

static RgStatus no_floats(const RgStoredTensor *tensor, RgError *error) {
    return rg_fail(error, RG_E_FORMAT, "tensor \"%s\": floating-point expected, found %s",
                   tensor->name, stored_types[tensor->type].name);
}

RgStatus rg_stored_to_real(const RgStoredTensor *tensor, RgReal *out, RgError *error) {
    size_t count = tensor->bytes / stored_types[tensor->type].bytes;
    return convert(tensor->type, tensor->data, count, out) ? RG_OK : no_floats(tensor, error);
}

/* Releases the pages that contain any of these bytes. They are read from the file again if
 * needed. */
static void release(const RgSafetensors *file, const char *data, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = (size_t)(data - file->content);
    size_t first = begin / page * page;
    madvise((char *)file->content + first, begin + bytes - first, MADV_DONTNEED);
}

RgStatus rg_safetensors_read(const RgSafetensors *file, const RgStoredTensor *tensor, int64_t first,
                             int64_t count, RgReal *out, RgError *error) {
    enum { AT_ONCE = 1 << 20 }; /* numbers in memory twice */
    size_t each = stored_types[tensor->type].bytes;
    RG_ASSERT(first >= 0 && count >= 0 && (size_t)(first + count) <= tensor->bytes / each);
    for (int64_t done = 0; done < count; done += AT_ONCE) {
        size_t part = (size_t)(count - done < AT_ONCE ? count - done : AT_ONCE);
        const char *data = (const char *)tensor->data + (size_t)(first + done) * each;
        if (!convert(tensor->type, data, part, out + done))
            return no_floats(tensor, error);
        release(file, data, part * each);
    }
    return RG_OK;
}

void rg_safetensors_release(const RgSafetensors *file, const RgStoredTensor *tensor) {
    release(file, tensor->data, tensor->bytes);
}
