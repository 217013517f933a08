#!/usr/bin/env python3
"""Dense retrieval by sentence-transformers on scifact, nfcorpus and arguana: the figures that lathe's dense search is held against.

For each set: documents are title + " " + text cut at the model's own length (256 tokens for all-MiniLM-L6-v2), ranked by the cosine of
float32 embeddings, all of them; nDCG@10, recall@100, MAP and reciprocal rank are trec_eval's. Figures are kept in --cache, so that a
set is computed once. --export writes each set as corpus.jsonl, queries.tsv and qrels, the texts that were embedded, for
`lathe index`, `lathe search --run` and `lathe eval`; --runs FOLDER evaluates FOLDER/SET.run beside them, by the same code, and ends
with status 1 where nDCG@10 differs by more than 0.001. Run it in the environment of tools/oracle-venv.sh.

  compare_search.py --model MINILM-FOLDER --data $LATHE_DATA --cache figures.json [--export FOLDER] [--runs FOLDER] scifact
"""
import argparse
import csv
import gzip
import hashlib
import json
import math
import os
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")

# ---- the sets: (documents {id: (title, text)}, queries {id: text}, judgements {query: {document: grade}}) -------------

QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.S)


def unquote(printed):
    """A printed NumPy array of strings, each in whichever quotes it needed, as one text."""
    parts = [re.sub(r"\\(['\"\\])", r"\1", q[1:-1]) for q in QUOTED.findall(printed)]
    return " ".join(p.strip() for p in parts)


def scifact(data):
    csv.field_size_limit(1 << 24)
    with gzip.open(data / "scifact/corpus_train.csv.gz", "rt", encoding="utf-8", newline="") as f:
        docs = {r["doc_id"]: (r["title"], unquote(r["abstract"])) for r in csv.DictReader(f)}
    queries, judged = {}, defaultdict(dict)
    with open(data / "scifact/claims_validation.csv", encoding="utf-8", newline="") as f:
        for r in csv.DictReader(f):
            queries[r["id"]] = r["claim"]
            for doc in re.findall(r"\d+", r["cited_doc_ids"]):
                judged[r["id"]][doc] = 1
    return docs, queries, judged


def nfcorpus(data):
    def pairs(path, opener=open):
        with opener(path, "rt", encoding="utf-8") as f:
            return dict(line.rstrip("\n").split("\t", 1) for line in f)

    docs = {k: ("", v) for k, v in pairs(data / "nfcorpus/test.docs.gz", gzip.open).items()}
    queries = pairs(data / "nfcorpus/test.titles.queries")
    judged = defaultdict(dict)
    for line in (data / "nfcorpus/test.2-1-0.qrel").read_text().splitlines():
        query, _, doc, grade = line.split()
        judged[query][doc] = int(grade)
    return docs, queries, judged


def arguana(data):
    def rows(name):
        with gzip.open(data / f"arguana/{name}.jsonl.gz", "rt", encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.strip()]

    docs = {r["_id"]: (r.get("title", ""), r["text"]) for r in rows("corpus")}
    queries = {r["_id"]: r["text"] for r in rows("queries")}
    judged = defaultdict(dict)
    for line in (data / "arguana/test.tsv").read_text().splitlines()[1:]:
        query, doc, grade = line.split("\t")
        judged[query][doc] = int(grade)
    return docs, queries, judged


SETS = {"scifact": scifact, "nfcorpus": nfcorpus, "arguana": arguana}

# ---- trec_eval's figures ----------------------------------------------------------------------------------------------


def evaluate(run, judged):
    """run: {query: {document: score}}. As trec_eval: equal scores are ordered by document id, the larger first; the mean runs over
    the judged queries of the run."""
    sums, n = defaultdict(float), 0
    for query, grades in judged.items():
        relevant = {d for d, g in grades.items() if g > 0}
        if query not in run or not relevant:
            continue
        n += 1
        order = sorted(run[query].items(), key=lambda x: (x[1], x[0]), reverse=True)
        ranked = [doc for doc, _ in order]
        gain = sum(grades.get(d, 0) / math.log2(i + 2) for i, d in enumerate(ranked[:10]) if grades.get(d, 0) > 0)
        best = sum(g / math.log2(i + 2) for i, g in enumerate(sorted((g for g in grades.values() if g > 0), reverse=True)[:10]))
        hits = [i for i, d in enumerate(ranked) if d in relevant]
        sums["ndcg_cut_10"] += gain / best
        sums["recall_100"] += sum(i < 100 for i in hits) / len(relevant)
        sums["map"] += sum((k + 1) / (i + 1) for k, i in enumerate(hits)) / len(relevant)
        sums["recip_rank"] += 1 / (hits[0] + 1) if hits else 0
    return {k: v / n for k, v in sums.items()} | {"queries": n}


def read_run(path, own_document):
    run = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        query, _, doc, _, score, _ = line.split()
        if not (own_document and doc == query):
            run[query][doc] = float(score)
    return run


# ---- sentence-transformers ----------------------------------------------------------------------------------------------


def whole_text(doc):
    return " ".join(part for part in doc if part)


def dense_run(model, docs, queries, own_document, depth=1000):
    ids = list(docs)
    wanted = {"normalize_embeddings": True, "batch_size": 32, "show_progress_bar": sys.stderr.isatty()}
    vectors = model.encode([whole_text(docs[i]) for i in ids], **wanted)
    run = {}
    for (query, _), scores in zip(queries.items(), model.encode(list(queries.values()), **wanted) @ vectors.T):
        top = np.argsort(-scores, kind="stable")[: depth + 1]
        run[query] = {ids[i]: float(scores[i]) for i in top if not (own_document and ids[i] == query)}
    return run


def export(folder, docs, queries, judged):
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "corpus.jsonl", "w", encoding="utf-8") as f:
        for key, (title, text) in docs.items():
            f.write(json.dumps({"id": key, "title": title, "text": text}, ensure_ascii=False) + "\n")
    with open(folder / "queries.tsv", "w", encoding="utf-8") as f:
        for key, text in queries.items():
            f.write(f"{key}\t{' '.join(text.split())}\n")
    with open(folder / "qrels", "w", encoding="utf-8") as f:
        for query, grades in judged.items():
            f.writelines(f"{query} 0 {doc} {grade}\n" for doc, grade in grades.items())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", nargs="*", default=list(SETS), help=f"which of {', '.join(SETS)}; default: all")
    p.add_argument("--model", type=Path, default=os.environ.get("LATHE_MODEL"))
    p.add_argument("--data", type=Path, default=os.environ.get("LATHE_DATA"))
    p.add_argument("--cache", type=Path, required=True, help="a JSON file of figures, read and added to")
    p.add_argument("--export", type=Path, help="write the sets here, one folder each")
    p.add_argument("--runs", type=Path, help="a folder of lathe's runs to hold against the figures: SET.run")
    args = p.parse_args()
    if not args.model or not args.data or set(args.sets) - set(SETS):
        p.error("--model and --data are wanted, and sets among " + ", ".join(SETS))
    cache = json.loads(args.cache.read_text()) if args.cache.exists() else {}
    digest = hashlib.sha256((args.model / "model.safetensors").read_bytes()).hexdigest()[:16]
    model, ok = None, True
    for name in args.sets:
        docs, queries, judged = SETS[name](args.data)
        if args.export:
            export(args.export / name, docs, queries, judged)
        known = cache.get(name)
        if not known or known["model"] != digest:
            if model is None:
                from sentence_transformers import SentenceTransformer

                model = SentenceTransformer(str(args.model), device="cpu")
            figures = evaluate(dense_run(model, docs, queries, name == "arguana"), judged)
            known = cache[name] = {"model": digest, "documents": len(docs), "max_tokens": model.max_seq_length, **figures}
            args.cache.write_text(json.dumps(cache, indent=1) + "\n")
        print(f"{name:<9} {known['documents']} documents, {known['queries']} queries, sentence-transformers: "
              + ", ".join(f"{k} {known[k]:.4f}" for k in ("ndcg_cut_10", "recall_100", "map", "recip_rank")), flush=True)
        if args.runs and (args.runs / f"{name}.run").exists():
            ours = evaluate(read_run(args.runs / f"{name}.run", name == "arguana"), judged)
            far = abs(ours["ndcg_cut_10"] - known["ndcg_cut_10"])
            ok &= far <= 0.001
            print(f"{'':<9} {'lathe':>55}: " + ", ".join(f"{k} {ours[k]:.4f}" for k in ("ndcg_cut_10", "recall_100", "map", "recip_rank"))
                  + (f"   nDCG@10 is {far:.4f} away" if far > 0.001 else ""))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
