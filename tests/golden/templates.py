#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The golden texts of tests/test_template.c: the templates and conversations of tests/templates, filled
in by Jinja 2 itself (python3-jinja2), set up as transformers does. A refusal is null.

Run:  tests/golden/templates.py > tests/golden/templates.json
"""
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.sandbox

FOLDER = pathlib.Path(__file__).parent.parent / "templates"


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def refuse(message):
    raise jinja2.TemplateError(message)


environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
environment.globals["raise_exception"] = refuse

golden = {}
conversations = json.loads((FOLDER / "conversations.json").read_text())
for path in sorted(FOLDER.glob("*.jinja")):
    template = environment.from_string(path.read_text())
    golden[path.name] = {}
    for name, conversation in conversations.items():
        for add in (False, True):
            try:
                text = template.render(bos_token="<s>", eos_token="</s>", add_generation_prompt=add, **conversation)
            except jinja2.TemplateError:
                text = None
            golden[path.name][name + ("+" if add else "")] = text
print(json.dumps(golden, ensure_ascii=False, indent=1))
