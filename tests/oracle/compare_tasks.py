#!/usr/bin/env python3
"""Runs `lathe classify`, `tag`, `answer` and `fill` beside the pipelines of Hugging Face transformers, on random models of BERT, RoBERTa and
DistilBERT with the tokenizers of tests/fixtures/models, and on texts made of those vocabularies with accents, blanks and signs between.

usage: compare_tasks.py LATHE [--rounds 3] [--dir DIR]

Weights are scaled up, so that heads have opinions. Labels, places and texts have to be the same, scores within 1e-4 (both compute in f32, and
spans multiply two probabilities); where two candidates are nearer than that to each other either may stand first. Pseudo-likelihoods and
tags of words are compared with loops over the plain model. Fails at the first difference.
"""
import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers

transformers.logging.set_verbosity_error()
warnings.filterwarnings("ignore")
torch.set_num_threads(1)
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "models")
TOLERANCE = 1e-4
LIMIT = 120
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]


def near(a, b):
    return abs(a - b) <= TOLERANCE


def same(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got}\nwanted {want}")


def close(what, got, want):
    if not near(got, want):
        sys.exit(f"{what}: got {got}, wanted {want}")


class Trial:
    def __init__(self, lathe, folder, family, rnd):
        self.lathe, self.folder, self.family, self.rnd = lathe, folder, family, rnd
        fixture = os.path.join(FIXTURES, "roberta-tiny" if family == "roberta" else "bert-tiny")
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(fixture)
        self.tokenizer.model_max_length = LIMIT
        if family == "distilbert":
            self.tokenizer.model_input_names = ["input_ids", "attention_mask"]
        self.compared = 0

    def model(self, head, **more):
        config_class = {"bert": transformers.BertConfig, "roberta": transformers.RobertaConfig, "distilbert": transformers.DistilBertConfig}[self.family]
        size = dict(vocab_size=len(self.tokenizer), max_position_embeddings=LIMIT + 2 if self.family == "roberta" else LIMIT, pad_token_id=self.tokenizer.pad_token_id)
        if self.family == "distilbert":
            size.update(dim=32, n_layers=2, n_heads=4, hidden_dim=64)
        else:
            size.update(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
        config = config_class(**size, **more)
        name = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert"}[self.family] + "For" + head
        model = getattr(transformers, name)(config).eval()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p) * (0.35 if p.dim() > 1 else 0.1))
        path = os.path.join(self.folder, name)
        model.save_pretrained(path)
        self.tokenizer.save_pretrained(path)
        return model, path

    def text(self, most=40, mask=False):
        r, words = self.rnd, []
        entries = [t for t in self.tokenizer.get_vocab() if t not in self.tokenizer.all_special_tokens]
        for _ in range(r.randint(1, most)):
            word = "".join(r.choice(entries).replace("##", "").replace("Ġ", "") for _ in range(r.randint(1, 3)))
            if self.family == "roberta":
                word = "".join(c for c in word if c.isascii())
            if r.random() < 0.1:
                word += r.choice(["é", "Ä", "漢", "!", ",", "𝄞", "ﬁ"])
            if r.random() < 0.2:
                word = word.capitalize()
            words.append(word or "x")
        if mask:
            for _ in range(r.randint(1, 3)):
                words.insert(r.randint(0, len(words)), self.tokenizer.mask_token)
        return r.choice([" ", " ", "  "]).join(words)

    def run(self, verb, path, rows, *options):
        file = os.path.join(self.folder, "rows.jsonl")
        with open(file, "w", encoding="utf-8") as f:
            for row in rows:
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
        done = subprocess.run([self.lathe, verb, path, file, "--json", "--quiet", *options], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"lathe {verb}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def pipeline(self, task, model):
        return transformers.pipeline(task, model=model, tokenizer=self.tokenizer, device="cpu")

    # ---- tasks ----

    def classify(self):
        for more in dict(num_labels=4), dict(num_labels=1), dict(num_labels=3, problem_type="multi_label_classification"), dict(num_labels=1, problem_type="regression"):
            model, path = self.model("SequenceClassification", **more)
            pipe = self.pipeline("text-classification", model)
            rows = [{"text": self.text(12)} for _ in range(8)] + [{"text": self.text(8), "text_pair": self.text(8)} for _ in range(8)]
            for row, got in zip(rows, self.run("classify", path, rows), strict=True):
                want = {p["label"]: p["score"] for p in pipe(row, top_k=None)}
                same("labels", set(got["scores"]), set(want))
                for label, score in want.items():
                    close("score of a label", got["scores"][label], score)
                if "multi_label" in more.get("problem_type", ""):
                    same("several labels", got["labels"], [k for k, v in got["scores"].items() if v > 0.5])
                else:
                    close("best label", want[got["label"]], max(want.values()))
                    same("its score", got["score"], got["scores"][got["label"]])
                self.compared += 1

    def tag(self):
        model, path = self.model("TokenClassification", id2label=dict(enumerate(LABELS)), label2id={k: i for i, k in enumerate(LABELS)})
        pipe = self.pipeline("token-classification", model)
        rows = [{"text": self.text()} for _ in range(24)]
        for how in "none", "simple", "first", "average", "max":
            for row, got in zip(rows, self.run("tag", path, rows, "--aggregation", how), strict=True):
                want = pipe(row["text"], aggregation_strategy=how)
                names = [(e.get("entity", e.get("entity_group")), e["start"], e["end"], row["text"][e["start"] : e["end"]]) for e in want]
                same(f"entities ({how}) of {row['text']!r}", [(e["entity"], e["start"], e["end"], e["text"]) for e in got["entities"]], names)
                for e, w in zip(got["entities"], want):
                    close("score of an entity", e["score"], float(w["score"]))
                self.compared += 1
        self.tag_words(model, path)

    def tag_words(self, model, path):
        rows = [{"words": self.text(n).split()} for n in [1, 5, 20, 100, 100]]
        cls, sep, limit = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id, LIMIT
        for row, got in zip(rows, self.run("tag", path, rows, "--words"), strict=True):
            windows, here = [], []
            for i, word in enumerate(row["words"]):
                text = " " + word if self.family == "roberta" and (windows or here) else word
                pieces = self.tokenizer.encode(text, add_special_tokens=False)
                if sum(len(p) for _, p in here) + len(pieces) > limit - 2:
                    windows.append(here)
                    here = []
                here.append((i, pieces))
            want = [None] * len(row["words"])
            for window in windows + [here]:
                logits = model(torch.tensor([[cls] + [t for _, p in window for t in p] + [sep]])).logits[0]
                at = 1
                for i, pieces in window:
                    want[i] = LABELS[int(logits[at].argmax())]
                    at += len(pieces)
            same(f"tags of {row['words']}", got["tags"], want)
            self.compared += 1

    def answer(self):
        model, path = self.model("QuestionAnswering")
        pipe = self.pipeline("question-answering", model)
        rows = [{"question": self.text(2), "context": self.text(n)} for n in [3, 10, 10, 20, 60, 60, 120, 120]]
        for options, hf in (([], {}), (["-k", "4"], {"top_k": 4}), (["--no-answer"], {"handle_impossible_answer": True}), (["--stride", "9"], {"doc_stride": 9}),
                            (["-k", "3", "--no-answer", "--longest", "4", "--max-tokens", "48"], {"top_k": 3, "handle_impossible_answer": True, "max_answer_len": 4, "max_seq_len": 48})):
            for row, got in zip(rows, self.run("answer", path, rows, *options), strict=True):
                want = pipe(question=row["question"], context=row["context"], **hf)
                want, got = want if isinstance(want, list) else [want], got.get("answers", [got])
                want = [w for w in want if w["score"] > 0] or want[:1]  # the pipeline fills up with spans that begin at the first token, of probability 0
                same("how many answers", len(got), len(want))
                for g, w in zip(got, want):
                    close(f"score of an answer {options} to {row}", g["score"], w["score"])
                    same("the text of an answer", g["answer"], row["context"][g["start"] : g["end"]])
                    rivals = sum(near(w["score"], o["score"]) for o in want)
                    if rivals == 1 and w is not want[-1]:
                        same(f"an answer {options} to {row}", (g["answer"], g["start"], g["end"]), (w["answer"], w["start"], w["end"]))
                if len(want) == 1 and got[0]["answer"] != want[0]["answer"]:
                    second = pipe(question=row["question"], context=row["context"], **{**hf, "top_k": 2})
                    if not near(second[0]["score"], second[1]["score"]):
                        same(f"the answer {options} to {row}", got[0], want[0])
                self.compared += 1

    def fill(self):
        model, path = self.model("MaskedLM")
        pipe = self.pipeline("fill-mask", model)
        rows = [{"text": self.text(12, mask=True)} for _ in range(16)]
        for row, got in zip(rows, self.run("fill", path, rows, "-k", "7"), strict=True):
            want = pipe(row["text"], top_k=7)
            want = want if isinstance(want[0], list) else [want]
            same("masks", len(got["masks"]), len(want))
            for g, w in zip(got["masks"], want):
                same("how many tokens", len(g), len(w))
                for i, (x, y) in enumerate(zip(g, w)):
                    close("score of a token", x["score"], y["score"])
                    if all(not near(y["score"], o["score"]) for k, o in enumerate(w) if k != i) and i < 6:
                        same("a token", (x["id"], x["token"]), (y["token"], y["token_str"]))
            self.compared += 1
        self.likelihood(model, path)

    def likelihood(self, model, path):
        rows = [{"text": self.text(n)} for n in [1, 4, 10, 50]]
        total, tokens, size = 0.0, 0, 0
        for row in rows:
            size += len(row["text"].encode())
            ids = self.tokenizer.encode(row["text"], add_special_tokens=False)
            head, tail = [self.tokenizer.cls_token_id], [self.tokenizer.sep_token_id]
            for begin in range(0, len(ids), LIMIT - 2):
                window = ids[begin : begin + LIMIT - 2]
                for i, target in enumerate(window):
                    masked = head + window[:i] + [self.tokenizer.mask_token_id] + window[i + 1 :] + tail
                    with torch.no_grad():
                        total += torch.log_softmax(model(torch.tensor([masked])).logits[0, i + 1].double(), -1)[target].item()
                tokens += len(window)
        file = os.path.join(self.folder, "rows.jsonl")
        with open(file, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
        done = subprocess.run([self.lathe, "eval", path, "--data", file, "--task", "lm", "--json", "--quiet"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"lathe eval: {done.stderr}")
        got = json.loads(done.stdout)
        close("log perplexity", math.log(got["perplexity"]), -total / tokens)
        close("bits per byte", got["bits_per_byte"], -total / math.log(2) / size)
        self.compared += 1


def main():
    a = argparse.ArgumentParser()
    a.add_argument("lathe")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--only", default="classify,tag,answer,fill")
    a.add_argument("--dir")
    args = a.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        for family in "bert", "roberta", "distilbert":
            compared = 0
            for seed in range(args.seed, args.seed + args.rounds):
                torch.manual_seed(seed)
                trial = Trial(args.lathe, folder, family, random.Random(seed))
                for task in args.only.split(","):
                    try:
                        with torch.no_grad():
                            getattr(trial, task)()
                    except SystemExit as e:
                        sys.exit(f"{family}, seed {seed}, {task}: {e}")
                compared += trial.compared
            print(f"{family}: {compared} rows alike")


if __name__ == "__main__":
    main()
