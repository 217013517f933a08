"""What all peers share: Hugging Face tokenizers, texts sorted by length and cut into batches that are padded to their longest, and
the search for the batch size that suits the peer best."""
import os
import time

import numpy as np

from engines import MAX_TOKENS

BATCHES = [8, 16, 32, 64, 128]


def tokenizer(model, max_tokens=MAX_TOKENS):
    from tokenizers import Tokenizer

    t = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    t.enable_truncation(max_tokens)
    t.no_padding()
    return t


def padded(rows):
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


def quantiles(seconds):
    seconds = sorted(seconds)
    return [1000 * seconds[max(0, -(-len(seconds) * percent // 100) - 1)] for percent in (50, 99)]


class Padded:
    """A peer. Its class says prepare(), which makes files in the folder `work` once; load(), which opens the model; and run(), from
    rows of token ids to unit vectors."""

    def __init__(self, model, precision, threads, work):
        self.model, self.precision, self.threads, self.work = model, precision, threads, work
        self.tokenizer = tokenizer(model)
        self.batch, self.note = 32, ""
        self.load()

    @staticmethod
    def prepare(model, precision, work, calibration):
        pass

    def tune(self, texts):
        """The batch size that is fastest on some 4,000 tokens of these texts; it stops growing once it has become slower twice."""
        best, worse = None, 0
        texts = texts[:: -(-sum(map(len, texts)) // 16000)]
        for batch in BATCHES:
            self.batch = batch
            self.embed(texts[:batch])
            begin = time.perf_counter()
            self.embed(texts)
            seconds = time.perf_counter() - begin
            if best is None or seconds < best[0]:
                best, worse = (seconds, batch), 0
            else:
                worse += 1
            if worse == 2 or batch >= len(texts):
                break
        self.batch = best[1]
        return f"batch {self.batch}{self.note}"

    def embed(self, texts):
        """Unit vectors in the order of the texts, and the number of tokens."""
        rows = [e.ids for e in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        out = None
        for first in range(0, len(order), self.batch):
            part = order[first : first + self.batch]
            vectors = self.run([rows[i] for i in part])
            if out is None:
                out = np.empty((len(rows), vectors.shape[1]), np.float32)
            out[part] = vectors
        return out, sum(map(len, rows))

    def timed(self, texts):
        begin = time.perf_counter()
        vectors, tokens = self.embed(texts)
        return time.perf_counter() - begin, vectors, tokens

    def latency(self, texts, tokens, calls):
        """Milliseconds of one text of so many tokens: the middle, and 99 %."""
        rows = [e.ids for e in tokenizer(self.model, tokens).encode_batch(texts)]
        rows = [row for row in rows if len(row) == tokens]
        seconds = []
        for i in range(-5, calls):
            begin = time.perf_counter()
            self.run([rows[i % len(rows)]])
            if i >= 0:
                seconds.append(time.perf_counter() - begin)
        return quantiles(seconds)
