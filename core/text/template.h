/* SPDX-License-Identifier: MIT */
/* Chat templates in Jinja, as models publish them in chat_template.jinja or tokenizer_config.json:
 * a conversation in, the text that the model expects out.
 *
 * The language is the part of Jinja 2 that published templates use, with the whitespace rules that
 * transformers sets (trim_blocks, lstrip_blocks):
 *   - statements: if, elif, else, for (with a condition and else), break, continue, set (also of a
 *     namespace's member, and as a block), macro, generation;
 *   - expressions: all operators, slices, conditions, lists, mappings, calls;
 *   - filters: abs, capitalize, count, d, default, first, float, indent, int, items, join,
 *     last, length, list, lower, map, reject, rejectattr, replace, reverse, safe, select,
 *     selectattr, string, title, tojson, trim, upper;
 *   - tests: boolean, defined, divisibleby, equalto, even, false, float, in, integer, iterable,
 *     mapping, none, number, odd, sequence, string, true, undefined and the comparisons;
 *   - functions: namespace, dict, range, raise_exception;
 *   - methods of strings: capitalize, count, endswith, find, join, lower, lstrip, replace, rsplit,
 *     rstrip, split, splitlines, startswith, strip, title, upper; of mappings: get, items, keys,
 *     values; of lists: count, index.
 * Anything else is refused by name. strftime_now is undefined, because with the day of the run the
 * tokens of a conversation would change: templates that ask for it have a fixed date for that case.
 * A letter changes case only to another letter, so ß does not become SS.
 *
 * A template comes from strangers. It reads no files. What it may take is limited by the constants
 * below; one that takes more is refused.
 *
 * Threads: any may render a template. */
#ifndef RG_CORE_TEXT_TEMPLATE_H
#define RG_CORE_TEXT_TEMPLATE_H

#include "core/utf8.h"

#include <jansson.h>

enum {
    RG_TEMPLATE_SOURCE = 256 * 1024,       /* bytes of a template */
    RG_TEMPLATE_MEMORY = 64 * 1024 * 1024, /* bytes that a parse or a rendering takes */
    RG_TEMPLATE_OUTPUT = 16 * 1024 * 1024, /* bytes that a rendering writes */
    RG_TEMPLATE_STEPS = 4 * 1000 * 1000,   /* parts evaluated; 64 bytes looked at count as one */
    RG_TEMPLATE_NESTING = 500,             /* of parts in each other, also by macros */
};

typedef struct RgTemplate RgTemplate;

/* Parses `size` bytes. `path` stands in messages: a file, or a file and a key. Both are copied.
 * RG_E_FORMAT, with path, line and what was expected; *template is then NULL. */
RgStatus rg_template_create(const char *path, const char *source, size_t size,
                            RgTemplate **template, RgError *error);
void rg_template_destroy(RgTemplate *template);

/* Appends to `out` the template filled in with the members of the JSON object `variables`. Bytes of
 * strings that are not UTF-8 count as one character each and are kept. RG_E_FORMAT, with path and
 * line, if the template calls raise_exception, does what is not supported, or exceeds a limit;
 * `out` then has part of the text. */
RgStatus rg_template_render(const RgTemplate *template, json_t *variables, RgBuffer *out,
                            RgError *error);

#endif
