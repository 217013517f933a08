"""The texts of the measurements: film reviews (SST-2) and paragraphs of WikiText-2, and, for calibration, others of both."""
import os
import sys


def data(name):
    root = os.environ.get("LATHE_DATA")
    if not root:
        sys.exit("peers: LATHE_DATA is not set: the folder of data files that holds sst2/ and wikitext-2/")
    return open(os.path.join(root, name), encoding="utf-8")


def reviews(*names):
    return [line.split("\t")[0].strip() for name in names for line in data(f"sst2/{name}.tsv") if line.strip()]


def lines(name):
    """Of WikiText-2: all that have two words or more."""
    return [line.strip() for line in data(f"wikitext-2/{name}.txt") if len(line.split()) > 1]


def paragraphs(name):
    return [line for line in lines(name) if len(line) > 300 and not line.startswith("=")]


def every(texts, n):
    """n of them, spread evenly; all where there are fewer."""
    return [texts[i * len(texts) // n] for i in range(n)] if n < len(texts) else texts


def texts_of(kind):
    """sentences: reviews of SST-2 (dev and test). passages: every third longer paragraph of WikiText-2 (test)."""
    return reviews("dev", "test") if kind == "sentences" else paragraphs("test")[::3]


def calibration():
    """Texts that are not measured."""
    return every(reviews("train"), 150) + every(paragraphs("valid"), 50)


def longer_than(tokens, n):
    """n texts that have more than so many tokens, so that cutting them gives texts of exactly so many."""
    words = tokens * 1.1 + 4
    found = [text for text in reviews("dev", "test") + paragraphs("test") if len(text.split()) > words]
    return (found * (n // max(1, len(found)) + 1))[:n]


def joined(tokens, n):
    """n texts of more than `tokens` tokens, made of one running text."""
    words = " ".join(paragraphs("test")).split()
    size = tokens + 8
    return [" ".join(words[at : at + size]) for at in (i * (len(words) - size) // n for i in range(n))]
