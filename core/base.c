/* SPDX-License-Identifier: MIT */
/* Errors, assertions, memory that cannot run out quietly, hashing, and files read
 * whole. Nothing here knows of tensors. */
#include "core/base.h"

#include "core/names.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Of a message that was longer, by what it would have taken, the last character becomes "…". */
static void mark_cut(RgError *error, int length) {
    static const char mark[] = "…";
    if (length < (int)sizeof error->text)
        return;
    size_t end = sizeof error->text - sizeof mark;
    while (end > 0 && ((unsigned char)error->text[end] & 0xc0) == 0x80)
        end--;
    memcpy(error->text + end, mark, sizeof mark);
}

RgStatus rg_fail(RgError *error, RgStatus status, const char *format, ...) {
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        mark_cut(error, vsnprintf(error->text, sizeof error->text, format, arguments));
        va_end(arguments);
        rg_make_printable(error->text); /* what a file says may stand in it */
    }
    return status;
}

RgStatus rg_fail_in(RgError *error, RgStatus status, const char *format, ...) {
    if (!error)
        return status;
    char inner[sizeof error->text];
    memcpy(inner, error->text, sizeof inner);
    inner[sizeof inner - 1] = '\0';

    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    mark_cut(error, written);
    if (written < 0 || (size_t)written >= sizeof error->text)
        return status;
    size_t left = sizeof error->text - (size_t)written;
    mark_cut(error, written + snprintf(error->text + written, left, ": %s", inner));
    rg_make_printable(error->text);
    return status;
}

void rg_assert_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
    abort();
}

static _Atomic(const char *) memory_purpose = NULL;

const char *rg_memory_for(const char *purpose) {
    return atomic_exchange(&memory_purpose, purpose);
}

static _Noreturn void out_of_memory(size_t bytes) {
    const char *purpose = memory_purpose;
    fprintf(stderr, "regatta: %s%sout of memory: %zu bytes asked for\n", purpose ? purpose : "",
            purpose ? ": " : "", bytes);
    exit(EXIT_FAILURE);
}

void *rg_allocate(size_t bytes) {
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory)
        out_of_memory(bytes);
    return memory;
}

/* Arrays of many megabytes are walked faster on huge pages, where the system has them. */
static const size_t huge_page = (size_t)2 << 20;

static size_t alignment_of(size_t bytes) {
    const size_t line = 64;
    return bytes >= 4 * huge_page ? huge_page : line;
}

size_t rg_aligned_room(size_t bytes) {
    size_t alignment = alignment_of(bytes), some = bytes ? bytes : 1;
    return (some + alignment - 1) / alignment * alignment;
}

void *rg_allocate_aligned(size_t bytes) {
    size_t rounded = rg_aligned_room(bytes), alignment = alignment_of(bytes);
    void *memory = rounded < bytes ? NULL : aligned_alloc(alignment, rounded);
    if (!memory)
        out_of_memory(bytes);
#ifdef MADV_HUGEPAGE
    if (alignment == huge_page)
        madvise(memory, rounded, MADV_HUGEPAGE); /* a hint; nothing is lost when it is refused */
#endif
    return memory;
}

void *rg_pages_take(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        out_of_memory(bytes);
#ifdef MADV_HUGEPAGE
    if (alignment_of(bytes) == huge_page)
        madvise(pages, bytes, MADV_HUGEPAGE);
#endif
    return pages;
}

void rg_pages_release(void *pages, size_t bytes) {
    munmap(pages, bytes);
}

void *rg_room(RgRoom *room, size_t bytes) {
    if (room->size < bytes) {
        free(room->memory);
        room->memory = rg_allocate_aligned(bytes);
        room->size = bytes;
    }
    return room->memory;
}

/* Pages that are given back come again as zeros, one by one, when they are touched. */
void *rg_allocate_aligned_zeroed(size_t bytes) {
    size_t rounded = rg_aligned_room(bytes);
    void *memory = rg_allocate_aligned(bytes);
    bool pages = alignment_of(bytes) == huge_page;
    if (pages && madvise(memory, rounded, MADV_DONTNEED) == 0)
        return memory;
    return memset(memory, 0, bytes);
}

void rg_discard(void *memory, size_t bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)memory;
    uintptr_t first = (begin + page - 1) / page * page, end = (begin + bytes) / page * page;
    if (first < end)
        madvise((char *)memory + (first - begin), end - first, MADV_DONTNEED);
}

void *rg_reallocate(void *memory, size_t count, size_t each) {
    size_t bytes;
    if (__builtin_mul_overflow(count, each, &bytes))
        out_of_memory(SIZE_MAX);
    void *larger = realloc(memory, bytes ? bytes : 1);
    if (!larger)
        out_of_memory(bytes);
    return larger;
}

char *rg_string_copy(const char *text) {
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    return memcpy(rg_allocate(size), text, size);
}

char *rg_string_format(const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        out_of_memory(strlen(format));
    return text;
}

const char *rg_real_text(double value, int digits, char text[RG_REAL_TEXT]) {
    const int enough = 17; /* for every double */
    do
        snprintf(text, RG_REAL_TEXT, "%.*g", digits, value);
    while (digits++ < enough && strtod(text, NULL) != value);
    return text;
}

static int least(int a, int b) {
    return a < b ? a : b;
}

enum { LONGEST_NAME = 128 };

/* Edits that lead from a to b: insert, delete, replace, swap neighbours (Damerau 1964, in the
 * restricted form that edits no place twice). INT_MAX when either is too long to be a name. */
int rg_edit_distance(const char *a, const char *b) {
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > LONGEST_NAME || b_length > LONGEST_NAME)
        return INT32_MAX;
    int rows[3][LONGEST_NAME + 1];
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *second_above = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            int replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(replaced, 1 + least(above[j], row[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], second_above[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

const char *rg_nearest_name(const char *name, const char *const *names) {
    size_t third = strlen(name) / 3;
    int best_distance = third > 2 ? (int)third : 2;
    const char *best = NULL;
    for (; *names; names++) {
        int distance = rg_edit_distance(name, *names);
        if (distance < best_distance || (distance == best_distance && !best)) {
            best_distance = distance;
            best = *names;
        }
    }
    return best;
}

char *rg_list_names(const char *const *names) {
    enum { MOST = 400 };
    char *list = rg_string_copy("");
    size_t told = 0, left = 0;
    for (; names[told] && strlen(list) < MOST; told++) {
        char *longer = rg_string_format("%s%s%.60s", list, told ? ", " : "", names[told]);
        free(list);
        list = longer;
    }
    while (names[told + left])
        left++;
    char *all = left ? rg_string_format("%s and %zu more", list, left) : rg_string_copy(list);
    free(list);
    return all;
}

uint64_t rg_hash(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ byte[i]) * UINT64_C(1099511628211);
    return hash;
}

double rg_clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Bytes of what is read whole: configs, tokenizers, descriptions. Data and weights are not. */
static const size_t most_of_a_file = (size_t)1 << 30;

static RgStatus too_large(const char *path, RgError *error) {
    return rg_fail(error, RG_E_FILE, "%s: is larger than 1 GiB, expected less", path);
}

/* The size of a regular file is a first guess; a pipe has none, so the buffer grows. */
static RgStatus read_all(int file, const char *path, char **content, size_t *size, RgError *error) {
    struct stat about;
    size_t capacity = 4096, filled = 0;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode))
        capacity = (size_t)about.st_size + 1;
    if (capacity > most_of_a_file)
        return too_large(path, error);
    char *buffer = rg_reallocate(NULL, capacity + 1, 1);
    for (;;) {
        ssize_t got = read(file, buffer + filled, capacity - filled);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR) {
            free(buffer);
            return rg_fail(error, RG_E_FILE, "%s: cannot read: %s", path, strerror(errno));
        }
        filled += got > 0 ? (size_t)got : 0;
        if (filled > most_of_a_file) {
            free(buffer);
            return too_large(path, error);
        }
        if (filled == capacity) {
            capacity *= 2;
            buffer = rg_reallocate(buffer, capacity + 1, 1);
        }
    }
    buffer[filled] = '\0';
    *content = buffer;
    if (size)
        *size = filled;
    return RG_OK;
}

RgStatus rg_file_read(const char *path, char **content, size_t *size, RgError *error) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return rg_fail(error, RG_E_FILE, "%s: cannot open: %s", path, strerror(errno));
    const char *before = rg_memory_for(path);
    RgStatus status = read_all(file, path, content, size, error);
    rg_memory_for(before);
    close(file);
    return status;
}

RgStatus rg_file_map(const char *path, RgBytes *content, RgError *error) {
    struct stat about = {0};
    RgStatus status = RG_OK;
    *content = (RgBytes){0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &about) != 0)
        status = rg_fail(error, RG_E_FILE, "%s: cannot open: %s", path, strerror(errno));
    else if (!S_ISREG(about.st_mode))
        status = rg_fail(error, RG_E_FILE, "%s: is not a regular file", path);
    if (status == RG_OK && about.st_size > 0) { /* nothing cannot be mapped */
        void *memory = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (memory == MAP_FAILED)
            status = rg_fail(error, RG_E_FILE, "%s: cannot read: %s", path, strerror(errno));
        else
            *content = (RgBytes){memory, (size_t)about.st_size};
    }
    if (file >= 0)
        close(file);
    return status;
}

void rg_file_unmap(RgBytes *content) {
    if (content->data)
        munmap((void *)content->data, content->size);
    *content = (RgBytes){0};
}

RgStatus rg_folder_make(const char *path, RgError *error) {
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return rg_fail(error, RG_E_FILE, "%s: cannot make the folder: %s", path, strerror(errno));
    return RG_OK;
}

RgStatus rg_folders_make_above(const char *path, RgError *error) {
    RgStatus status = RG_OK;
    char *folder = rg_string_copy(path);
    for (char *c = folder + 1; folder[0] && *c && status == RG_OK; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        status = rg_folder_make(folder, error);
        *c = '/';
    }
    free(folder);
    return status;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *at) {
    (void)about, (void)kind, (void)at;
    return remove(path);
}

void rg_folder_remove(const char *folder) {
    const int descriptors = 8;
    nftw(folder, remove_entry, descriptors, FTW_DEPTH | FTW_PHYS);
}

char *rg_own_file(const char *name) {
    const char *source = getenv("RG_SOURCE_DIR");
    if (source && source[0] != '\0')
        return rg_string_format("%s/%s", source, name);
    /* The folder above that of the program, so that what is shown of a path has no ".." in it. */
    char above[PATH_MAX] = "";
    bool known = readlink("/proc/self/exe", above, sizeof above - 1) > 0;
    for (int up = 0; up < 2 && strrchr(above, '/'); up++)
        *strrchr(above, '/') = '\0';
    char *paths[] = {rg_string_format("%s/%s", above, name),
                     rg_string_format("%s/share/regatta/%s", above, name),
                     rg_string_format("%s/libexec/regatta/%s", above, name),
                     rg_string_format("%s/%s", RG_PROGRAM_DIR, name),
                     rg_string_format("%s/%s", RG_DATA_DIR, name)};
    enum { PATHS = sizeof paths / sizeof *paths };
    int found = known ? 0 : PATHS - 2;
    while (found < PATHS - 1 && access(paths[found], F_OK) != 0)
        found++;
    for (int i = 0; i < PATHS; i++)
        if (i != found)
            free(paths[i]);
    return paths[found];
}
