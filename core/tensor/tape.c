/* SPDX-License-Identifier: MIT */
/* The tape: leaves, recording, and differentiation. An operator's computation and its backward are
 * in the operator's file. This file decides their order and where gradients go. */
#include "core/tensor/parallel.h"
#include "core/tensor/profile.h"
#include "core/tensor/tensor.h"
#include "core/tensor/vector_ops.h"

#include <stdlib.h>
#include <string.h>

/* A leaf, where backward ends: a parameter view (which exists once) or a variable. */
typedef struct Leaf {
    RgTensor *tensor;
    const RgParameters *parameters; /* NULL for a variable */
    int view;
    size_t end;          /* arena use after creating it: a rewind below this removes it */
    size_t gradient_end; /* the same for its gradient */

    /* Saved here while rg_gradients or a Hessian product runs backward. */
    RgTensor *gradient_aside;
    bool owned_aside;
    RgReal *sink_aside;
} Leaf;

struct RgTape {
    RgArena *arena;
    RgTensor **nodes;
    int64_t node_count, node_capacity;
    Leaf *leaves;
    int leaf_count, leaf_capacity;
    bool recording;
    bool second_order;
    bool walking;     /* backward: operators run as part of a node's backward */
    bool sinks_aside; /* gradients are requested as tensors */
    RgPrecision precision;
    RgStopped *stopped;       /* constants that are recorded or replayed, or NULL */
    double own_flops, *flops; /* operators count on *flops: own_flops or a borrowed counter */
    RgTape **children;        /* the first child_count are in use; the others keep their memory */
    int child_count, child_capacity;
};

/* ---- shapes ---- */

RgShape rg_shape_of(const int64_t *sizes) {
    RgShape shape = {.rank = 0, .size = {1, 1, 1, 1}};
    for (; *sizes != -1; sizes++) {
        RG_ASSERT(shape.rank < RG_MAX_RANK && *sizes >= 0);
        shape.size[shape.rank++] = *sizes;
    }
    return shape;
}

int64_t rg_shape_count(RgShape shape) {
    int64_t count = 1;
    for (int i = 0; i < shape.rank; i++)
        count *= shape.size[i];
    return count;
}

bool rg_shape_equal(RgShape a, RgShape b) {
    if (a.rank != b.rank)
        return false;
    for (int i = 0; i < a.rank; i++)
        if (a.size[i] != b.size[i])
            return false;
    return true;
}

/* ---- the tape ---- */

RgTape *rg_tape_create(void) {
    RgTape *tape = rg_allocate(1, sizeof *tape);
    tape->arena = rg_arena_create();
    tape->recording = true;
    rg_tape_count_onto(tape, NULL);
    return tape;
}

void rg_tape_destroy(RgTape *tape) {
    if (!tape)
        return;
    for (int i = 0; i < tape->child_capacity; i++)
        rg_tape_destroy(tape->children[i]);
    free(tape->children);
    rg_arena_destroy(tape->arena);
    free(tape->nodes);
    free(tape->leaves);
    free(tape);
}

static void forget_children(RgTape *tape, int kept) {
    while (tape->child_count > kept)
        rg_tape_reset(tape->children[--tape->child_count]);
}

void rg_tape_reset(RgTape *tape) {
    forget_children(tape, 0);
    rg_arena_reset(tape->arena);
    tape->node_count = 0;
    tape->leaf_count = 0;
}

void rg_tape_use_stopped(RgTape *tape, RgStopped *stopped) {
    tape->stopped = stopped;
}

RgReal *rg_tape_stop(RgTape *tape, const RgTensor *x) {
    RgStopped *s = tape->stopped;
    if (!s)
        return x->data;
    if (s->again) {
        RG_ASSERT(s->next + x->count <= s->count); /* as many as the first time */
        s->next += x->count;
        return s->value + s->next - x->count;
    }
    s->value = rg_reallocate(s->value, (size_t)(s->count + x->count), sizeof *s->value);
    memcpy(s->value + s->count, x->data, (size_t)x->count * sizeof *x->data);
    s->count += x->count;
    return x->data;
}

RgTape *rg_tape_child(RgTape *tape) {
    if (tape->child_count == tape->child_capacity) {
        size_t count = (size_t)++tape->child_capacity;
        tape->children = rg_reallocate(tape->children, count, sizeof(RgTape *));
        tape->children[tape->child_count] = rg_tape_create();
    }
    RgTape *child = tape->children[tape->child_count++];
    rg_tape_count_onto(child, NULL);
    return child;
}

RgArena *rg_tape_arena(RgTape *tape) {
    return tape->arena;
}

size_t rg_tape_used(const RgTape *tape) {
    size_t bytes = rg_arena_used(tape->arena);
    for (int i = 0; i < tape->child_count; i++)
        bytes += rg_tape_used(tape->children[i]);
    return bytes;
}

size_t rg_tape_peak(const RgTape *tape) {
    size_t bytes = rg_arena_peak(tape->arena);
    for (int i = 0; i < tape->child_capacity; i++)
        bytes += rg_tape_peak(tape->children[i]);
    return bytes;
}

void rg_tape_second_order(RgTape *tape, bool on) {
    RG_ASSERT(tape->node_count == 0);
    tape->second_order = on;
}

bool rg_tape_is_second_order(const RgTape *tape) {
    return tape->second_order;
}

bool rg_tape_record(RgTape *tape, bool on) {
    bool before = tape->recording;
    tape->recording = on;
    return before;
}

bool rg_tape_is_recording(const RgTape *tape) {
    return tape->recording;
}

RgPrecision rg_tape_use_precision(RgTape *tape, RgPrecision precision) {
    RgPrecision before = tape->precision;
    tape->precision = precision;
    return before;
}

RgPrecision rg_tape_precision(const RgTape *tape) {
    return tape->precision;
}

void rg_tape_count_onto(RgTape *tape, double *flops) {
    tape->flops = flops ? flops : &tape->own_flops;
}

double rg_tape_flops(const RgTape *tape) {
    return *tape->flops;
}

void rg_tape_count_flops(RgTape *tape, double flops) {
    *tape->flops += flops;
    rg_profile_flops(flops);
}

RgTapeMark rg_tape_mark(const RgTape *tape) {
    return (RgTapeMark){.memory = rg_arena_mark(tape->arena),
                        .nodes = tape->node_count,
                        .children = tape->child_count};
}

void rg_tape_rewind(RgTape *tape, RgTapeMark mark) {
    RG_ASSERT(mark.nodes <= tape->node_count);
    forget_children(tape, mark.children);
    rg_arena_rewind(tape->arena, mark.memory);
    tape->node_count = mark.nodes;

    size_t used = rg_arena_used(tape->arena);
    while (tape->leaf_count > 0 && tape->leaves[tape->leaf_count - 1].end > used)
        tape->leaf_count--;
    for (int i = 0; i < tape->leaf_count; i++) {
        Leaf *leaf = &tape->leaves[i];
        if (leaf->gradient_end > used) {
            leaf->tensor->gradient = NULL;
            leaf->tensor->gradient_owned = false;
            leaf->gradient_end = 0;
        }
    }
}

/* ---- tensors and leaves ---- */

static RgTensor *tensor_on(RgTape *tape, RgShape shape, RgReal *data) {
    RgTensor *tensor = rg_arena_allocate_zeroed(tape->arena, sizeof *tensor);
    tensor->shape = shape;
    tensor->count = rg_shape_count(shape);
    tensor->data = data ? data : RG_ARENA_ARRAY(tape->arena, RgReal, tensor->count);
    return tensor;
}

RgTensor *rg_tensor_new(RgTape *tape, RgShape shape) {
    return tensor_on(tape, shape, NULL);
}

RgTensor *rg_borrow(RgTape *tape, RgShape shape, RgReal *data) {
    RG_ASSERT(data);
    return tensor_on(tape, shape, data);
}

RgTensor *rg_constant(RgTape *tape, RgShape shape, const RgReal *data) {
    RgTensor *tensor = rg_tensor_new(tape, shape);
    if (tensor->count > 0)
        memcpy(tensor->data, data, sizeof *data * (size_t)tensor->count);
    return tensor;
}

RgTensor *rg_constant_from_double(RgTape *tape, RgShape shape, const double *data) {
    RgTensor *tensor = rg_tensor_new(tape, shape);
    for (int64_t i = 0; i < tensor->count; i++)
        tensor->data[i] = (RgReal)data[i];
    return tensor;
}

RgTensor *rg_filled(RgTape *tape, RgShape shape, RgReal value) {
    RgTensor *tensor = rg_tensor_new(tape, shape);
    RG_FOR_PIECES(tensor->count, rg_spread(tensor->count, RG_LEAST_NUMBERS),
                  for (int64_t i = first; i < last; i++) tensor->data[i] = value);
    return tensor;
}

RgTensor *rg_scalar(RgTape *tape, RgReal value) {
    return rg_filled(tape, RG_SCALAR, value);
}

static RgTensor *leaf_append(RgTape *tape, RgTensor *tensor, const RgParameters *parameters,
                             int view) {
    if (tape->leaf_count == tape->leaf_capacity) {
        tape->leaf_capacity = tape->leaf_capacity ? 2 * tape->leaf_capacity : 32;
        tape->leaves =
            rg_reallocate(tape->leaves, (size_t)tape->leaf_capacity, sizeof *tape->leaves);
    }
    tape->leaves[tape->leaf_count++] = (Leaf){.tensor = tensor,
                                              .parameters = parameters,
                                              .view = view,
                                              .end = rg_arena_used(tape->arena)};
    return tensor;
}

RgTensor *rg_variable(RgTape *tape, RgShape shape, const RgReal *data) {
    RgTensor *tensor = rg_constant(tape, shape, data);
    tensor->needs_gradient = true;
    return leaf_append(tape, tensor, NULL, 0);
}

/* The expansions of operators do not support rounded numbers. */
static RgTensor *rounded_leaf(RgTape *tape, RgShape shape, const RgParameters *parameters,
                              int index) {
    if (tape->second_order) {
        RgTensor *wide = rg_tensor_new(tape, shape);
        rg_parameters_read(parameters, index, wide->data);
        return wide;
    }
    RgTensor *tensor = rg_arena_allocate_zeroed(tape->arena, sizeof *tensor);
    tensor->shape = shape;
    tensor->count = rg_shape_count(shape);
    tensor->rounded = parameters->rounded + parameters->views[index].offset;
    return tensor;
}

RgTensor *rg_parameter(RgTape *tape, RgParameters *parameters, int index) {
    for (int i = 0; i < tape->leaf_count; i++)
        if (tape->leaves[i].parameters == parameters && tape->leaves[i].view == index)
            return tape->leaves[i].tensor;

    RG_ASSERT(index >= 0 && index < parameters->view_count && parameters->value);
    const RgParameterView *view = &parameters->views[index];
    RgShape shape = {.rank = view->rank};
    memcpy(shape.size, view->size, sizeof shape.size);
    RgTensor *tensor = view->rounded ? rounded_leaf(tape, shape, parameters, index)
                                     : rg_borrow(tape, shape, parameters->value + view->offset);
    tensor->needs_gradient = !parameters->frozen;
    if (parameters->gradient && !parameters->frozen)
        tensor->sink = parameters->gradient + view->offset;
    return leaf_append(tape, tensor, parameters, index);
}

/* ---- recording ---- */

static RgTensor *node_append(RgTape *tape, const RgOperator *op, RgTensor *y,
                             RgTensor *const *inputs, int input_count, void *attributes) {
    y->needs_gradient = true;
    y->op = op;
    y->input_count = input_count;
    y->attributes = attributes;
    memcpy(y->inputs, inputs, sizeof *inputs * (size_t)input_count);
    if (tape->node_count == tape->node_capacity) {
        tape->node_capacity = tape->node_capacity ? 2 * tape->node_capacity : 1024;
        tape->nodes = rg_reallocate(tape->nodes, (size_t)tape->node_capacity, sizeof *tape->nodes);
    }
    tape->nodes[tape->node_count++] = y;
    return y;
}

RgTensor *rg_record(RgTape *tape, const RgOperator *op, RgTensor *y, RgTensor *const *inputs,
                    int input_count, void *attributes) {
    RG_ASSERT(input_count >= 0 && input_count <= RG_MAX_INPUTS);
    if (!tape->walking)
        rg_profile_lap(op->name, false);
    bool needed = false;
    for (int i = 0; i < input_count; i++)
        needed |= inputs[i]->needs_gradient;
    if (!needed || !tape->recording)
        return y;

    return node_append(tape, op, y, inputs, input_count, attributes);
}

/* A backward may pass the same tensor to several inputs, so the first gradient is only referenced.
 * The second creates a sum owned by the input, to which further ones are added in place; unless the
 * sums are recorded and must not change. */
void rg_add_gradient(RgTape *tape, RgTensor *input, RgTensor *gradient) {
    if (!input->needs_gradient)
        return;
    RG_ASSERT(rg_shape_equal(input->shape, gradient->shape));
    if (input->sink) {
        rg_axpy(input->count, 1, gradient->data, input->sink);
    } else if (!input->gradient) {
        input->gradient = gradient;
        input->gradient_owned = false;
    } else if (input->gradient_owned && !tape->recording) {
        rg_axpy(input->count, 1, gradient->data, input->gradient->data);
    } else {
        input->gradient = rg_add(tape, input->gradient, gradient);
        input->gradient_owned = true;
    }
}

/* Sinks are saved while a walk is recorded, so an existing sink may be written to. */
RgReal *rg_gradient_in_place(const RgTape *tape, const RgTensor *input) {
    if (input->sink)
        return input->sink;
    return input->gradient_owned && !tape->recording ? input->gradient->data : NULL;
}

/* ---- differentiation ---- */

/* Propagates the gradients of the seed tensors over the nodes from the last to `first`. Afterwards
 * the nodes keep their gradients until nodes_clear. */
static void nodes_walk_to(RgTape *tape, int64_t first, int64_t node_count) {
    bool walking = tape->walking;
    tape->walking = true;
    for (int64_t i = node_count - 1; i >= first; i--) {
        RgTensor *node = tape->nodes[i];
        if (!node->gradient)
            continue;
        RG_ASSERT(!(tape->recording && node->op->fused));
        node->op->backward(tape, node, node->gradient);
        rg_profile_lap(node->op->name, true);
    }
    tape->walking = walking;
}

/* The same down to the leaves. */
static void nodes_walk(RgTape *tape, int64_t node_count) {
    nodes_walk_to(tape, 0, node_count);
}

static void nodes_clear(RgTape *tape, int64_t node_count) {
    for (int64_t i = 0; i < node_count; i++) {
        tape->nodes[i]->gradient = NULL;
        tape->nodes[i]->gradient_owned = false;
    }
}

void rg_backward_from(RgTape *tape, RgTensor *y, RgTensor *dy) {
    if (!y->needs_gradient)
        return;
    bool recording = rg_tape_record(tape, false);
    int64_t node_count = tape->node_count;
    rg_add_gradient(tape, y, dy);
    nodes_walk(tape, node_count);
    nodes_clear(tape, node_count);
    rg_tape_record(tape, recording);

    size_t used = rg_arena_used(tape->arena);
    for (int i = 0; i < tape->leaf_count; i++)
        tape->leaves[i].gradient_end = tape->leaves[i].tensor->gradient ? used : 0;
}

void rg_backward(RgTape *tape, RgTensor *y, RgReal scale) {
    RG_ASSERT(y->count == 1);
    if (y->needs_gradient)
        rg_backward_from(tape, y, rg_filled(tape, y->shape, scale));
}

/* While gradients are requested as tensors, leaves keep them like other tensors: no parameter store
 * is written to, and a variable's previous gradient is saved. */
static void leaves_put_aside(RgTape *tape) {
    tape->sinks_aside = true;
    for (int i = 0; i < tape->leaf_count; i++) {
        Leaf *leaf = &tape->leaves[i];
        leaf->gradient_aside = leaf->tensor->gradient;
        leaf->owned_aside = leaf->tensor->gradient_owned;
        leaf->sink_aside = leaf->tensor->sink;
        leaf->tensor->gradient = NULL;
        leaf->tensor->gradient_owned = false;
        leaf->tensor->sink = NULL;
    }
}

static void leaves_put_back(RgTape *tape) {
    tape->sinks_aside = false;
    for (int i = 0; i < tape->leaf_count; i++) {
        Leaf *leaf = &tape->leaves[i];
        leaf->tensor->gradient = leaf->gradient_aside;
        leaf->tensor->gradient_owned = leaf->owned_aside;
        leaf->tensor->sink = leaf->sink_aside;
    }
}

void rg_gradients(RgTape *tape, RgTensor *y, RgTensor *const *with_respect_to, int count,
                  RgTensor **gradients) {
    RG_ASSERT(y->count == 1);
    bool recording = rg_tape_record(tape, tape->second_order);
    int64_t node_count = tape->node_count;
    leaves_put_aside(tape);
    rg_add_gradient(tape, y, rg_filled(tape, y->shape, 1));
    nodes_walk(tape, node_count);
    for (int i = 0; i < count; i++) {
        RgTensor *x = with_respect_to[i];
        gradients[i] = x->gradient ? x->gradient : rg_filled(tape, x->shape, 0);
    }
    nodes_clear(tape, node_count);
    leaves_put_back(tape);
    rg_tape_record(tape, recording);
}

/* ---- recomputed segments ---- */

typedef struct Recompute {
    RgSegment segment;
    const void *context;
    RgPrecision precision;
} Recompute;

/* Runs on stand-ins for the inputs, where the walk ends. Only the stand-ins' gradients remain,
 * because those of parameters were added to the store. */
static void recompute_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Recompute *kept = y->attributes;
    RgTensor *input[RG_MAX_INPUTS], *gradient[RG_MAX_INPUTS];
    bool reached[RG_MAX_INPUTS];
    RG_ASSERT(!t->sinks_aside);
    for (int i = 0; i < y->input_count; i++)
        gradient[i] = y->inputs[i]->needs_gradient ? rg_tensor_new(t, y->inputs[i]->shape) : NULL;
    RgTapeMark mark = rg_tape_mark(t);
    for (int i = 0; i < y->input_count; i++) {
        input[i] = rg_borrow(t, y->inputs[i]->shape, y->inputs[i]->data);
        input[i]->needs_gradient = y->inputs[i]->needs_gradient;
    }
    RgPrecision precision = rg_tape_use_precision(t, kept->precision);
    rg_tape_record(t, true);
    RgTensor *again = kept->segment(t, kept->context, input);
    rg_tape_record(t, false);
    rg_tape_use_precision(t, precision);
    rg_add_gradient(t, again, dy);
    nodes_walk_to(t, mark.nodes, t->node_count);
    for (int i = 0; i < y->input_count; i++) {
        reached[i] = gradient[i] && input[i]->gradient;
        if (reached[i])
            rg_numbers_copy(gradient[i]->count, input[i]->gradient->data, gradient[i]->data);
    }
    rg_tape_rewind(t, mark);
    for (int i = 0; i < y->input_count; i++)
        if (reached[i])
            rg_add_gradient(t, y->inputs[i], gradient[i]);
}

static const RgOperator recompute_operator = {
    .name = "recompute", .backward = recompute_backward, .fused = true};

/* The first run is recorded too, to find out whether anything in it needs a gradient. */
RgTensor *rg_recompute(RgTape *tape, RgSegment segment, const void *context,
                       RgTensor *const *inputs, int input_count, RgShape shape) {
    if (tape->second_order)
        return segment(tape, context, inputs);
    RgTensor *y = rg_tensor_new(tape, shape);
    const Recompute kept = {segment, context, tape->precision};
    void *attributes = rg_arena_copy(tape->arena, &kept, sizeof kept);
    RgTapeMark mark = rg_tape_mark(tape);
    const RgTensor *made = segment(tape, context, inputs);
    RG_ASSERT(rg_shape_equal(made->shape, shape));
    rg_numbers_copy(y->count, made->data, y->data);
    bool needed = made->needs_gradient;
    rg_tape_rewind(tape, mark);
    return needed ? node_append(tape, &recompute_operator, y, inputs, input_count, attributes) : y;
}

/* ---- second derivatives ---- */

struct RgHessian {
    RgTape *tape;
    const RgParameters *parameters;
    int count; /* number of the store's views that are leaves of this tape */
    RgTensor **leaf;
    RgTensor **gradient; /* of each leaf; recorded */
    int64_t *offset;     /* of each leaf in the flat buffer */
};

RgHessian *rg_hessian_create(RgTape *tape, RgTensor *y, RgParameters *parameters) {
    RG_ASSERT(tape->second_order);
    RgHessian *hessian = rg_arena_allocate_zeroed(tape->arena, sizeof *hessian);
    hessian->tape = tape;
    hessian->parameters = parameters;
    hessian->leaf = RG_ARENA_ARRAY(tape->arena, RgTensor *, tape->leaf_count);
    hessian->gradient = RG_ARENA_ARRAY(tape->arena, RgTensor *, tape->leaf_count);
    hessian->offset = RG_ARENA_ARRAY(tape->arena, int64_t, tape->leaf_count);
    for (int i = 0; i < tape->leaf_count; i++) {
        const Leaf *leaf = &tape->leaves[i];
        if (leaf->parameters != parameters)
            continue;
        hessian->leaf[hessian->count] = leaf->tensor;
        hessian->offset[hessian->count++] = parameters->views[leaf->view].offset;
    }
    rg_gradients(tape, y, hessian->leaf, hessian->count, hessian->gradient);
    return hessian;
}

void rg_hessian_gradient(const RgHessian *hessian, RgReal *gradient) {
    memset(gradient, 0, sizeof *gradient * (size_t)hessian->parameters->count);
    for (int i = 0; i < hessian->count; i++)
        memcpy(gradient + hessian->offset[i], hessian->gradient[i]->data,
               sizeof *gradient * (size_t)hessian->gradient[i]->count);
}

/* The gradients of a store's leaves, flat; zeros for leaves not reached. */
static void gather_gradients(const RgTape *tape, const RgParameters *store, RgReal *out) {
    memset(out, 0, sizeof *out * (size_t)store->count);
    for (int i = 0; i < tape->leaf_count; i++) {
        const Leaf *leaf = &tape->leaves[i];
        const RgTensor *gradient = leaf->tensor->gradient;
        if (leaf->parameters == store && gradient)
            memcpy(out + store->views[leaf->view].offset, gradient->data,
                   sizeof *out * (size_t)gradient->count);
    }
}

/* H v is the gradient of <g, v> with v fixed: the recorded g is differentiated from v. */
void rg_hessian_mixed_product(RgHessian *hessian, const RgReal *v, const RgParameters *other,
                              RgReal *out) {
    RgTape *tape = hessian->tape;
    RgTapeMark mark = rg_tape_mark(tape);
    bool recording = rg_tape_record(tape, false);
    leaves_put_aside(tape);
    for (int i = 0; i < hessian->count; i++)
        rg_add_gradient(tape, hessian->gradient[i],
                        rg_constant(tape, hessian->gradient[i]->shape, v + hessian->offset[i]));
    nodes_walk(tape, mark.nodes);
    gather_gradients(tape, other, out);
    nodes_clear(tape, mark.nodes);
    leaves_put_back(tape);
    rg_tape_record(tape, recording);
    rg_tape_rewind(tape, mark);
}

void rg_hessian_product(RgHessian *hessian, const RgReal *v, RgReal *hv) {
    rg_hessian_mixed_product(hessian, v, hessian->parameters, hv);
}
