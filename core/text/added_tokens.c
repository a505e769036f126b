/* SPDX-License-Identifier: MIT */
/* Finding added tokens by a trie. */
#include "core/text/added_tokens.h"

#include "core/text/tokenizer_internal.h"

#include <stdlib.h>

struct RgAddedTokens {
    bool starts[256];  /* first bytes */
    RgPairMap child;   /* of (node, byte); node 0 is the root */
    int32_t *token_of; /* [nodes] index of the token that ends there, −1 if none */
    int32_t nodes, node_capacity;
    RgAddedToken *token; /* [count] */
    int32_t count;
};

static int32_t add_node(RgAddedTokens *added) {
    if (added->nodes == added->node_capacity) {
        added->node_capacity = added->node_capacity ? 2 * added->node_capacity : 64;
        added->token_of =
            rg_reallocate(added->token_of, (size_t)added->node_capacity, sizeof *added->token_of);
    }
    added->token_of[added->nodes] = -1;
    return added->nodes++;
}

RgAddedTokens *rg_added_tokens_create(void) {
    RgAddedTokens *added = rg_allocate(1, sizeof *added);
    add_node(added);
    return added;
}

void rg_added_tokens_destroy(RgAddedTokens *added) {
    if (!added)
        return;
    rg_pair_map_release(&added->child);
    free(added->token_of);
    free(added->token);
    free(added);
}

void rg_added_tokens_add(RgAddedTokens *added, const char *content, size_t size,
                         RgAddedToken token) {
    if (size == 0)
        return;
    int32_t node = 0;
    for (size_t i = 0; i < size; i++) {
        int64_t *child = rg_pair_map_at(&added->child, node, (unsigned char)content[i]);
        if (*child < 0)
            *child = add_node(added);
        node = (int32_t)*child;
    }
    added->starts[(unsigned char)content[0]] = true;
    added->token_of[node] = added->count;
    added->token = rg_reallocate(added->token, (size_t)added->count + 1, sizeof *added->token);
    added->token[added->count++] = token;
}

bool rg_added_tokens_any(const RgAddedTokens *added) {
    return added->count > 0;
}

/* The longest token that starts at `text`, and its size; −1 if there is none. */
static int32_t longest(const RgAddedTokens *added, const char *text, size_t size, size_t *length) {
    int32_t found = -1;
    int64_t node = 0;
    for (size_t i = 0; i < size; i++) {
        node = rg_pair_map_find(&added->child, (int32_t)node, (unsigned char)text[i]);
        if (node < 0)
            break;
        if (added->token_of[node] >= 0) {
            found = added->token_of[node];
            *length = i + 1;
        }
    }
    return found;
}

bool rg_added_tokens_find(const RgAddedTokens *added, const char *text, size_t size, size_t done,
                          size_t *from, RgSpan *span, int32_t *id) {
    for (size_t at = *from; at < size; at++) {
        if (!added->starts[(unsigned char)text[at]])
            continue;
        size_t length = 0;
        int32_t found = longest(added, text + at, size - at, &length);
        if (found < 0)
            continue;
        const RgAddedToken *token = &added->token[found];
        *span = (RgSpan){at, at + length};
        *id = token->id;
        *from = span->end;
        if (token->lstrip && at > done)
            span->start -= rg_utf8_white_at_end(text + done, at - done);
        if (token->rstrip)
            span->end += rg_utf8_white_at_start(text + span->end, size - span->end);
        return true;
    }
    return false;
}
