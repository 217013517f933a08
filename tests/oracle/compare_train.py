#!/usr/bin/env python3
"""Trains small random BERT and RoBERTa models with lathe and with PyTorch from identical data, and compares losses and final weights.

usage: compare_train.py LATHE [--steps 20] [--dir DIR]

Objectives: labels (explicit targets a token, -100 for none), classify and regress. Both sides: AdamW, PyTorch's defaults, no dropout, file order. Fails when a loss
differs by more than 1e-4 relative or a final weight by more than 1e-4.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

torch.manual_seed(3)
torch.set_num_threads(1)


def groups(model, decay):
    two = [[], []]
    for p in model.parameters():
        two[p.dim() < 2].append(p)
    return [{"params": two[0], "weight_decay": decay}, {"params": two[1], "weight_decay": 0.0}]


def rows_of(rng, vocab, n):
    rows = []
    for _ in range(n):
        k = int(rng.integers(3, 40))
        ids = rng.integers(5, vocab, k).tolist()
        labels = [int(rng.integers(0, vocab)) if rng.random() < 0.2 else -100 for _ in range(k)]
        labels[0] = int(rng.integers(0, vocab))
        rows.append({"ids": ids, "labels": labels})
    return rows


def run_torch(model, rows, args, task):
    pad = model.config.pad_token_id
    opt = torch.optim.AdamW(groups(model, args.decay), lr=args.lr)
    sched = transformers.get_scheduler(args.schedule, opt, args.warmup, args.steps)
    model.train()
    out, at = [], 0
    for _ in range(args.steps):
        opt.zero_grad()
        batches = []
        for _ in range(args.accumulate):
            if at >= len(rows):
                at = 0
            batches.append(rows[at:at + args.batch])
            at += args.batch
        counted = sum(len(b) if task != "labels" else sum(x >= 0 for r in b for x in r["labels"]) for b in batches)
        total = 0.0
        for b in batches:
            longest = max(len(r["ids"]) for r in b)
            ids = torch.full((len(b), longest), pad)
            mask = torch.zeros((len(b), longest), dtype=torch.long)
            labels = torch.full((len(b), longest), -100)
            for i, r in enumerate(b):
                ids[i, :len(r["ids"])] = torch.tensor(r["ids"])
                mask[i, :len(r["ids"])] = 1
                if task == "labels":
                    labels[i, :len(r["ids"])] = torch.tensor(r["labels"])
            logits = model(input_ids=ids, attention_mask=mask).logits
            if task == "classify":
                labels = torch.tensor([int(r["label"]) for r in b])
            if task == "regress":
                loss = ((logits[:, 0] - torch.tensor([float(r["label"]) for r in b])) ** 2).sum() / counted
            else:
                loss = torch.nn.functional.cross_entropy(logits.view(-1, logits.shape[-1]), labels.view(-1), ignore_index=-100, reduction="sum") / counted
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip).item()
        out.append({"loss": total, "grad_norm": norm, "lr": sched.get_last_lr()[0]})
        opt.step()
        sched.step()
    return out


def compare(name, model, rows, args, task, options=()):
    with tempfile.TemporaryDirectory(dir=args.dir) as d:
        model.save_pretrained(f"{d}/model")
        with open(f"{d}/rows.jsonl", "w") as f:
            for r in rows:
                f.write(json.dumps(r) + "\n")
        subprocess.run([args.lathe, "train", f"{d}/model", "--objective", task, "--data", f"{d}/rows.jsonl", "--steps",
                        str(args.steps), "--batch", str(args.batch), "--accumulate", str(args.accumulate), "--lr", str(args.lr), "--schedule", args.schedule,
                        "--warmup", str(args.warmup), "--weight-decay", str(args.decay), "--clip", str(args.clip), "--dropout", "0", "--no-shuffle",
                        "--log", f"{d}/log.jsonl", "-o", f"{d}/out", "--quiet", *options], check=True, stdout=subprocess.DEVNULL)
        log = [json.loads(x) for x in open(f"{d}/log.jsonl")]
        ours = load_file(f"{d}/out/model.safetensors")
        again = type(model).from_pretrained(f"{d}/out")
        want = run_torch(model, rows, args, task)
        worst = max(abs(a["loss"] - b["loss"]) / abs(b["loss"]) for a, b in zip(log, want))
        norms = max(abs(a["grad_norm"] - b["grad_norm"]) / b["grad_norm"] for a, b in zip(log, want))
        rates = max(abs(a["lr"] - b["lr"]) for a, b in zip(log, want))
        weights = max((ours[k] - v).abs().max().item() for k, v in model.state_dict().items() if k in ours)
        missing = [k for k in dict(model.named_parameters()) if k not in ours]
        drift, at = max(((again.state_dict()[k] - v).abs().max().item(), k) for k, v in model.state_dict().items()
                        if not (k.startswith("lm_head.") and k.endswith("bias")))  # transformers 4.48 loses RoBERTa's when it reads its own file, too
        good = len(log) == len(want) and worst < 1e-4 and weights < 1e-4 and rates < 1e-12 and not missing and drift < 1e-4
        print(f"{'ok' if good else 'NOT OK'} {name}: loss {want[0]['loss']:.4f} -> {want[-1]['loss']:.4f}, differs by {worst:.1e}; gradient norm {norms:.1e}; "
              f"weights {weights:.1e}" + ("" if good else f"; missing {missing}, read back {drift:.1e} at {at}"))
        return good


def main():
    p = argparse.ArgumentParser()
    p.add_argument("lathe")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--dir")
    args = p.parse_args()
    args.lathe = os.path.abspath(args.lathe)
    small = dict(vocab_size=211, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, max_position_embeddings=64,
                 hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    rng = np.random.default_rng(5)
    rows = rows_of(rng, 211, 90)
    for r in rows:
        r["label"] = str(int(rng.integers(0, 3)))
    good = True
    for batch, accumulate, lr, schedule, warmup, decay, clip in ((8, 1, 1e-3, "constant_with_warmup", 0, 0.01, 1.0), (4, 3, 2e-3, "linear", 5, 0.1, 0.5),
                                                                 (7, 1, 1e-3, "cosine", 3, 0.0, 1e9)):
        args.batch, args.accumulate, args.lr, args.warmup, args.decay, args.clip = batch, accumulate, lr, warmup, decay, clip
        args.schedule = schedule
        for kind, config, family in (("bert", transformers.BertConfig(**small), "Bert"),
                                     ("bert relative_key", transformers.BertConfig(**small, position_embedding_type="relative_key"), "Bert"),
                                     ("bert relative_key_query", transformers.BertConfig(**small, position_embedding_type="relative_key_query"), "Bert"),
                                     ("roberta", transformers.RobertaConfig(**{**small, "max_position_embeddings": 66}, pad_token_id=1), "Roberta"),
                                     ("distilbert", transformers.DistilBertConfig(vocab_size=211, dim=48, n_layers=2, n_heads=4, hidden_dim=96, dropout=0.0,
                                                                                 attention_dropout=0.0, seq_classif_dropout=0.0, max_position_embeddings=64), "DistilBert")):
            for task in ("labels", "classify", "regress"):
                config.num_labels = 1 if task == "regress" else 3
                cls = getattr(transformers, family + ("ForMaskedLM" if task == "labels" else "ForSequenceClassification"))
                label = f"{kind} {task}, batch {batch} x {accumulate}, {schedule}"
                args.schedule = "constant" if schedule.startswith("constant") else schedule
                good &= compare(label, cls(config), rows, args, task, ("--threads", "2"))
    sys.exit(not good)


if __name__ == "__main__":
    main()
