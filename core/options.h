/* SPDX-License-Identifier: MIT */
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
#include "core/registry.h"
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
    RgKind kind;                   /* whose registered types there are */
    const struct RgOption *common; /* that each has besides; NULL: none */
    size_t common_size;
    /* The type is a name alone, and its own options stand beside that name, in the same group:
     * estimator = "cg"; iterations = 20. Else they are in a group of its own, as above. */
    bool beside;
} RgOptionFamily;

/* The chosen one. Its options are read by rg_options_read with these settings and this path. */
typedef struct RgOptionPart {
    const RgDescriptor *type;   /* first member of the descriptor of its kind */
    const RgSettings *settings; /* borrowed */
    char path[128];
} RgOptionPart;

typedef struct RgOptionParts {
    int64_t count;
    RgOptionPart item[RG_LIST_MOST];
} RgOptionParts;

/* What a setting makes the program do beyond computing from files that it reads. Settings that
 * strangers sent are refused where they act, unless whoever runs them allows it by the kind's name
 * (experiments/program/config/allowed.h). An option that acts needs no more than its mark. */
typedef enum RgAct {
    RG_ACT_NONE,
    RG_ACT_COMMAND,  /* runs its text as a program */
    RG_ACT_ENDPOINT, /* sends texts to the address */
    RG_ACT_SAVE,     /* writes the file that it names */
    RG_ACT_KEY,      /* reads the variable of the environment that it names, and sends it */
    RG_ACTS,
} RgAct;

typedef struct RgOption {
    const char *name;
    RgOptionKind kind;
    size_t offset;              /* of the member */
    const char *fallback;       /* default, as text; NULL: must be given */
    double low, high;           /* inclusive range of a number */
    const char *const *choices; /* NULL-terminated */
    const char *help;           /* one line, with the unit and the paper's letter */
    const RgOptionFamily *family;
    bool execution_only; /* decides how results come about, not what they are: no part of a trial's
                          * key
                          */
    RgAct act;           /* of a string that is not empty */
    /* Of a string that is given: why it will not do, as the end of a sentence, or NULL. The value
     * is not told: it may hold what nobody is to see. NULL: any will do. */
    const char *(*fault)(const char *text);
    /* Of a path to a folder: which of its files are read, as patterns of the shell; NULL: all. */
    const char *const *files;
} RgOption;

#define RG_OPTION_REAL(type, member, fallback_, low_, high_, help_)                                \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_REAL, .offset = offsetof(type, member),                   \
        .fallback = (fallback_), .low = (low_), .high = (high_), .help = (help_)                   \
    }
#define RG_OPTION_INTEGER(type, member, fallback_, low_, high_, help_)                             \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_INTEGER, .offset = offsetof(type, member),                \
        .fallback = (fallback_), .low = (low_), .high = (high_), .help = (help_)                   \
    }
#define RG_OPTION_BOOLEAN(type, member, fallback_, help_)                                          \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_BOOLEAN, .offset = offsetof(type, member),                \
        .fallback = (fallback_), .help = (help_)                                                   \
    }
#define RG_OPTION_STRING(type, member, fallback_, help_)                                           \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_STRING, .offset = offsetof(type, member),                 \
        .fallback = (fallback_), .help = (help_)                                                   \
    }
/* A string that is checked, see `fault`. */
#define RG_OPTION_CHECKED(type, member, fallback_, fault_, help_)                                  \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_STRING, .offset = offsetof(type, member),                 \
        .fallback = (fallback_), .fault = (fault_), .help = (help_)                                \
    }
/* A string that makes the program act. */
#define RG_OPTION_ACTING(type, member, fallback_, act_, help_)                                     \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_STRING, .offset = offsetof(type, member),                 \
        .fallback = (fallback_), .act = (act_), .help = (help_)                                    \
    }
#define RG_OPTION_PATH(type, member, fallback_, help_)                                             \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_PATH, .offset = offsetof(type, member),                   \
        .fallback = (fallback_), .help = (help_)                                                   \
    }
/* A path that may be of a folder, of which some files are read, see `files`. */
#define RG_OPTION_FOLDER(type, member, fallback_, files_, help_)                                   \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_PATH, .offset = offsetof(type, member),                   \
        .fallback = (fallback_), .files = (files_), .help = (help_)                                \
    }
#define RG_OPTION_CHOICE(type, member, fallback_, choices_, help_)                                 \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_CHOICE, .offset = offsetof(type, member),                 \
        .fallback = (fallback_), .choices = (choices_), .help = (help_)                            \
    }
#define RG_OPTION_LIST(type, member, help_)                                                        \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_LIST, .offset = offsetof(type, member), .fallback = "[]", \
        .help = (help_)                                                                            \
    }
/* One part of a family, or a list of them. */
#define RG_OPTION_PART(type, member, fallback_, family_, help_)                                    \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_PART, .offset = offsetof(type, member),                   \
        .fallback = (fallback_), .family = (family_), .help = (help_)                              \
    }
#define RG_OPTION_PARTS(type, member, family_, help_)                                              \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_PARTS, .offset = offsetof(type, member),                  \
        .fallback = "[]", .family = (family_), .help = (help_)                                     \
    }
#define RG_OPTION_END                                                                              \
    { .kind = RG_KIND_END }

/* Fill the struct `values` from the settings under the group `path` ("" is the top). Checks type
 * and range; the message names file, line, key and what was expected (RG_E_USAGE). An integer will
 * do for a real, never the reverse. Keys that were drawn are marked as used, see
 * rg_settings_check_used. */
RgStatus rg_options_read(const RgOption *table, const RgSettings *settings, const char *path,
                         void *values, RgError *error);

/* Why a table will not do for a struct of `size` bytes, as a sentence's end that names the option,
 * or NULL; malloc'd. Each option has a name of its own that a config can give, a help text, a
 * member within the struct, and a default, if any, that is one of its values. */
char *rg_options_fault(const RgOption *table, size_t size);

/* Set every option, defaults included, under `path` of the resolved config. */
void rg_options_record(const RgOption *table, const void *values, const char *path,
                       RgSettings *resolved);

/* Called with an option and its setting. */
typedef RgStatus RgOptionVisit(void *context, const RgOption *option, const RgSetting *setting,
                               RgError *error);

/* Call `visit` for every option of the table that a resolved config sets in the group `path`, and
 * for those of the parts in it; until the first that fails. */
RgStatus rg_options_visit(const RgOption *table, const char *path, const RgSettings *resolved,
                          RgOptionVisit *visit, void *context, RgError *error);

/* Remove from a resolved config what is execution_only in the group `path`, and in the parts in it.
 */
void rg_options_drop_execution_only(const RgOption *table, const char *path, RgSettings *resolved);

/* The table as people read it, one option a paragraph: name, type and range or choices, default,
 * and the help, wrapped at 80 columns. `stream` is a FILE *. */
void rg_options_print(const RgOption *table, void *stream);

#endif
