/* SPDX-License-Identifier: MIT */
/* Claims about safetensors files: what was written comes back, foreign files are read, and no
 * damage to a file goes unnoticed. */
#include "core/files.h"
#include "core/train/safetensors.h"
#include "tests/scratch.h"
#include "tests/shared_data.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static RgError error;

TestSuite(safetensors, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

static const float singles[6] = {0.5F, -1, 3e38F, 1e-40F, -0.0F, 7};
static const double doubles[2] = {M_PI, -1e300};
static const int64_t integers[3] = {INT64_MIN, 0, INT64_MAX};
static const uint8_t bytes[3] = {0, 128, 255};

static const RgStoredTensor some_tensors[] = {
    {.name = "bytes", .type = RG_U8, .rank = 1, .size = {3}, .data = bytes, .bytes = 3},
    {.name = "layer.0.weight", .rank = 2, .size = {2, 3}, .data = singles, .bytes = 24},
    {.name = "größe", .type = RG_F64, .rank = 1, .size = {2}, .data = doubles, .bytes = 16},
    {.name = "step", .type = RG_I64, .rank = 3, .size = {1, 3, 1}, .data = integers, .bytes = 24},
    {.name = "nothing", .type = RG_F32, .rank = 2, .size = {0, 5}, .data = "", .bytes = 0},
    {.name = "scalar", .type = RG_F32, .rank = 0, .data = singles, .bytes = 4},
};
enum { SOME = sizeof some_tensors / sizeof *some_tensors, NUMBER_BYTES = 71 };
static const char *const some_metadata[] = {"identity", "a \"quoted\" ß", "empty", "", NULL};

static const char *write_some(const char *name) {
    const char *path = scratch(name);
    ASSERT_OK(rg_safetensors_write(path, some_tensors, SOME, some_metadata, &error));
    return path;
}

static RgSafetensors *open_file(const char *path) {
    RgSafetensors *file = NULL;
    ASSERT_OK(rg_safetensors_open(path, &file, &error));
    return file;
}

/* Opening must fail, naming the file and `expected`. */
static void refuse(const char *path, RgStatus status, const char *expected) {
    RgSafetensors *file = (RgSafetensors *)&error;
    cr_assert_eq(rg_safetensors_open(path, &file, &error), status, "%s", expected);
    cr_assert_null(file);
    cr_assert_eq(strncmp(error.text, path, strlen(path)), 0, "%s", error.text);
    cr_assert(strstr(error.text, expected), "%s\nlacks: %s", error.text, expected);
}

/* A file of this header and `size` zero bytes of numbers. */
static const char *file_of(const char *header, size_t size) {
    const char *path = scratch("made.safetensors");
    FILE *stream = fopen(path, "wb");
    uint64_t length = strlen(header);
    fwrite(&length, 8, 1, stream);
    fputs(header, stream);
    for (size_t i = 0; i < size; i++)
        fputc(0, stream);
    fclose(stream);
    return path;
}

Test(safetensors, what_was_written_comes_back) {
    RgSafetensors *file = open_file(write_some("a.safetensors"));
    cr_assert_eq(rg_safetensors_count(file), SOME);
    for (int i = 0; i < SOME; i++) {
        const RgStoredTensor *wrote = &some_tensors[i];
        const RgStoredTensor *read = rg_safetensors_find(file, wrote->name);
        cr_assert(read, "%s", wrote->name);
        cr_assert_eq(read->type, wrote->type);
        cr_assert_eq(read->rank, wrote->rank);
        for (int axis = 0; axis < wrote->rank; axis++)
            cr_assert_eq(read->size[axis], wrote->size[axis]);
        cr_assert_eq(read->bytes, wrote->bytes);
        cr_assert_eq(memcmp(read->data, wrote->data, wrote->bytes), 0, "%s", wrote->name);
    }
    cr_assert_null(rg_safetensors_find(file, "layer.0"));
    cr_assert_str_eq(rg_safetensors_metadata(file, "identity"), "a \"quoted\" ß");
    cr_assert_str_eq(rg_safetensors_metadata(file, "empty"), "");
    cr_assert_null(rg_safetensors_metadata(file, "absent"));
    rg_safetensors_close(file);
}

/* The bytes that the format's description asks for, spelled out. */
Test(safetensors, bytes_are_as_the_format_says) {
    const float one = 1;
    const RgStoredTensor tensor = {
        .name = "x", .type = RG_F32, .rank = 1, .size = {1}, .data = &one, .bytes = 4};
    const char *path = scratch("x.safetensors");
    ASSERT_OK(rg_safetensors_write(path, &tensor, 1, NULL, &error));
    char *content = NULL;
    size_t size = 0;
    ASSERT_OK(rg_file_read(path, &content, &size, &error));
    const char header[] = "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    size_t padded = (sizeof header - 1 + 7) / 8 * 8;
    cr_assert_eq(size, 8 + padded + 4);
    cr_assert_eq((size_t)(unsigned char)content[0], padded);
    cr_assert_eq(memcmp(content + 1, "\0\0\0\0\0\0\0", 7), 0);
    cr_assert_eq(memcmp(content + 8, header, sizeof header - 1), 0);
    cr_assert_eq(memcmp(content + 8 + padded, "\0\0\x80\x3f", 4), 0);
    free(content);
}

static void fill_some(void *tensors, const RgStoredTensor *tensor, void *out) {
    memcpy(out, some_tensors[tensor - (const RgStoredTensor *)tensors].data, tensor->bytes);
}

Test(safetensors, numbers_may_be_computed_as_they_are_written) {
    RgStoredTensor filled[SOME];
    char *content[2];
    size_t size[2];
    memcpy(filled, some_tensors, sizeof filled);
    filled[1].data = filled[2].data = filled[4].data = filled[5].data = NULL;
    const char *path = scratch("filled.safetensors");
    ASSERT_OK(
        rg_safetensors_write_filled(path, filled, SOME, some_metadata, fill_some, filled, &error));
    ASSERT_OK(rg_file_read(path, &content[0], &size[0], &error));
    ASSERT_OK(rg_file_read(write_some("whole.safetensors"), &content[1], &size[1], &error));
    cr_assert_eq(size[0], size[1]);
    cr_expect_arr_eq(content[0], content[1], size[0]);
    free(content[0]);
    free(content[1]);
}

Test(safetensors, every_tensor_is_aligned_to_its_numbers) {
    RgSafetensors *file = open_file(write_some("a.safetensors"));
    const char *start = rg_safetensors_at(file, 0)->data;
    for (int i = 0; i < SOME; i++) {
        const RgStoredTensor *t = rg_safetensors_at(file, i);
        size_t width = t->type == RG_U8 ? 1 : t->type == RG_F32 ? 4 : 8;
        cr_assert_eq((size_t)((const char *)t->data - start) % width, 0, "%s", t->name);
    }
    rg_safetensors_close(file);
}

Test(safetensors, an_empty_list_is_a_file) {
    const char *path = scratch("empty.safetensors");
    ASSERT_OK(rg_safetensors_write(path, NULL, 0, NULL, &error));
    RgSafetensors *file = open_file(path);
    cr_assert_eq(rg_safetensors_count(file), 0);
    cr_assert_null(rg_safetensors_metadata(file, "identity"));
    rg_safetensors_close(file);
}

Test(safetensors, a_file_cut_anywhere_is_refused) {
    const char *path = write_some("a.safetensors"), *cut = scratch("cut.safetensors");
    char *content = NULL;
    size_t size = 0;
    ASSERT_OK(rg_file_read(path, &content, &size, &error));
    for (size_t length = 0; length < size; length++) {
        ASSERT_OK(rg_file_write(cut, content, length, &error));
        refuse(cut, RG_E_FORMAT, "");
    }
    free(content);
}

Test(safetensors, a_real_model_cut_at_each_tenth_is_refused) {
    const char *path = shared_data("tiny/llama/model.safetensors");
    char *content = NULL;
    size_t size = 0;
    ASSERT_OK(rg_file_read(path, &content, &size, &error));
    const char *cut = scratch("cut.safetensors");
    for (size_t tenth = 0; tenth < 10; tenth++) {
        ASSERT_OK(rg_file_write(cut, content, size * tenth / 10, &error));
        refuse(cut, RG_E_FORMAT, "");
    }
    free(content);

    RgSafetensors *file = open_file(path);
    const RgStoredTensor *embedding = rg_safetensors_find(file, "model.embed_tokens.weight");
    cr_assert(embedding);
    cr_assert_eq(embedding->type, RG_BF16);
    cr_assert_eq(embedding->size[0], 96);
    cr_assert_eq(embedding->size[1], 48);
    rg_safetensors_close(file);
}

/* Whatever one damaged byte does, the file is refused or what it shows lies within it. */
Test(safetensors, a_damaged_byte_of_the_header_never_leads_outside_the_file) {
    const char *path = write_some("a.safetensors"), *damaged = scratch("damaged.safetensors");
    char *content = NULL;
    size_t size = 0, refused = 0;
    ASSERT_OK(rg_file_read(path, &content, &size, &error));
    for (size_t at = 0; at < size - NUMBER_BYTES; at++) {
        char kept = content[at];
        content[at] = (char)(kept ^ (1 + at % 7));
        ASSERT_OK(rg_file_write(damaged, content, size, &error));
        content[at] = kept;
        RgSafetensors *file = NULL;
        if (rg_safetensors_open(damaged, &file, &error) != RG_OK) {
            refused++;
            continue;
        }
        volatile uint64_t touched = 0;
        for (int i = 0; i < rg_safetensors_count(file); i++)
            touched = rg_hash(touched, rg_safetensors_at(file, i)->data,
                              rg_safetensors_at(file, i)->bytes);
        rg_safetensors_close(file);
    }
    cr_assert_gt(refused, size / 4);
    free(content);
}

Test(safetensors, inconsistent_headers_are_refused_by_tensor) {
    const struct {
        const char *header;
        size_t size;
        const char *expected;
    } cases[] = {
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
         "tensor \"x\": 4 bytes, but its dtype and shape require 8"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4,
         "tensor \"x\": its bytes 0 to 8 are not within the file's 4"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]}}", 8, "tensor \"x\""},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 8, "tensor \"x\""},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "tensor \"x\""},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "tensor \"x\""},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],"
         "\"data_offsets\":[0,0]}}",
         0, "tensor \"x\""},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
         "5 dimensions, at most 4"},
        {"{\"x\":{\"dtype\":\"F8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "dtype F8"},
        {"{\"x\":{\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "no dtype"},
        {"{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "no shape"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8, "data_offsets"},
        {"{\"x\":7}", 0, "tensor \"x\""},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
         6, "tensor \"y\" overlaps tensor \"x\""},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6,
         "the 2 bytes before it belong to no tensor"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 6,
         "the last 2 bytes belong to no tensor"},
        {"{\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
         "\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
         0, "not JSON"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "metadata \"a\" is not a string"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not a JSON object"},
        {"[]", 0, "not a JSON object"},
        {"{\"x\":", 0, "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(file_of(cases[i].header, cases[i].size), RG_E_FORMAT, cases[i].expected);
}

Test(safetensors, a_header_longer_than_the_file_is_refused) {
    const char *path = scratch_write("long", "\x10\x27\x01\x01\x01\x01\x01\x01{}");
    refuse(path, RG_E_FORMAT, "2 bytes follow");
    path = scratch("one-more");
    ASSERT_OK(rg_file_write(path, "\3\0\0\0\0\0\0\0{}", 10, &error));
    refuse(path, RG_E_FORMAT, "a header of 3 bytes is announced, but only 2 bytes follow");
    refuse(scratch("absent"), RG_E_FILE, "No such file");
    refuse(scratch_path, RG_E_FILE, "Is a directory");
}

Test(safetensors, half_precisions_convert_exactly) {
    const uint16_t half[] = {0x0000, 0x3c00, 0xc000, 0x7bff, 0x0001,
                             0x83ff, 0x7c00, 0xfc00, 0x3555};
    const double half_value[] = {0,        1,         -2,        65504, 0x1p-24, -0x1.ff8p-15,
                                 INFINITY, -INFINITY, 0x1.554p-2};
    const uint16_t brain[] = {0x3f80, 0xc040, 0x0001, 0xff80};
    const double brain_value[] = {1, -3, 0x1p-133, -INFINITY};
    RgReal out[9];
    RgStoredTensor stored = {.name = "h", .type = RG_F16, .data = half, .bytes = sizeof half};
    ASSERT_OK(rg_stored_to_real(&stored, out, &error));
    for (int i = 0; i < 9; i++)
        cr_assert_eq(out[i], (RgReal)half_value[i], "%d: %g", i, (double)out[i]);

    stored = (RgStoredTensor){.name = "b", .type = RG_BF16, .data = brain, .bytes = sizeof brain};
    ASSERT_OK(rg_stored_to_real(&stored, out, &error));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(out[i], (RgReal)brain_value[i], "%d: %g", i, (double)out[i]);

    const uint16_t nan_bits = 0x7e00;
    stored = (RgStoredTensor){.name = "n", .type = RG_F16, .data = &nan_bits, .bytes = 2};
    ASSERT_OK(rg_stored_to_real(&stored, out, &error));
    cr_assert(isnan(out[0]));
}

/* GPT-2's files hold masks beside the weights. */
Test(safetensors, types_that_nothing_reads_do_not_stop_a_file) {
    const float weight = 2;
    const char mask[4] = {1, 0, 1, 1};
    RgStoredTensor tensors[] = {{"weight", RG_F32, 1, {1}, &weight, sizeof weight},
                                {"mask", RG_BOOL, 2, {2, 2}, mask, sizeof mask}};
    RgSafetensors *file;
    RgReal out[4];
    const char *path = scratch("masked.safetensors");
    cr_assert_eq(rg_safetensors_write(path, tensors, 2, NULL, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_safetensors_open(path, &file, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_stored_to_real(rg_safetensors_find(file, "weight"), out, &error), RG_OK);
    cr_expect_eq(out[0], 2);
    cr_expect_neq(rg_stored_to_real(rg_safetensors_find(file, "mask"), out, &error), RG_OK);
    cr_expect_str_eq(error.text, "tensor \"mask\": floating-point expected, found BOOL");
    rg_safetensors_close(file);
}

Test(safetensors, wide_numbers_convert_and_integers_are_refused) {
    RgReal out[6];
    RgStoredTensor stored = some_tensors[1];
    ASSERT_OK(rg_stored_to_real(&stored, out, &error));
    for (int i = 0; i < 6; i++)
        cr_assert_eq(out[i], (RgReal)singles[i]);
    const double third[] = {1.0 / 3};
    stored = (RgStoredTensor){.name = "d", .type = RG_F64, .data = third, .bytes = 8};
    ASSERT_OK(rg_stored_to_real(&stored, out, &error));
    cr_assert_eq(out[0], (RgReal)third[0]);
    cr_assert_eq(rg_stored_to_real(&some_tensors[3], out, &error), RG_E_FORMAT);
    cr_assert(strstr(error.text, "\"step\"") && strstr(error.text, "I64"), "%s", error.text);
}

/* Twice, as reading gives the pages back. */
Test(safetensors, parts_of_a_tensor_are_read_as_the_whole_is) {
    RgSafetensors *file = open_file(write_some("some.safetensors"));
    const RgStoredTensor *stored = rg_safetensors_find(file, some_tensors[1].name);
    for (int round = 0; round < 2; round++)
        for (int64_t first = 0; first < 6; first++) {
            RgReal out[6];
            ASSERT_OK(rg_safetensors_read(file, stored, first, 6 - first, out, &error));
            for (int64_t i = first; i < 6; i++)
                cr_assert_eq(out[i - first], (RgReal)singles[i]);
            rg_safetensors_release(file, stored);
        }
    RgReal none;
    stored = rg_safetensors_find(file, some_tensors[3].name);
    cr_assert_eq(rg_safetensors_read(file, stored, 0, 1, &none, &error), RG_E_FORMAT);
    rg_safetensors_close(file);
}

Test(safetensors, names_that_are_not_utf8_are_refused) {
    RgStoredTensor tensor = some_tensors[5];
    tensor.name = "\xff";
    const char *path = scratch("bad.safetensors");
    cr_assert_eq(rg_safetensors_write(path, &tensor, 1, NULL, &error), RG_E_FORMAT);
    const char *const metadata[] = {"note", "\xc3(", NULL};
    cr_assert_eq(rg_safetensors_write(path, some_tensors, SOME, metadata, &error), RG_E_FORMAT);
    cr_assert(strstr(error.text, "\"note\""), "%s", error.text);
    refuse(path, RG_E_FILE, "No such file");
}

/* A limit on the size of files stands for a full disk. */
Test(safetensors, a_full_disk_leaves_the_old_file) {
    const char *path = write_some("kept.safetensors");
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 16, RLIM_INFINITY});
    size_t size = 1 << 20;
    void *much = calloc(1, size);
    const RgStoredTensor tensor = {.name = "much",
                                   .type = RG_U8,
                                   .rank = 1,
                                   .size = {(int64_t)size},
                                   .data = much,
                                   .bytes = size};
    cr_assert_eq(rg_safetensors_write(path, &tensor, 1, NULL, &error), RG_E_FILE);
    cr_assert(strstr(error.text, path) && strstr(error.text, strerror(EFBIG)), "%s", error.text);
    free(much);
    RgSafetensors *file = open_file(path);
    cr_assert_eq(rg_safetensors_count(file), SOME);
    rg_safetensors_close(file);
    cr_assert_eq(rmdir(scratch_path), -1);
    remove(path);
    cr_assert_eq(rmdir(scratch_path), 0, "a temporary file was left behind");
}

Test(safetensors, a_folder_that_is_not_there_is_named) {
    const char *path = scratch("no/such/folder.safetensors");
    cr_assert_eq(rg_safetensors_write(path, some_tensors, SOME, NULL, &error), RG_E_FILE);
    cr_assert(strstr(error.text, "no/such/folder") && strstr(error.text, "No such file"), "%s",
              error.text);
}
