/* SPDX-License-Identifier: MIT */
/* Records as CSV (RFC 4180) and JSON. */
#include "analysis/compare/records.h"
#include "analysis/compare/format.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Field {
    char *text; /* NULL: a number */
    double number;
    bool low; /* low end of an interval; its high end follows */
} Field;

struct RgRecords {
    char **names;  /* [columns] */
    Field *fields; /* [rows, columns], row by row */
    size_t columns, count;
    size_t column; /* of the next field */
    size_t rows;   /* complete ones */
};

RgRecords *rg_records_create(void) {
    return rg_allocate(1, sizeof(RgRecords));
}

void rg_records_destroy(RgRecords *records) {
    if (!records)
        return;
    for (size_t i = 0; i < records->columns; i++)
        free(records->names[i]);
    for (size_t i = 0; i < records->count; i++)
        free(records->fields[i].text);
    free(records->names);
    free(records->fields);
    free(records);
}

static void add_field(RgRecords *records, const char *name, Field field) {
    if (records->rows == 0) {
        records->names =
            rg_reallocate(records->names, records->columns + 1, sizeof *records->names);
        records->names[records->columns++] = rg_string_copy(name);
    }
    RG_ASSERT(records->column < records->columns &&
              strcmp(records->names[records->column], name) == 0);
    records->fields = rg_reallocate(records->fields, records->count + 1, sizeof *records->fields);
    records->fields[records->count++] = field;
    records->column++;
}

void rg_record_text(RgRecords *records, const char *name, const char *text) {
    add_field(records, name, (Field){.text = rg_string_copy(text ? text : "")});
}

void rg_record_number(RgRecords *records, const char *name, double value) {
    add_field(records, name, (Field){.number = value});
}

void rg_record_interval(RgRecords *records, const char *name, RgInterval interval) {
    char *low = rg_string_format("%s_low", name), *high = rg_string_format("%s_high", name);
    add_field(records, low, (Field){.number = interval.low, .low = true});
    rg_record_number(records, high, interval.high);
    free(low);
    free(high);
}

void rg_record_end(RgRecords *records) {
    RG_ASSERT(records->column == records->columns);
    records->column = 0;
    records->rows++;
}

void rg_records_write_csv(const RgRecords *records, bool safe, FILE *out) {
    void (*write_text)(FILE *, const char *) = safe ? rg_write_safe_csv : rg_write_csv;
    if (records->rows == 0) /* the columns have no names */
        return;
    for (size_t i = 0; i < records->columns; i++) {
        fputs(i ? "," : "", out);
        write_text(out, records->names[i]);
    }
    putc('\n', out);
    for (size_t row = 0; row < records->rows; row++) {
        const Field *fields = &records->fields[row * records->columns];
        for (size_t i = 0; i < records->columns; i++) {
            fputs(i ? "," : "", out);
            if (fields[i].text)
                write_text(out, fields[i].text);
            else if (!isnan(fields[i].number))
                fprintf(out, "%.10g", fields[i].number);
        }
        putc('\n', out);
    }
}

/* Integers without a point. */
static json_t *json_field(const Field *field) {
    double number = field->number;
    if (field->text)
        return json_string(field->text);
    if (!isfinite(number))
        return json_null();
    return number == rint(number) && fabs(number) < 0x1p53 ? json_integer((json_int_t)number)
                                                           : json_real(number);
}

/* "x_low" and the following field as "x_95": [low, high]. */
static void set_interval(json_t *object, const char *low_name, const Field *low) {
    char *name = rg_string_format("%.*s_95", (int)(strlen(low_name) - strlen("_low")), low_name);
    json_t *interval = json_array();
    json_array_append_new(interval, json_field(low));
    json_array_append_new(interval, json_field(low + 1));
    json_object_set_new(object, name, interval);
    free(name);
}

static json_t *json_row(const RgRecords *records, const Field *fields) {
    json_t *object = json_object();
    for (size_t i = 0; i < records->columns; i++) {
        if (fields[i].low)
            set_interval(object, records->names[i], &fields[i]);
        else
            json_object_set_new(object, records->names[i], json_field(&fields[i]));
        i += fields[i].low;
    }
    return object;
}

json_t *rg_records_json(const RgRecords *records) {
    json_t *rows = json_array();
    for (size_t row = 0; row < records->rows; row++)
        json_array_append_new(rows, json_row(records, &records->fields[row * records->columns]));
    return rows;
}

void rg_json_write(json_t *value, FILE *out) {
    RG_ASSERT(value);
    json_dumpf(value, out, JSON_INDENT(2));
    putc('\n', out);
    json_decref(value);
}

json_t *rg_json_strings(char *const *texts, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_string(texts[i]));
    return array;
}
