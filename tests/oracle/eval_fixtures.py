#!/usr/bin/env python3
"""Makes tests/fixtures/retrieve/eval.*: a random run and judgements (ties, grades, negative grades, queries that only one side has), the
values that trec_eval gives them, by pytrec_eval (pip install pytrec_eval-terrier), and correlations by scipy.

    eval_fixtures.py tests/fixtures/retrieve"""
import math, random, sys

import pytrec_eval
from scipy import stats

out = sys.argv[1]
rng = random.Random(9)
CUTS = (5, 10, 15, 20, 30, 100, 200, 500, 1000)
run, qrels = {}, {}
for q in range(24):
    qid = f"q{q}" if q % 3 else f"{q}-topic"
    pool = [f"d{i}" for i in rng.sample(range(4000), 1300 if q == 3 else rng.randint(1, 240))]
    judged = rng.sample(pool, min(len(pool), rng.randint(1, 60))) + [f"e{i}" for i in range(rng.randint(0, 20))]
    grades = [0, 0, 0, 1, 1, 2, 3] + ([-1, -2] if q % 4 == 0 else [])
    if q == 5:
        grades = [0]  # nothing is relevant
    if q == 6:
        grades = [1, 2]  # nothing is irrelevant
    if q not in (1, 14):
        qrels[qid] = {d: rng.choice(grades) for d in judged}
    if q not in (2, 13, 20):
        # Few different scores, so that many tie; some differ in double precision only.
        run[qid] = {d: rng.choice([rng.randint(-3, 12), 0.1, 0.1 + 1e-12, rng.random() * 9]) for d in pool}

lines = [(q, d, s) for q in run for d, s in run[q].items()]
rng.shuffle(lines)
with open(f"{out}/eval.run", "w") as f:
    for i, (q, d, s) in enumerate(lines):
        f.write(f"{q} Q0 {d} {i % 7} {s!r} x\n")
with open(f"{out}/eval.qrels", "w") as f:
    for q in qrels:
        for d, g in qrels[q].items():
            f.write(f"{q} 0 {d} {g}\n")

wanted = {"num_ret", "num_rel", "num_rel_ret", "map", "gm_map", "Rprec", "bpref", "recip_rank", "iprec_at_recall", "P", "recall", "11pt_avg", "ndcg",
          "ndcg_cut", "map_cut", "success"}
values = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate({q: {d: float(s) for d, s in r.items()} for q, r in run.items()})
names = sorted(next(iter(values.values())))
with open(f"{out}/eval.expected", "w") as f:
    f.write("# measure, its mean over the queries of both files, and over all judged queries as with trec_eval -c\n")
    f.write(f"num_q {len(values)} {len(qrels)}\n")
    for name in names:
        per_query = [values[q][name] for q in sorted(values)]
        missing = len(qrels) - len(values)
        total = sum(per_query)
        if name == "num_rel":
            both = total, sum(g > 0 for r in qrels.values() for g in r.values())
        elif name.startswith("num_"):
            both = total, total
        elif name == "gm_map":
            both = math.exp(total / len(values)), math.exp((total + missing * math.log(1e-5)) / len(qrels))
        else:
            both = total / len(values), total / len(qrels)
        f.write(f"{name} {both[0]!r} {both[1]!r}\n")

with open(f"{out}/correlate.expected", "w") as f:
    f.write("# n, pearson, spearman; then the two lists, a pair a line\n")
    for n in (2, 3, 10, 200):
        x = [rng.choice([rng.gauss(0, 1), rng.randint(0, 5), 1e6 * rng.random()]) for _ in range(n)]
        y = [a * rng.random() + rng.choice([0, 1]) for a in x]
        f.write(f"{n} {float(stats.pearsonr(x, y)[0])!r} {float(stats.spearmanr(x, y)[0])!r}\n")
        for a, b in zip(x, y):
            f.write(f"{a!r} {b!r}\n")
