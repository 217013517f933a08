"""Compares `lathe tokenizer train` with Hugging Face tokenizers' trainers on the sets of $LATHE_DATA, and prints a line a tokenizer.

bpe: vocabulary and merges are those of BpeTrainer, entry by entry. wordpiece: WordPieceTrainer numbers the letters within words in the
order of a hash table, which differs from run to run and decides among pairs that are as frequent; so what is compared entry by entry is
the same trainer on words whose inner letters are single characters of private use, in order, and of WordPieceTrainer itself it is told
how much it has in common ("straight"). Then a tenth of the lines, which no trainer has seen: the ids of `lathe tokenize`, of Tokenizer.from_file and
of transformers.AutoTokenizer are the same; and all of it is trained with 1, 2 and 3 threads.

    pip install tokenizers==0.21.4 transformers==4.48.3
    LATHE_DATA=... python tests/oracle/compare_tokenizer_train.py [path to lathe] [set ...]
"""
import collections
import filecmp
import json
import os
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

from compare_tokenizers import hostile, usable

LATHE = sys.argv[1] if len(sys.argv) > 1 else "./lathe"
DATA = os.environ.get("LATHE_DATA", "")
LETTERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZES = {"bpe": (257, 300, 1000, 8000, 30000), "wordpiece": (200, 1000, 8000, 30522)}


def files(*names):
    """Lines as lathe reads them: to a line feed, a carriage return before it left out."""
    lines = []
    for name in names:
        with open(os.path.join(DATA, name), "rb") as f:
            found = f.read().split(b"\n")
        lines += [x[:-1] if x.endswith(b"\r") else x for x in found if x.strip()]
    return lines


def xquad():
    lines = []
    for language in "ar de en es tr zh".split():
        with open(f"{DATA}/xquad/xquad.{language}.json", encoding="utf-8") as f:
            for article in json.load(f)["data"]:
                for p in article["paragraphs"]:
                    lines += [p["context"].encode()] + [q["question"].encode() for q in p["qas"]]
    return [x for x in map(usable, lines) if x]


SETS = {
    "wikitext-2": lambda: files("wikitext-2/valid.txt", "wikitext-2/test.txt"),
    "tinyshakespeare": lambda: files("tinyshakespeare/input.txt"),
    "gnad10": lambda: files("gnad10/test.csv"),
    "smsa": lambda: files("smsa/train.tsv", "smsa/valid.tsv", "smsa/test.tsv"),
    "ukrainian": lambda: files("ukrainian/whitebook-ua-all-utf8-clean.txt"),
    "xquad": xquad,
    "tsac": lambda: files("tsac/train_pos.txt", "tsac/train_neg.txt", "tsac/test_pos.txt", "tsac/test_neg.txt"),
    "maltese": lambda: files("ud-maltese/mt_mudt-ud-train.conllu", "ud-maltese/mt_mudt-ud-dev.conllu"),
    "code": lambda: files("code-refinement/valid.buggy", "code-refinement/test.fixed"),
    "latin-1": lambda: files("inaugural/2005-Bush.txt"),
    "hostile": lambda: [x for x in map(usable, hostile(8000)) if x],
}


def train(text, kind, size, folder, *options):
    """The folder; None where the text gives no such vocabulary."""
    command = [LATHE, "tokenizer", "train", "--kind", kind, "--vocab-size", str(size), text, "-o", folder, "--quiet", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 1 and ("more text or fewer entries" in done.stderr or "limit the alphabet" in done.stderr):
        return None
    if done.returncode:
        raise SystemExit(done.stderr)
    for threads in "123":
        subprocess.run([*command, "--threads", threads, "-o", folder + threads], check=True, capture_output=True)
        if filecmp.cmpfiles(folder, folder + threads, ["tokenizer.json", "tokenizer_config.json"], shallow=False)[0] != ["tokenizer.json", "tokenizer_config.json"]:
            raise SystemExit(f"{threads} threads make other files")
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        return json.load(f)["model"]


def bpe(lines, size, frequency):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    t.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=size, min_frequency=frequency, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False))
    return json.loads(t.to_str())["model"]


def wordpiece(lines, size, frequency, cased, kept):
    """The vocabulary of the reference's merges, where the letters that `kept` leaves out are left out."""
    normalizer, pre = normalizers.BertNormalizer(lowercase=not cased), pre_tokenizers.BertPreTokenizer()
    words = collections.Counter(word for line in lines for word, _ in pre.pre_tokenize_str(normalizer.normalize_str(line)))
    inner = sorted({c for w in words for c in w[1:]} & kept)
    private = {c: chr(0xF0000 + i) for i, c in enumerate(inner)}
    letter = {p: c for c, p in private.items()}

    def texts():
        for word, count in words.items():
            text = "".join(c for c in word[0] if c in kept) + "".join(private[c] for c in word[1:] if c in kept)
            for _ in range(count):
                yield text

    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.train_from_iterator(texts(), trainers.BpeTrainer(vocab_size=size, min_frequency=frequency, special_tokens=LETTERS + sorted(kept), show_progress=False))

    def plain(token):
        return token if token in LETTERS else ("##" if token[0] in letter else "") + "".join(letter.get(c, c) for c in token)

    return {plain(token): i for token, i in t.get_vocab().items()}


def straight(lines, size, frequency, cased, vocab):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(lowercase=not cased), pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=size, min_frequency=frequency, special_tokens=LETTERS, limit_alphabet=1000, show_progress=False))
    return len(set(t.get_vocab()) & set(vocab)) / size


def same_ids(folder, text, lines):
    """How many of the lines have other ids with tokenizers or with transformers, and how many do not come back (bpe alone is to)."""
    out = subprocess.run([LATHE, "tokenize", folder, text, "--json", "--quiet"], check=True, capture_output=True)
    answers = [json.loads(x)["ids"] for x in out.stdout.decode().splitlines()]
    t, auto = Tokenizer.from_file(os.path.join(folder, "tokenizer.json")), AutoTokenizer.from_pretrained(folder)
    autos = auto(lines)["input_ids"]
    if len(answers) != len(lines):
        return len(lines), 0
    wrong = sum(a != t.encode(line).ids or a != b for a, b, line in zip(answers, autos, lines))
    return wrong, sum(t.decode(a, skip_special_tokens=False) != line for a, line in zip(answers, lines))


def compare(name, raw, kind, size, frequency=0, cased=False):
    """How much is wrong; None: the set gives no such vocabulary."""
    options = ["--min-frequency", str(frequency)] + ["--cased"] * cased
    seen, held = [x for i, x in enumerate(raw) if i % 10 or len(raw) < 10], raw[::10]
    lines, rest = ([x.decode("utf-8", "replace") for x in part] for part in (seen, held))
    with tempfile.TemporaryDirectory() as top:
        texts = [os.path.join(top, "seen.txt"), os.path.join(top, "held.txt")]
        for path, part in zip(texts, (seen, held)):
            with open(path, "wb") as f:
                f.write(b"\n".join(part) + b"\n")
        folder = os.path.join(top, "out")
        model = train(texts[0], kind, size, folder, *options)
        if model is None:
            return None
        mine, told = model["vocab"], ""
        if kind == "bpe":
            want = bpe(lines, size, frequency)
            differ = len(set(want["vocab"].items()) ^ set(mine.items())) + ([" ".join(m) for m in want["merges"]] != model["merges"])
        else:
            want = wordpiece(lines, size, frequency, cased, {x for x in mine if len(x) == 1})
            differ = len(set(want.items()) ^ set(mine.items()))
            told = f", straight {100 * straight(lines, size, frequency, cased, mine):.2f} % in common"
        differ += sorted(mine.values()) != list(range(size))
        ids, lost = same_ids(folder, texts[1], rest)
    wrong = differ + ids + (lost if kind == "bpe" else 0)
    how = f"{kind} {size}{f', frequency {frequency}' * (frequency > 0)}{', cased' * cased}"
    print(f"{name}, {how}: {differ} differences, {ids} of {len(rest)} held-out lines with other ids{f', {lost} lost' * (kind == 'bpe')}{told}", flush=True)
    return wrong


def main():
    if not DATA:
        raise SystemExit("LATHE_DATA is not set: the folder of data files that holds wikitext-2/ and others")
    wrong = made = 0
    for name in sys.argv[2:] or SETS:
        raw = SETS[name]()
        runs = [(kind, size, 0, False) for kind in SIZES for size in SIZES[kind]]
        runs += [("bpe", 2000, 3, False), ("wordpiece", 2000, 3, False), ("wordpiece", 4000, 0, True)]
        for run in runs:
            result = compare(name, raw, *run)
            made += result is not None
            wrong += result or 0
    print(f"{made} tokenizers, {wrong} differences")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
