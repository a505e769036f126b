/* SPDX-License-Identifier: MIT */
/* The filter, and C library streams that write through it. */
#include "core/text/terminal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef struct Door {
    FILE *stream;
    int descriptor;
    bool terminal; /* it is a terminal */
    bool open;     /* bytes are unchanged */
    char held[4];  /* the start of a character that the next write completes */
    size_t held_size;
} Door;

static Door doors[2] = {{.descriptor = STDOUT_FILENO}, {.descriptor = STDERR_FILENO}};

/* ---- the filter ---- */

/* Whether these bytes, not yet a character, may become one with the bytes that follow. */
static bool is_begun(const char *text, size_t size) {
    unsigned char first = (unsigned char)text[0];
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
    for (size_t i = 1; i < size; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            return false;
    return first <= 0xF4 && size < length;
}

size_t rg_terminal_filter(const char *text, size_t size, RgBuffer *out) {
    static const char replacement[] = "\uFFFD";
    size_t at = 0;
    while (at < size) {
        uint32_t character = 0;
        size_t length = rg_utf8_read(text + at, size - at, &character);
        if (length == 0 && is_begun(text + at, size - at))
            break;
        bool shown = length > 0 &&
                     (!rg_utf8_is_control(character) || character == '\n' || character == '\t');
        rg_buffer_append(out, shown ? text + at : replacement,
                         shown ? length : strlen(replacement));
        at += length > 0 ? length : 1;
    }
    return at;
}

/* ---- streams ---- */

static bool write_all(int descriptor, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t written = write(descriptor, bytes, size);
        if (written < 0 && errno != EINTR)
            return false;
        bytes += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

/* The interface of fopencookie(3): returns the bytes consumed, 0 for an error. */
static ssize_t pass(void *cookie, const char *bytes, size_t size) {
    Door *door = cookie;
    RgBuffer text = {0}, shown = {0};
    rg_buffer_append(&text, door->held, door->held_size);
    rg_buffer_append(&text, bytes, size);
    size_t taken = text.size;
    if (!door->open)
        taken = rg_terminal_filter(text.bytes, text.size, &shown);
    door->held_size = text.size - taken;
    memcpy(door->held, text.bytes + taken, door->held_size);
    bool written = door->open ? write_all(door->descriptor, text.bytes, text.size)
                              : write_all(door->descriptor, shown.bytes, shown.size);
    rg_buffer_release(&text);
    rg_buffer_release(&shown);
    return written ? (ssize_t)size : 0;
}

static FILE *begin(Door *door, FILE *plain, int buffering) {
    FILE *stream = fopencookie(door, "w", (cookie_io_functions_t){.write = pass});
    if (!stream)
        return plain;
    door->terminal = isatty(door->descriptor) == 1;
    door->stream = stream;
    setvbuf(stream, NULL, door->terminal && buffering == _IOFBF ? _IOLBF : buffering, BUFSIZ);
    return stream;
}

void rg_terminal_begin(void) {
    stdout = begin(&doors[0], stdout, _IOFBF);
    stderr = begin(&doors[1], stderr, _IONBF);
}

void rg_terminal_data(void) {
    fflush(stdout);
    doors[0].open = !doors[0].terminal;
}

void rg_terminal_control(FILE *stream, const char *text) {
    Door *door = stream == doors[0].stream ? &doors[0] : &doors[1];
    bool open = door->open;
    fflush(stream);
    door->open |= door->stream == stream;
    fputs(text, stream);
    fflush(stream);
    door->open = open;
}
