/* SPDX-License-Identifier: MIT */
/* Reading lines through zlib and libzstd. */
#include "core/text/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

enum { CHUNK = 1 << 16 };
typedef enum Kind { PLAIN, GZIP, ZSTD } Kind;

struct RgLines {
    char *path;
    FILE *file;
    Kind kind;
    int64_t number;
    int64_t mib; /* limit of a line */

    unsigned char input[CHUNK]; /* read but not yet decompressed: [input_at, input_size) */
    size_t input_at, input_size;
    bool whole; /* the decompressed text ends with a complete member or frame */
    z_stream gzip;
    ZSTD_DStream *zstd;

    char *text; /* decompressed but not yet returned: [at, size) */
    size_t at, size, capacity;
    bool ended;
};

static RgStatus fail(const RgLines *lines, RgStatus status, const char *what, RgError *error) {
    return rg_fail(error, status, "%s:%lld: %s", lines->path, (long long)lines->number + 1, what);
}

/* Reads more input if none is left; at the end of the file there is none. */
static RgStatus read_input(RgLines *lines, RgError *error) {
    if (lines->input_at < lines->input_size)
        return RG_OK;
    lines->input_at = 0;
    lines->input_size = fread(lines->input, 1, CHUNK, lines->file);
    return ferror(lines->file) ? fail(lines, RG_E_FILE, strerror(errno), error) : RG_OK;
}

static size_t inflate_chunk(RgLines *lines, char *out, const char **trouble) {
    z_stream *z = &lines->gzip;
    if (lines->whole)
        inflateReset(z); /* the next member */
    z->next_in = lines->input + lines->input_at;
    z->avail_in = (unsigned)(lines->input_size - lines->input_at);
    z->next_out = (unsigned char *)out;
    z->avail_out = CHUNK;
    int code = inflate(z, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        *trouble = z->msg ? z->msg : "invalid data";
    lines->input_at = lines->input_size - z->avail_in;
    lines->whole = code == Z_STREAM_END;
    return CHUNK - z->avail_out;
}

static size_t unpack_chunk(RgLines *lines, char *out, const char **trouble) {
    ZSTD_inBuffer input = {lines->input, lines->input_size, lines->input_at};
    ZSTD_outBuffer output = {out, CHUNK, 0};
    size_t left = ZSTD_decompressStream(lines->zstd, &output, &input);
    if (ZSTD_isError(left))
        *trouble = ZSTD_getErrorName(left);
    lines->input_at = input.pos;
    lines->whole = left == 0;
    return output.pos;
}

static size_t copy_chunk(RgLines *lines, char *out) {
    size_t size = lines->input_size - lines->input_at;
    memcpy(out, lines->input + lines->input_at, size);
    lines->input_at = lines->input_size;
    return size;
}

/* Appends a chunk to the text, or detects its end. */
static RgStatus fill(RgLines *lines, RgError *error) {
    memmove(lines->text, lines->text + lines->at, lines->size - lines->at);
    lines->size -= lines->at;
    lines->at = 0;
    if (lines->capacity < lines->size + CHUNK + 1) {
        lines->capacity = 2 * lines->size + CHUNK + 1;
        lines->text = rg_reallocate(lines->text, lines->capacity, 1);
    }
    RG_TRY(read_input(lines, error));
    bool starved = lines->input_at == lines->input_size;
    if (starved && lines->whole) {
        lines->ended = true;
        return RG_OK;
    }
    const char *trouble = NULL;
    size_t before = lines->size;
    char *out = lines->text + lines->size;
    lines->size += lines->kind == GZIP   ? inflate_chunk(lines, out, &trouble)
                   : lines->kind == ZSTD ? unpack_chunk(lines, out, &trouble)
                                         : copy_chunk(lines, out);
    if (starved && !trouble && !lines->whole && lines->size == before)
        return fail(lines, RG_E_FORMAT, "the compressed file is truncated", error);
    if (!trouble)
        return RG_OK;
    return rg_fail(error, RG_E_FORMAT, "%s:%lld: the compressed file is damaged: %s", lines->path,
                   (long long)lines->number + 1, trouble);
}

/* Takes ownership of the file. */
static RgStatus open_file(FILE *file, const char *path, RgLines **lines, RgError *error) {
    static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    *lines = NULL;
    struct stat about;
    if (!file)
        return rg_fail(error, RG_E_FILE, "%s: %s", path, strerror(errno));
    if (fstat(fileno(file), &about) == 0 && S_ISDIR(about.st_mode)) {
        fclose(file);
        return rg_fail(error, RG_E_FILE, "%s: is a folder, expected a file", path);
    }
    RgLines *new = rg_allocate(1, sizeof *new);
    *new = (RgLines){.path = rg_string_copy(path), .file = file, .mib = RG_LINE_MIB, .whole = true};
    new->text = rg_allocate(new->capacity = CHUNK + 1, 1);
    RgStatus status = read_input(new, error);
    if (status != RG_OK) {
        rg_lines_close(new);
        return status;
    }
    if (new->input_size >= sizeof gzip && memcmp(new->input, gzip, sizeof gzip) == 0)
        new->kind = GZIP;
    else if (new->input_size >= sizeof zstd && memcmp(new->input, zstd, sizeof zstd) == 0)
        new->kind = ZSTD;
    if (new->kind == GZIP)
        RG_ASSERT(inflateInit2(&new->gzip, 15 + 16) == Z_OK);
    if (new->kind == ZSTD)
        RG_ASSERT((new->zstd = ZSTD_createDStream()) != NULL);
    *lines = new;
    return RG_OK;
}

RgStatus rg_lines_open(const char *path, RgLines **lines, RgError *error) {
    return open_file(fopen(path, "rb"), path, lines, error);
}

RgStatus rg_lines_open_argument(const char *path, RgLines **lines, RgError *error) {
    return strcmp(path, "-") == 0 ? open_file(stdin, path, lines, error)
                                  : rg_lines_open(path, lines, error);
}

void rg_lines_limit(RgLines *lines, int64_t mib) {
    lines->mib = mib;
}

void rg_lines_close(RgLines *lines) {
    if (!lines)
        return;
    if (lines->kind == GZIP)
        inflateEnd(&lines->gzip);
    ZSTD_freeDStream(lines->zstd);
    fclose(lines->file);
    free(lines->text);
    free(lines->path);
    free(lines);
}

static void skip_byte_order_mark(RgLines *lines) {
    static const char mark[] = {'\xEF', '\xBB', '\xBF'};
    if (lines->size - lines->at >= sizeof mark &&
        memcmp(lines->text + lines->at, mark, sizeof mark) == 0)
        lines->at += sizeof mark;
}

RgStatus rg_lines_next(RgLines *lines, const char **text, size_t *size, RgError *error) {
    *text = NULL;
    size_t seen = 0; /* bytes after `at` that are not newlines */
    char *newline = NULL;
    for (;;) {
        newline = memchr(lines->text + lines->at + seen, '\n', lines->size - lines->at - seen);
        seen = lines->size - lines->at;
        if (newline || lines->ended)
            break;
        if (seen > (size_t)lines->mib << 20)
            return rg_fail(error, RG_E_RANGE, "%s:%lld: the line is longer than %lld MiB",
                           lines->path, (long long)lines->number + 1, (long long)lines->mib);
        RG_TRY(fill(lines, error));
    }
    if (lines->number == 0) {
        skip_byte_order_mark(lines);
        seen = lines->size - lines->at;
    }
    if (!newline && seen == 0)
        return RG_OK;
    char *line = lines->text + lines->at;
    *size = newline ? (size_t)(newline - line) : seen;
    line[*size] = '\0';
    *text = line;
    lines->at += *size + (newline != NULL);
    lines->number++;
    return RG_OK;
}

int64_t rg_lines_number(const RgLines *lines) {
    return lines->number;
}
