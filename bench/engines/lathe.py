"""The lathe command. Speed: from a file of texts to a file of vectors; the time to start and load the model, measured on one word,
is taken off, as the peers load theirs before the clock starts. Latency: `lathe bench`, from token ids to vectors."""
import json
import os
import statistics
import subprocess
import tempfile
import time

import numpy as np

from engines import MAX_TOKENS

LATHE = os.environ.get("LATHE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "lathe"))


class Lathe:
    def __init__(self, model, precision, threads, work):
        self.model, self.precision, self.threads = model, precision, threads
        self.scratch = tempfile.TemporaryDirectory(dir=work)
        self.folder = self.scratch.name
        self.version = subprocess.run([LATHE, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]

    @staticmethod
    def prepare(model, precision, work, calibration):
        pass

    def write(self, texts):
        path = os.path.join(self.folder, "texts.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(text + "\n" for text in texts)
        return path

    def command(self, source):
        out = os.path.join(self.folder, "out.npy")
        begin = time.perf_counter()
        subprocess.run([LATHE, "embed", self.model, source, "-o", out, "--precision", self.precision, "--threads", str(self.threads),
                        "--max-tokens", str(MAX_TOKENS), "--quiet"], check=True)
        return time.perf_counter() - begin, out

    def tune(self, texts):
        source = self.write(["a"])
        self.empty = statistics.median(self.command(source)[0] for _ in range(7))
        return f"start and load, {1000 * self.empty:.0f} ms, taken off"

    def timed(self, texts):
        seconds, out = self.command(self.write(texts))
        return seconds - self.empty, np.load(out), None

    def latency(self, texts, tokens, calls):
        run = subprocess.run([LATHE, "bench", self.model, self.write(texts[:calls]), "--precision", self.precision, "--threads", str(self.threads),
                              "--max-tokens", str(tokens), "--repeat", "1", "--json", "--quiet"], capture_output=True, text=True, check=True)
        figures = json.loads(run.stdout)
        return [figures["latency_p50_ms"], figures["latency_p99_ms"]]
