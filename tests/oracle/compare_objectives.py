#!/usr/bin/env python3
"""Trains small random BERT, RoBERTa and DistilBERT models with lathe and with PyTorch on identical rows of text, objective by objective: span, contrastive and
classification with several labels a row.

usage: compare_objectives.py LATHE [--steps 20] [--dir DIR]

Windows of long contexts are cut here by transformers' tokenizers and labelled as its run_qa does; the contrastive loss is sentence-transformers' formula; that
of several labels is transformers' own. AdamW, no dropout, file order. Fails when a loss differs by more than 1e-4 relative at any step or a final weight
by more than 1e-4. Then: cached gradients against whole batches, with dropout.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

from compare_train import groups

torch.manual_seed(4)
torch.set_num_threads(1)
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "models")
WORDS = "the a lathe turns wood while sharp tool takes off what is not wanted small model well made answers question Où tour jardin naïve café übergröße 3.5% 2019 " \
        "the-line (so) tokens über — 木 木材 \U0001F980 e\u0301t\u00e9 x".split()


def sentence(rng, low, high):
    return " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), int(rng.integers(low, high))))


# ---- one family ----

def make(family, objective, folder, args, labels=2, problem=None, dropout=0.0):
    """A random model and its tokenizer, saved as a directory."""
    kind = {"Bert": "bert", "Roberta": "roberta", "DistilBert": "distilbert"}[family]
    source = os.path.join(FIXTURES, "roberta-tiny" if kind == "roberta" else "bert-tiny")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    positions = 400
    if kind == "distilbert":
        config = transformers.DistilBertConfig(vocab_size=len(tokenizer), dim=48, n_layers=2, n_heads=4, hidden_dim=96, dropout=dropout, attention_dropout=dropout,
                                               seq_classif_dropout=dropout, qa_dropout=dropout, max_position_embeddings=positions)
    else:
        pad = dict(pad_token_id=tokenizer.pad_token_id, max_position_embeddings=positions + tokenizer.pad_token_id + 1) if kind == "roberta" else dict(max_position_embeddings=positions)
        config = getattr(transformers, family + "Config")(vocab_size=len(tokenizer), hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
                                                          hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **pad)
    config.initializer_range = 0.08  # with less, first tokens of different texts are all but the same, and so is what is learned of them
    if objective == "classify":
        config.num_labels = labels
        config.problem_type = problem
    head = {"span": "ForQuestionAnswering", "contrastive": "Model", "classify": "ForSequenceClassification"}[objective]
    model = getattr(transformers, family + head)(config)
    model.save_pretrained(folder)
    for f in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(source, f), folder)
    return model, tokenizer


def padded(tokenizer, sequences, types=None):
    """ids, mask and, where a model takes them, token types of sequences of different lengths."""
    longest = max(map(len, sequences))
    ids = torch.tensor([s + [tokenizer.pad_token_id or 0] * (longest - len(s)) for s in sequences])
    mask = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in sequences])
    out = {"input_ids": ids, "attention_mask": mask}
    if types is not None:
        out["token_type_ids"] = torch.tensor([t + [0] * (longest - len(t)) for t in types])
    return out


def train_torch(model, rows, loss_of, args):
    opt = torch.optim.AdamW(groups(model, args.decay), lr=args.lr, eps=args.eps)
    model.train()
    out, at = [], 0
    for _ in range(args.steps):
        if at >= len(rows):
            at = 0
        opt.zero_grad()
        loss = loss_of(model, rows[at:at + args.batch])
        at += args.batch
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        out.append(loss.item())
        opt.step()
    return out


def run_lathe(args, folder, objective, rows, out, *options, dropout=("--dropout", "0")):
    log = out + ".log"
    subprocess.run([args.lathe, "train", folder, "--objective", objective, "--data", rows, "--steps", str(args.steps), "--batch", str(args.batch), "--lr", str(args.lr),
                    "--weight-decay", str(args.decay), "--eps", str(args.eps), "--clip", str(args.clip), "--no-shuffle", "--log", log, "-o", out, "--quiet", *dropout, *options],
                   check=True, stdout=subprocess.DEVNULL)
    return [json.loads(x)["loss"] for x in open(log)], load_file(f"{out}/model.safetensors")


def judge(name, model, ours, want):
    losses, weights = ours
    worst = max(abs(a - b) / max(abs(b), 1e-3) for a, b in zip(losses, want))
    weight, at = max(((weights[k] - v).abs().max().item(), k) for k, v in model.state_dict().items() if k in weights)
    missing = [k for k in dict(model.named_parameters()) if k not in weights]
    good = len(losses) == len(want) and worst < 1e-4 and weight < 1e-4 and not missing
    print(f"{'ok' if good else 'NOT OK'} {name}: loss {want[0]:.4f} -> {want[-1]:.4f}, differs by {worst:.1e}; weights {weight:.1e}" + ("" if good else f" at {at}; missing {missing}"))
    return good


# ---- span ----

def questions(rng, n, low, high):
    out = []
    for i in range(n):
        context = sentence(rng, low, high)
        words = context.split(" ")
        first = int(rng.integers(0, len(words) - 1))
        answer = " ".join(words[first:first + int(rng.integers(1, 4))])
        start = len(" ".join(words[:first])) + (first > 0)
        none = rng.random() < 0.15
        out.append({"id": str(i), "question": sentence(rng, 3, 12), "context": context, "answers": {"text": [] if none else [answer], "answer_start": [] if none else [start]}})
    return out


def windows(tokenizer, q, limit):
    """As transformers' run_qa: features of a question, with their start and end tokens."""
    pair = tokenizer(q["question"], "x")
    alone = len(pair["input_ids"]) - pair.sequence_ids(0).count(1)
    stride = min(128, (limit - alone) // 2)
    enc = tokenizer(q["question"], q["context"], truncation="only_second", max_length=limit, stride=stride, return_overflowing_tokens=True, return_offsets_mapping=True,
                    return_token_type_ids=True)
    for i, offsets in enumerate(enc["offset_mapping"]):
        sequence = enc.sequence_ids(i)
        begin = end = 0
        if q["answers"]["text"]:
            start_char = q["answers"]["answer_start"][0]
            end_char = start_char + len(q["answers"]["text"][0])
            a = sequence.index(1)
            b = len(sequence) - 1 - sequence[::-1].index(1)
            if offsets[a][0] <= start_char and offsets[b][1] >= end_char:
                while a < len(offsets) and sequence[a] == 1 and offsets[a][0] <= start_char:
                    a += 1
                begin = a - 1
                while sequence[b] == 1 and offsets[b][1] >= end_char:
                    b -= 1
                end = b + 1
        yield enc["input_ids"][i], enc["token_type_ids"][i], begin, end


def span_loss(tokenizer, types):
    def loss(model, rows):
        batch = padded(tokenizer, [r[0] for r in rows], [r[1] for r in rows] if types else None)
        out = model(**batch)
        hide = batch["attention_mask"] == 0
        return sum(torch.nn.functional.cross_entropy(x.masked_fill(hide, -torch.inf), torch.tensor([r[k] for r in rows])) for x, k in ((out.start_logits, 2), (out.end_logits, 3))) / 2
    return loss


def nested(rows):
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": r["context"], "qas": [
        {"id": r["id"], "question": r["question"], "answers": [{"text": t, "answer_start": s} for t, s in zip(r["answers"]["text"], r["answers"]["answer_start"])]}]}]} for r in rows]}


def span(family, args, d):
    rng = np.random.default_rng(6)
    good = True
    for limit, low, high in ((64, 20, 60), (None, 250, 500)):
        folder = f"{d}/span{limit}"
        model, tokenizer = make(family, "span", folder, args)
        rows = questions(rng, 40 if limit else 8, low, high)
        args.batch = 8 if limit else 3
        features = [w for q in rows for w in windows(tokenizer, q, limit or 384)]
        if family == "Bert":
            path = f"{d}/squad{limit}.json"
            json.dump(nested(rows), open(path, "w"), ensure_ascii=limit is None)
        else:
            path = f"{d}/flat{limit}.jsonl"
            with open(path, "w") as f:
                f.writelines(json.dumps(r) + "\n" for r in rows)
        ours = run_lathe(args, folder, "span", path, f"{d}/out-span{limit}", *(("--max-tokens", str(limit)) if limit else ()))
        want = train_torch(model, features, span_loss(tokenizer, family == "Bert"), args)
        found = sum(f[2] > 0 for f in features)
        good &= judge(f"{family} span, {len(features)} windows of {limit or 384}, {found} with an answer", model, ours, want)
    return good


# ---- contrastive ----

def contrastive_loss(tokenizer, pooling, scale):
    def embed(model, texts):
        batch = padded(tokenizer, [tokenizer(t, truncation=bool(pooling), verbose=False)["input_ids"] for t in texts])
        hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"][..., None]
        return hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1)

    def loss(model, rows):
        unit = torch.nn.functional.normalize
        anchors = unit(embed(model, [r["anchor"] for r in rows]))
        candidates = unit(embed(model, [r["positive"] for r in rows] + [n for r in rows for n in r.get("negatives", [])]))
        return torch.nn.functional.cross_entropy(anchors @ candidates.T * scale, torch.arange(len(rows)))
    return loss


def sentence_files(folder, pooling, normalize):
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    if normalize:
        modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"})
        os.makedirs(f"{folder}/2_Normalize")
    json.dump(modules, open(f"{folder}/modules.json", "w"))
    os.makedirs(f"{folder}/1_Pooling")
    json.dump({"word_embedding_dimension": 48, "pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}, open(f"{folder}/1_Pooling/config.json", "w"))


def pairs(rng, n):
    rows = []
    for i in range(n):
        r = {"anchor": sentence(rng, 2, 15), "positive": sentence(rng, 2, 15)}
        if i % 3:
            r["negatives"] = [sentence(rng, 2, 10) for _ in range(i % 3)]
        rows.append(r)
    return rows


def write_rows(rows, path):
    with open(path, "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)


def contrastive(family, args, d):
    rng = np.random.default_rng(7)
    good = True
    rows = pairs(rng, 60)
    write_rows(rows, f"{d}/pairs.jsonl")
    args.batch = 9
    for pooling, scale in {"Bert": ((None, 20), ("cls", 5)), "Roberta": (("mean", 20),), "DistilBert": (("cls", 20),)}[family]:
        folder = f"{d}/contrastive-{pooling}"
        model, tokenizer = make(family, "contrastive", folder, args)
        if pooling:
            sentence_files(folder, pooling, family == "Roberta")
        out = f"{d}/out-contrastive-{pooling}"
        ours = run_lathe(args, folder, "contrastive", f"{d}/pairs.jsonl", out, *(("--scale", str(scale)) if scale != 20 else ()))
        cached = run_lathe(args, folder, "contrastive", f"{d}/pairs.jsonl", out + "-cached", "--scale", str(scale), "--cache-batch", "4", "--threads", "2")
        want = train_torch(model, rows, contrastive_loss(tokenizer, pooling, scale), args)
        good &= judge(f"{family} contrastive, {pooling or 'no files of'} pooling, scale {scale}", model, ours, want)
        good &= judge(f"{family} contrastive, {pooling or 'no files of'} pooling, scale {scale}, cached", model, cached, want)
        kept = not pooling or os.path.isfile(f"{out}/1_Pooling/config.json")
        print(f"{'ok' if kept else 'NOT OK'} {family}: the sentence-transformers files are in OUT")
        good &= kept
    return good


def cached_with_dropout(family, args, d):
    folder = f"{d}/dropped"
    make(family, "contrastive", folder, args, dropout=0.1)
    args.batch = 10
    runs = [run_lathe(args, folder, "contrastive", f"{d}/pairs.jsonl", f"{d}/dropped-{k}", "--cache-batch", k, "--accumulate", "2", dropout=()) for k in ("0", "1", "7", "1000")]
    good = True
    for k, (losses, weights) in zip(("1", "7", "1000"), runs[1:]):
        worst = max(abs(a - b) / abs(b) for a, b in zip(losses, runs[0][0]))
        weight = max((weights[n] - w).abs().max().item() for n, w in runs[0][1].items())
        fine = worst < 1e-5 and weight < 2e-5 if k != "1000" else worst == 0 and weight == 0
        print(f"{'ok' if fine else 'NOT OK'} {family} with dropout, {k} texts at a time: losses differ by {worst:.1e}, weights {weight:.1e}")
        good &= fine
    return good


# ---- several labels ----

def several(family, args, d):
    rng = np.random.default_rng(8)
    names = ["alpha", "beta", "gamma", "delta", "epsilon"]
    rows = [{"text": sentence(rng, 3, 20), "label": [n for n in names if rng.random() < 0.4]} for _ in range(50)]
    rows[0]["label"] = names
    write_rows(rows, f"{d}/several.jsonl")
    folder = f"{d}/several"
    model, tokenizer = make(family, "classify", folder, args, labels=len(names), problem="multi_label_classification")
    args.batch = 8
    ours = run_lathe(args, folder, "classify", f"{d}/several.jsonl", f"{d}/out-several")
    order = sorted(names)

    def loss(m, batch):
        want = torch.tensor([[float(n in r["label"]) for n in order] for r in batch])
        return m(**padded(tokenizer, [tokenizer(r["text"], verbose=False)["input_ids"] for r in batch]), labels=want).loss
    want = train_torch(model, rows, loss, args)
    good = judge(f"{family}, several labels", model, ours, want)
    config = transformers.AutoConfig.from_pretrained(f"{d}/out-several")
    told = config.problem_type == "multi_label_classification" and [config.id2label[i] for i in range(len(names))] == order
    print(f"{'ok' if told else 'NOT OK'} {family}: config.json says so, and the names")
    return good and told


# ---- smoothed and weighed labels ----

def weighed(family, args, d):
    rng = np.random.default_rng(9)
    names = ["0", "1", "2"]
    rows = [{"text": sentence(rng, 3, 20), "label": names[int(rng.choice(3, p=[0.6, 0.3, 0.1]))]} for _ in range(50)]
    write_rows(rows, f"{d}/weighed.jsonl")
    args.batch = 8
    good = True
    weights = torch.tensor([len(rows) / (3 * sum(r["label"] == n for r in rows)) for n in names])
    for option, how, weight in ((("--label-smoothing", "0.2"), {"label_smoothing": 0.2}, None), (("--class-weights", "balanced"), {}, weights)):
        folder = f"{d}/weighed-{option[1]}"
        model, tokenizer = make(family, "classify", folder, args, labels=3)

        def loss(m, batch):
            logits = m(**padded(tokenizer, [tokenizer(r["text"], verbose=False)["input_ids"] for r in batch])).logits
            return torch.nn.functional.cross_entropy(logits, torch.tensor([int(r["label"]) for r in batch]), weight=weight, reduction="sum", **how) / len(batch)
        ours = run_lathe(args, folder, "classify", f"{d}/weighed.jsonl", f"{d}/out-weighed-{option[1]}", *option)
        good &= judge(f"{family} classify {' '.join(option)}", model, ours, train_torch(model, rows, loss, args))
    return good


def main():
    p = argparse.ArgumentParser()
    p.add_argument("lathe")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--dir")
    args = p.parse_args()
    args.lathe = os.path.abspath(args.lathe)
    # eps: some gradients are zero but for rounding (a bias that every token's score has, keys' biases); the default of 1e-8 would make steps of that noise
    args.lr, args.decay, args.clip, args.eps = 1e-3, 0.01, 1.0, 1e-5
    good = True
    for family in ("Bert", "Roberta", "DistilBert"):
        with tempfile.TemporaryDirectory(dir=args.dir) as d:
            for run in (span, contrastive, cached_with_dropout, several, weighed):
                good &= run(family, args, d)
    sys.exit(not good)


if __name__ == "__main__":
    main()
