/* SPDX-License-Identifier: MIT */
/* Tokenizers of both kinds of file, which then encode a text and decode its ids. */
#include "core/text/tokenizer.h"
#include "core/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_tokens(const RgTokenizer *tokenizer, const RgTokens *tokens) {
    size_t size;
    for (int64_t i = 0; i < tokens->count; i++)
        RG_ASSERT(tokens->id[i] >= 0 && tokens->id[i] < rg_tokenizer_vocabulary(tokenizer));
    free(rg_tokenizer_decode(tokenizer, tokens->id, tokens->count));
    free(rg_tokenizer_decode_marked(tokenizer, tokens->id, tokens->count, &size));
}

static void use(const RgTokenizer *tokenizer, RgBytes text) {
    RgError error = {0};
    RgTokens tokens = {0};
    int32_t id;
    rg_tokenizer_encode(tokenizer, text.data, text.size, &tokens);
    read_tokens(tokenizer, &tokens);
    tokens.count = 0;
    rg_tokenizer_encode_marked(tokenizer, text.data, text.size, &tokens);
    read_tokens(tokenizer, &tokens);
    rg_tokens_release(&tokens);
    char *word = fuzz_text(text);
    fuzz_good(rg_tokenizer_find(tokenizer, word, &id, &error), &error, NULL);
    free(word);
}

static void load_and_use(const char *path, RgBytes text) {
    RgError error = {0};
    RgTokenizer *tokenizer;
    if (!fuzz_good(rg_tokenizer_load(path, 0, &tokenizer, &error), &error, "tokenizer"))
        return;
    use(tokenizer, text);
    rg_tokenizer_destroy(tokenizer);
}

/* Parts: tokenizer.json, tokenizer_config.json, the text. */
static void run_json(const uint8_t *data, size_t size) {
    RgBytes parts[3];
    fuzz_split(data, size, parts, 3);
    fuzz_write("tokenizer.json", parts[0]);
    fuzz_write("tokenizer_config.json", parts[1]);
    if (parts[0].size > 0)
        load_and_use("tokenizer.json", parts[2]);
}

/* The tokens of single bytes, which a file must have as they are. */
static void append_byte_tokens(RgBuffer *file) {
    const float score = 0;
    for (int id = 0; id < 259; id++) {
        char name[8];
        int32_t length = id < 3 ? snprintf(name, sizeof name, "<%d>", id)
                                : snprintf(name, sizeof name, "<0x%02X>", (unsigned)id - 3);
        rg_buffer_append(file, (const char *)&score, sizeof score);
        rg_buffer_append(file, (const char *)&length, sizeof length);
        rg_buffer_append(file, name, (size_t)length);
    }
}

/* A file, or, after a 'p', its first four bytes and its pieces, with the tokens of bytes put in
 * between. Its last bytes are the text, too. */
static void run_binary(const uint8_t *data, size_t size) {
    size_t text = size < 64 ? size : 64;
    RgBuffer file = {0};
    bool pieces = size > 5 && data[0] == 'p';
    rg_buffer_append(&file, (const char *)data + pieces, pieces ? 4 : size);
    if (pieces) {
        append_byte_tokens(&file);
        rg_buffer_append(&file, (const char *)data + 5, size - 5);
    }
    fuzz_write("tokenizer.bin", (RgBytes){file.bytes, file.size});
    rg_buffer_release(&file);
    if (size > 0)
        load_and_use("tokenizer.bin", (RgBytes){data + size - text, text});
}

const FuzzTarget fuzz_tokenizer_json = {"tokenizer_json", run_json};
const FuzzTarget fuzz_tokenizer_binary = {"tokenizer_binary", run_binary};
