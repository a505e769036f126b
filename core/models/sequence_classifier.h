/* SPDX-License-Identifier: MIT */
/* A transformer with a scalar head, as reward models are published: score·x, x [width] the hidden
 * state after the last norm at the last token that is not padding. core/models/hugging_face.h loads
 * one.
 *
 * Threads: as a policy. */
#ifndef RG_CORE_MODELS_SEQUENCE_CLASSIFIER_H
#define RG_CORE_MODELS_SEQUENCE_CLASSIFIER_H

#include "core/policy/policy.h"

typedef struct RgSequenceClassifier {
    RgPolicy *policy; /* frozen; its log-probabilities have no meaning */
    RgReal *score;    /* [width] */
    int32_t padding;  /* id of the padding; −1: none */
} RgSequenceClassifier;

/* Values of sequences within the context, of one token or more: value [sequences->count]. Prompt and
 * response are read as one. A sequence of padding alone has the value of its first token. */
void rg_sequence_classifier_values(const RgSequenceClassifier *classifier,
                                   const RgSequences *sequences, double *value);
void rg_sequence_classifier_release(RgSequenceClassifier *classifier);

#endif
