/* SPDX-License-Identifier: MIT */
/* Reading Hugging Face's tokenizer.json: the model, its vocabulary and merges, the added tokens.
 * The other parts are in normalizer.c, pre_tokenizer.c and decoder.c. */
#include "core/notice.h"
#include "core/text/byte_alphabet.h"
#include "core/text/json_part.h"
#include "core/text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct Reader {
    const char *path;
    json_t *model;
    json_t *vocabulary; /* object: characters → id */
    json_t *merges, *added;
    RgByteAlphabet alphabet;
    char *scratch; /* for two tokens' names one after the other */
    size_t scratch_size;
    RgTokenizer *tokenizer;
    RgError *error;
} Reader;

static char *scratch_of(Reader *reader, size_t size) {
    if (size > reader->scratch_size) {
        reader->scratch_size = 2 * size;
        reader->scratch = rg_reallocate(reader->scratch, reader->scratch_size, 1);
    }
    return reader->scratch;
}

/* ---- the model's options ---- */

static RgStatus refuse_option(const Reader *reader, const char *option, const char *why) {
    json_t *value = json_object_get(reader->model, option);
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    RgStatus status = rg_fail(reader->error, RG_E_FORMAT, "%s: model.%s %.100s %s", reader->path,
                              option, text ? text : "missing", why);
    free(text);
    return status;
}

static RgStatus read_flag(const Reader *reader, const char *option, bool *value) {
    json_t *json = json_object_get(reader->model, option);
    *value = json_is_true(json);
    return !json || json_is_null(json) || json_is_boolean(json)
               ? RG_OK
               : refuse_option(reader, option, "is neither true nor false");
}

static RgStatus check_model(const Reader *reader) {
    static const char *const unset[] = {"dropout", "continuing_subword_prefix",
                                        "end_of_word_suffix"};
    json_t *type = json_object_get(reader->model, "type");
    /* Files from before 2020 do not have it. */
    if (!json_is_object(reader->model) || (type && !json_is_string(type)) ||
        (type && strcmp(json_string_value(type), "BPE") != 0))
        return rg_fail(reader->error, RG_E_FORMAT, "%s: model %s is not supported, only BPE",
                       reader->path, type ? json_string_value(type) : "null");
    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++) {
        json_t *value = json_object_get(reader->model, unset[i]);
        bool empty = json_is_string(value) && json_string_length(value) == 0;
        bool zero = json_is_number(value) && json_number_value(value) == 0;
        if (value && !empty && !zero && !json_is_null(value))
            return refuse_option(reader, unset[i], "is not supported");
    }
    if (!json_is_object(reader->vocabulary) || !json_is_array(reader->merges))
        return rg_fail(reader->error, RG_E_FORMAT,
                       "%s: model.vocab is not an object or model.merges is not an array",
                       reader->path);
    return RG_OK;
}

/* ---- added tokens ---- */

static RgStatus refuse_added(const Reader *reader, size_t index, const char *why) {
    const char *name =
        json_string_value(json_object_get(json_array_get(reader->added, index), "content"));
    return rg_fail(reader->error, RG_E_FORMAT, "%s: added_tokens[%zu] \"%.100s\": %s", reader->path,
                   index, name ? name : "", why);
}

static RgStatus set_text(const Reader *reader, const char *name, json_t *number, const char *bytes,
                         size_t size) {
    RgTokenizer *tokenizer = reader->tokenizer;
    json_int_t id = json_integer_value(number);
    if (!json_is_integer(number) || id < 0 || id >= tokenizer->count)
        return rg_fail(reader->error, RG_E_FORMAT,
                       "%s: token \"%s\": its id is not one of 0 to %lld", reader->path, name,
                       (long long)tokenizer->count - 1);
    if (tokenizer->text[id].bytes)
        return rg_fail(reader->error, RG_E_FORMAT, "%s: token \"%s\": id %lld is taken",
                       reader->path, name, (long long)id);
    rg_tokenizer_set_text(tokenizer, id, bytes, size);
    return RG_OK;
}

static RgStatus read_added_flags(const Reader *reader, size_t index, bool flags[5]) {
    static const char *const names[5] = {"special", "normalized", "lstrip", "rstrip",
                                         "single_word"};
    json_t *token = json_array_get(reader->added, index);
    for (int i = 0; i < 5; i++) {
        json_t *value = json_object_get(token, names[i]);
        if (value && !json_is_boolean(value))
            return refuse_added(reader, index, "a flag is neither true nor false");
        flags[i] = json_is_true(value);
    }
    return flags[4] ? refuse_added(reader, index, "single_word is not supported") : RG_OK;
}

/* Gives added tokens that are not in the vocabulary their ids in the Rust library, whatever their
 * own are: the next after the largest of the added tokens before, or after as many as the
 * vocabulary has. */
static void number_added(const Reader *reader) {
    json_int_t last = -1, size = (json_int_t)json_object_size(reader->vocabulary);
    json_t *token = NULL;
    size_t index = 0;
    json_array_foreach(reader->added, index, token) {
        const char *name = json_string_value(json_object_get(token, "content"));
        json_t *listed = name ? json_object_get(reader->vocabulary, name) : NULL;
        json_t *own = json_object_get(token, "id");
        json_int_t id = listed ? json_integer_value(listed) : last < size ? size : last + 1;
        last = id > last ? id : last;
        if (!name || listed || !json_is_integer(own) || json_integer_value(own) < 0 ||
            json_integer_value(own) == id)
            continue;
        rg_notice("%s: the added token \"%.100s\" has id %lld and gets %lld, the next one, as in "
                  "the Rust library",
                  reader->path, name, (long long)json_integer_value(own), (long long)id);
        json_object_set_new(token, "id", json_integer(id));
    }
}

/* The token may also be in the vocabulary, with the same id. */
static RgStatus read_added_token(Reader *reader, size_t index) {
    RgTokenizer *tokenizer = reader->tokenizer;
    json_t *token = json_array_get(reader->added, index), *number = json_object_get(token, "id");
    const char *name = json_string_value(json_object_get(token, "content"));
    json_t *listed = name ? json_object_get(reader->vocabulary, name) : NULL;
    bool flags[5] = {false};
    if (!name || (listed && !json_equal(listed, number)))
        return refuse_added(reader, index, "has no content, or an id other than in vocab");
    if (name[0] == '\0')
        return refuse_added(reader, index, "its content is empty, expected a text to be found");
    RG_TRY(read_added_flags(reader, index, flags));
    RG_TRY(set_text(reader, name, number, name, strlen(name)));
    RgAddedToken added = {
        .id = (int32_t)json_integer_value(number), .lstrip = flags[2], .rstrip = flags[3]};
    tokenizer->text[added.id].special = flags[0];
    tokenizer->text[added.id].lstrip = flags[2];
    tokenizer->text[added.id].rstrip = flags[3];
    RgBuffer form = {.bytes = (char *)name, .size = strlen(name)}, buffers[2] = {0};
    if (flags[1]) {
        RgMatcher *matcher = rg_matcher_create();
        form = rg_normalizer_apply(&tokenizer->normalizer, matcher, buffers, name, form.size);
        rg_matcher_destroy(matcher);
    }
    RgAddedTokens **among = &tokenizer->added[flags[1]];
    if (!*among)
        *among = rg_added_tokens_create();
    rg_added_tokens_add(*among, form.bytes, form.size, added);
    rg_buffer_release(&buffers[0]);
    rg_buffer_release(&buffers[1]);
    return RG_OK;
}

/* ---- the vocabulary ---- */

/* The JSON library allows no NUL in names of members. The token that is one NUL character is
 * written with a substitute that no text contains: a noncharacter of the same size in JSON. */
static const char nul_escape[] = "\\u0000", stand_in_escape[] = "\\uFDD0";
static const char stand_in[] = "\xEF\xB7\x90";

static char *without_nul_escapes(const char *content, size_t size) {
    char *copy = rg_allocate(size + 1, 1);
    memcpy(copy, content, size);
    for (char *c = copy; (c = strchr(c, '\\')); c += c[1] ? 2 : 1)
        if (strncmp(c, nul_escape, strlen(nul_escape)) == 0)
            memcpy(c, stand_in_escape, strlen(stand_in_escape));
    return copy;
}

/* Registers one byte, or one character, from which words are built. */
static void set_symbol(Reader *reader, const char *name, size_t length, const char *bytes,
                       int64_t size, int32_t id) {
    RgTokenizer *tokenizer = reader->tokenizer;
    if (tokenizer->pre_tokenizer.byte_level) {
        if (size == 1)
            tokenizer->byte_id[(unsigned char)bytes[0]] = id;
        return;
    }
    if (length > 0 && rg_character_length(name, length) == length)
        *rg_tokenizer_character(tokenizer, name, length) = id;
}

/* A byte-level name that contains other characters is kept, but no word can become it. */
static RgStatus read_token(Reader *reader, const char *name, json_t *number) {
    RgTokenizer *tokenizer = reader->tokenizer;
    bool nul = strcmp(name, stand_in) == 0;
    size_t length = nul ? 1 : strlen(name);
    const char *bytes = nul ? "" : name;
    int64_t size = -1;
    if (tokenizer->pre_tokenizer.byte_level && !nul) {
        char *read = scratch_of(reader, length + 1);
        size = rg_byte_alphabet_read(&reader->alphabet, name, read);
        bytes = size < 0 ? name : read;
    }
    json_int_t id = json_integer_value(number);
    bool added = json_is_integer(number) && id >= 0 && id < tokenizer->count &&
                 tokenizer->text[id].bytes && (size_t)tokenizer->text[id].size == length &&
                 memcmp(tokenizer->text[id].bytes, name, length) == 0;
    if (!added)
        RG_TRY(set_text(reader, name, number, bytes, size < 0 ? length : (size_t)size));
    set_symbol(reader, nul ? "" : name, length, bytes, size, (int32_t)id);
    return RG_OK;
}

/* Ids may have gaps, but most must be used, so that memory is proportional to the file's content. A
 * larger id is refused where its token is read. */
static int64_t count_ids(const Reader *reader, int64_t tokens) {
    int64_t most = 2 * tokens + 1024, count = tokens;
    const char *name = NULL;
    json_t *number = NULL, *token = NULL;
    size_t index = 0;
    json_object_foreach(reader->vocabulary, name, number) {
        json_int_t id = json_integer_value(number);
        count = id >= count && id < most ? id + 1 : count;
    }
    json_array_foreach(reader->added, index, token) {
        json_int_t id = json_integer_value(json_object_get(token, "id"));
        count = id >= count && id < most ? id + 1 : count;
    }
    return count;
}

static RgStatus read_vocabulary(Reader *reader) {
    const char *name = NULL;
    json_t *number = NULL, *token = NULL;
    size_t index = 0;
    int64_t count = (int64_t)json_object_size(reader->vocabulary);
    json_array_foreach(reader->added, index, token) {
        const char *content = json_string_value(json_object_get(token, "content"));
        count += content && !json_object_get(reader->vocabulary, content);
    }
    RgTokenizer *tokenizer = reader->tokenizer;
    number_added(reader);
    count = count_ids(reader, count);
    if (count > INT32_MAX)
        return rg_fail(reader->error, RG_E_FORMAT, "%s: too many tokens", reader->path);
    tokenizer->text = rg_reallocate(tokenizer->text, (size_t)count, sizeof *tokenizer->text);
    memset(tokenizer->text, 0, (size_t)count * sizeof *tokenizer->text);
    tokenizer->count = count;
    for (index = 0; index < json_array_size(reader->added); index++)
        RG_TRY(read_added_token(reader, index));
    json_object_foreach(reader->vocabulary, name, number) {
        RG_TRY(read_token(reader, name, number));
    }
    return RG_OK;
}

static int32_t id_of(const Reader *reader, const char *name) {
    json_t *number = json_object_get(reader->vocabulary, name);
    return number ? (int32_t)json_integer_value(number) : -1;
}

/* Sets how characters outside the vocabulary are encoded. */
static RgStatus read_fallbacks(const Reader *reader) {
    RgTokenizer *tokenizer = reader->tokenizer;
    bool bytes = false;
    RG_TRY(read_flag(reader, "byte_fallback", &bytes));
    RG_TRY(read_flag(reader, "fuse_unk", &tokenizer->fuse_unknown));
    if (bytes && tokenizer->pre_tokenizer.byte_level)
        return refuse_option(reader, "byte_fallback",
                             "together with pre_tokenizer ByteLevel is not supported");
    for (unsigned byte = 0; byte < 256 && bytes; byte++) {
        char *name = rg_string_format("<0x%02X>", byte);
        tokenizer->byte_id[byte] = id_of(reader, name);
        free(name);
    }
    json_t *unknown = json_object_get(reader->model, "unk_token");
    if (!unknown || json_is_null(unknown) ||
        (json_is_string(unknown) && json_string_length(unknown) == 0))
        return RG_OK;
    tokenizer->unknown = json_is_string(unknown) ? id_of(reader, json_string_value(unknown)) : -1;
    return tokenizer->unknown >= 0 ? RG_OK : refuse_option(reader, "unk_token", "is not in vocab");
}

/* ---- merges ---- */

/* `both` is the two tokens' names, one after the other, the first of `left` bytes. */
static RgStatus add_merge(Reader *reader, size_t index, char *both, size_t left) {
    RgMergeRule rule = {.second = id_of(reader, both + left), .result = id_of(reader, both)};
    char kept = both[left];
    both[left] = '\0';
    rule.first = id_of(reader, both);
    both[left] = kept;
    if (rule.first < 0 || rule.second < 0 || rule.result < 0)
        return rg_fail(reader->error, RG_E_FORMAT,
                       "%s: model.merges[%zu]: \"%.*s\", \"%s\" or their merge is not in vocab",
                       reader->path, index, (int)left, both, both + left);
    if (rg_pair_map_find(&reader->tokenizer->merges, rule.first, rule.second) >= 0)
        return rg_fail(reader->error, RG_E_FORMAT, "%s: model.merges[%zu] is a duplicate",
                       reader->path, index);
    rg_tokenizer_add_rule(reader->tokenizer, rule);
    return RG_OK;
}

/* A merge is "left right" or, since 2024, ["left", "right"]. */
static RgStatus read_merge(Reader *reader, size_t index, json_t *merge) {
    const char *left = json_string_value(json_array_get(merge, 0));
    const char *right = json_string_value(json_array_get(merge, 1));
    const char *string = json_string_value(merge), *space = string ? strchr(string, ' ') : NULL;
    size_t size = left ? strlen(left) : space ? (size_t)(space - string) : 0;
    if (space) {
        left = string;
        right = space + 1;
    }
    if (!left || !right || size == 0 || !*right ||
        (json_is_array(merge) && json_array_size(merge) != 2))
        return rg_fail(reader->error, RG_E_FORMAT, "%s: model.merges[%zu] is not two tokens",
                       reader->path, index);
    size_t room = size + strlen(right) + 1;
    char *both = scratch_of(reader, room);
    snprintf(both, room, "%.*s%s", (int)size, left, right);
    return add_merge(reader, index, both, size);
}

static RgStatus read_model(Reader *reader) {
    json_t *merge = NULL;
    size_t index = 0;
    bool whole_words = false;
    RG_TRY(check_model(reader));
    RG_TRY(read_vocabulary(reader));
    RG_TRY(read_fallbacks(reader));
    json_array_foreach(reader->merges, index, merge) {
        RG_TRY(read_merge(reader, index, merge));
    }
    RG_TRY(read_flag(reader, "ignore_merges", &whole_words));
    if (whole_words)
        rg_tokenizer_index_words(reader->tokenizer);
    else if (!reader->tokenizer->pre_tokenizer.byte_level && id_of(reader, "▁") >= 0)
        rg_tokenizer_set_space(reader->tokenizer, "▁");
    return RG_OK;
}

/* ---- the whole file ---- */

/* These only add tokens around the text, which encoding leaves to its callers. */
static RgStatus check_post_processor(void *context, const RgJsonPart *part) {
    (void)context;
    if (strcmp(part->type, "ByteLevel") == 0 || strcmp(part->type, "RobertaProcessing") == 0 ||
        strcmp(part->type, "BertProcessing") == 0)
        return RG_OK;
    if (strcmp(part->type, "TemplateProcessing") != 0)
        return rg_json_refuse(part, "TemplateProcessing, RobertaProcessing, BertProcessing, "
                                    "ByteLevel and a Sequence of them");
    return json_is_array(json_object_get(part->json, "single"))
               ? RG_OK
               : rg_json_refuse_option(part, "single");
}

/* transformers resets these, too, where its caller asks for neither. */
static void report_unused(const char *path, json_t *root) {
    static const struct {
        const char *section, *instead;
    } unused[] = {{"truncation", "only a config's limits cut texts"},
                  {"padding", "ids are those of the text alone"}};
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++) {
        json_t *value = json_object_get(root, unused[i].section);
        if (value && !json_is_null(value))
            rg_notice_once("%s: %s is not used, as in transformers: %s", path, unused[i].section,
                           unused[i].instead);
    }
}

static RgStatus read_root(Reader *reader, json_t *root) {
    RgTokenizer *tokenizer = reader->tokenizer;
    const char *path = reader->path;
    json_t *pre_tokenizer = json_object_get(root, "pre_tokenizer");
    RG_TRY(rg_normalizer_read(&tokenizer->normalizer, path, json_object_get(root, "normalizer"),
                              reader->error));
    RG_TRY(rg_pre_tokenizer_read(&tokenizer->pre_tokenizer, path, pre_tokenizer, reader->error));
    RG_TRY(rg_json_read_parts(path, "post_processor", "processors",
                              json_object_get(root, "post_processor"), check_post_processor, NULL,
                              reader->error));
    RG_TRY(rg_decoder_read(&tokenizer->decoder, path, json_object_get(root, "decoder"),
                           reader->error));
    if (tokenizer->pre_tokenizer.byte_level != tokenizer->decoder.byte_level)
        return rg_fail(reader->error, RG_E_FORMAT,
                       "%s: ByteLevel is in one of pre_tokenizer and decoder, expected in both or "
                       "in none",
                       path);
    RG_TRY(read_model(reader));
    report_unused(path, root);
    return rg_tokenizer_read_ends(tokenizer, path, root, reader->error);
}

RgStatus rg_tokenizer_from_json(const char *path, const char *content, size_t size,
                                RgTokenizer **tokenizer, RgError *error) {
    json_error_t json = {0};
    char *copy = without_nul_escapes(content, size);
    json_t *root = json_loadb(copy, size, JSON_REJECT_DUPLICATES, &json);
    free(copy);
    if (!root)
        return rg_fail(error, RG_E_FORMAT, "%s:%d: not JSON: %s", path, json.line, json.text);
    json_t *model = json_object_get(root, "model");
    Reader reader = {.path = path,
                     .model = model,
                     .vocabulary = json_object_get(model, "vocab"),
                     .merges = json_object_get(model, "merges"),
                     .added = json_object_get(root, "added_tokens"),
                     .tokenizer = rg_tokenizer_new(0),
                     .error = error};
    rg_byte_alphabet_make(&reader.alphabet);
    RgStatus status = read_root(&reader, root);
    free(reader.scratch);
    json_decref(root);
    if (status != RG_OK) {
        rg_tokenizer_destroy(reader.tokenizer);
        return status;
    }
    *tokenizer = reader.tokenizer;
    return RG_OK;
}
