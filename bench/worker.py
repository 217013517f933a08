"""One engine in a process of its own, pinned to as many processors as it may have threads.

As a module: Worker, the other end of the pipe, and prepare(). As a program: the process itself."""
import json
import os
import subprocess
import sys

from engines import ENGINES, engine


def environment(threads):
    """Settings that pin OpenBLAS to an old kernel would slow the peers that use it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    return dict(kept, OMP_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="true")


def command(do, name, precision, threads, arguments):
    return [sys.executable, os.path.abspath(__file__), do, name, precision, str(threads), arguments.model, arguments.work]


def prepare(name, precision, arguments):
    """Makes the engine's files, in a process that ends: conversion's libraries and memory are not the engine's. False: it failed."""
    import texts

    run = subprocess.run(command("prepare", name, precision, 1, arguments), env=environment(os.cpu_count()), input=json.dumps(texts.calibration()),
                         text=True, stdout=subprocess.DEVNULL, stderr=None if arguments.verbose else subprocess.DEVNULL)
    return run.returncode == 0


class Worker:
    def __init__(self, name, precision, threads, arguments):
        self.name = name
        self.process = subprocess.Popen(command("serve", name, precision, threads, arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=None if arguments.verbose else subprocess.DEVNULL, text=True, env=environment(threads))
        self.version = self.answer()["version"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}; --verbose shows why")
        return json.loads(line)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def cosines(vectors, reference):
    """The smallest and the mean cosine to the vectors of a file."""
    import numpy as np

    a, b = vectors.astype(np.float64), np.load(reference).astype(np.float64)
    c = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return float(c.min()), float(c.mean())


def serve(me, answer):
    """Reads one request a line and answers with one line of JSON."""
    texts = []
    answer(version=me.version)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "texts":
            texts = request["texts"]
            answer(note=me.tune(texts))
        elif request["do"] == "latency":
            answer(ms=me.latency(request["texts"], request["tokens"], request["calls"]))
        else:
            seconds, vectors, tokens = me.timed(texts)
            cosine = None
            if request["do"] == "check":
                if request["save"]:
                    import numpy as np

                    np.save(request["reference"], vectors)
                cosine = cosines(vectors, request["reference"])
            answer(seconds=seconds, tokens=tokens, cosine=cosine)


def probe(me, answer):
    """For memory and start: the first of the texts, a line that says it is done, then all of them."""
    texts = json.loads(sys.stdin.readline())
    me.embed(texts[:1])
    answer(first=True)
    me.embed(texts)


def main():
    do, name, precision, threads, model, work = sys.argv[1:]
    assert name in ENGINES
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    if do == "prepare":
        return engine(name).prepare(model, precision, work, json.load(sys.stdin))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])

    def answer(**fields):
        print(json.dumps(fields), file=answers, flush=True)

    (serve if do == "serve" else probe)(engine(name)(model, precision, int(threads), work), answer)


if __name__ == "__main__":
    main()
