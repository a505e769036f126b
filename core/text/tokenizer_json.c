/* Byte-level BPE as Hugging Face's tokenizer.json. Of the many tokenizers that this format can
 * describe, only those that rg_tokenizer_save writes are read: any other is refused by the part
 * that is not supported, because its ids would be silently wrong. */
#include "core/text/tokenizer_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const special_names[RG_SPECIALS] = {"<|begin|>", "<|end|>"};

/* ---- bytes as characters ---- */

/* The alphabet of GPT-2 (openai/gpt-2, bytes_to_unicode): printable bytes stand for themselves, as
 * Latin-1 has them; the others are, in order, the characters from U+0100 on. */
static bool stands_for_itself(int byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

enum { ALPHABET_END = 0x100 + 68 }; /* 68 bytes do not stand for themselves */

static void alphabet(uint16_t character[256]) {
    uint16_t next = 0x100;
    for (int byte = 0; byte < 256; byte++)
        character[byte] = stands_for_itself(byte) ? (uint16_t)byte : next++;
    RG_ASSERT(next == ALPHABET_END);
}

/* A token's bytes in that alphabet, as UTF-8; malloc'd. */
static char *to_characters(const RgTokenText *text) {
    uint16_t character[256];
    alphabet(character);
    char *out = rg_allocate(2 * (size_t)text->size + 1), *end = out;
    for (int32_t i = 0; i < text->size; i++) {
        uint16_t c = character[(unsigned char)text->bytes[i]];
        if (c >= 0x80)
            *end++ = (char)(0xC0 | c >> 6);
        *end++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
    }
    return out;
}

/* The bytes behind such characters, written over them; their number, or −1 if another character is
 * among them. */
static int64_t to_bytes(char *characters, const int16_t byte_of[ALPHABET_END]) {
    char *out = characters;
    for (const char *in = characters; *in;) {
        unsigned c = (unsigned char)*in++;
        if (c >= 0x80) {
            if ((c & 0xE0) != 0xC0)
                return -1;
            c = (c & 0x1F) << 6 | ((unsigned char)*in++ & 0x3F);
        }
        if (c >= ALPHABET_END || byte_of[c] < 0)
            return -1;
        *out++ = (char)byte_of[c];
    }
    return out - characters;
}

/* ---- the parts around the vocabulary ---- */

static json_t *pre_tokenizer(void) {
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, {s:s, s:b, s:b, s:b}]}", "type",
                     "Sequence", "pretokenizers", "type", "Split", "pattern", "Regex",
                     rg_word_pattern, "behavior", "Isolated", "invert", 0, "type", "ByteLevel",
                     "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 0);
}

static json_t *decoder(void) {
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", 0);
}

static const char *type_of(json_t *part) {
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "without a type";
}

/* "Digits + ByteLevel" for a sequence of the two. */
static void name_part(json_t *part, const char *elements, char *name, size_t size) {
    json_t *list = json_object_get(part, elements);
    snprintf(name, size, "%s", json_is_null(part) || !part ? "null" : type_of(part));
    for (size_t i = 0, used = 0; i < json_array_size(list) && used < size; i++)
        used += (size_t)snprintf(name + used, size - used, "%s%s", i > 0 ? " + " : "",
                                 type_of(json_array_get(list, i)));
}

static RgStatus check_part(json_t *root, const char *key, const char *elements, json_t *expected,
                           const char *path, RgError *error) {
    json_t *part = json_object_get(root, key);
    bool same = json_equal(expected, part ? part : json_null());
    json_decref(expected);
    if (same)
        return RG_OK;
    char name[256];
    name_part(part, elements, name, sizeof name);
    return rg_fail(error, RG_E_FORMAT, "%s: %s %s is not supported, only as this program writes it",
                   path, key, name);
}

static RgStatus check_parts(json_t *root, const char *path, RgError *error) {
    RG_TRY(check_part(root, "pre_tokenizer", "pretokenizers", pre_tokenizer(), path, error));
    RG_TRY(check_part(root, "normalizer", "normalizers", json_null(), path, error));
    RG_TRY(check_part(root, "post_processor", "processors", json_null(), path, error));
    return check_part(root, "decoder", "decoders", decoder(), path, error);
}

static RgStatus check_model(json_t *model, const char *path, RgError *error) {
    if (strcmp(type_of(model), "BPE") != 0)
        return rg_fail(error, RG_E_FORMAT, "%s: model %s is not supported, only BPE", path,
                       type_of(model));
    static const char *const unset[] = {"dropout",       "unk_token",
                                        "byte_fallback", "continuing_subword_prefix",
                                        "ignore_merges", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++) {
        json_t *value = json_object_get(model, unset[i]);
        bool empty = json_is_string(value) && json_string_length(value) == 0;
        if (value && !empty && !json_is_null(value) && !json_is_false(value))
            return rg_fail(error, RG_E_FORMAT, "%s: model.%s is not supported", path, unset[i]);
    }
    return RG_OK;
}

/* ---- reading the vocabulary ---- */

typedef struct Reader {
    const char *path;
    json_t *vocabulary; /* object: characters → id */
    json_t *merges, *added;
    int16_t byte_of[ALPHABET_END]; /* of the alphabet's characters, −1 for others */
    RgTokenizer *tokenizer;
    RgError *error;
} Reader;

static void reverse_alphabet(Reader *reader) {
    uint16_t character[256];
    alphabet(character);
    for (int c = 0; c < ALPHABET_END; c++)
        reader->byte_of[c] = -1;
    for (int byte = 0; byte < 256; byte++)
        reader->byte_of[character[byte]] = (int16_t)byte;
}

static RgStatus set_token(Reader *reader, const char *name, json_t *number, bool added) {
    RgTokenizer *tokenizer = reader->tokenizer;
    json_int_t id = json_integer_value(number);
    if (!json_is_integer(number) || id < 0 || id >= tokenizer->count)
        return rg_fail(reader->error, RG_E_FORMAT,
                       "%s: token \"%s\": its id is not one of 0 to %" PRId64, reader->path, name,
                       tokenizer->count - 1);
    char *bytes = rg_string_copy(name);
    int64_t size = added ? (int64_t)strlen(name) : to_bytes(bytes, reader->byte_of);
    RgStatus status = RG_OK;
    if (size < 0)
        status = rg_fail(reader->error, RG_E_FORMAT,
                         "%s: token \"%s\" is not of byte-level characters", reader->path, name);
    else if (tokenizer->text[id].bytes)
        status = rg_fail(reader->error, RG_E_FORMAT, "%s: token \"%s\": id %lld is taken",
                         reader->path, name, (long long)id);
    else
        rg_tokenizer_set_text(tokenizer, id, bytes, (size_t)size);
    free(bytes);
    return status;
}

/* Added tokens may be in the vocabulary as well; text is never encoded to them. */
static RgStatus read_added(Reader *reader) {
    size_t index = 0;
    json_t *token = NULL;
    json_array_foreach(reader->added, index, token) {
        const char *name = json_string_value(json_object_get(token, "content"));
        json_t *number = json_object_get(token, "id");
        json_t *listed = name ? json_object_get(reader->vocabulary, name) : NULL;
        if (!name || (listed && !json_equal(listed, number)))
            return rg_fail(reader->error, RG_E_FORMAT,
                           "%s: added_tokens[%zu] (%s) has no content or not the id of vocab",
                           reader->path, index, name ? name : "");
        if (!json_is_true(json_object_get(token, "special")))
            return rg_fail(reader->error, RG_E_FORMAT,
                           "%s: added token \"%s\" is not special, which is not supported",
                           reader->path, name);
        RG_TRY(set_token(reader, name, number, true));
        int32_t id = (int32_t)json_integer_value(number);
        reader->tokenizer->text[id].special = true;
        if (strcmp(name, special_names[0]) == 0)
            reader->tokenizer->begin = id;
        if (strcmp(name, special_names[1]) == 0)
            reader->tokenizer->end = id;
    }
    return RG_OK;
}

static RgStatus read_vocabulary(Reader *reader) {
    RgTokenizer *tokenizer = reader->tokenizer;
    const char *name = NULL;
    json_t *number = NULL, *token = NULL;
    size_t index = 0;
    RG_TRY(read_added(reader));
    json_object_foreach(reader->vocabulary, name, number) {
        bool same = false;
        json_array_foreach(reader->added, index, token) {
            const char *content = json_string_value(json_object_get(token, "content"));
            same = same || strcmp(content, name) == 0;
        }
        if (!same)
            RG_TRY(set_token(reader, name, number, false));
    }
    for (int byte = 0; byte < 256; byte++)
        tokenizer->byte_id[byte] = -1;
    for (int32_t id = 0; id < tokenizer->count; id++) {
        const RgTokenText *text = &tokenizer->text[id];
        if (text->size == 1 && !text->special)
            tokenizer->byte_id[(unsigned char)text->bytes[0]] = id;
    }
    for (int byte = 0; byte < 256; byte++)
        if (tokenizer->byte_id[byte] < 0)
            return rg_fail(reader->error, RG_E_FORMAT, "%s: no token for byte 0x%02X", reader->path,
                           (unsigned)byte);
    return RG_OK;
}

/* The rule of two tokens' names; its result is the name of both together. */
static RgMergeRule rule_of(const Reader *reader, const char *left, const char *right) {
    char *whole = rg_string_format("%s%s", left, right);
    const char *const names[] = {left, right, whole};
    int32_t ids[3];
    for (int i = 0; i < 3; i++) {
        json_t *number = json_object_get(reader->vocabulary, names[i]);
        ids[i] = number ? (int32_t)json_integer_value(number) : -1;
    }
    free(whole);
    return (RgMergeRule){.first = ids[0], .second = ids[1], .result = ids[2]};
}

static RgStatus add_merge(Reader *reader, size_t index, const char *left, const char *right) {
    RgMergeRule rule = rule_of(reader, left, right);
    if (rule.first < 0 || rule.second < 0 || rule.result < 0)
        return rg_fail(reader->error, RG_E_FORMAT,
                       "%s: model.merges[%zu]: \"%s\", \"%s\" or what they make is not in vocab",
                       reader->path, index, left, right);
    if (rg_pair_map_find(&reader->tokenizer->merges, rule.first, rule.second) >= 0)
        return rg_fail(reader->error, RG_E_FORMAT, "%s: model.merges[%zu] is there twice",
                       reader->path, index);
    rg_tokenizer_add_rule(reader->tokenizer, rule);
    return RG_OK;
}

/* A merge is "left right" or, since 2024, ["left", "right"]. */
static RgStatus read_merge(Reader *reader, size_t index, json_t *merge) {
    const char *left = json_string_value(json_array_get(merge, 0));
    const char *right = json_string_value(json_array_get(merge, 1));
    if (left && right)
        return add_merge(reader, index, left, right);
    char *both = rg_string_copy(json_string_value(merge)), *space = both ? strchr(both, ' ') : NULL;
    RgStatus status = RG_OK;
    if (space) {
        *space = '\0';
        status = add_merge(reader, index, both, space + 1);
    } else {
        status = rg_fail(reader->error, RG_E_FORMAT, "%s: model.merges[%zu] is not two tokens",
                         reader->path, index);
    }
    free(both);
    return status;
}

static RgStatus read_root(Reader *reader, json_t *root) {
    json_t *model = json_object_get(root, "model"), *merge = NULL;
    size_t index = 0;
    RG_TRY(check_parts(root, reader->path, reader->error));
    RG_TRY(check_model(model, reader->path, reader->error));
    reader->vocabulary = json_object_get(model, "vocab");
    reader->merges = json_object_get(model, "merges");
    reader->added = json_object_get(root, "added_tokens");
    if (!json_is_object(reader->vocabulary) || !json_is_array(reader->merges))
        return rg_fail(reader->error, RG_E_FORMAT,
                       "%s: model.vocab is not an object or model.merges is not an array",
                       reader->path);
    int64_t count = (int64_t)json_object_size(reader->vocabulary);
    json_t *token = NULL;
    json_array_foreach(reader->added, index, token) {
        const char *name = json_string_value(json_object_get(token, "content"));
        count += name && !json_object_get(reader->vocabulary, name);
    }
    reader->tokenizer = rg_tokenizer_new(RG_TOKENIZER_BYTE_LEVEL, count);
    reverse_alphabet(reader);
    RG_TRY(read_vocabulary(reader));
    json_array_foreach(reader->merges, index, merge) {
        RG_TRY(read_merge(reader, index, merge));
    }
    return RG_OK;
}

RgStatus rg_tokenizer_from_json(const char *path, const char *content, size_t size,
                                RgTokenizer **tokenizer, RgError *error) {
    json_error_t json = {0};
    json_t *root = json_loadb(content, size, JSON_REJECT_DUPLICATES, &json);
    if (!root)
        return rg_fail(error, RG_E_FORMAT, "%s:%d: not JSON: %s", path, json.line, json.text);
    Reader reader = {.path = path, .error = error};
    RgStatus status = read_root(&reader, root);
    json_decref(root);
    if (status != RG_OK) {
        rg_tokenizer_destroy(reader.tokenizer);
        return status;
    }
    *tokenizer = reader.tokenizer;
    return RG_OK;
}

/* ---- writing ---- */

static json_t *vocabulary_json(const RgTokenizer *tokenizer, char **names) {
    json_t *vocabulary = json_object();
    for (int64_t id = 0; id < tokenizer->count; id++)
        json_object_set_new(vocabulary, names[id], json_integer(id));
    return vocabulary;
}

static json_t *merges_json(const RgTokenizer *tokenizer, char **names) {
    json_t *merges = json_array();
    for (int64_t i = 0; i < tokenizer->rule_count; i++) {
        const RgMergeRule *rule = &tokenizer->rules[i];
        json_array_append_new(merges,
                              json_sprintf("%s %s", names[rule->first], names[rule->second]));
    }
    return merges;
}

static json_t *added_json(const RgTokenizer *tokenizer, char **names) {
    json_t *added = json_array();
    for (int64_t id = 0; id < tokenizer->count; id++)
        if (tokenizer->text[id].special)
            json_array_append_new(added, json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
                                                   (json_int_t)id, "content", names[id],
                                                   "single_word", 0, "lstrip", 0, "rstrip", 0,
                                                   "normalized", 0, "special", 1));
    return added;
}

RgStatus rg_tokenizer_to_json(const RgTokenizer *tokenizer, const char *path, RgError *error) {
    char **names = rg_allocate((size_t)tokenizer->count * sizeof *names);
    for (int64_t id = 0; id < tokenizer->count; id++)
        names[id] = to_characters(&tokenizer->text[id]);
    json_t *root = json_pack(
        "{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:o, s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, "
        "s:o}}",
        "version", "1.0", "truncation", "padding", "added_tokens", added_json(tokenizer, names),
        "normalizer", "pre_tokenizer", pre_tokenizer(), "post_processor", "decoder", decoder(),
        "model", "type", "BPE", "dropout", "unk_token", "continuing_subword_prefix",
        "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0, "ignore_merges", 0, "vocab",
        vocabulary_json(tokenizer, names), "merges", merges_json(tokenizer, names));
    RG_ASSERT(root);
    char *content = json_dumps(root, JSON_INDENT(1));
    RG_ASSERT(content);
    RgStatus status = rg_file_write(path, content, strlen(content), error);
    free(content);
    json_decref(root);
    for (int64_t id = 0; id < tokenizer->count; id++)
        free(names[id]);
    free(names);
    return status;
}
