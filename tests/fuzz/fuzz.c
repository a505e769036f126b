/* SPDX-License-Identifier: MIT */
/* What fuzz targets share, and the list of them. */
#include "tests/fuzz/fuzz.h"

#include "core/files.h"
#include "core/new_file.h"

#include "core/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const FuzzTarget *const fuzz_targets[] = {&fuzz_archive,
                                          &fuzz_config,
                                          &fuzz_hugging_face,
                                          &fuzz_judge_command,
                                          &fuzz_judge_endpoint,
                                          &fuzz_language,
                                          &fuzz_llama2c,
                                          &fuzz_package,
                                          &fuzz_paper,
                                          &fuzz_preferences,
                                          &fuzz_problem,
                                          &fuzz_safetensors,
                                          &fuzz_settings,
                                          &fuzz_store,
                                          &fuzz_tables,
                                          &fuzz_template,
                                          &fuzz_tokenizer_binary,
                                          &fuzz_tokenizer_json,
                                          NULL};

const FuzzTarget *fuzz_target(const char *name) {
    const FuzzTarget *const *target = fuzz_targets;
    while (*target && strcmp((*target)->name, name) != 0)
        target++;
    return *target;
}

/* ---- files ---- */

static char *folder;
static pid_t owner;

static void remove_folder(void) {
    if (getpid() == owner)
        rg_folder_remove(folder);
    free(folder);
}

void fuzz_begin(void) {
    RgError error = {0};
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    if (rg_scratch_folder("fuzz", &folder, &error) != RG_OK || chdir(folder) != 0 ||
        !freopen("/dev/null", "w", stdout)) {
        fprintf(stderr, "fuzz: cannot begin: %s\n", error.text);
        exit(EXIT_FAILURE);
    }
    owner = getpid();
    setenv("TMPDIR", folder, 1);
    atexit(remove_folder);
}

void fuzz_write(const char *path, RgBytes content) {
    if (content.size == 0) {
        remove(path);
        return;
    }
    FILE *file = fopen(path, "wb");
    RG_ASSERT(file);
    fwrite(content.data, 1, content.size, file);
    RG_ASSERT(fclose(file) == 0);
}

void fuzz_write_safetensors(const char *path, RgBytes content) {
    const char *text = content.data, *end = content.size ? memchr(text, '\n', content.size) : NULL;
    if (content.size == 0 || *text != '{') {
        fuzz_write(path, content);
        return;
    }
    uint64_t length = end ? (uint64_t)(end - text) : content.size;
    size_t numbers = end ? content.size - length - 1 : 0;
    char *file = rg_allocate(sizeof length + content.size, 1);
    memcpy(file, &length, sizeof length);
    memcpy(file + sizeof length, text, length);
    if (numbers > 0)
        memcpy(file + sizeof length + length, end + 1, numbers);
    fuzz_write(path, (RgBytes){file, sizeof length + length + numbers});
    free(file);
}

/* ---- inputs ---- */

void fuzz_split(const uint8_t *data, size_t size, RgBytes *parts, int count) {
    for (int i = 0; i < count; i++) {
        const uint8_t *end = size > 0 && i < count - 1 ? memchr(data, 0, size) : NULL;
        size_t length = end ? (size_t)(end - data) : size;
        parts[i] = (RgBytes){data, length};
        size -= length + (end ? 1 : 0);
        data += length + (end ? 1 : 0);
    }
}

char *fuzz_text(RgBytes part) {
    char *text = rg_allocate(part.size + 1, 1);
    if (part.size > 0)
        memcpy(text, part.data, part.size);
    return text;
}

/* ---- refusals ---- */

bool fuzz_good(RgStatus status, const RgError *error, const char *file) {
    if (status == RG_OK)
        return true;
    RgError printable = *error;
    rg_make_printable(printable.text);
    bool one_line = strcmp(printable.text, error->text) == 0;
    if (!error->text[0] || !one_line || (file && !strstr(error->text, file))) {
        fprintf(stderr, "fuzz: no clear line%s%s: status %d, \"%s\"\n", file ? " on " : "",
                file ? file : "", (int)status, error->text);
        abort();
    }
    return false;
}
