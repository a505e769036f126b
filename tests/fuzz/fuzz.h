/* SPDX-License-Identifier: MIT */
/* Fuzz targets: each hands bytes to one loader of the program as if they were a file of strangers.
 *
 * A target must do the same for the same bytes, and free all that it made. A crash, a leak, a hang,
 * or a refusal that is not one clear line is a fault of the loader. libFuzzer looks for such bytes
 * (fuzzer.c, `make fuzz`); the test suite tries those that are in corpus/ (replay.c). */
#ifndef RG_TESTS_FUZZ_FUZZ_H
#define RG_TESTS_FUZZ_FUZZ_H

#include "core/base.h"

typedef struct FuzzTarget {
    const char *name; /* also of its folder in corpus/ and its file in dictionaries/ */
    void (*run)(const uint8_t *data, size_t size);
} FuzzTarget;

extern const FuzzTarget fuzz_archive, fuzz_config, fuzz_hugging_face, fuzz_judge_command,
    fuzz_judge_endpoint, fuzz_language, fuzz_llama2c, fuzz_package, fuzz_paper, fuzz_preferences,
    fuzz_problem, fuzz_safetensors, fuzz_settings, fuzz_store, fuzz_tables, fuzz_template,
    fuzz_tokenizer_binary, fuzz_tokenizer_json;

/* Ends with NULL. */
extern const FuzzTarget *const fuzz_targets[];
const FuzzTarget *fuzz_target(const char *name); /* NULL: there is none */

/* Make a folder that goes when the process ends, where TMPDIR says or else in memory, if /dev/shm
 * is there, and make it the current one. Standard output goes nowhere from now on. */
void fuzz_begin(void);

/* An input in parts, which NUL bytes separate: parts [count], of which the last has the rest, and
 * those that are not there are empty. Borrowed. */
void fuzz_split(const uint8_t *data, size_t size, RgBytes *parts, int count);
char *fuzz_text(RgBytes part); /* as a string, malloc'd; it ends at the first NUL */

/* Write a file of the current folder; a part that is empty removes it. */
void fuzz_write(const char *path, RgBytes content);
/* A safetensors file of a header without its length: a line of JSON, then numbers. What does not
 * begin with '{' is written as it is. */
void fuzz_write_safetensors(const char *path, RgBytes content);

/* Hold a status against its promise: anything but RG_OK comes with one printable line that names
 * `file` (NULL: it need not). Returns whether it is RG_OK. */
bool fuzz_good(RgStatus status, const RgError *error, const char *file);

#endif
