#!/usr/bin/env python3
"""Distils small random BERT models with lathe and with PyTorch from identical data, and compares losses and final weights.

usage: compare_distill.py LATHE [--steps 15] [--dir DIR]

Every distillation loss alone, and some combinations, beside given targets and beside masked language modelling whose masks are drawn here as there, students of another depth and width than the teacher, two batches a step. Relations are computed from the
definition (softmax of scaled products, Kullback-Leibler divergences a row, means a sequence, then over sequences). Fails when a loss differs by more
than 1e-4 relative or a final weight by more than 1e-4.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file

torch.manual_seed(5)
torch.set_num_threads(1)


class Taps:
    """Last block's queries, keys and values, and all hidden states."""

    def __init__(self, bert):
        self.bert, self.seen = bert, {}
        last = bert.encoder.layer[-1].attention.self
        for name in "query", "key", "value":
            getattr(last, name).register_forward_hook(lambda m, i, o, n=name: self.seen.__setitem__(n, o))

    def run(self, ids):
        out = self.bert(input_ids=torch.tensor([ids]), output_hidden_states=True)
        return out, dict(self.seen)


def relation(a, b, heads):
    n, w = a.shape[1:]
    a, b = (x.view(n, heads, w // heads).transpose(0, 1) for x in (a, b))
    return F.log_softmax(a @ b.transpose(1, 2) / (w // heads) ** 0.5, -1)


def relation_loss(s, t, pair, heads):
    q, p = relation(s[pair[0]], s[pair[1]], heads), relation(t[pair[0]], t[pair[1]], heads)
    return (p.exp() * (p - q)).sum() / (heads * q.shape[1])


PAIRS = {"attention": ("query", "key"), "values": ("value", "value"), "queries": ("query", "query"), "keys": ("key", "key")}


def philox(counter, key):
    """Four words of 32 bits: Philox 4x32 with ten rounds (Salmon et al. 2011)."""
    (a, b, c, d), (k, l) = counter, key
    for _ in range(10):
        x, y = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (y >> 32) ^ b ^ k, y & 0xFFFFFFFF, (x >> 32) ^ d ^ l, x & 0xFFFFFFFF
        k, l = (k + 0x9E3779B9) & 0xFFFFFFFF, (l + 0xBB67AE85) & 0xFFFFFFFF
    return a, b, c, d


def mask(ids, example, epoch, vocab, mask_id):
    """What --objective mlm makes of a row at seed 0, and its targets."""
    seen, labels = list(ids), [-100] * len(ids)
    for i, t in enumerate(ids):
        bits = philox((example, i, epoch, 3), (0, 0))
        if (bits[0] >> 8) / 2 ** 24 < 0.15:
            labels[i] = t
            u = (bits[1] >> 8) / 2 ** 24
            if u < 0.8:
                seen[i] = mask_id
            elif u < 0.9:
                seen[i] = (bits[2] * vocab) >> 32
    return seen, labels


def sequence_loss(name, args, student, teacher, s, t, projection):
    (so, sq), (to, tq) = s, t
    if name in PAIRS:
        return relation_loss(sq, tq, PAIRS[name], args.heads)
    if name == "cls":
        return ((so.last_hidden_state[0, 0] - to.last_hidden_state[0, 0]) ** 2).sum()
    if name == "hidden":
        layers, depth = len(so.hidden_states) - 1, len(to.hidden_states) - 1
        total = 0
        for i, h in enumerate(so.hidden_states):
            target = to.hidden_states[(i * depth + layers // 2) // layers]
            total = total + F.mse_loss(h if projection is None else h @ projection.T, target)
        return total / (layers + 1)
    a, b = student.classifier(so.pooler_output), teacher.classifier(to.pooler_output)
    temp = args.temperature
    return F.kl_div(F.log_softmax(a / temp, -1), F.softmax(b / temp, -1), reduction="sum") * temp ** 2


def run_torch(student, teacher, rows, losses, args, projection, objective, clean_inputs):
    params = [p for p in student.parameters()] + ([projection] if projection is not None else [])
    groups = [{"params": [p for p in params if p.dim() > 1], "weight_decay": 0.01}, {"params": [p for p in params if p.dim() < 2], "weight_decay": 0}]
    opt = torch.optim.AdamW(groups, lr=args.lr)
    ts, tt = Taps(student.bert), Taps(teacher.bert)
    out, at = [], 0
    for _ in range(args.steps):
        opt.zero_grad()
        total, own, counted = 0, 0, 0
        batch = [((at + i) % len(rows), (at + i) // len(rows)) for i in range(2 * args.batch)]
        at += 2 * args.batch
        for which, epoch in batch:
            r = rows[which]
            ids, labels = mask(r["ids"], which, epoch, 90, 4) if objective == "mlm" else (r["ids"], r["labels"])

            def both(x):
                with torch.no_grad():
                    t = tt.run(x)
                return ts.run(x), t
            s, t = both(ids)
            clean = both(r["ids"])
            if objective == "classify":
                own, counted = own + F.cross_entropy(student.classifier(s[0].pooler_output), torch.tensor([int(r["label"])])), counted + 1
            elif objective:
                own = own + F.cross_entropy(student.cls(s[0].last_hidden_state)[0], torch.tensor(labels), ignore_index=-100, reduction="sum")
                counted += sum(x >= 0 for x in labels)
            for name, weight in losses.items():
                if name != "objective":
                    pair = clean if clean_inputs or name == "cls" else (s, t)
                    total = total + weight * sequence_loss(name, args, student, teacher, *pair, projection) / len(batch)
        if objective:
            total = total + losses.get("objective", 1) * own / counted
        total.backward()
        torch.nn.utils.clip_grad_norm_([p for p in params if p.grad is not None], 1.0)
        opt.step()
        out.append(total.item())
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("lathe")
    p.add_argument("--steps", type=int, default=15)
    p.add_argument("--dir")
    args = p.parse_args()
    args.lr, args.batch, args.heads, args.temperature = 1e-3, 4, 2, 2.0
    folder = args.dir or tempfile.mkdtemp()
    rng = np.random.default_rng(1)
    rows = [{"ids": rng.integers(5, 90, int(rng.integers(2, 30))).tolist(), "label": str(i % 3)} for i in range(64)]
    for r in rows:
        r["labels"] = [int(x) if rng.random() < 0.3 else -100 for x in rng.integers(0, 90, len(r["ids"]))]
    with open(f"{folder}/rows.jsonl", "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
    kinds = {"same": dict(hidden_size=16, num_hidden_layers=2, intermediate_size=24), "teacher": dict(hidden_size=32, num_hidden_layers=5, intermediate_size=64),
             "wide": dict(hidden_size=32, num_hidden_layers=2, intermediate_size=40)}
    for name, sizes in kinds.items():
        c = transformers.BertConfig(vocab_size=90, num_attention_heads=2, max_position_embeddings=40, num_labels=3, initializer_range=0.3, hidden_dropout_prob=0,
                                    attention_probs_dropout_prob=0, **sizes)
        transformers.BertForSequenceClassification(c).eval().save_pretrained(f"{folder}/{name}")
    transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=90, num_attention_heads=2, max_position_embeddings=40, initializer_range=0.3, hidden_dropout_prob=0,
                                                         attention_probs_dropout_prob=0, **kinds["wide"])).eval().save_pretrained(f"{folder}/masked")
    with open(f"{folder}/masked/vocab.txt", "w") as f:
        f.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{i}" for i in range(85)]) + "\n")
    cases = [("same", {"attention": 1}), ("same", {"values": 1}), ("same", {"queries": 1}), ("same", {"keys": 0.5}), ("same", {"attention": 1, "values": 1}),
             ("wide", {"hidden": 1}), ("wide", {"cls": 1}), ("same", {"logits": 1}), ("same", {"logits": 0.7, "objective": 0.3}, "classify"),
             ("wide", {"hidden": 2, "values": 0.25}), ("wide", {"cls": 0.5}, "classify"), ("masked", {"cls": 1}, "labels"), ("masked", {"cls": 1}, "mlm"),
             ("masked", {"cls": 0.5, "hidden": 1, "objective": 0.5}, "mlm"), ("masked", {"attention": 1, "hidden": 1}, "mlm", True)]
    failed = 0
    for which, losses, *more in cases:
        objective, clean = (more + [None, False][len(more):])
        made = transformers.BertForMaskedLM if which == "masked" else transformers.BertForSequenceClassification
        student = made.from_pretrained(f"{folder}/{which}").eval()
        teacher = transformers.BertForSequenceClassification.from_pretrained(f"{folder}/teacher").eval()
        want = run_torch(student, teacher, rows, losses, args, None, objective, clean)
        out = f"{folder}/out"
        text = ",".join(f"{k}={v}" for k, v in losses.items())
        command = [args.lathe, "distill", f"{folder}/teacher", f"{folder}/{which}", "--data", f"{folder}/rows.jsonl", "--losses", text, "--steps", str(args.steps),
                   "--batch", str(args.batch), "--accumulate", "2", "--lr", str(args.lr), "--no-shuffle", "--dropout", "0", "--temperature", str(args.temperature),
                   "--log", f"{folder}/log", "-o", out, "--quiet"] + (["--objective", objective] if objective else []) + ["--clean-inputs"] * clean
        subprocess.run(command, check=True)
        got = [json.loads(line)["loss"] for line in open(f"{folder}/log")]
        worst = max(abs(a - b) / max(abs(b), 1e-6) for a, b in zip(got, want))
        saved = load_file(f"{out}/model.safetensors")
        off = 0.0
        for k, v in student.state_dict().items():
            k2 = k if k in saved else k.removeprefix("bert.")
            # A key's bias moves all scores of a row alike: its gradient is zero but for rounding, which Adam makes steps of.
            if k2 in saved and not k.endswith("key.bias"):
                off = max(off, (saved[k2] - v).abs().max().item())
        bad = worst > 1e-4 or off > 1e-4 or len(got) != args.steps
        failed += bad
        print(f"{'FAIL' if bad else 'ok  '} {which:6} {objective or '':8} {text}{' on clean inputs' * clean}: loss {got[0]:.6f} -> {got[-1]:.6f}  losses off by {worst:.1e} relative, weights by {off:.1e}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
