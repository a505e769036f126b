/* Option tables: the single source of names, types, defaults, ranges and help.
 *
 * An algorithm, environment, policy, optimiser or the trial itself declares a plain struct and a
 * table that describes its members. The table serves validation, defaults, `regatta show`, the
 * man page and the resolved config that is stored with a run.
 *
 *     typedef struct DpoOptions { double beta; } DpoOptions;
 *     static const RgOption dpo_options[] = {
 *         RG_OPTION_REAL(DpoOptions, beta, "0.1", 1e-6, 1e3, "strength of the KL term"),
 *         RG_OPTION_END,
 *     }; */
#ifndef RG_CORE_OPTIONS_H
#define RG_CORE_OPTIONS_H

#include "core/base.h"
#include "core/settings.h"

typedef enum RgOptionKind {
    RG_KIND_END,
    RG_KIND_REAL,    /* double */
    RG_KIND_INTEGER, /* int64_t */
    RG_KIND_BOOLEAN, /* bool */
    RG_KIND_STRING,  /* const char *, owned by the settings; "" when empty */
    RG_KIND_PATH,    /* the same, which names a file or folder that the trial reads; "": none */
    RG_KIND_CHOICE,  /* int: index into `choices` */
    RG_KIND_LIST,    /* RgOptionList */
    RG_KIND_PART,    /* RgOptionPart */
    RG_KIND_PARTS,   /* RgOptionParts */
} RgOptionKind;

enum { RG_LIST_MOST = 16 };

/* [ "word", 13 ]: strings, owned by the settings, and integers as text. */
typedef struct RgOptionList {
    int64_t count;
    struct {
        const char *text;
        bool is_integer;
    } item[RG_LIST_MOST];
} RgOptionList;

/* Types with options of their own, of which a config names one: judge = "ngram", or with options
 * judge = { type = "ngram"; symbols = "words"; }. */
typedef struct RgOptionFamily {
    const char *noun;           /* "judge" */
    const char *(*name)(int i); /* of the i-th type; NULL after the last */
    const struct RgOption *(*options)(int i, size_t *size);
    const struct RgOption *common; /* that each has besides; NULL: none */
    size_t common_size;
    const char *(*lacks)(int i); /* packages without which this build has it by name alone: to be
                                    asked for is an error. NULL: it is there; so are all without */
} RgOptionFamily;

/* The chosen one. Its options are read by rg_options_read with these settings and this path. */
typedef struct RgOptionPart {
    int type;                   /* its number in the family */
    const RgSettings *settings; /* borrowed */
    char path[128];
} RgOptionPart;

typedef struct RgOptionParts {
    int64_t count;
    RgOptionPart item[RG_LIST_MOST];
} RgOptionParts;

typedef struct RgOption {
    const char *name;
    RgOptionKind kind;
    size_t offset;              /* of the member */
    const char *fallback;       /* default, as text; NULL: must be given */
    double low, high;           /* inclusive range of a number */
    const char *const *choices; /* NULL-terminated */
    const char *help;           /* one line, with the unit and the paper's letter */
    const RgOptionFamily *family;
    bool incidental; /* decides how results come about, not what they are: no part of a trial's key
                      */
} RgOption;

#define RG_OPTION_REAL(type, member, fallback, low, high, help)                                    \
    { #member, RG_KIND_REAL, offsetof(type, member), fallback, low, high, NULL, help, NULL, false }
#define RG_OPTION_INTEGER(type, member, fallback, low, high, help)                                 \
    {                                                                                              \
#member, RG_KIND_INTEGER, offsetof(type, member), fallback, low, high, NULL, help, NULL,   \
            false                                                                                  \
    }
#define RG_OPTION_BOOLEAN(type, member, fallback, help)                                            \
    { #member, RG_KIND_BOOLEAN, offsetof(type, member), fallback, 0, 0, NULL, help, NULL, false }
#define RG_OPTION_STRING(type, member, fallback, help)                                             \
    { #member, RG_KIND_STRING, offsetof(type, member), fallback, 0, 0, NULL, help, NULL, false }
#define RG_OPTION_PATH(type, member, fallback, help)                                               \
    { #member, RG_KIND_PATH, offsetof(type, member), fallback, 0, 0, NULL, help, NULL, false }
#define RG_OPTION_CHOICE(type, member, fallback, choices, help)                                    \
    { #member, RG_KIND_CHOICE, offsetof(type, member), fallback, 0, 0, choices, help, NULL, false }
#define RG_OPTION_LIST(type, member, help)                                                         \
    { #member, RG_KIND_LIST, offsetof(type, member), "[]", 0, 0, NULL, help, NULL, false }
/* One part of a family, or a list of them. */
#define RG_OPTION_PART(type, member, fallback, family, help)                                       \
    { #member, RG_KIND_PART, offsetof(type, member), fallback, 0, 0, NULL, help, family, false }
#define RG_OPTION_PARTS(type, member, family, help)                                                \
    { #member, RG_KIND_PARTS, offsetof(type, member), "[]", 0, 0, NULL, help, family, false }
#define RG_OPTION_END                                                                              \
    { NULL, RG_KIND_END, 0, NULL, 0, 0, NULL, NULL, NULL, false }

/* Fill the struct `values` from the settings under the group `path` ("" is the top). Checks type
 * and range; the message names file, line, key and what was expected (RG_E_USAGE). An integer will
 * do for a real, never the reverse. Keys that were drawn are marked as used, see
 * rg_settings_check_used. */
RgStatus rg_options_read(const RgOption *table, const RgSettings *settings, const char *path,
                         void *values, RgError *error);

/* Set every option, defaults included, under `path` of the resolved config. */
void rg_options_record(const RgOption *table, const void *values, const char *path,
                       RgSettings *resolved);

/* Remove from a resolved config what is incidental in the group `path`, and in the parts in it. */
void rg_options_drop_incidental(const RgOption *table, const char *path, RgSettings *resolved);

/* The table as people read it, one option a paragraph: name, type and range or choices, default,
 * and the help, wrapped at 80 columns. `stream` is a FILE *. */
void rg_options_print(const RgOption *table, void *stream);

#endif
