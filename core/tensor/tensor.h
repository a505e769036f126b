/* SPDX-License-Identifier: MIT */
/* Tensors and the tape: automatic differentiation of any order over BLAS.
 *
 * A tensor is a dense row-major array of RgReal of rank 0 to 4, in the memory of an arena.
 * Operators run immediately. If an input needs a gradient, they record a node on the tape. Backward
 * visits the nodes in reverse:
 *
 *     RgTape *t = rg_tape_create();
 *     RgTensor *w = rg_parameter(t, parameters, 0);            // [3, 2]
 *     RgTensor *x = rg_constant(t, RG_SHAPE(5, 3), data);      // [5, 3]
 *     RgTensor *loss = rg_mean(t, rg_tanh(t, rg_matmul(t, x, w)));
 *     rg_backward(t, loss, 1);             // adds d loss / d w to parameters->gradient
 *     rg_tape_reset(t);                    // frees every tensor of the step
 *
 * Every operator defines its backward once, as a composition of operators. Run normally, it
 * computes gradients. Run while the tape records, it leaves nodes that can be differentiated again,
 * which gives Hessian-vector products. A fused operator (attention, the norms, the output head) has
 * a hand-written backward kernel, which cannot be differentiated again. On a second-order tape
 * (rg_tape_second_order) it runs as its expansion into primitives instead.
 *
 * Shapes are checked immediately, by RG_ASSERT: a mismatch is a bug of the caller. Tensor functions
 * return tensors and never fail, so an algorithm reads like its equations.
 *
 * Threads: one thread at a time per tape. Operators use all threads themselves. */
#ifndef RG_CORE_TENSOR_TENSOR_H
#define RG_CORE_TENSOR_TENSOR_H

#include "core/tensor/arena.h"
#include "core/tensor/parameters.h"
#include "core/tensor/precision.h"

enum { RG_MAX_RANK = 4, RG_MAX_INPUTS = 4 };

typedef struct RgShape {
    int rank;
    int64_t size[RG_MAX_RANK]; /* 1 beyond `rank` */
} RgShape;

/* RG_SHAPE(3, 4) is a matrix, RG_SCALAR a single number. */
#define RG_SHAPE(...) rg_shape_of((const int64_t[]){__VA_ARGS__, -1})
#define RG_SCALAR     rg_shape_of((const int64_t[]){-1})
RgShape rg_shape_of(const int64_t *sizes_ending_in_minus_one);
int64_t rg_shape_count(RgShape shape);
bool rg_shape_equal(RgShape a, RgShape b);

typedef struct RgTape RgTape;
typedef struct RgTensor RgTensor;
typedef struct RgOperator RgOperator;

struct RgTensor {
    RgReal *data;
    const RgBf16 *rounded; /* a frozen matrix stored in bf16, with data NULL; else NULL */
    RgShape shape;
    int64_t count; /* number of elements */

    /* Set by the tape; others only read it. */
    bool needs_gradient;
    RgTensor *gradient;   /* same shape; NULL until backward reaches it */
    bool gradient_owned;  /* no other tensor shares `gradient`, so it may be added to in place */
    RgReal *sink;         /* parameter leaf: where its gradient is added; else NULL */
    const RgOperator *op; /* NULL for a leaf */
    RgTensor *inputs[RG_MAX_INPUTS];
    int input_count;
    void *attributes; /* the operator's arguments besides its inputs; in the arena */
};

/* The description of an operator. */
struct RgOperator {
    const char *name;
    /* Given dy, the gradient of the output y, calls rg_add_gradient for every input that needs
     * one. */
    void (*backward)(RgTape *tape, RgTensor *y, RgTensor *dy);
    bool fused; /* backward is a kernel, correct to first order only */
};

/* ---- the tape ---- */

RgTape *rg_tape_create(void);
void rg_tape_destroy(RgTape *tape);
void rg_tape_reset(RgTape *tape); /* removes all nodes; keeps the memory for the next step */
RgArena *rg_tape_arena(RgTape *tape);

/* Fused operators run as their expansion, and backward itself is recorded. Set it on an empty
 * tape. */
void rg_tape_second_order(RgTape *tape, bool on);
bool rg_tape_is_second_order(const RgTape *tape);

/* While off, operators compute and record nothing (evaluation). Returns the previous setting. */
bool rg_tape_record(RgTape *tape, bool on);
bool rg_tape_is_recording(const RgTape *tape);

/* The precision of the matrix products of rg_linear and rg_token_logprob from now on, forward and
 * backward. On a second-order tape it is always fp32. Returns the previous precision. */
RgPrecision rg_tape_use_precision(RgTape *tape, RgPrecision precision);
RgPrecision rg_tape_precision(const RgTape *tape);

/* From now on operators add their floating-point operations to *flops (borrowed), backward
 * included. Several tapes may share a counter if one thread runs them. NULL: the tape's own
 * counter, the default. */
void rg_tape_count_onto(RgTape *tape, double *flops);
/* The value of the counter. */
double rg_tape_flops(const RgTape *tape);
void rg_tape_count_flops(RgTape *tape, double flops);

/* An empty first-order tape for another thread. It belongs to `tape`: a reset, or a
 * rewind to before now, removes it. It has its own counter. */
RgTape *rg_tape_child(RgTape *tape);
/* Bytes now in use by the tape and its children; and the sum of their peaks. */
size_t rg_tape_used(const RgTape *tape);
size_t rg_tape_peak(const RgTape *tape);

/* A point to return to. Nodes, tensors, gradients and children made after the mark are removed. */
typedef struct RgTapeMark {
    RgArenaMark memory;
    int64_t nodes;
    int children;
} RgTapeMark;
RgTapeMark rg_tape_mark(const RgTape *tape);
void rg_tape_rewind(RgTape *tape, RgTapeMark mark);

/* ---- leaves ---- */

RgTensor *rg_constant(RgTape *tape, RgShape shape, const RgReal *data); /* copies */
RgTensor *rg_borrow(RgTape *tape, RgShape shape, RgReal *data); /* views; data outlives tape */
RgTensor *rg_filled(RgTape *tape, RgShape shape, RgReal value);
RgTensor *rg_scalar(RgTape *tape, RgReal value);
RgTensor *rg_constant_from_double(RgTape *tape, RgShape shape, const double *data);

/* A leaf that needs a gradient and is not a parameter. Backward leaves the gradient in ->gradient.
 * Copies. */
RgTensor *rg_variable(RgTape *tape, RgShape shape, const RgReal *data);

/* The view `index` of a parameter store as a leaf. Backward adds its gradient to the store's
 * gradient buffer. Repeated calls return the same leaf. A frozen store gives constants. Its bf16
 * matrices have `rounded` and are accepted by rg_linear, rg_embedding and the output head only; on
 * a second-order tape they are converted completely. */
RgTensor *rg_parameter(RgTape *tape, RgParameters *parameters, int index);

/* ---- differentiation ---- */

/* Adds scale · d(y)/d(leaf) to every parameter's gradient buffer, and sets ->gradient of variables.
 * y is a scalar. First order: nothing is recorded. */
void rg_backward(RgTape *tape, RgTensor *y, RgReal scale);

/* The same for any y, with its gradient dy of the same shape. */
void rg_backward_from(RgTape *tape, RgTensor *y, RgTensor *dy);

/* Gradients of the scalar y with respect to tensors of the tape, as tensors. On a second-order tape
 * they are recorded and can be differentiated again. If y does not depend on a tensor, its gradient
 * is zero. */
void rg_gradients(RgTape *tape, RgTensor *y, RgTensor *const *with_respect_to, int count,
                  RgTensor **gradients);

/* The gradient of a scalar with respect to a whole parameter store, kept for products of its
 * Jacobian (the Hessian of y) with many vectors, at one backward pass each.
 *
 *     RgHessian *h = rg_hessian_create(tape, y, parameters);  // second-order tape
 *     rg_hessian_gradient(h, g);                              // [parameters->count]
 *     rg_hessian_product(h, v, hv);                           // hv = (d²y/dp²) v
 *
 * It is in the tape's arena. `v`, `hv`, `g` are flat, like the parameter store. */
typedef struct RgHessian RgHessian;
RgHessian *rg_hessian_create(RgTape *tape, RgTensor *y, RgParameters *parameters);
void rg_hessian_gradient(const RgHessian *hessian, RgReal *gradient);
void rg_hessian_product(RgHessian *hessian, const RgReal *v, RgReal *hv);
/* The mixed derivative with another store that y depends on: out [other->count] = (d²y / d other
 * dp) v. */
void rg_hessian_mixed_product(RgHessian *hessian, const RgReal *v, const RgParameters *other,
                              RgReal *out);

/* A segment of a computation: a function of its inputs, of parameters, and of constants in
 * `context`. It gives the same bits whenever it runs. */
typedef RgTensor *(*RgSegment)(RgTape *tape, const void *context, RgTensor *const *inputs);

/* Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): the segment's output, which has
 * the given shape. Its intermediate values are not kept; backward runs the segment again, with the
 * same bits. `context` outlives the tape or is in its arena. Gradients are those of rg_backward:
 * parameters of the segment are no leaves for rg_gradients. On a second-order tape the segment
 * simply runs. */
RgTensor *rg_recompute(RgTape *tape, RgSegment segment, const void *context,
                       RgTensor *const *inputs, int input_count, RgShape shape);

/* For operators: create the output tensor, and pass a gradient to an input. */
RgTensor *rg_tensor_new(RgTape *tape, RgShape shape); /* data not set */
RgTensor *rg_record(RgTape *tape, const RgOperator *op, RgTensor *y, RgTensor *const *inputs,
                    int input_count, void *attributes);
void rg_add_gradient(RgTape *tape, RgTensor *input, RgTensor *gradient);
/* The buffer to which a backward may add the input's gradient directly (a product with beta = 1, a
 * scatter). NULL: it has to create a tensor and call rg_add_gradient. */
RgReal *rg_gradient_in_place(const RgTape *tape, const RgTensor *input);

/* ---- operators: elementwise, with broadcasting ---- Shapes are aligned at the last axis. An axis
 * that is missing or has size 1 is repeated. */

RgTensor *rg_add(RgTape *t, RgTensor *a, RgTensor *b);
RgTensor *rg_sub(RgTape *t, RgTensor *a, RgTensor *b);
RgTensor *rg_mul(RgTape *t, RgTensor *a, RgTensor *b);
RgTensor *rg_div(RgTape *t, RgTensor *a, RgTensor *b);

RgTensor *rg_negate(RgTape *t, RgTensor *x);
RgTensor *rg_scale(RgTape *t, RgTensor *x, RgReal factor);
RgTensor *rg_add_scalar(RgTape *t, RgTensor *x, RgReal term);
RgTensor *rg_square(RgTape *t, RgTensor *x);
RgTensor *rg_power(RgTape *t, RgTensor *x, RgReal exponent);
RgTensor *rg_exp(RgTape *t, RgTensor *x);
RgTensor *rg_log(RgTape *t, RgTensor *x);
RgTensor *rg_sigmoid(RgTape *t, RgTensor *x);
RgTensor *rg_log_sigmoid(RgTape *t, RgTensor *x); /* stable for any x */
RgTensor *rg_tanh(RgTape *t, RgTensor *x);
RgTensor *rg_silu(RgTape *t, RgTensor *x);
RgTensor *rg_gelu(RgTape *t, RgTensor *x);       /* tanh approximation, as in GPT-2 */
RgTensor *rg_gelu_exact(RgTape *t, RgTensor *x); /* x·Φ(x), with the normal distribution's Φ */

/* The value of x as a constant: sg[x], stop(x). */
RgTensor *rg_stop_gradient(RgTape *t, RgTensor *x);

/* The constants that rg_stop_gradient produces, in order. They allow repeating a computation at
 * another point with the constants of the first. Differences of a loss with score terms or
 * baselines then agree with its gradient. Initialise it to zero. */
typedef struct RgStopped {
    RgReal *value; /* [count]; the caller frees it */
    int64_t count, next;
    bool again; /* use the values from `next` on; else append them */
} RgStopped;
/* Uses `stopped` (borrowed) from now on; NULL: ends it. */
void rg_tape_use_stopped(RgTape *tape, RgStopped *stopped);
/* For the operator: x's value as a constant. */
RgReal *rg_tape_stop(RgTape *tape, const RgTensor *x);

/* ---- operators: reductions and shapes ---- */

RgTensor *rg_sum(RgTape *t, RgTensor *x);                   /* scalar; summed in double, in order */
RgTensor *rg_mean(RgTape *t, RgTensor *x);                  /* scalar */
RgTensor *rg_sum_to(RgTape *t, RgTensor *x, RgShape shape); /* the reverse of broadcasting */
RgTensor *rg_broadcast_to(RgTape *t, RgTensor *x, RgShape shape);
RgTensor *rg_sum_last(RgTape *t, RgTensor *x);               /* [..., n] → [..., 1] */
RgTensor *rg_mean_last(RgTape *t, RgTensor *x);              /* [..., n] → [..., 1] */
RgTensor *rg_reshape(RgTape *t, RgTensor *x, RgShape shape); /* shares memory */
RgTensor *rg_transpose(RgTape *t, RgTensor *x);              /* [r, c] → [c, r] */
RgTensor *rg_slice(RgTape *t, RgTensor *x, int axis, int64_t start, int64_t length);
RgTensor *rg_concatenate(RgTape *t, int axis, RgTensor *const *parts, int count); /* ≥ 1 parts */

/* ---- operators: matrices and tables ---- Arrays of indices and offsets, here and below, are
 * borrowed. They must outlive the tensors made from them, until the tape is reset. */

/* a [m, k] (or its transpose) times b [k, n] (or its transpose) → [m, n] */
RgTensor *rg_matmul(RgTape *t, RgTensor *a, RgTensor *b);
RgTensor *rg_matmul_transposed(RgTape *t, RgTensor *a, bool transpose_a, RgTensor *b,
                               bool transpose_b);

/* Solves a·x = b, or aᵀ·x = b if `transposed`, in double inside
 * a [n, n], b [n, m], x [n, m]
 * A singular a gives numbers that are not finite. */
RgTensor *rg_solve(RgTape *t, RgTensor *a, RgTensor *b, bool transposed);

RgTensor *rg_softmax(RgTape *t, RgTensor *x);     /* over the last axis */
RgTensor *rg_log_softmax(RgTape *t, RgTensor *x); /* over the last axis */

/* y[i] = x[i, index[i]]      x [n, c], index [n], y [n] */
RgTensor *rg_gather(RgTape *t, RgTensor *x, const int32_t *index);
/* y[i, :] = table[index[i], :]      table [v, d], index [n], y [n, d] */
RgTensor *rg_embedding(RgTape *t, RgTensor *table, const int32_t *index, int64_t n);
/* The reverse: y[index[i], :] += x[i, :]      x [n, d], y [rows, d] */
RgTensor *rg_scatter_rows(RgTape *t, RgTensor *x, const int32_t *index, int64_t rows);
/* y[s] = Σ x[offsets[s] … offsets[s+1]−1]      x [offsets[n]], offsets [n+1], y [n] */
RgTensor *rg_segment_sum(RgTape *t, RgTensor *x, const int64_t *offsets, int64_t n);
/* The reverse: y[i] = x[s] for i in segment s      x [n], y [offsets[n]] */
RgTensor *rg_segment_repeat(RgTape *t, RgTensor *x, const int64_t *offsets, int64_t n);

/* ---- operators: networks (fused; expanded on a second-order tape) ---- */

/* y = x·weightᵀ + bias + onto, where `bias` [out] and `onto` [n, out] may be NULL
 * x [n, in], weight [out, in], y [n, out] */
RgTensor *rg_linear(RgTape *t, RgTensor *x, RgTensor *weight, RgTensor *bias, RgTensor *onto);
/* y = x / sqrt(mean(x²) + epsilon) · weight      x [n, d], weight [d] */
RgTensor *rg_rms_norm(RgTape *t, RgTensor *x, RgTensor *weight, RgReal epsilon);
/* y = (x − mean) / sqrt(var + epsilon) · weight + bias      x [n, d], weight [d], bias [d] */
RgTensor *rg_layer_norm(RgTape *t, RgTensor *x, RgTensor *weight, RgTensor *bias, RgReal epsilon);
/* silu(gate) · up      gate [n, f], up [n, f] */
RgTensor *rg_swiglu(RgTape *t, RgTensor *gate, RgTensor *up);

/* Rotary position embedding (Su et al. 2021, arXiv:2104.09864). In each head, the pair (i, j) of
 * dimensions is rotated by positions[row] · base^(−2p/size), p = 0 … size/2−1. Pairs are neighbours
 * (2p, 2p+1) as in llama2.c, or halves (p, p + size/2) as in Hugging Face's models. x [n, heads ·
 * size], positions [n]. */
typedef enum RgRopePairing { RG_ROPE_NEIGHBOURS, RG_ROPE_HALVES } RgRopePairing;
RgTensor *rg_rope(RgTape *t, RgTensor *x, const int32_t *positions, int64_t heads, RgReal base,
                  RgRopePairing pairing);

/* Causal attention within packed sequences, with grouped heads: query head h reads key/value head h
 * / (heads / kv_heads). Scores are scaled by 1/sqrt(size).
 *
 * If `prefix` [sequences] is not NULL, sequence s continues the whole of sequence prefix[s] (−1:
 * none), which comes before it and has no prefix itself. So a prompt shared by several responses is
 * stored once.
 *
 * q [n, heads · size], k and v [n, kv_heads · size], offsets [sequences + 1] with offsets[last] =
 * n. */
RgTensor *rg_attention(RgTape *t, RgTensor *q, RgTensor *k, RgTensor *v, const int64_t *offsets,
                       const int64_t *prefix, int64_t sequences, int64_t heads, int64_t kv_heads);

/* Variants of attention. All zeros: none. */
typedef struct RgAttentionForm {
    double scale;   /* factor of the scores; 0: 1/sqrt(size) */
    double cap;     /* scaled scores s become cap·tanh(s / cap); 0: they stay as they are */
    int64_t window; /* a token sees itself and the window − 1 tokens before it; 0: all before it */
} RgAttentionForm;
RgTensor *rg_attention_in_form(RgTape *t, RgTensor *q, RgTensor *k, RgTensor *v,
                               const int64_t *offsets, const int64_t *prefix, int64_t sequences,
                               int64_t heads, int64_t kv_heads, RgAttentionForm form);

/* Log-probability of a target token at each row: output head and log-softmax in one, in chunks of
 * rows, so that rows × vocabulary is never in memory at once.
 * hidden [n, d], head [v, d], target [n], y [n]: y[i] = log softmax(hidden[i]·headᵀ)[target[i]] */
RgTensor *rg_token_logprob(RgTape *t, RgTensor *hidden, RgTensor *head, const int32_t *target);
/* Their sum, a scalar. All rows have the same weight, so the gradient is computed together with the
 * logits, which are computed only once. */
RgTensor *rg_log_likelihood(RgTape *t, RgTensor *hidden, RgTensor *head, const int32_t *target);
/* The same of capped logits: cap·tanh(logit / cap); 0: not capped. */
RgTensor *rg_token_logprob_capped(RgTape *t, RgTensor *hidden, RgTensor *head,
                                  const int32_t *target, double cap);
RgTensor *rg_log_likelihood_capped(RgTape *t, RgTensor *hidden, RgTensor *head,
                                   const int32_t *target, double cap);

#endif
