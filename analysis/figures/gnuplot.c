/* SPDX-License-Identifier: MIT */
/* Running gnuplot in the output's folder, after writing the data and the script there. */
#include "analysis/figures/gnuplot.h"

#include "core/files.h"
#include "core/new_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Terminal {
    const char *suffix, *name, *family;
    double scale;      /* pixels per unit of the terminal */
    double font, line; /* give the same look in every terminal */
} Terminal;

static const Terminal terminals[] = {
    {".svg", "svg noenhanced", "sans-serif", 1, 12, 1},
    {".png", "pngcairo noenhanced", "DejaVu Sans", 3, 31, 3}, /* 288 per inch, for print */
    {".pdf", "pdfcairo noenhanced", "DejaVu Sans", 1.0 / 96, 9, 0.75},
};

static const Terminal *terminal_of(const char *output, RgError *error) {
    size_t length = strlen(output);
    for (const char *c = output; *c; c++)
        if ((unsigned char)*c < ' ') {
            rg_fail(error, RG_E_USAGE, "figure \"%s\": expected no control characters in the name",
                    output);
            return NULL;
        }
    for (size_t i = 0; i < sizeof terminals / sizeof *terminals; i++) {
        size_t suffix = strlen(terminals[i].suffix);
        if (length > suffix && strcmp(output + length - suffix, terminals[i].suffix) == 0 &&
            output[length - suffix - 1] != '/')
            return &terminals[i];
    }
    rg_fail(error, RG_E_USAGE, "figure \"%s\": expected a name ending in .svg, .png or .pdf",
            output);
    return NULL;
}

RgStatus rg_gnuplot_check(const char *output, RgError *error) {
    return terminal_of(output, error) ? RG_OK : RG_E_USAGE;
}

/* The contents of a quoted string. Unsafe characters become octal numbers, which gnuplot decodes
 * last. Before that it runs commands in backticks, expands macros and counts brackets; in single
 * quotes its version 5.4 fails at a quote at the start. */
static void write_string(FILE *out, const char *text, bool format) {
    bool octal = false;
    putc('"', out);
    for (; *text; text++) {
        octal = strchr("\"\\`@#${}", *text) || (octal && *text >= '0' && *text <= '7');
        if (octal) /* gnuplot would read following digits as part of the number */
            fprintf(out, "\\%03o", (unsigned)*text);
        else if (format && *text == '%')
            fputs("%%", out);
        else
            putc((unsigned char)*text < ' ' ? ' ' : *text, out);
    }
    putc('"', out);
}

void rg_gnuplot_quote(FILE *out, const char *text) {
    write_string(out, text, false);
}

void rg_gnuplot_tic(FILE *out, const char *text, double at) {
    write_string(out, text, true);
    fprintf(out, " %g", at);
}

/* In the child: run gnuplot in `folder`, with its output in `messages`. */
static _Noreturn void become_gnuplot(const char *folder, const char *script, int messages) {
    if (chdir(folder) == 0 && dup2(messages, STDERR_FILENO) >= 0 &&
        dup2(messages, STDOUT_FILENO) >= 0)
        execlp("gnuplot", "gnuplot", "--default-settings", script, (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

/* The last informative line of gnuplot's error message; the others point at the position. */
static const char *complaint(char *text) {
    const char *last = "no message";
    for (char *line; (line = strsep(&text, "\n"));)
        if (line[strspn(line, " \t^")] != '\0')
            last = line;
    return last;
}

static RgStatus run_gnuplot(const char *folder, const char *script, RgError *error) {
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0)
        return rg_fail(error, RG_E_FILE, "cannot start gnuplot: %s", strerror(errno));
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        become_gnuplot(folder, script, pipe_ends[1]);
    close(pipe_ends[1]);
    char output[4096] = "", rest[512];
    size_t used = 0;
    ssize_t got;
    while (child > 0 &&
           ((got = read(pipe_ends[0], rest, sizeof rest)) > 0 || (got < 0 && errno == EINTR))) {
        if (got > 0 && used + (size_t)got < sizeof output) {
            memcpy(output + used, rest, (size_t)got);
            used += (size_t)got;
        }
    }
    close(pipe_ends[0]);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (child < 0)
        return rg_fail(error, RG_E_FILE, "cannot start gnuplot: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return rg_fail(error, RG_E_FILE,
                       "gnuplot is not installed or not on the PATH: figures need it");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return rg_fail(error, RG_E_FILE, "gnuplot failed on %s/%s: %s", folder,
                       script + strlen("./"), complaint(output));
    return RG_OK;
}

/* The last three are relative to the folder and begin with "./". A plain name could begin with '|'
 * or '<', which gnuplot takes for a pipe, or with '-', an option. */
typedef struct Paths {
    char *folder, *image, *data, *script;
} Paths;

static Paths split_output(const char *output, size_t suffix) {
    const char *slash = strrchr(output, '/');
    const char *name = slash ? slash + 1 : output;
    int stem = (int)(strlen(name) - suffix);
    int folder = slash ? (int)(slash - output) + (slash == output) : 1;
    return (Paths){.folder = rg_string_format("%.*s", folder, slash ? output : "."),
                   .image = rg_string_format("./%s", name),
                   .data = rg_string_format("./%.*s.tsv", stem, name),
                   .script = rg_string_format("./%.*s.gnuplot", stem, name)};
}

static void paths_free(Paths *paths) {
    free(paths->folder);
    free(paths->image);
    free(paths->data);
    free(paths->script);
}

static RgStatus write_file(const char *folder, const char *name, const char *content, size_t size,
                           RgError *error) {
    char *path = rg_string_format("%s/%s", folder, name + strlen("./"));
    RgStatus status = rg_file_write(path, content, size, error);
    free(path);
    return status;
}

static char *make_script(const Terminal *terminal, const Paths *paths, int width, int height,
                         const char *script, size_t *size) {
    char *text;
    FILE *out = open_memstream(&text, size);
    fprintf(out,
            "# gnuplot <this file>, run in its folder, plots the figure again.\nset terminal %s "
            "size %g,%g font '%s,%g'\nset output ",
            terminal->name, width * terminal->scale, height * terminal->scale, terminal->family,
            terminal->font);
    rg_gnuplot_quote(out, paths->image);
    fputs("\ndata = ", out);
    rg_gnuplot_quote(out, paths->data);
    fprintf(out, "\nlw = %g\nfs = %g\n%sset output\n", terminal->line, terminal->font, script);
    fclose(out);
    return text;
}

RgStatus rg_gnuplot_draw(const char *output, int width, int height, const char *data,
                         const char *script, RgError *error) {
    const Terminal *terminal = terminal_of(output, error);
    if (!terminal)
        return RG_E_USAGE;
    size_t size;
    Paths paths = split_output(output, strlen(terminal->suffix));
    char *text = make_script(terminal, &paths, width, height, script, &size);
    RgStatus status = rg_folders_make_above(output, error);
    if (status == RG_OK)
        status = write_file(paths.folder, paths.data, data, strlen(data), error);
    if (status == RG_OK)
        status = write_file(paths.folder, paths.script, text, size, error);
    if (status == RG_OK)
        status = run_gnuplot(paths.folder, paths.script, error);
    free(text);
    paths_free(&paths);
    return status;
}
