/* SPDX-License-Identifier: MIT */
/* A small tokenizer with the special tokens of chat formats, for tests of layouts. */
#ifndef RG_TESTS_CHAT_TOKENIZER_H
#define RG_TESTS_CHAT_TOKENIZER_H

#include "core/files.h"
#include "core/text/tokenizer.h"
#include "tests/scratch.h"

static RgError error;
#define ASSERT_OK(call) cr_assert_eq((call), RG_OK, "%s", error.text)

/* A tokenizer of bytes with the special tokens of chat formats, besides its own <|begin|> and
 * <|end|>. */
static inline RgTokenizer *make_chat_tokenizer(bool rstrip) {
    static const char *const special[] = {"<s>",
                                          "</s>",
                                          "<|im_start|>",
                                          "<|im_end|>",
                                          "<|start_header_id|>",
                                          "<|end_header_id|>",
                                          "<|eot_id|>",
                                          "<|user|>",
                                          "<|assistant|>",
                                          "<|system|>"};
    const char *texts[] = {"some text"};
    RgTokenizer *bytes, *tokenizer;
    char *json, *added;
    size_t size;
    ASSERT_OK(rg_tokenizer_train(texts, 1, 260, &bytes, &error));
    ASSERT_OK(rg_tokenizer_save(bytes, scratch("bytes.json"), &error));
    ASSERT_OK(rg_file_read(scratch("bytes.json"), &json, &size, &error));
    int first = (int)rg_tokenizer_vocabulary(bytes);
    rg_tokenizer_destroy(bytes);
    FILE *stream = open_memstream(&added, &size);
    char *list = strstr(json, "\"added_tokens\"");
    list = strchr(list, '[') + 1;
    fwrite(json, 1, (size_t)(list - json), stream);
    for (int k = 0; k < 10; k++)
        fprintf(stream,
                "{\"id\": %d, \"content\": \"%s\", \"special\": true, \"single_word\": false, "
                "\"lstrip\": false, \"rstrip\": %s, \"normalized\": false}, ",
                first + k, special[k], rstrip ? "true" : "false");
    fputs(list, stream);
    fclose(stream);
    ASSERT_OK(rg_tokenizer_load(scratch_write("chat.json", added), 0, &tokenizer, &error));
    free(added);
    free(json);
    return tokenizer;
}

#endif
