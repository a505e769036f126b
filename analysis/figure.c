/* Drawing a figure: the data file, the script, and gnuplot run on it in the output's folder. */
#include "analysis/figure.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Okabe & Ito's palette, told apart with every common form of colour blindness; its yellow is too
 * faint on paper and left out. Curves beyond it repeat the colours with other dashes and points. */
static const char *const colors[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                     "#E69F00", "#56B4E9", "#000000"};
enum { COLOR_COUNT = sizeof colors / sizeof *colors };
static const char *const dashes[] = {"1", "(12,4)", "(12,4,3,4)", "(5,4)", "(20,5)"};
enum { DASH_COUNT = sizeof dashes / sizeof *dashes };
static const int point_types[] = {7, 5, 9, 13, 11, 6, 4, 8, 12, 10}; /* filled ones first */
enum { POINT_COUNT = sizeof point_types / sizeof *point_types };

typedef struct Suffix {
    const char *suffix, *terminal, *family;
    double scale;      /* pixels to the terminal's unit */
    double font, line; /* the same look in every terminal */
} Suffix;

static const Suffix suffixes[] = {
    {".svg", "svg noenhanced", "sans-serif", 1, 13, 1},
    {".png", "pngcairo noenhanced", "DejaVu Sans", 2, 22, 2},
    {".pdf", "pdfcairo noenhanced", "DejaVu Sans", 1.0 / 96, 9.75, 0.75},
};

static void curve_free(RgFigureCurve *curve) {
    free(curve->name);
    free(curve->points);
}

void rg_figure_drop_empty(RgFigure *figure) {
    int kept = 0;
    for (int i = 0; i < figure->curve_count; i++)
        if (figure->curves[i].count > 0)
            figure->curves[kept++] = figure->curves[i];
        else
            curve_free(&figure->curves[i]);
    figure->curve_count = kept;
}

void rg_figure_destroy(RgFigure *figure) {
    if (!figure)
        return;
    for (int i = 0; i < figure->curve_count; i++)
        curve_free(&figure->curves[i]);
    for (int i = 0; i < figure->category_count; i++)
        free(figure->categories[i]);
    free(figure->curves);
    free(figure->categories);
    free(figure->title);
    free(figure->x_label);
    free(figure->y_label);
    free(figure);
}

/* Writing. */

/* A string for gnuplot: single quotes, in which nothing but the quote itself is special. */
static void write_quoted(FILE *out, const char *text) {
    putc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            putc('\'', out);
        putc((unsigned char)*text < ' ' ? ' ' : *text, out);
    }
    putc('\'', out);
}

/* A number for the data file; what is absent reads back as not a number in any program. */
static void write_number(FILE *out, double value) {
    if (isnan(value))
        fputs("\tnan", out);
    else
        fprintf(out, "\t%.10g", value);
}

/* Curves are parted by two blank lines, gnuplot's mark of a new data set. Where x is the place of a
 * category, the last column is the category. */
static void write_data(const RgFigure *figure, FILE *out) {
    bool categories = figure->x_scale == RG_AXIS_CATEGORIES;
    fprintf(out, "curve\tx\tmean\tlow\thigh\tseeds%s\n", categories ? "\tcategory" : "");
    for (int i = 0; i < figure->curve_count; i++) {
        const RgFigureCurve *curve = &figure->curves[i];
        if (i > 0)
            fputs("\n\n", out);
        for (int64_t j = 0; j < curve->count; j++) {
            for (const char *c = curve->name; *c; c++)
                putc((unsigned char)*c < ' ' ? ' ' : *c, out);
            write_number(out, curve->points[j].x);
            write_number(out, curve->points[j].y);
            write_number(out, curve->points[j].low);
            write_number(out, curve->points[j].high);
            fprintf(out, "\t%lld", (long long)curve->points[j].seeds);
            if (categories)
                fprintf(out, "\t%s",
                        curve->flat ? "" : figure->categories[(int)curve->points[j].x]);
            putc('\n', out);
        }
    }
}

typedef struct Range {
    double low, high;
} Range;

static void widen(Range *range, double value) {
    if (!isfinite(value))
        return;
    range->low = isnan(range->low) ? value : fmin(range->low, value);
    range->high = isnan(range->high) ? value : fmax(range->high, value);
}

static const double LOG_MARGIN = 1.25;

/* The y range shows all means, and all of the bands unless these would dwarf the curves: with two
 * seeds Student's quantile is 12.7, and the band would leave nothing to see. */
static Range y_range(const RgFigure *figure) {
    Range means = {NAN, NAN}, bands = {NAN, NAN};
    for (int i = 0; i < figure->curve_count; i++)
        for (int64_t j = 0; j < figure->curves[i].count; j++) {
            const RgFigurePoint *point = &figure->curves[i].points[j];
            widen(&means, point->y);
            widen(&bands, point->low);
            widen(&bands, point->high);
        }
    if (isnan(means.low))
        return (Range){0, 1};
    if (figure->y_log)
        return (Range){means.low / LOG_MARGIN * figure->y_factor,
                       means.high * LOG_MARGIN * figure->y_factor};
    double span = means.high - means.low;
    if (span == 0)
        span = means.high != 0 ? fabs(means.high) : 1;
    Range range = {means.low - 0.05 * span, means.high + 0.05 * span};
    range.low = fmin(range.low, fmax(bands.low, means.low - span));
    range.high = fmax(range.high, fmin(bands.high, means.high + span));
    if (figure->share) { /* a little more than 1, so that a curve along the edge is seen whole */
        range.low = fmax(range.low, -0.01);
        range.high = fmin(range.high, 1.01);
    }
    return (Range){range.low * figure->y_factor, range.high * figure->y_factor};
}

/* By itself a log axis ends at whole decades, which may leave most of it empty. */
static void write_log_axis(const RgFigure *figure, FILE *out) {
    Range x = {NAN, NAN};
    for (int i = 0; i < figure->curve_count; i++)
        for (int64_t j = 0; j < figure->curves[i].count; j++)
            widen(&x, figure->curves[i].points[j].x * figure->x_factor);
    fprintf(out, "set logscale x\nset format x '%%g'\nset xrange [%.4g:%.4g]\n", x.low / LOG_MARGIN,
            x.high * LOG_MARGIN);
}

static void write_x_axis(const RgFigure *figure, FILE *out) {
    if (figure->x_scale == RG_AXIS_LOG)
        write_log_axis(figure, out);
    if (figure->x_scale != RG_AXIS_CATEGORIES)
        return;
    fprintf(out, "set xrange [-0.5:%g]\nset xtics (", figure->category_count - 0.5);
    for (int i = 0; i < figure->category_count; i++) {
        fputs(i ? ", " : "", out);
        write_quoted(out, figure->categories[i]);
        fprintf(out, " %d", i);
    }
    fputs(") scale 0\n", out);
}

/* Horizontal labels are read without turning the head: the y label stands on top of its axis. */
static void write_frame(const RgFigure *figure, FILE *out) {
    Range y = y_range(figure);
    fputs("set datafile separator tab\n"
          "set datafile missing 'nan'\n"
          "set encoding utf8\n"
          "set border 3 linewidth 0.8 linecolor rgb '#444444'\n"
          "set tics nomirror out scale 0.5 textcolor rgb '#333333'\n"
          "set grid ytics linetype 1 linewidth 0.6 linecolor rgb '#DDDDDD'\n"
          "set key below Left reverse samplen 3 spacing 1.2 textcolor rgb '#222222'\n",
          out);
    if (figure->y_log)
        fputs("set logscale y\nset format y '%g'\n", out);
    fprintf(out, "set yrange [%.10g:%.10g]\n", y.low, y.high);
    write_x_axis(figure, out);
    fputs("set xlabel ", out);
    write_quoted(out, figure->x_label);
    fputs(".\"\\n\" textcolor rgb '#222222'\nset label 1 ", out); /* a line's room above the key */
    write_quoted(out, figure->y_label);
    fputs(" at graph 0, graph 1 offset character -5, character 1 textcolor rgb '#222222'\n", out);
    if (figure->title) {
        fputs("set title ", out);
        write_quoted(out, figure->title);
        fputs(" offset 0, 1.2 textcolor rgb '#000000'\n", out);
    }
    fprintf(out, "set tmargin %g\n", figure->title ? 4.5 : 2.5);
}

static void write_style(const RgFigureCurve *curve, double line, FILE *out) {
    int shape = curve->style + curve->style / COLOR_COUNT;
    fprintf(out, "linecolor rgb '%s' linewidth %g dashtype %s", colors[curve->style % COLOR_COUNT],
            1.6 * line, dashes[shape % DASH_COUNT]);
    if (!curve->flat)
        fprintf(out, " pointtype %d pointsize %g", point_types[shape % POINT_COUNT], 0.55 * line);
}

static bool has_band(const RgFigureCurve *curve) {
    for (int64_t i = 0; i < curve->count; i++)
        if (isfinite(curve->points[i].low) && curve->points[i].high > curve->points[i].low)
            return true;
    return false;
}

/* Error bars where x is no scale on which neighbours meet; of several curves over the same
 * categories, side by side. */
static bool has_bars(const RgFigure *figure, int curve) {
    return !figure->curves[curve].flat && (figure->path || figure->x_scale == RG_AXIS_CATEGORIES);
}

static double dodge(const RgFigure *figure, int curve) {
    int before = 0, all = 0;
    for (int i = 0; i < figure->curve_count; i++) {
        all += !figure->curves[i].flat;
        before += i < curve && !figure->curves[i].flat;
    }
    if (figure->x_scale != RG_AXIS_CATEGORIES || figure->curves[curve].flat)
        return 0;
    return 0.06 * (before - 0.5 * (all - 1));
}

static void write_band(const RgFigure *figure, int curve, double line, FILE *out) {
    const char *color = colors[figure->curves[curve].style % COLOR_COUNT];
    fprintf(out, " index %d", curve);
    if (figure->path) /* bars at every point of a path would cover each other */
        fprintf(out, " every ::%lld", (long long)figure->curves[curve].count - 1);
    fprintf(out, " using ($2*xf%+.3g):", dodge(figure, curve));
    if (has_bars(figure, curve))
        fprintf(out,
                "($3*yf):($4*yf):($5*yf) with yerrorbars linecolor rgb '#80%s' linewidth %g "
                "pointtype 0 notitle",
                color + 1, line);
    else
        fprintf(out,
                "($4*yf):($5*yf) with filledcurves fillstyle transparent solid 0.13 noborder "
                "fillcolor rgb '%s' notitle",
                color);
}

static void write_legend(const RgFigureCurve *curve, FILE *out) {
    char *text = curve->diverged
                     ? rg_string_format("%s (%d diverged)", curve->name, curve->diverged)
                     : rg_string_copy(curve->name);
    write_quoted(out, text);
    free(text);
}

static void write_curve(const RgFigure *figure, int curve, double line, FILE *out) {
    int64_t count = figure->curves[curve].count;
    bool flat = figure->curves[curve].flat;
    fprintf(out, " index %d using ($2*xf%+.3g):($3*yf) with %s ", curve, dodge(figure, curve),
            flat ? "lines" : "linespoints");
    write_style(&figure->curves[curve], line, out);
    if (count > 15 && !flat)
        fprintf(out, " pointinterval %lld", (long long)(count / 10));
    fputs(" title ", out);
    write_legend(&figure->curves[curve], out);
}

/* Bands first, so that no curve is hidden under another's band. */
static void write_curves(const RgFigure *figure, const char *data, double line, FILE *out) {
    const char *between = "plot ";
    fprintf(out, "xf = %.10g\nyf = %.10g\n", figure->x_factor, figure->y_factor);
    for (int i = 0; i < 2 * figure->curve_count; i++) {
        int curve = i % figure->curve_count;
        bool band = i < figure->curve_count;
        if (band && !has_band(&figure->curves[curve]))
            continue;
        fputs(between, out);
        write_quoted(out, data);
        if (band)
            write_band(figure, curve, line, out);
        else
            write_curve(figure, curve, line, out);
        between = ", \\\n     ";
    }
    putc('\n', out);
}

static void write_script(const RgFigure *figure, const Suffix *format, const char *image,
                         const char *data, int width, int height, FILE *out) {
    fprintf(out,
            "# gnuplot <this file>, in its folder, draws the figure again.\n"
            "set terminal %s size %g,%g font '%s,%g'\nset output ",
            format->terminal, width * format->scale, height * format->scale, format->family,
            format->font);
    write_quoted(out, image);
    putc('\n', out);
    write_frame(figure, out);
    write_curves(figure, data, format->line, out);
    fputs("set output\n", out);
}

/* Running. */

/* In the child: gnuplot in `folder`, what it says going to `messages`. */
static _Noreturn void become_gnuplot(const char *folder, const char *script, int messages) {
    if (chdir(folder) == 0 && dup2(messages, STDERR_FILENO) >= 0 &&
        dup2(messages, STDOUT_FILENO) >= 0)
        execlp("gnuplot", "gnuplot", "--default-settings", script, (char *)NULL);
    _exit(errno == ENOENT ? 127 : 126);
}

/* The last line of gnuplot's complaint that says something: the others point at the spot. */
static const char *complaint(char *text) {
    const char *last = "no message";
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
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
    char said[4096] = "", rest[512];
    size_t used = 0;
    ssize_t got;
    while (child > 0 &&
           ((got = read(pipe_ends[0], rest, sizeof rest)) > 0 || (got < 0 && errno == EINTR))) {
        if (got > 0 && used + (size_t)got < sizeof said) {
            memcpy(said + used, rest, (size_t)got);
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
                       "gnuplot is not installed or not on the PATH: it draws "
                       "the figures");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return rg_fail(error, RG_E_FILE, "gnuplot failed on %s/%s: %s", folder, script,
                       complaint(said));
    return RG_OK;
}

typedef struct Paths {
    char *folder, *image, *data, *script; /* the last three as names within the folder */
} Paths;

static Paths split_output(const char *output, size_t suffix) {
    const char *slash = strrchr(output, '/');
    const char *name = slash ? slash + 1 : output;
    int stem = (int)(strlen(name) - suffix);
    int folder = slash ? (int)(slash - output) + (slash == output) : 1;
    return (Paths){.folder = rg_string_format("%.*s", folder, slash ? output : "."),
                   .image = rg_string_copy(name),
                   .data = rg_string_format("%.*s.tsv", stem, name),
                   .script = rg_string_format("%.*s.gnuplot", stem, name)};
}

static void paths_free(Paths *paths) {
    free(paths->folder);
    free(paths->image);
    free(paths->data);
    free(paths->script);
}

/* Write what a memory stream collected; frees it. */
static RgStatus write_file(const char *folder, const char *name, char *content, size_t size,
                           RgError *error) {
    char *path = rg_string_format("%s/%s", folder, name);
    RgStatus status = rg_file_write(path, content, size, error);
    free(path);
    free(content);
    return status;
}

static RgStatus draw(const RgFigure *figure, const Suffix *format, const Paths *paths, int width,
                     int height, RgError *error) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    write_data(figure, out);
    fclose(out);
    RG_TRY(write_file(paths->folder, paths->data, text, size, error));
    out = open_memstream(&text, &size);
    write_script(figure, format, paths->image, paths->data, width, height, out);
    fclose(out);
    RG_TRY(write_file(paths->folder, paths->script, text, size, error));
    return run_gnuplot(paths->folder, paths->script, error);
}

/* Room for the frame in proportion to its width, and below it for as many rows as the legend will
 * take: about 8 pixels a letter, 60 for the sample of the line. */
static int natural_height(const RgFigure *figure, int width) {
    size_t longest = 1;
    for (int i = 0; i < figure->curve_count; i++) {
        size_t length = strlen(figure->curves[i].name) + (figure->curves[i].diverged ? 13 : 0);
        longest = length > longest ? length : longest;
    }
    int columns = width * 9 / 10 / (60 + 8 * (int)longest);
    columns = columns > 0 ? columns : 1;
    int rows = (figure->curve_count + columns - 1) / columns;
    return width * 16 / 25 + 40 + 19 * rows + (figure->title ? 32 : 0);
}

RgStatus rg_figure_draw(const RgFigure *figure, const char *output, int width, int height,
                        RgError *error) {
    size_t length = strlen(output);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t suffix = strlen(suffixes[i].suffix);
        if (length <= suffix || strcmp(output + length - suffix, suffixes[i].suffix) != 0 ||
            output[length - suffix - 1] == '/')
            continue;
        Paths paths = split_output(output, suffix);
        width = width > 0 ? width : 720;
        height = height > 0 ? height : natural_height(figure, width);
        RgStatus status = draw(figure, &suffixes[i], &paths, width, height, error);
        paths_free(&paths);
        return status;
    }
    return rg_fail(error, RG_E_USAGE, "figure \"%s\": expected a name ending in .svg, .png or .pdf",
                   output);
}
