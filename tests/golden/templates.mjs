// SPDX-License-Identifier: MIT
// Fills in the templates of tests/templates by the npm package @huggingface/jinja, too, and prints
// where its texts differ from those of Jinja 2 in templates.json.
//
// Run, in a folder where that package is installed:  node SOURCE/tests/golden/templates.mjs
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const { Template } = createRequire(join(process.cwd(), "x.js"))("@huggingface/jinja");
const here = dirname(fileURLToPath(import.meta.url));
const read = (path) => readFileSync(join(here, path), "utf8");
const conversations = JSON.parse(read("../templates/conversations.json"));
let same = 0;
for (const [file, texts] of Object.entries(JSON.parse(read("templates.json")))) {
  const template = new Template(read(`../templates/${file}`));
  for (const [name, expected] of Object.entries(texts)) {
    const add_generation_prompt = name.endsWith("+");
    const conversation = conversations[name.replace("+", "")];
    let text = null, reason = "another text";
    try {
      text = template.render({ bos_token: "<s>", eos_token: "</s>", add_generation_prompt,
        day: "1 Jan 2025", ...conversation }); // the package knows today, Regatta does not
    } catch (error) {
      reason = error.message;
    }
    same += text === expected;
    if (text !== expected)
      console.log(`${file}, ${name}: ${text !== null && expected === null ? "a text, no refusal" : reason}`);
  }
}
console.log(`${same} texts are the same`);
