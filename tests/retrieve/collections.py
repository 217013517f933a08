#!/usr/bin/env python3
"""Turns a classic test collection, as its source has it, into OUT/corpus.jsonl, OUT/queries.tsv and OUT/qrels.tsv.

    collections.py SET $LATHE_DATA OUT      SET: cranfield med cisi cacm vaswani scifact nfcorpus arguana

What is indexed of each set, and how its judgements are read, is what the figures of test_collections.sh and bench/retrieval.sh are for."""
import csv, gzip, io, json, os, re, sys, tarfile

name, data, out = sys.argv[1:4]
base = os.path.join(data, name)


def read(file, encoding="utf-8"):
    path = os.path.join(base, file)
    raw = open(path, "rb").read()
    if file.endswith(".gz"):
        raw = gzip.decompress(raw)
    return raw.decode(encoding, "replace").replace("\r\n", "\n")


def plain(markup):
    return re.sub(r"<[^>]*>", " ", markup)


def smart(file, fields):
    """Records of a SMART file (.I number, then fields .T .A .W …) as (number, the wanted fields' text)."""
    number, field, texts = None, "", []
    for line in read(file).split("\n"):
        m = re.match(r"\.([A-Z])( (\d+))?\s*$", line)
        if m and m.group(1) == "I":
            if number:
                yield number, "\n".join(texts)
            number, field, texts = m.group(3), "", []
        elif m:
            field = m.group(1)
        elif field in fields:
            texts.append(line)
    if number:
        yield number, "\n".join(texts)


def trec(file, tag, number):
    """<tag> … <number>n</number> … </tag> as (n, the rest without tags)."""
    for part in re.findall(rf"<{tag}>(.*?)</{tag}>", read(file), re.S):
        m = re.search(rf"<{number}>\s*(\S+?)\s*</{number}>", part)
        if not m:
            m = re.search(rf"<{number}>\s*(\S+)", part)
        yield m.group(1), plain(part[: m.start()] + part[m.end() :])


def judgements(file):
    return [(f[0], f[2], int(f[3])) for f in map(str.split, read(file).split("\n")) if len(f) >= 4]


def cranfield():
    docs = re.findall(r"<docno>\s*(\d+)\s*</docno>.*?<text>(.*?)</text>", read("cran.all.1400.xml"), re.S)
    queries = [(str(i), q) for i, (_, q) in enumerate(trec("cran.qry.xml", "top", "num"), 1)]
    return [(i, "", t) for i, t in docs], queries, judgements("cranqrel.trec.txt")


def med():
    return [(i, "", t) for i, t in smart("MED.ALL", "W")], list(smart("MED.QRY", "W")), judgements("MED.REL")


def cisi():
    rels = [(f[0], f[1], 1) for f in map(str.split, read("CISI.REL").split("\n")) if len(f) >= 2]
    return [(i, "", t) for i, t in smart("CISI.ALL", "TW")], list(smart("CISI.QRY", "TW")), rels


def cacm():
    docs = []
    with tarfile.open(os.path.join(base, "cacm.tar.gz")) as t:
        for m in t.getmembers():
            if m.isfile():
                page = plain(t.extractfile(m).read().decode("latin-1").replace("\r\n", "\n"))
                page = "\n".join(l for l in page.split("\n") if not re.match(r"\s*\d+\t\d+\t\d+\s*$", l))
                docs.append((os.path.basename(m.name).split(".")[0], "", page))
    return docs, list(trec("topics.cacm.txt", "DOC", "DOCNO")), judgements("qrels.cacm.txt")


def vaswani():
    return [(i, "", t) for i, t in trec("doc-text.trec.gz", "DOC", "DOCNO")], list(trec("query-text.trec", "top", "num")), judgements("qrels")


def scifact():
    csv.field_size_limit(1 << 30)
    rows = csv.DictReader(io.StringIO(read("corpus_train.csv.gz")))
    docs = [(r["doc_id"], r["title"], r["abstract"]) for r in rows]
    queries, rels = {}, {}
    for r in csv.DictReader(io.StringIO(read("claims_validation.csv"))):
        queries[r["id"]] = r["claim"]
        for d in re.findall(r"\d+", r["cited_doc_ids"]):
            rels[r["id"], d] = 1
    return docs, list(queries.items()), [(q, d, g) for (q, d), g in rels.items()]


def nfcorpus():
    def pairs(file):
        return [line.split("\t", 1) for line in read(file).split("\n") if "\t" in line]

    return [(i, "", t) for i, t in pairs("test.docs.gz")], pairs("test.titles.queries"), judgements("test.2-1-0.qrel")


def arguana():
    def lines(file):
        return [json.loads(line) for line in read(file).split("\n") if line.strip()]

    rels = [line.split("\t") for line in read("test.tsv").split("\n")[1:] if line.strip()]
    return ([(d["_id"], d.get("title", ""), d["text"]) for d in lines("corpus.jsonl.gz")],
            [(q["_id"], q["text"]) for q in lines("queries.jsonl.gz")], [(q, d, int(g)) for q, d, g in rels])


docs, queries, rels = globals()[name]()
judged = {q for q, _, _ in rels}
os.makedirs(out, exist_ok=True)
with open(os.path.join(out, "corpus.jsonl"), "w") as f:
    for i, title, text in docs:
        f.write(json.dumps({"_id": i, "title": title, "text": text}) + "\n")
with open(os.path.join(out, "queries.tsv"), "w") as f:
    for i, text in queries:
        if i in judged:
            f.write(f"{i}\t{' '.join(text.split())}\n")
known = {i for i, _ in queries}
with open(os.path.join(out, "qrels.tsv"), "w") as f:
    f.write("query-id\tcorpus-id\tscore\n")
    for q, d, g in rels:
        if q in known:
            f.write(f"{q}\t{d}\t{g}\n")
