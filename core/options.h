/* SPDX-License-Identifier: MIT */
/* Option tables: the single source of names, types, defaults, ranges and help.
 *
 * An algorithm, an environment, a policy, an optimiser and the trial itself each declare a plain
 * struct and a table that describes its members. The table drives validation, defaults, `regatta
 * show`, the man page, and the resolved config that is stored with a run.
 *
 *     typedef struct DpoOptions { double beta; } DpoOptions;
 *     static const RgOption dpo_options[] = {
 *         RG_OPTION_REAL(DpoOptions, beta, "0.1", 1e-6, 1e3, "strength of the KL term"),
 *         RG_OPTION_END,
 *     };
 *
 * Threads: the tables are constant. A call changes only its arguments. */
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
    RG_KIND_PATH,    /* the same, naming a file or folder that the trial reads; "": none */
    RG_KIND_CHOICE,  /* int: index into `choices` */
    RG_KIND_LIST,    /* RgOptionList */
    RG_KIND_PART,    /* RgOptionPart */
    RG_KIND_PARTS,   /* RgOptionParts */
    RG_KIND_INCLUDE, /* no option: the rows of `table`, for the struct at the offset */
} RgOptionKind;

enum { RG_LIST_MOST = 32 };

/* A list such as [ "word", 13 ]: strings, owned by the settings, and integers as text. */
typedef struct RgOptionList {
    int64_t count;
    struct {
        const char *text;
        bool is_integer;
    } item[RG_LIST_MOST];
} RgOptionList;

/* Types with options of their own. The config names one of them: judge = "ngram", or with options
 * judge = { type = "ngram"; symbols = "words"; }. */
typedef struct RgOptionFamily {
    RgKind kind;                   /* the registered types to choose from */
    const struct RgOption *common; /* options shared by all of them; NULL: none */
    size_t common_size;
    /* If true, the type is only a name, and its options are in the same group as that name:
     * estimator = "cg"; iterations = 20. Otherwise they are in a group of their own, as above. */
    bool beside;
} RgOptionFamily;

/* The chosen type. rg_options_read reads its options from these settings under this path. */
typedef struct RgOptionPart {
    const RgDescriptor *type;   /* first member of the chosen descriptor */
    const RgSettings *settings; /* borrowed */
    char path[128];
} RgOptionPart;

typedef struct RgOptionParts {
    int64_t count;
    RgOptionPart item[RG_LIST_MOST];
} RgOptionParts;

/* What a setting makes the program do beyond computing from the files it reads. In settings from
 * another person such actions are refused, unless the user allows them by the name of the kind
 * (experiments/program/config/allowed.h). An option that acts only needs this mark. */
typedef enum RgAct {
    RG_ACT_NONE,
    RG_ACT_COMMAND,  /* runs its text as a program */
    RG_ACT_ENDPOINT, /* sends texts to the address */
    RG_ACT_SAVE,     /* writes the file it names */
    RG_ACT_KEY,      /* sends the value of the environment variable it names */
    RG_ACTS,
} RgAct;

typedef struct RgOption {
    const char *name; /* "limit", or with a point for an option of a group: "columns.prompt" */
    RgOptionKind kind;
    size_t offset;              /* of the member */
    const char *fallback;       /* default, as text; NULL: must be given */
    double low, high;           /* inclusive range of a number */
    const char *const *choices; /* NULL-terminated */
    const char *help;           /* one line, with the unit and the paper's symbol */
    const RgOptionFamily *family;
    bool execution_only; /* affects execution only, not results; excluded from the trial key */
    bool later;          /* added later: recorded only if not at its default, so that keys stay */
    RgAct act;           /* action of a non-empty string */
    /* Checks a given string: returns why it is invalid, as the end of a sentence, or NULL. The
     * message does not show the value, which may be secret. NULL: every string is valid. */
    const char *(*fault)(const char *text);
    /* For a path to a folder: glob patterns of the files that are read. NULL: all. */
    const char *const *files;
    /* For a path to a file: names of files beside it that are read with it, if they are there.
     * NULL: none. */
    const char *const *neighbours;
    const struct RgOption *table; /* included */
} RgOption;

/* Help is the last; what an option has besides may follow it: `.later = true`. */
#define RG_OPTION_REAL(type, member, fallback_, low_, high_, ...)                                  \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_REAL, .offset = offsetof(type, member),                   \
        .fallback = (fallback_), .low = (low_), .high = (high_), .help = __VA_ARGS__               \
    }
#define RG_OPTION_INTEGER(type, member, fallback_, low_, high_, ...)                               \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_INTEGER, .offset = offsetof(type, member),                \
        .fallback = (fallback_), .low = (low_), .high = (high_), .help = __VA_ARGS__               \
    }
#define RG_OPTION_BOOLEAN(type, member, fallback_, ...)                                            \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_BOOLEAN, .offset = offsetof(type, member),                \
        .fallback = (fallback_), .help = __VA_ARGS__                                               \
    }
#define RG_OPTION_STRING(type, member, fallback_, ...)                                             \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_STRING, .offset = offsetof(type, member),                 \
        .fallback = (fallback_), .help = __VA_ARGS__                                               \
    }
/* A string that is checked by `fault`. */
#define RG_OPTION_CHECKED(type, member, fallback_, fault_, ...)                                    \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_STRING, .offset = offsetof(type, member),                 \
        .fallback = (fallback_), .fault = (fault_), .help = __VA_ARGS__                            \
    }
/* A string that makes the program act. */
#define RG_OPTION_ACTING(type, member, fallback_, act_, help_)                                     \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_STRING, .offset = offsetof(type, member),                 \
        .fallback = (fallback_), .act = (act_), .help = (help_)                                    \
    }
#define RG_OPTION_PATH(type, member, fallback_, ...)                                               \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_PATH, .offset = offsetof(type, member),                   \
        .fallback = (fallback_), .help = __VA_ARGS__                                               \
    }
/* A path that may be a folder, of which only the files that match `files` are read. */
#define RG_OPTION_FOLDER(type, member, fallback_, files_, ...)                                     \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_PATH, .offset = offsetof(type, member),                   \
        .fallback = (fallback_), .files = (files_), .help = __VA_ARGS__                            \
    }
#define RG_OPTION_CHOICE(type, member, fallback_, choices_, ...)                                   \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_CHOICE, .offset = offsetof(type, member),                 \
        .fallback = (fallback_), .choices = (choices_), .help = __VA_ARGS__                        \
    }
#define RG_OPTION_LIST(type, member, help_)                                                        \
    {                                                                                              \
        .name = #member, .kind = RG_KIND_LIST, .offset = offsetof(type, member), .fallback = "[]", \
        .help = (help_)                                                                            \
    }
/* One type of a family, or a list of them. */
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
/* The rows of another table: for the struct in a member, or for this same struct. */
#define RG_OPTION_INCLUDE(type, member, table_)                                                    \
    { .kind = RG_KIND_INCLUDE, .offset = offsetof(type, member), .table = (table_) }
#define RG_OPTION_EXTEND(table_)                                                                   \
    { .kind = RG_KIND_INCLUDE, .table = (table_) }
#define RG_OPTION_END                                                                              \
    { .kind = RG_KIND_END }

/* The option at `index` of a table, in order, with those of the tables that it includes. `base`
 * (may be NULL) out: where in the table's struct the option's offset begins. NULL: there are no
 * more; `table` may be NULL, too.
 *
 *     for (int i = 0; (option = rg_options_at(table, i, NULL)); i++) */
const RgOption *rg_options_at(const RgOption *table, int index, size_t *base);

/* The option of that name; NULL: there is none. */
const RgOption *rg_options_find(const RgOption *table, const char *name);

/* Names the key that a message is about. A message that begins with an option of the table, "limit is
 * 3, …", gets the group `path` in front, "path.limit is 3, …". One that has an option after a word,
 * "ngram: limit is 3", becomes "path.limit: ngram: limit is 3", and any other "path: …". A message
 * that begins with a key or a file stays. Returns `status`. */
RgStatus rg_options_name_key(const RgOption *table, const char *path, RgStatus status,
                             RgError *error);

/* Fills the struct `values` from the settings under the group `path` ("" is the top). Checks types
 * and ranges. RG_E_USAGE: the message names file, line, key and what was expected. An integer is
 * accepted for a real, but not the reverse. Every key that was read is marked as used (see
 * rg_settings_check_used). */
RgStatus rg_options_read(const RgOption *table, const RgSettings *settings, const char *path,
                         void *values, RgError *error);

/* Why a table is invalid for a struct of `size` bytes: the end of a sentence that names the option;
 * the caller frees it. NULL: it is valid. Each option needs a unique valid name, a help text, a
 * member within the struct and, if it has a default, one that is an allowed value. */
char *rg_options_fault(const RgOption *table, size_t size);

/* Sets every option under `path` of the resolved config: defaults included, except those of options
 * with `later`. */
void rg_options_record(const RgOption *table, const void *values, const char *path,
                       RgSettings *resolved);

/* Called with an option and its setting. */
typedef RgStatus RgOptionVisit(void *context, const RgOption *option, const RgSetting *setting,
                               RgError *error);

/* Calls `visit` for every option of the table that a resolved config sets in the group `path`, and
 * for the options of the types chosen there. Stops at the first failure and returns it. */
RgStatus rg_options_visit(const RgOption *table, const char *path, const RgSettings *resolved,
                          RgOptionVisit *visit, void *context, RgError *error);

/* Removes all options marked execution_only from the group `path` of a resolved config, and from
 * the types chosen there. */
void rg_options_drop_execution_only(const RgOption *table, const char *path, RgSettings *resolved);

/* Prints the table for people, one paragraph per option: name, type, range or choices, default and
 * help, wrapped at 80 columns. `stream` is a FILE *. */
void rg_options_print(const RgOption *table, void *stream);

#endif
