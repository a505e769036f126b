#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a results store holds, but for ids, clock readings, memory and what tells of the machine, in
an order that does not depend on who wrote what when: two stores of the same trials print the same.

    results-contents.py RESULTS.db
"""
import sqlite3
import sys

QUERIES = (
    "SELECT 'experiment', name, config FROM experiments",
    "SELECT 'trial', e.name, t.key, algorithm, label, seed, status, reason, swept, t.config,"
    " selected"
    " FROM trials t JOIN experiments e ON e.id = experiment",
    "SELECT 'reading', key, step, flops, trained_tokens, generated_tokens, judge_queries,"
    " dataset_responses, hessian_products, evaluated FROM readings JOIN trials t ON t.id = trial",
    "SELECT 'metric', key, step, name, value FROM metrics JOIN trials t ON t.id = trial",
    "SELECT 'item', key, step, name, item, value FROM evaluations JOIN trials t ON t.id = trial",
    "SELECT 'response', key, step, item, prompt, response"
    " FROM responses JOIN trials t ON t.id = trial",
)

store = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
# A model that has learnt nothing writes bytes that are no text.
store.text_factory = lambda text: text.decode(errors="backslashreplace")
for query in QUERIES:
    for line in sorted(repr(row) for row in store.execute(query)):
        print(line)
