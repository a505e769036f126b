/* SPDX-License-Identifier: MIT */
/* Writing a learnt tokenizer as Hugging Face's tokenizer.json. */
#include "core/new_file.h"
#include "core/text/byte_alphabet.h"
#include "core/text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

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
    char **names = rg_allocate(tokenizer->count, sizeof *names);
    RgByteAlphabet alphabet;
    rg_byte_alphabet_make(&alphabet);
    for (int64_t id = 0; id < tokenizer->count; id++) {
        const RgTokenText *text = &tokenizer->text[id];
        names[id] = rg_byte_alphabet_write(&alphabet, text->bytes, (size_t)text->size);
    }
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
