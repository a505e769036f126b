/* What a transformer's training (transformer.c) and its sampling (transformer_sample.c) share: its
 * state and the parts of a layer, so that both run the same equations. Private to those two. */
#ifndef RG_CORE_POLICY_TRANSFORMER_PARTS_H
#define RG_CORE_POLICY_TRANSFORMER_PARTS_H

#include "core/policy/transformer.h"
#include "core/tensor/kernels.h"

#include <pthread.h>

typedef struct RgTransformer {
    RgTransformerOptions options; /* zeros resolved */
    int64_t vocabulary;
    RgReal *angles; /* what `rope` points into; owned */
    RgRopeTable rope;
    pthread_mutex_t tapes_lock;
    RgTape **tapes; /* of sampling, idle; kept for their memory */
    int tape_count;
} RgTransformer;

/* An empty tape to sample on, for one thread, and back. */
RgTape *rg_transformer_take_tape(RgTransformer *model);
void rg_transformer_give_tape(RgTransformer *model, RgTape *tape);

/* A pass over a model: on this tape, with these weights. */
typedef struct RgTransformerPass {
    const RgTransformer *model;
    RgTape *tape;
    RgParameters *parameters;
    RgTensor **transposed; /* each matrix [in, out] by its view, or NULL to use them as they are */
} RgTransformerPass;

/* Token ids of packed sequences, with their positions; on the tape's arena. */
typedef struct RgPackedTokens {
    int64_t count;
    int32_t *token;    /* [count] */
    int32_t *position; /* [count], within the sequence */
    int64_t sequences;
    int64_t *offset; /* [sequences + 1] */
    int64_t *prefix; /* [sequences], what each reads on from, or −1 (see rg_attention); or NULL */
} RgPackedTokens;

/* Whether sequences a and b have the same prompt. */
bool rg_transformer_same_prompt(const RgSequences *s, int64_t a, int64_t b);

/* Queries [n, heads · size], keys and values [n, kv_heads · size] of a layer; queries and keys are
 * turned to their positions. */
typedef struct RgProjections {
    RgTensor *query, *key, *value;
} RgProjections;

RgTensor *rg_transformer_embed(const RgTransformerPass *pass, const int32_t *token,
                               const int32_t *position, int64_t n);
RgProjections rg_transformer_project(const RgTransformerPass *pass, int64_t layer, RgTensor *x,
                                     const int32_t *position);
/* The rest of a layer after attention: output projection, feed-forward part, both residuals. */
RgTensor *rg_transformer_finish(const RgTransformerPass *pass, int64_t layer, RgTensor *x,
                                RgTensor *attended);
RgTensor *rg_transformer_last_norm(const RgTransformerPass *pass, RgTensor *x);
/* Logits [n, vocabulary] of hidden states [n, width]. */
RgTensor *rg_transformer_logits(const RgTransformerPass *pass, RgTensor *hidden);

/* Hidden states after the last norm at `rows` [row_count] of the packed tokens: [row_count, width].
 * With `kept` [layers] not NULL, the projections of each layer are left there. */
RgTensor *rg_transformer_hidden(const RgTransformerPass *pass, const RgPackedTokens *packed,
                                const int32_t *rows, int64_t row_count, RgProjections *kept);

/* RgPolicyType.sample */
double rg_transformer_sample(RgPolicy *policy, const RgSequences *prompts, int64_t first,
                             int64_t last, const RgSampling *sampling, RgRandom random,
                             int32_t *tokens, int64_t *length);

#endif
