#!/usr/bin/env python3
"""Compares `lathe eval --predictions` with scikit-learn, scipy and seqeval, and with SQuAD 1.1's arithmetic, on random cases.

usage: compare_metrics.py LATHE [--rounds 60] [--seed N]

Needs scikit-learn, scipy and seqeval (pip). Cases cover labels with blanks, accents and numbers, labels that one side alone has, one label
throughout, sets of labels with empty ones, tags in every scheme and such as none has, answers with articles, punctuation and blanks of many kinds, and
correlations of constant lists. Values have to agree to 1e-9; the first that does not ends the run with its case.
"""
import argparse
import collections
import json
import math
import os
import random
import re
import string
import subprocess
import sys
import tempfile
import warnings
from fractions import Fraction

import scipy.stats
import sklearn.metrics
import sklearn.preprocessing
from seqeval.metrics import accuracy_score, classification_report, f1_score, precision_score, recall_score

warnings.filterwarnings("ignore")


class Trial:
    def __init__(self, lathe, folder, rnd):
        self.lathe, self.folder, self.rnd = lathe, folder, rnd

    def evaluate(self, task, rows, predictions, *options):
        data, file = os.path.join(self.folder, "data.jsonl"), os.path.join(self.folder, "predictions")
        for path, values in (data, rows), (file, predictions):
            with open(path, "w", encoding="utf-8") as f:
                f.writelines(json.dumps(v, ensure_ascii=self.rnd.random() < 0.5) + "\n" for v in values)
        done = subprocess.run([self.lathe, "eval", "--predictions", file, "--data", data, "--task", task, "--json", *options], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"lathe eval --task {task}: {done.stderr}\n{rows}\n{predictions}")
        return json.loads(done.stdout)

    def check(self, task, got, want, case):
        if set(got) != set(want):
            sys.exit(f"{task}: keys {sorted(got)}, wanted {sorted(want)}")
        for name, value in want.items():
            undefined = value is None or math.isnan(value)
            if (got[name] is None) != undefined or (not undefined and abs(got[name] - value) > 1e-9 * max(1, abs(value))):
                sys.exit(f"{task}: {name} is {got[name]}, wanted {value}\n{case}")

    # ---- labels ----

    def classify(self):
        r = self.rnd
        pool = r.choice([["yes", "no"], [0, 1, 2, 3], ["a", "b c", "ü", "漢", "", "d"], ["x"], [True, False], list(range(30))])
        known = r.sample(pool, r.randint(1, len(pool)))
        want = [r.choice(known) for _ in range(r.randint(1, 60))]
        got = [w if r.random() < 0.5 else r.choice(pool) for w in want]
        as_text = lambda v: json.dumps(v) if not isinstance(v, str) else v
        a, b = [as_text(v) for v in want], [as_text(v) for v in got]
        expected = {
            "accuracy": sklearn.metrics.accuracy_score(a, b),
            "f1_macro": sklearn.metrics.f1_score(a, b, average="macro", zero_division=0),
            "f1_micro": sklearn.metrics.f1_score(a, b, average="micro", zero_division=0),
            "mcc": sklearn.metrics.matthews_corrcoef(a, b),
        }
        shape = r.choice([lambda v: v, lambda v: {"label": v, "score": 0.5, "scores": {}}])
        self.check("classify", self.evaluate("classify", [{"label": w} for w in want], [shape(g) for g in got]), expected, (want, got))

    def several(self):
        r = self.rnd
        pool = ["sport", "art", "ö", "x y", "7"][: r.randint(1, 5)]
        some = lambda: r.sample(pool, r.randint(0, len(pool)))
        want = [some() for _ in range(r.randint(1, 40))]
        got = [w[::-1] if r.random() < 0.4 else some() for w in want]
        seen = sorted({x for s in want + got for x in s})
        if not seen:
            return
        a, b = (sklearn.preprocessing.MultiLabelBinarizer(classes=seen).fit_transform(s) for s in (want, got))
        expected = {
            "accuracy": sklearn.metrics.accuracy_score(a, b),
            "f1_macro": sklearn.metrics.f1_score(a, b, average="macro", zero_division=0) if len(seen) > 1 else sklearn.metrics.f1_score(a, b, zero_division=0),
            "f1_micro": sklearn.metrics.f1_score(a, b, average="micro", zero_division=0) if len(seen) > 1 else sklearn.metrics.f1_score(a, b, zero_division=0),
        }
        shape = r.choice([lambda v: v, lambda v: {"labels": v, "scores": {}}])
        self.check("several labels", self.evaluate("classify", [{"label": w} for w in want], [shape(g) for g in got]), expected, (want, got))

    # ---- tags ----

    def tag(self):
        r = self.rnd
        letters = r.choice(["BIO", "IO", "BIESO", "IEO", "BI", "BILUO", "BIESO.X"])
        types = r.choice([["PER"], ["PER", "LOC"], ["A", "B-C", "ü", ""]])
        one = lambda: "O" if r.random() < 0.3 else r.choice(letters) + r.choice(["-", "-", "-", ""]) + r.choice(types)
        want = [[one() for _ in range(r.randint(0 if i else 1, 12))] for i in range(r.randint(1, 12))]
        got = [[t if r.random() < 0.7 else one() for t in row] for row in want]
        expected = {"precision": precision_score(want, got), "recall": recall_score(want, got), "f1": f1_score(want, got), "accuracy": accuracy_score(want, got)}
        shape = r.choice([lambda v: v, lambda v: {"tags": v}])
        rows = [{"words": ["w"] * len(w), "tags": w} for w in want]
        result = self.evaluate("tag", rows, [shape(g) for g in got], "--per-label")
        own = result.pop("per_label")
        self.check("tag", result, expected, (want, got))
        report = classification_report(want, got, output_dict=True) if any(own) else {}
        for name, values in own.items():
            whole = report[name]
            self.check(f"type {name}", values, {"precision": whole["precision"], "recall": whole["recall"], "f1": whole["f1-score"], "support": float(whole["support"])}, (want, got))
        if set(own) != set(report) - {"micro avg", "macro avg", "weighted avg"}:
            sys.exit(f"types {sorted(own)}, wanted {sorted(report)}\n{want}\n{got}")

    # ---- answers ----

    @staticmethod
    def normal(s):
        s = "".join(c for c in s.lower() if c not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", s).split())

    def squad(self, got, want):
        def f1(x, y):
            x, y = self.normal(x).split(), self.normal(y).split()
            shared = sum((collections.Counter(x) & collections.Counter(y)).values())
            if shared == 0:
                return 0
            p, r = shared / len(x), shared / len(y)
            return 2 * p * r / (p + r)

        return max(float(self.normal(got) == self.normal(w)) for w in want), max(f1(got, w) for w in want)

    def answer(self):
        r = self.rnd
        pool = ["a", "an", "The", "cat", "Cat's", "dog", "x-ray", "Straße", "ÉCOLE", "e\u0301", "½", "漢字", "the\u0301", "–", "a–b", "_a_", "“the”", "İx", "1,000", "ΣΑΣ", "\u200b", "a\u00adn"]
        blanks = [" ", " ", "  ", "\u00a0", "\u3000", "\t", "\u2028", "\x1c", "\u200b"]
        text = lambda: "".join(r.choice(pool) + r.choice(blanks) for _ in range(r.randint(0, 6)))
        want = [[text() for _ in range(r.randint(1, 4))] for _ in range(r.randint(1, 20))]
        got = [r.choice(w) + r.choice(["", "", "the", "!", " dog"]) if r.random() < 0.6 else text() for w in want]
        scores = [self.squad(g, w) for g, w in zip(got, want)]
        expected = {"exact_match": 100 * sum(s[0] for s in scores) / len(scores), "f1": 100 * sum(s[1] for s in scores) / len(scores)}
        shape = r.choice([lambda v: v, lambda v: {"answer": v, "score": 1, "start": 0, "end": 1}, lambda v: {"answers": [{"answer": v}, {"answer": "other"}]}])
        gold = r.choice([lambda v: v, lambda v: {"text": v, "answer_start": [0] * len(v)}])
        self.check("answer", self.evaluate("answer", [{"answers": gold(w)} for w in want], [shape(g) for g in got]), expected, (want, got))

    # ---- numbers ----

    @staticmethod
    def correlation(x, y):
        """In rational numbers: scipy's own sums overflow beyond 1e150, and lose digits where deviations are small; else it has to agree."""
        a, b = ([Fraction(v) for v in z] for z in (x, y))
        a, b = ([v - sum(z) / len(z) for v in z] for z in (a, b))
        squares = sum(v * v for v in a) * sum(v * v for v in b)
        product = sum(v * w for v, w in zip(a, b))
        exact = math.sqrt(product * product / squares) * (1 if product >= 0 else -1)
        scipys = float(scipy.stats.pearsonr(x, y)[0])
        if max(map(abs, x + y)) < 1e100 and abs(scipys - exact) > 1e-6:
            sys.exit(f"scipy's correlation {scipys} is not {exact}: {x} {y}")
        return exact

    def regress(self):
        r = self.rnd
        n = r.randint(1, 40)
        draw = r.choice([lambda: r.gauss(0, 1), lambda: float(r.randint(0, 3)), lambda: 5.0, lambda: r.gauss(0, 1) * 1e-9 + 1e3, lambda: r.gauss(0, 1e200)])
        want, got = [draw() for _ in range(n)], [draw() if r.random() < 0.8 else r.gauss(0, 1) for _ in range(n)]
        defined = n > 1 and len(set(want)) > 1 and len(set(got)) > 1
        expected = {
            "pearson": self.correlation(want, got) if defined else None,
            "spearman": float(scipy.stats.spearmanr(want, got)[0]) if defined else None,
        }
        shape = r.choice([lambda v: v, lambda v: {"score": v, "label": "LABEL_0"}])
        for task, key in ("regress", "label"), ("sts", "score"):
            rows = [{"text": "x", "text_pair": "y", key: w} for w in want]
            self.check(task, self.evaluate(task, rows, [shape(g) for g in got]), expected, (want, got))

    def lm(self):
        r = self.rnd
        texts = ["ü" * r.randint(1, 9) for _ in range(r.randint(1, 9))]
        logs = [[None] + [-r.expovariate(1) for _ in range(r.randint(1, 9))] for _ in texts]
        flat = [x for row in logs for x in row if x is not None]
        expected = {"perplexity": math.exp(-sum(flat) / len(flat)), "bits_per_byte": -sum(flat) / math.log(2) / sum(len(t.encode()) for t in texts)}
        shape = r.choice([lambda v: v, lambda v: {"ids": [], "logprobs": v, "perplexity": 1}])
        self.check("lm", self.evaluate("lm", [{"text": t} for t in texts], [shape(v) for v in logs]), expected, logs)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("lathe")
    a.add_argument("--rounds", type=int, default=60)
    a.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    args = a.parse_args()
    print(f"seed {args.seed}")
    tasks = "classify", "several", "tag", "answer", "regress", "lm"
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(args.lathe, folder, random.Random(args.seed))
        for task in tasks:
            for _ in range(args.rounds):
                getattr(trial, task)()
            print(f"{task}: {args.rounds} cases agree")


if __name__ == "__main__":
    main()
