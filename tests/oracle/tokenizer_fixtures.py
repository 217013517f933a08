"""Writes tests/fixtures/text/{normalizers,pre-tokenizers,models}.jsonl: small tokenizers of every kind and what the reference makes of hostile texts.

A line {"name", "tokenizer"} holds a whole tokenizer.json as a string; the lines after it are cases:
{"text" or "text_hex", "pair"?, "no_special"?, "max_tokens"?, "ids"?, "offsets", "types"?, "special"?, "decoded"?}.

    pip install tokenizers==0.21.4
    python tests/oracle/tokenizer_fixtures.py
"""
import itertools
import json
import os
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

TRAINING = """the quick brown fox jumps over the lazy dog and then the dog jumps over the fox, doesn't it? It's what they're told: we've
lower lowest newer newest wider widest. Unbelievable internationalization, tokenization and normalization of words.
Der Fuchs läuft über die Straße. Η αλεπού τρέχει. Лиса бежит по улице. 狐狸跑了。 キツネが走る。 여우가 달린다.
def f(x): return x[1:] + "abc" * 12  # 3.14159, 2026-01-31 """.split("\n") * 3

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

TEXTS = [
    "The quick brown fox doesn't jump.", "  two  blanks \t and\n\nnew lines \r\n ", "", " ", "a", "It's they'RE we'Ve 'll x'd", "[MASK] x[CLS]y  <mask>z <mask> <s>Day day[SEP]",
    "Straße ÄÖÜ ŒUVRE İstanbul ıI ǅ ſ K", "e\u0301a\u0323\u0301 \u0301x \u0344\u0345 q\u0307\u0323 \u0b94\u0cca", "狐狸foo狸 豈\uf900 \U00020000x 〇", "여우 \u1112\u1161\u11ab\u110b\u116e 각",
    "👨\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 😀x", "\u202eRTL \u200f\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd مرحبا ١٢٣", "a\u00a0b\u2003c\u3000d\u2028e\u0085f\ufeffg\u200bh\u00adi\u180ej", "\x00a\x01b\x7fc\x9fd\ufffde\ue000f\U0010ffffg",
    "ﬁ ﷺ ½² Ⅷ Å Ω \u1e9b\u0323", "foo_bar-baz...!? «q» „x“ $5.00 #tag @you a/b C++", "हिन्दी क्षि ก็ไทย \U00011938", "x" * 120, "1234567 12 1 ४५", "unbelievable" * 3, "\U0001f1e9\U0001f1ea flags\u0300\u0316\u0300\u0316", "A\u030aB\u0327\u0301 \u0f73\u0f71 \U0001d15e\u302e",
    b"\xff\xfe caf\xc3\xa9 \xc3 \xe2\x82 \xf0\x9f\x98 \xed\xa0\x80 \xc0\x80x", b"abc\x80def \xe2\x28\xa1", "a" * 300,
]


def finish(t, **parts):
    for name, part in parts.items():
        if part is not None:
            setattr(t, name, part)
    return t


def of_bytes():
    """Every byte of the normalised text is a token: decoding them shows it, offsets show where it came from."""
    vocab = {"<0x%02X>" % i: i for i in range(256)}
    chain = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return finish(Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True)), decoder=chain)


def of_pieces():
    """Every piece is one unknown token: offsets show the cuts."""
    return Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]", max_input_chars_per_word=0))


def trained(model, trainer, pre, normalizer=None):
    t = finish(Tokenizer(model), pre_tokenizer=pre, normalizer=normalizer)
    t.train_from_iterator(TRAINING, trainer)
    return t


def wordpiece(**bert):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    return trained(models.WordPiece(unk_token="[UNK]"), trainer, pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer(**bert))


def byte_bpe(prefix=False, size=340, special=("<s>", "<pad>", "</s>", "<unk>", "<mask>")):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(special), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t = trained(models.BPE(), trainer, pre_tokenizers.ByteLevel(add_prefix_space=prefix))
    return finish(t, decoder=decoders.ByteLevel())


def plain_bpe(model=None, trainer=None, pre=None):
    t = trained(models.BPE(**(model or {})), trainers.BpeTrainer(**{"vocab_size": 180, "show_progress": False, **(trainer or {})}), pre or pre_tokenizers.Whitespace())
    return t


def template(single, pair, *special):
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(special))


def normalizer_kinds():
    n = normalizers
    yield "bert", n.BertNormalizer()
    for options in [(True, True, None, False), (False, True, None, True), (True, False, True, False), (True, True, False, True), (False, False, False, False)]:
        yield "bert %d %d %s %d" % options, n.BertNormalizer(*options)
    yield from [("lowercase", n.Lowercase()), ("nfc", n.NFC()), ("nfd", n.NFD()), ("nfkc", n.NFKC()), ("nfkd", n.NFKD()),
                ("accents", n.Sequence([n.NFD(), n.StripAccents(), n.Lowercase()])), ("marks", n.StripAccents()), ("strip", n.Strip()),
                ("strip left", n.Strip(right=False)), ("strip right", n.Strip(left=False)), ("nmt", n.Nmt()), ("prepend", n.Prepend("▁x")),
                ("byte level", n.ByteLevel()), ("replace", n.Replace("o", "00")), ("replace blank", n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")])),
                ("replace regex", n.Replace(Regex(r"\s+"), " ")), ("replace empty", n.Replace(Regex("b*"), "-")), ("replace out", n.Replace(Regex(r"\p{L}"), "")),
                ("composed again", n.Sequence([n.NFKD(), n.Replace(Regex(r"[aeiou]"), "é"), n.NFC(), n.Strip()]))]


def pre_tokenizer_kinds():
    p = pre_tokenizers
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    yield from [("bert pieces", p.BertPreTokenizer()), ("whitespace", p.Whitespace()), ("whitespace split", p.WhitespaceSplit()),
                ("digits", p.Digits()), ("each digit", p.Digits(individual_digits=True)),
                ("sequence", p.Sequence([p.WhitespaceSplit(), p.Punctuation(), p.Digits(True)]))]
    for b in behaviors:
        yield f"punctuation {b}", p.Punctuation(b)
        yield f"split {b}", p.Split("o", b)
        yield f"split regex {b}", p.Split(Regex(r"[\s.]|x*"), b)
        yield f"split inverted {b}", p.Split(Regex(r"\w+"), b, invert=True)
    for prefix, regex in itertools.product([False, True], [False, True]):
        yield f"byte level {prefix:d}{regex:d}", p.ByteLevel(add_prefix_space=prefix, use_regex=regex)
    yield from [("llama 3", p.Split(Regex(LLAMA3), "isolated")), ("gpt-4o", p.Split(Regex(GPT4O), "isolated")), ("clip", p.Split(Regex(CLIP), "removed", invert=True)),
                ("boundaries", p.Split(Regex(r"\b"), "isolated")), ("properties", p.Split(Regex(r"[^\p{P}\S]|\P{L}|[\p{Han}\d]+|\W"), "isolated")),
                ("lookbehind", p.Split(Regex(r"(?<=[a-z])(?=[A-Z])|(?<!\s)\h+"), "isolated")), ("lines", p.Split(Regex(r"^.|$|\p{Nd}{2,3}+|[\w-]x{2}?"), "isolated")),
                ("chain", p.Sequence([p.Split(Regex(LLAMA3), "isolated"), p.ByteLevel(add_prefix_space=False, use_regex=False)]))]


def model_kinds():
    p = pre_tokenizers
    yield "wordpiece cased", wordpiece(lowercase=False)
    t = wordpiece()
    bert = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ("[CLS]", 2), ("[SEP]", 3))
    yield "wordpiece template", finish(t, post_processor=bert, decoder=decoders.WordPiece())
    yield "wordpiece processing", finish(wordpiece(), post_processor=processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)), decoder=decoders.WordPiece(cleanup=False))
    short = wordpiece()
    short.model.max_input_chars_per_word = 5
    yield "wordpiece short words", short
    vocab = {"<u>": 0, **{c: i + 1 for i, c in enumerate(["a", "b", "ab", "abc", "c", "the", "t", "h", "e", "é", "x", "xx", "xxxx"])}}
    yield "wordpiece no prefix", finish(Tokenizer(models.WordPiece(vocab, unk_token="<u>", continuing_subword_prefix="", max_input_chars_per_word=200)), pre_tokenizer=p.Whitespace())
    yield "bpe no unknown", plain_bpe()
    yield "bpe unknown", plain_bpe({"unk_token": "<unk>"}, {"special_tokens": ["<unk>"]})
    yield "bpe fused", plain_bpe({"unk_token": "<unk>", "fuse_unk": True}, {"special_tokens": ["<unk>"], "limit_alphabet": 20})
    suffix = plain_bpe({"unk_token": "<unk>", "end_of_word_suffix": "</w>"}, {"special_tokens": ["<unk>"], "end_of_word_suffix": "</w>"}, p.BertPreTokenizer())
    yield "bpe suffix", finish(suffix, decoder=decoders.BPEDecoder())
    yield "bpe prefix", plain_bpe({"unk_token": "<unk>", "continuing_subword_prefix": "##"}, {"special_tokens": ["<unk>"], "continuing_subword_prefix": "##"})
    state = json.loads(plain_bpe({"unk_token": "<unk>"}, {"special_tokens": ["<unk>"], "limit_alphabet": 30}).to_str())
    state["model"]["byte_fallback"] = True
    for i in range(256):
        if i != 0xC3:
            state["model"]["vocab"]["<0x%02X>" % i] = len(state["model"]["vocab"])
    fallback = Tokenizer.from_str(json.dumps(state))
    chain = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    yield "bpe byte fallback", finish(fallback, decoder=chain, normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]))
    state = json.loads(byte_bpe().to_str())
    state["model"]["ignore_merges"] = True
    state["model"]["merges"] = state["model"]["merges"][: len(state["model"]["merges"]) // 2]
    yield "bpe ignore merges", Tokenizer.from_str(json.dumps(state))
    pairs = json.loads(byte_bpe().to_str())
    pairs["model"]["merges"] = [" ".join(m) for m in pairs["model"]["merges"]]
    yield "bpe merges as strings", Tokenizer.from_str(json.dumps(pairs))
    for post, prefix, trim in [("byte level", False, True), ("byte level", True, True), ("roberta", False, False), ("roberta", True, True), ("sequence", True, True)]:
        t = byte_bpe(prefix)
        if post == "roberta":
            t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=trim, add_prefix_space=prefix)
            t.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=False, normalized=False)])
        elif post == "byte level":
            t.post_processor = processors.ByteLevel(add_prefix_space=prefix, trim_offsets=trim)
        else:
            layout = template("<s>:3 $A:1 </s> $A:2", "$B:1 <s> $A", ("<s>", 0), ("</s>", 2))
            t.post_processor = processors.Sequence([processors.ByteLevel(add_prefix_space=prefix, trim_offsets=trim), layout])
        yield f"byte bpe {post} {prefix:d}{trim:d}", t
    t = wordpiece()
    t.add_tokens([AddedToken("Day", single_word=True), AddedToken("fox", normalized=False), AddedToken("new est", lstrip=True, rstrip=True), AddedToken("ÄÖ"),
                  AddedToken("fo"), AddedToken("foo_", normalized=False), AddedToken(" x", normalized=False), AddedToken("\n", normalized=False)])
    t.add_special_tokens([AddedToken("[MASK]", lstrip=True), AddedToken("<mask>", rstrip=True, single_word=True), "[NEW]"])
    yield "added tokens", finish(t, decoder=decoders.WordPiece())
    yield "nothing", Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")]))


def all_kinds():
    for name, n in normalizer_kinds():
        yield "normalizer " + name, finish(of_bytes(), normalizer=n)
    for name, p in pre_tokenizer_kinds():
        yield "pre-tokenizer " + name, finish(of_pieces(), pre_tokenizer=p)
    yield from model_kinds()


def encode(t, text, pair=None, no_special=False, max_tokens=0):
    """The reference's answer; None: it refuses."""
    t.no_padding()
    t.no_truncation()
    if max_tokens:
        t.enable_truncation(max_tokens)
    as_text = lambda x: x.decode("utf-8", "replace") if isinstance(x, bytes) else x
    try:
        e = t.encode(as_text(text), None if pair is None else as_text(pair), add_special_tokens=not no_special)
    except BaseException:  # a Rust panic is one
        return None
    return {"ids": e.ids, "offsets": [list(o) for o in e.offsets], "types": e.type_ids, "special": e.special_tokens_mask,
            "decoded": t.decode(e.ids, skip_special_tokens=True)}


def cases(name):
    r = random.Random(name)
    short = [t for t in TEXTS if len(t) <= 40]
    if name.startswith("normalizer"):
        texts = r.sample([t for t in short if not isinstance(t, str) or not t.isascii()], 11) + ["  a O\tb  ", ""]
    elif name.startswith("pre-tokenizer"):
        texts = TEXTS
    else:
        texts = r.sample(TEXTS, 7) + ["[MASK] x[CLS]y  <mask>z <mask> <s>Day day[SEP]"]
        for _ in range(4):
            yield {"text": r.choice(short), "pair": r.choice(short), "no_special": r.random() < 0.3, "max_tokens": r.choice([0, 4, 5, 7, 12, 30])}
    for text in texts:
        yield {"text": text}


def main():
    groups = {"normalizer": [], "pre-tokenizer": [], "model": []}
    for name, t in all_kinds():
        lines = groups.get(name.split()[0], groups["model"])
        lines.append({"name": name, "tokenizer": t.to_str()})
        for c in cases(name):
            result = encode(t, **c)
            if result is None:
                continue
            case = {k: v for k, v in c.items() if v or k in ("text", "pair")}
            for key in ("text", "pair"):
                if isinstance(case.get(key), bytes):
                    case[key + "_hex"] = case.pop(key).hex()
            plain = not any(result["special"]) and not any(result["types"])
            if plain:
                del result["special"], result["types"]
            if name.startswith("pre-tokenizer"):
                del result["ids"], result["decoded"]
            elif name.startswith("normalizer"):
                del result["ids"]
            lines.append({**case, **result})
    os.makedirs(os.path.join(ROOT, "tests/fixtures/text"), exist_ok=True)
    for group, lines in groups.items():
        with open(os.path.join(ROOT, f"tests/fixtures/text/{group}s.jsonl"), "w") as f:
            for line in lines:
                f.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
