// SPDX-License-Identifier: MIT
// The golden ids of tests/test_tokenizer_files.c: those of the texts of tests/tokenizers by the Rust
// library, for each tokenizer there.
//
// Run, in a folder where the npm package tokenizers is installed:
//     node SOURCE/tests/golden/tokenizers.mjs > SOURCE/tests/golden/tokenizers.json
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const { Tokenizer } = createRequire(join(process.cwd(), "x.js"))("tokenizers");
const folder = join(dirname(fileURLToPath(import.meta.url)), "../tokenizers");
const texts = readFileSync(join(folder, "texts.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line).text);
const golden = {};
for (const name of readdirSync(folder).filter((file) => file.endsWith(".json")).sort()) {
  const tokenizer = Tokenizer.fromString(readFileSync(join(folder, name), "utf8"));
  golden[name] = [];
  for (const text of texts)
    golden[name].push((await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds());
}
const lines = Object.entries(golden).map(([name, ids]) => `"${name}": ${JSON.stringify(ids)}`);
console.log(`{\n${lines.join(",\n")}\n}`);
