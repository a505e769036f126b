// SPDX-License-Identifier: MIT
// See compare-tokenizers.sh. Arguments: the program, then npm packages with a tokenizerJSON, and files.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "x.js"));
const { Tokenizer } = require("tokenizers");
const { Template } = require("@huggingface/jinja");

// ---- texts: the same in each run ----

let state = 1n;
function below(count) {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
  return Number((state >> 33n) % BigInt(count));
}
const pick = (list) => list[below(list.length)];
// First and last character of blocks with scripts, marks, digits, punctuation, symbols, white space.
const blocks = [[0x20, 0x7e], [0x20, 0x7e], [0x09, 0x0d], [0x00, 0x1f], [0x7f, 0xa0], [0xa1, 0x17f], [0x250, 0x2af],
  [0x300, 0x36f], [0x370, 0x3ff], [0x400, 0x4ff], [0x531, 0x58f], [0x591, 0x5f4], [0x600, 0x6ff], [0x900, 0x97f],
  [0x980, 0x9fe], [0xe01, 0xe5b], [0x10a0, 0x10ff], [0x1100, 0x11ff], [0x13a0, 0x13ff], [0x1680, 0x169c],
  [0x1800, 0x180e], [0x1d400, 0x1d7ff], [0x1e00, 0x1fff], [0x2000, 0x206f], [0x2070, 0x209c], [0x20a0, 0x20bf],
  [0x20d0, 0x20f0], [0x2100, 0x218b], [0x2190, 0x21ff], [0x2200, 0x22ff], [0x2460, 0x24ff], [0x2580, 0x259f],
  [0x3000, 0x303f], [0x3041, 0x309f], [0x30a0, 0x30ff], [0x4e00, 0x9fff], [0xa000, 0xa48c], [0xac00, 0xd7a3],
  [0xf900, 0xfaff], [0xfb00, 0xfb4f], [0xfe00, 0xfe2f], [0xff01, 0xffee], [0x10330, 0x1034a], [0x1f100, 0x1f1ff],
  [0x1f300, 0x1f64f], [0x1f900, 0x1f9ff], [0x20000, 0x2a6d6], [0xe0100, 0xe01ef], [0xe000, 0xe0ff]];
const words = ["the", "The", "THE", "river", "don't", "DON'T", "we'll", "I'm", "it's", "naïve", "café", "cafe\u0301",
  "Straße", "ﬁne", "ÅNGSTRÖM", "K\u212a", "ſhip", "Σίσυφος", "мир", "Привет", "שלום", "العربية", "नमस्ते", "हिन्दी", "ไทย",
  "日本語", "カタカナ", "ｶﾀｶﾅ", "한국어", "漢字", "中文。", "👩‍👩‍👧", "🇩🇪", "🙂", "1", "12", "123", "1234567", "3.14", "١٢٣", "½", "Ⅷ",
  "²", "0x1F", "foo_bar", "fooBar", "a1b2", "https://example.org/a?b=c&d", "user@example.org", "<b>", "</b>", "{", "}",
  "==", "!=", "->", "//", "/*", "*/", "...", "…", "—", "“so”", "'s", "'S", "'ſ", "$5", "£5", "50%", "#1", "\\n", "\t",
  "\n", "\n\n", "\r\n", "  ", "   ", "\u00a0", "\u2003", "\u3000", "\u180e", "\u200b", "\u200d", "\ufeff", "\u0000",
  "\u0301", "\u2581", "▁a", "Ġ", "<0x0A>", "\ufffd"];
function text_of(kind, specials) {
  let text = "";
  const count = 1 + below(kind === 0 ? 40 : 12);
  for (let i = 0; i < count; i++) {
    if (kind === 0)
      text += pick(words) + pick([" ", " ", " ", "", "\n", "  "]);
    else if (kind === 1) {
      const [low, high] = pick(blocks);
      for (let k = 1 + below(4); k > 0; k--) text += String.fromCodePoint(low + below(high - low + 1));
    } else if (kind === 2)
      text += pick([" ", "\n", "\t", "\r", "\r\n", "\u00a0", "\u2028", "\u0085", "\u180e", "a", "1", "!", "é", "字"]);
    else
      text += pick(specials) + pick(["", "", " ", "\n", "\n\n", " \n ", "a", "word ", " 1"]);
  }
  return text;
}
function texts_for(specials) {
  state = 1n;
  const texts = ["", " ", "a", "\n", "aaaa", "1234567", "stra\u00dfe ss", "a \u180e! b"];
  while (texts.length < 2400)
    texts.push(text_of(texts.length % 4, specials));
  return texts;
}

// ---- comparing ----

async function differences_of(name, texts, reference, lines) {
  let ids = 0, decoded = 0, shown = 0;
  for (let i = 0; i < texts.length; i++) {
    const theirs = (await reference.encode(texts[i], null, { addSpecialTokens: false })).getIds();
    const ours = JSON.parse(lines[i]);
    const same = JSON.stringify(theirs) === JSON.stringify(ours.ids);
    const spelled = await reference.decode(ours.ids, false);
    ids += !same;
    decoded += same && spelled !== ours.decoded;
    if ((!same || spelled !== ours.decoded) && shown++ < 5)
      console.log(`  ${JSON.stringify(texts[i])}\n    theirs ${same ? JSON.stringify(spelled) : theirs}\n` +
        `    ours   ${same ? JSON.stringify(ours.decoded) : ours.ids}`);
  }
  console.log(`${name}: ${texts.length} texts, ${ids} with other ids, ${decoded} decoded otherwise`);
  return ids + decoded;
}

function tokenize(program, texts, options) {
  writeFileSync("lines.jsonl", texts.map((text) => JSON.stringify(text) + "\n").join(""));
  return execFileSync(program, ["tokenize", "-t", "tokenizer.json", ...options, "lines.jsonl"],
    { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] }).split("\n").slice(0, -1);
}

// Conversations by the model's own template: the tokens of the whole text, up to the end of the answer.
async function compare_chats(program, name, config, reference) {
  const template = new Template(config.chat_template);
  const end_of = (token) => token?.content ?? token ?? undefined;
  // Without what Python and JavaScript do not both take for white space.
  const texts = texts_for(["a"]).map((text) => text.trim()).filter((text) => text && !/[\0\x1c-\x1f\x85\ufeff]/.test(text));
  const conversations = [];
  for (let i = 0; i + 1 < texts.length && conversations.length < 400; i += 2)
    conversations.push({ messages: [{ role: "user", content: texts[i] }, { role: "assistant", content: texts[i + 1] }] });
  writeFileSync("tokenizer_config.json", JSON.stringify(config));
  const lines = tokenize(program, conversations, ["--chat", "tokenizer_config.json"]);
  let differences = 0;
  for (let i = 0; i < conversations.length; i++) {
    const ends = { bos_token: end_of(config.bos_token), eos_token: end_of(config.eos_token) };
    const text = template.render({ ...conversations[i], add_generation_prompt: false, ...ends });
    const theirs = (await reference.encode(text, null, { addSpecialTokens: false })).getIds();
    const { ids, response } = JSON.parse(lines[i]);
    const same = ids.every((id, k) => id === theirs[k]) && response.indexOf(1) > 0;
    if (!same && differences++ < 3)
      console.log(`  ${JSON.stringify(text)}\n    theirs ${theirs}\n    ours   ${ids}`);
  }
  console.log(`${name}: ${conversations.length} conversations by its chat template, ${differences} with other ids`);
  return differences;
}

async function compare(program, name) {
  let json = name.endsWith(".json") ? readFileSync(name, "utf8") : "", config = {};
  if (!json) {
    const { tokenizerJSON, tokenizerConfig } = require(name); // modules, which have the files' members twice
    json = JSON.stringify(tokenizerJSON.default ?? tokenizerJSON);
    config = tokenizerConfig.default ?? tokenizerConfig;
  }
  writeFileSync("tokenizer.json", json);
  writeFileSync("tokenizer_config.json", "{}");
  const added = JSON.parse(json).added_tokens.map((token) => token.content);
  const texts = texts_for(added.length ? added : ["<s>"]);
  try {
    const reference = Tokenizer.fromString(json);
    const lines = tokenize(program, texts.map((text) => ({ text })), []);
    let differences = await differences_of(name, texts, reference, lines);
    if (config.chat_template)
      differences += await compare_chats(program, name, config, reference);
    return differences;
  } catch (error) {
    console.log(`${name}: ${error.stderr || error.message}`.trim());
    return 1;
  }
}

const [program, ...names] = process.argv.slice(2);
let differences = 0;
for (const name of names)
  differences += await compare(program, name);
console.log(`${names.length} tokenizers, ${differences} differences`);
process.exit(differences > 0 ? 1 : 0);
