/* SPDX-License-Identifier: MIT */
/* The formats of preferences: from the JSON object of a line to conversation and responses.
 * text_data.c reads files. */
#ifndef RG_ENVS_TEXT_TEXT_FORMATS_H
#define RG_ENVS_TEXT_TEXT_FORMATS_H

#include "envs/text/text_data.h"

#include <jansson.h>

/* The line being read. */
typedef struct RgTextReader {
    const RgTextReading *reading;
    RgTextFormat format; /* of the file; RG_TEXT_AUTO: not known yet */
    RgTextLine line;
    RgTextReason reason; /* if it is left out, why */
    char why[160];
} RgTextReader;

/* Fill in the line from its JSON value, except its number. An unpaired line has one of the responses,
 * the other is NULL. False if it is unusable: `reason` and `why` say why. */
bool rg_text_format_read(RgTextReader *reader, const json_t *value);

/* Note why the line is left out; returns false. */
bool rg_text_leave_out(RgTextReader *reader, RgTextReason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void rg_text_line_release(RgTextLine *line);

#endif
