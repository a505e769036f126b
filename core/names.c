/* SPDX-License-Identifier: MIT */
/* The grammars, character by character. */
#include "core/names.h"

#include "core/utf8.h"

#include <string.h>

enum {
    LONGEST_EXPERIMENT_NAME = 128,
    LONGEST_LABEL = 256,
    LONGEST_DESCRIPTOR_NAME = 48,
    KEY_DIGITS = 16
};

static bool has_control(const char *text) {
    uint32_t character = 0;
    size_t size = strlen(text), at = 0;
    while (at < size) {
        size_t length = rg_utf8_read(text + at, size - at, &character);
        if (length > 0 && rg_utf8_is_control(character))
            return true;
        at += length > 0 ? length : 1;
    }
    return false;
}

static const char *text_fault(const char *text) {
    if (!rg_utf8_is_valid(text, strlen(text)))
        return "expected valid UTF-8";
    return has_control(text) ? "expected no control characters" : NULL;
}

const char *rg_experiment_name_fault(const char *name) {
    if (!name || !name[0])
        return "expected a name, found none";
    if (strlen(name) > LONGEST_EXPERIMENT_NAME)
        return "expected at most 128 bytes";
    if (strchr(name, '/'))
        return "expected no '/', because it becomes a file name";
    if (name[0] == '-' || name[0] == '.')
        return "expected a first character other than '-' and '.', because it becomes a file name";
    return text_fault(name);
}

const char *rg_label_fault(const char *label) {
    if (!label)
        return "expected a label, found none";
    if (strlen(label) > LONGEST_LABEL)
        return "expected at most 256 bytes";
    return text_fault(label);
}

const char *rg_descriptor_name_fault(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    if (!name || !name[0])
        return "expected a name, found none";
    if (strlen(name) > LONGEST_DESCRIPTOR_NAME)
        return "expected at most 48 letters";
    if (name[strspn(name, letters)] || name[0] < 'a')
        return "expected lower-case letters, digits and hyphens, beginning with a letter";
    return NULL;
}

bool rg_key_is_valid(const char *key) {
    return key && strlen(key) == KEY_DIGITS && strspn(key, "0123456789abcdef") == KEY_DIGITS;
}

bool rg_inner_path_is_valid(const char *path) {
    if (!path || text_fault(path))
        return false;
    for (const char *part = path;; part++) {
        size_t length = strcspn(part, "/");
        if (length == 0 || (length <= 2 && strspn(part, ".") >= length))
            return false;
        part += length;
        if (!*part)
            return true;
    }
}

void rg_make_printable(char *text) {
    uint32_t character = 0;
    size_t size = strlen(text), at = 0;
    while (at < size) {
        size_t length = rg_utf8_read(text + at, size - at, &character);
        size_t bytes = length > 0 ? length : 1;
        if (length == 0 || rg_utf8_is_control(character))
            memset(text + at, strchr("\t\n\v\f\r", text[at]) ? ' ' : '?', bytes);
        at += bytes;
    }
}
