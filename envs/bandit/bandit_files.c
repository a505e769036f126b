/* SPDX-License-Identifier: MIT */
/* Tables of numbers in the bandit's text files. */
#include "envs/bandit/bandit_files.h"

#include "core/files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Read the numbers of one line into row [columns]. Returns their number (at most columns + 1), or
 * −1 after an error. */
static int64_t read_row(char *line, const char *path, int number, int64_t columns, double *row,
                        RgError *error) {
    int64_t count = 0;
    char *rest = NULL;
    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok_r(line, " \t\r,", &rest); word && count <= columns;
         word = strtok_r(NULL, " \t\r,", &rest), count++) {
        char *end;
        double value = strtod(word, &end);
        if (*end != '\0' || !isfinite(value)) {
            rg_fail(error, RG_E_FORMAT, "%s:%d: \"%s\" is not a finite number", path, number, word);
            return -1;
        }
        if (count < columns)
            row[count] = value;
    }
    return count;
}

static RgStatus read_rows(char *text, const char *path, int64_t rows, int64_t columns,
                          double *table, int *lines, RgError *error) {
    double *row = rg_allocate(columns, sizeof *row);
    int64_t found = 0;
    int number = 1;
    RgStatus status = RG_OK;
    for (char *line = text, *next; line && status == RG_OK; line = next, number++) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        int64_t count = read_row(line, path, number, columns, row, error);
        if (count < 0)
            status = RG_E_FORMAT;
        else if (count > columns)
            status = rg_fail(error, RG_E_FORMAT, "%s:%d: more than the expected %lld numbers", path,
                             number, (long long)columns);
        else if (count > 0 && count < columns)
            status = rg_fail(error, RG_E_FORMAT, "%s:%d: %lld numbers, expected %lld", path, number,
                             (long long)count, (long long)columns);
        else if (count > 0 && found == rows)
            status = rg_fail(error, RG_E_FORMAT, "%s:%d: more than the expected %lld rows", path,
                             number, (long long)rows);
        else if (count > 0) {
            if (lines)
                lines[found] = number;
            memcpy(table + columns * found++, row, (size_t)columns * sizeof *row);
        }
    }
    free(row);
    if (status == RG_OK && found < rows)
        status = rg_fail(error, RG_E_FORMAT, "%s:%d: the file ends after %lld rows, expected %lld",
                         path, number - 1, (long long)found, (long long)rows);
    return status;
}

RgStatus rg_bandit_read_table(const char *path, int64_t rows, int64_t columns, double *table,
                              int *lines, RgError *error) {
    char *text = NULL;
    size_t size = 0;
    RG_TRY(rg_file_read(path, &text, &size, error));
    RgStatus status = RG_OK;
    if (strlen(text) != size)
        status = rg_fail(error, RG_E_FORMAT, "%s: not a text file", path);
    else
        status = read_rows(text, path, rows, columns, table, lines, error);
    free(text);
    return status;
}

static RgStatus check_counts(const double *row, int64_t columns, const char *path, int line,
                             RgError *error) {
    const double most = 1e15;
    double sum = 0;
    for (int64_t i = 0; i < columns; i++) {
        if (row[i] < 0 || row[i] > most)
            return rg_fail(error, RG_E_FORMAT, "%s:%d: the count is %g, expected 0 to %g", path,
                           line, row[i], most);
        sum += row[i];
    }
    if (sum > 0)
        return RG_OK;
    return rg_fail(error, RG_E_FORMAT,
                   "%s:%d: every count of the context is 0, expected at least one pair", path,
                   line);
}

RgStatus rg_bandit_read_counts(const char *path, int64_t rows, int64_t columns, double *table,
                               RgError *error) {
    int *lines = rg_allocate(rows, sizeof *lines);
    RgStatus status = rg_bandit_read_table(path, rows, columns, table, lines, error);
    for (int64_t i = 0; status == RG_OK && i < rows; i++)
        status = check_counts(table + i * columns, columns, path, lines[i], error);
    free(lines);
    return status;
}
