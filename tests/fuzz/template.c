/* SPDX-License-Identifier: MIT */
/* Chat templates, filled in with a conversation. */
#include "core/text/template.h"
#include "tests/fuzz/fuzz.h"

static json_t *conversation(RgBytes text) {
    json_error_t fault;
    json_t *given = json_loadb(text.data, text.size, 0, &fault);
    if (given)
        return given;
    return json_pack("{s:s, s:b, s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]}", "bos_token", "<s>",
                     "add_generation_prompt", 1, "messages", "role", "system", "content",
                     "Be kind.", "role", "user", "content", " Why? ", "role", "assistant",
                     "content", "So.");
}

/* Parts: the template, variables in JSON. */
static void run(const uint8_t *data, size_t size) {
    RgBytes parts[2];
    RgError error = {0};
    RgTemplate *template;
    RgBuffer out = {0};
    fuzz_split(data, size, parts, 2);
    if (!fuzz_good(rg_template_create("x.jinja", parts[0].data, parts[0].size, &template, &error),
                   &error, "x.jinja"))
        return;
    json_t *variables = conversation(parts[1]);
    fuzz_good(rg_template_render(template, variables, &out, &error), &error, "x.jinja");
    json_decref(variables);
    rg_buffer_release(&out);
    rg_template_destroy(template);
}

const FuzzTarget fuzz_template = {"template", run};
