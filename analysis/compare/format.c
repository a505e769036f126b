/* SPDX-License-Identifier: MIT */
/* Formatting of numbers and text for people, and escaping, independent of tables and pages. */
#include "analysis/compare/format.h"

#include "core/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Scale {
    double factor;
    const char *suffix;
} Scale;

/* The power of a thousand for showing `value`. */
static Scale scale_of(double value, RgUnit unit) {
    static const Scale scales[] = {
        {1e15, " P"}, {1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}};
    if (unit == RG_UNIT_PERCENT)
        return (Scale){0.01, ""};
    if (unit == RG_UNIT_COUNT || unit == RG_UNIT_BYTES)
        for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
            if (fabs(value) >= scales[i].factor * (scales[i].factor == 1e3 ? 10 : 1))
                return scales[i];
    return (Scale){1, ""};
}

/* Decimals that show `spread` with two significant digits. */
static int decimals_for(double spread) {
    if (!isfinite(spread)) /* infinite for numbers near the largest */
        return 0;
    int decimals = 1 - (int)floor(log10(spread));
    return decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
}

/* Decimals that show a number with four significant digits (three after a prefix). */
static int decimals_alone(double value, bool prefixed) {
    if (value == 0 || (value == rint(value) && fabs(value) < 1e5))
        return 0;
    int decimals = (prefixed ? 2 : 3) - (int)floor(log10(fabs(value)));
    return decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
}

static const char *unit_suffix(RgUnit unit, const Scale *scale) {
    return unit == RG_UNIT_BYTES ? (*scale->suffix ? "B" : " B") : "";
}

char *rg_format_fixed(double value, int decimals) {
    char *text = fabs(value) < 1e15 ? rg_string_format("%.*f", decimals, value)
                                    : rg_string_format("%.4g", value); /* avoids 300 digits */
    if (text[0] != '-')
        return text;
    bool zero = strspn(text + 1, "0.") == strlen(text + 1);
    char *better = rg_string_format("%s%s", zero ? "" : "\u2212", text + 1);
    free(text);
    return better;
}

/* "32.500" → "32.5", "2.000" → "2": without a standard error, zeros would suggest precision. */
static void trim_zeros(char *number) {
    if (!strchr(number, '.'))
        return;
    char *end = number + strlen(number);
    while (end[-1] == '0')
        *--end = '\0';
    if (end[-1] == '.')
        end[-1] = '\0';
}

/* A number that six decimals would show as zeros. */
static bool is_tiny(double value, double standard_error) {
    return value != 0 && fabs(value) < 5e-6 && !(standard_error >= 5e-6);
}

/* "4.4e-13 ± 1.9e-13" */
static char *tiny_text(double value, double standard_error) {
    const char *minus = value < 0 ? "\u2212" : "";
    return isnan(standard_error) || standard_error == 0
               ? rg_string_format("%s%.4g", minus, fabs(value))
               : rg_string_format("%s%.2g ± %.2g", minus, fabs(value), standard_error);
}

char *rg_format_value(double value, double standard_error, RgUnit unit) {
    if (isnan(value))
        return rg_string_copy(RG_DASH);
    if (isinf(value))
        return rg_string_copy(value > 0 ? "\u221e" : "\u2212\u221e");
    if (unit == RG_UNIT_PLAIN && is_tiny(value, standard_error))
        return tiny_text(value, standard_error);
    Scale scale = scale_of(value, unit);
    value /= scale.factor;
    standard_error /= scale.factor;
    bool spread =
        standard_error > 1e-12 * fabs(value) /* more than rounding */ && isfinite(standard_error);
    int alone = decimals_alone(value, scale.factor > 1);
    if (unit == RG_UNIT_COUNT ||
        unit == RG_UNIT_BYTES) /* a spread below the fourth digit is noise */
        spread = spread && decimals_for(standard_error) <= alone + 1;
    int decimals = spread ? decimals_for(standard_error) : alone;
    if (unit == RG_UNIT_PERCENT)
        decimals = 1;
    char *number = rg_format_fixed(value, decimals), *text;
    if (!spread && unit != RG_UNIT_PERCENT)
        trim_zeros(number);
    if (spread)
        text = rg_string_format("%s ± %.*f%s%s", number, decimals, standard_error, scale.suffix,
                                unit_suffix(unit, &scale));
    else
        text = rg_string_format("%s%s%s", number, scale.suffix, unit_suffix(unit, &scale));
    free(number);
    return text;
}

char *rg_format_interval(RgInterval interval, RgUnit unit) {
    if (isnan(interval.low) || isnan(interval.high))
        return NULL;
    Scale scale = scale_of(fmax(fabs(interval.low), fabs(interval.high)), unit);
    double low = interval.low / scale.factor, high = interval.high / scale.factor;
    int decimals = high > low ? decimals_for((high - low) / 4) : decimals_alone(high, false);
    if (unit == RG_UNIT_PERCENT)
        decimals = 1;
    char *from = rg_format_fixed(low, decimals), *to = rg_format_fixed(high, decimals);
    char *text = rg_string_format("[%s, %s]%s", from, to, scale.suffix);
    free(from);
    free(to);
    return text;
}

char *rg_format_p(double p_value) {
    if (isnan(p_value))
        return rg_string_copy(RG_DASH);
    return p_value < 1e-4 ? rg_string_copy("< 0.0001") : rg_string_format("%.2g", p_value);
}

/* Text. */

typedef const char *(*Escape)(unsigned char character);

/* Copy with some ASCII characters replaced; text that no escaping makes valid becomes U+FFFD. */
static void write_escaped(FILE *out, const char *text, Escape escape) {
    size_t size = text ? strlen(text) : 0;
    for (size_t at = 0; at < size;) {
        uint32_t c = 0;
        size_t length = rg_utf8_read(text + at, size - at, &c);
        const char *replacement = length == 1 ? escape((unsigned char)c) : NULL;
        bool shown = length > 0 && (!rg_utf8_is_control(c) || c == '\n' || c == '\t');
        if (replacement || !shown)
            fputs(replacement ? replacement : "\uFFFD", out);
        else
            fwrite(text + at, 1, length, out);
        at += length > 0 ? length : 1;
    }
}

static const char *escape_white(unsigned char character) {
    return strchr("\t\n\v\f\r", character) ? " " : NULL;
}

static const char *escape_html(unsigned char character) {
    switch (character) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static const char *escape_latex(unsigned char character) {
    switch (character) {
    case '\\':
        return "\\textbackslash{}";
    case '{':
        return "\\{";
    case '}':
        return "\\}";
    case '$':
        return "\\$";
    case '&':
        return "\\&";
    case '#':
        return "\\#";
    case '%':
        return "\\%";
    case '_':
        return "\\_";
    case '^':
        return "\\textasciicircum{}";
    case '~':
        return "\\textasciitilde{}";
    case '[': /* like *, an argument at the start of a row */
        return "{[}";
    case '*':
        return "{*}";
    case '<':
        return "\\textless{}";
    case '>':
        return "\\textgreater{}";
    default:
        return escape_white(character);
    }
}

static const char *escape_markdown(unsigned char character) {
    static const char special[] = "\\`*_{}[]<>|#&~$";
    static const char *const escaped[] = {"\\\\", "\\`", "\\*", "\\_", "\\{", "\\}", "\\[", "\\]",
                                          "\\<",  "\\>", "\\|", "\\#", "\\&", "\\~", "\\$"};
    const char *at = strchr(special, character);
    return at ? escaped[at - special] : escape_white(character);
}

void rg_write_html(FILE *out, const char *text) {
    write_escaped(out, text, escape_html);
}

void rg_write_latex(FILE *out, const char *text) {
    write_escaped(out, text, escape_latex);
}

void rg_write_markdown(FILE *out, const char *text) {
    write_escaped(out, text, escape_markdown);
}

void rg_write_line(FILE *out, const char *text) {
    write_escaped(out, text, escape_white);
}

/* ---- CSV ---- */

static void write_field(FILE *out, const char *text, const char *before) {
    if (!strpbrk(text, ",\"\n\r")) {
        fprintf(out, "%s%s", before, text);
        return;
    }
    fprintf(out, "\"%s", before);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', out);
        putc(*text, out);
    }
    putc('"', out);
}

void rg_write_csv(FILE *out, const char *text) {
    write_field(out, text ? text : "", "");
}

static bool is_number(const char *text) {
    char *end;
    strtod(text, &end);
    return *text && *end == '\0' && strspn(text, "+-.0123456789eE") == strlen(text);
}

/* Some programs remove spaces before a formula, and treat full-width signs (from Asian keyboards)
 * like the plain ones. */
static bool is_formula(const char *text) {
    static const char *const signs[] = {"=", "+", "-", "@", "＝", "＋", "－", "＠"};
    const char *start = text + rg_utf8_white_at_start(text, strlen(text));
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strncmp(start, signs[i], strlen(signs[i])) == 0)
            return !is_number(start);
    return *text && strchr("\t\n\r", *text);
}

void rg_write_safe_csv(FILE *out, const char *text) {
    text = text ? text : "";
    write_field(out, text, is_formula(text) ? "'" : "");
}
