"""Seconds to train a tokenizer: `lathe tokenizer train`, the whole command, against the trainers of Hugging Face tokenizers, which are
given the same file by its name, so that nothing of them but the start is Python; importing them is in nobody's clock. They take turns,
pinned to as many processors as they have threads; the median of the rounds counts, of what a clock and of what the processors say.

    bench/vocabulary.py KIND SIZE FILE         one run of the reference: what measure() starts
"""
import glob
import gzip
import json
import os
import statistics
import subprocess
import sys
import time

LATHE = os.environ.get("LATHE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "lathe"))
SIZE = 30000
SETS = ("arguana/corpus.jsonl.gz", "scifact/corpus_train.csv.gz", "nfcorpus/*.docs.gz", "masakhanews/*/*.tsv*", "gnad10/*.csv", "xquad/*.json", "wikitext-2/*.txt",
        "tinyshakespeare/*.txt", "ukrainian/*.txt", "smsa/*.tsv", "pubmedqa/ori_pqal.json", "docstring/*", "sib200/*/*.tsv")


def gather(path, limit):
    """All lines of the sets in one file, whatever they are in: prose of a dozen languages, code, marks of JSON and CSV. Bytes of it."""
    root = os.environ.get("LATHE_DATA")
    if not root:
        sys.exit("peers: LATHE_DATA is not set: the folder of data files that holds arguana/ and others")
    lines = []
    for pattern in SETS:
        for name in sorted(glob.glob(os.path.join(root, pattern))):
            with gzip.open(name) if name.endswith(".gz") else open(name, "rb") as file:
                lines += file.read().decode("utf-8", "replace").replace("\r", "").rstrip("\n").split("\n")
    lines = lines[: limit or len(lines)]
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        out.writelines(line + "\n" for line in lines)
    return os.path.getsize(path), len(lines)


def reference(kind, size, path):
    """Trains in this process."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    before, begin = os.times(), time.perf_counter()
    if kind == "bpe":
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    else:
        t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, limit_alphabet=1000, show_progress=False)
    t.train([path], trainer)
    seconds, after = time.perf_counter() - begin, os.times()
    return dict(s=seconds, cpu_s=after.user + after.system - before.user - before.system)


def pinned(command, threads, **how):
    def pin():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

    return subprocess.Popen(command, preexec_fn=pin, stdout=subprocess.PIPE, text=True, **how)


def of_peer(kind, path, threads, arguments):
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
    process = pinned([sys.executable, os.path.abspath(__file__), kind, str(SIZE), path], threads, env=environment)
    out = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"tokenizers ended with status {process.returncode}")
    return json.loads(out)


def of_lathe(kind, path, threads, arguments):
    begin = time.perf_counter()
    process = pinned([LATHE, "tokenizer", "train", "--kind", kind, "--vocab-size", str(SIZE), path, "-o", os.path.join(arguments.work, "vocabulary"),
                      "--threads", str(threads), "--quiet"], threads)
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"lathe ended with status {process.returncode}")
    return dict(s=time.perf_counter() - begin, cpu_s=usage.ru_utime + usage.ru_stime)


def measure(arguments):
    path, results = os.path.join(arguments.work, "vocabulary.txt"), []
    size, lines = gather(path, arguments.limit)
    print(f"\ntraining tokenizers of {SIZE} entries: {size / 1e6:.1f} MB of text, {lines} lines\n"
          f"  {'kind':<12}{'threads':>8}  {'engine':<12}{'seconds':>10}{'from':>8}{'to':>8}{'processor s':>13}{'of lathe':>10}")
    for kind in ("bpe", "wordpiece"):
        for threads in arguments.threads:
            turns = {"lathe": [], "tokenizers": []}
            for _ in range(arguments.rounds):
                turns["lathe"].append(of_lathe(kind, path, threads, arguments))
                turns["tokenizers"].append(of_peer(kind, path, threads, arguments))
            for engine, runs in turns.items():
                s, cpu = (statistics.median(r[what] for r in runs) for what in ("s", "cpu_s"))
                ratio = f"x {s / results[-1]['s']:.2f}" if engine != "lathe" else ""
                print(f"  {kind:<12}{threads:>8}  {engine:<12}{s:>10.2f}{min(r['s'] for r in runs):>8.2f}{max(r['s'] for r in runs):>8.2f}{cpu:>13.2f}{ratio:>10}", flush=True)
                results.append(dict(kind=kind, entries=SIZE, bytes=size, threads=threads, engine=engine, s=s, cpu_s=cpu))
    return results


if __name__ == "__main__":
    print(json.dumps(reference(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
