"""Writes tests/fixtures/text/trained.txt, lines to learn from, and trained.jsonl, what the reference's trainers learn from them.

A line of trained.jsonl: {"kind", "vocab_size", "min_frequency", "cased", "limit_alphabet", "tokens": by id, "merges"?: as in tokenizer.json}.
Words of made-up syllables, some frequent; letters and marks of many scripts; and what tempts counts of pairs: one letter again and again.

    pip install tokenizers==0.21.4 transformers==4.48.3
    python tests/oracle/tokenizer_train_fixtures.py
"""
import collections
import json
import os
import random

from tokenizers import normalizers, pre_tokenizers

import tokenizer_fixtures
from compare_tokenizer_train import bpe, wordpiece
from compare_tokenizers import ATOMS

FOLDER = os.path.join(tokenizer_fixtures.ROOT, "tests", "fixtures", "text")


def texts():
    r = random.Random(5)
    syllables = "ba be bi da do du ka ke ki la lo lu ma na no ra ro sa se ti tu schlo stra ß ä ö é ση μα жи ще 中 文 語 日本 가 나".split()
    words = ["".join(r.choice(syllables) for _ in range(r.randint(1, 4))) for _ in range(900)]
    lines = list(tokenizer_fixtures.TRAINING)
    for _ in range(500):
        line = [words[int(len(words) * r.random() ** 3)] for _ in range(r.randint(1, 12))]
        lines.append(" ".join(w.title() if r.random() < 0.1 else w for w in line) + r.choice([".", "!", "", " ...", "  "]))
    for _ in range(60):
        lines.append("".join(r.choice(ATOMS) + r.choice(["", " "]) for _ in range(r.randint(1, 9))))
    lines += [letters * n for letters in ("a", "ab", "aab", "abab b", "x x") for n in (1, 2, 3, 4, 5, 7, 8, 16, 33)]
    return [line for line in lines if line.strip()]


def letters(lines, cased, limit):
    """The most frequent ones; of those that are as frequent, the ones that come first."""
    normalizer, pre = normalizers.BertNormalizer(lowercase=not cased), pre_tokenizers.BertPreTokenizer()
    count = collections.Counter(c for line in lines for word, _ in pre.pre_tokenize_str(normalizer.normalize_str(line)) for c in word)
    return set(sorted(count, key=lambda c: (-count[c], c))[: limit or 1000])


def main():
    lines, cases = texts(), []
    for size, frequency in ((257, 0), (300, 0), (1200, 0), (500, 3)):
        model = bpe(lines, size, frequency)
        cases.append(dict(kind="bpe", vocab_size=size, min_frequency=frequency, tokens=sorted(model["vocab"], key=model["vocab"].get), merges=[" ".join(m) for m in model["merges"]]))
    for size, frequency, cased, limit in ((1200, 0, False, 0), (1300, 0, True, 0), (600, 4, False, 0), (300, 0, False, 30)):
        vocab = wordpiece(lines, size, frequency, cased, letters(lines, cased, limit))
        cases.append(dict(kind="wordpiece", vocab_size=size, min_frequency=frequency, cased=cased, limit_alphabet=limit, tokens=sorted(vocab, key=vocab.get)))
    for case in cases:
        assert len(case["tokens"]) == case["vocab_size"], (case["kind"], case["vocab_size"], len(case["tokens"]))
    with open(os.path.join(FOLDER, "trained.txt"), "w", encoding="utf-8", newline="\n") as f:
        f.writelines(line + "\n" for line in lines)
    with open(os.path.join(FOLDER, "trained.jsonl"), "w", encoding="utf-8") as f:
        f.writelines(json.dumps(case) + "\n" for case in cases)


if __name__ == "__main__":
    main()
