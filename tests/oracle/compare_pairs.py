#!/usr/bin/env python3
"""BERT's pre-training heads against PyTorch: the losses of sop and mlm+sop on pairs whose content is known (nsp differs in its pairs alone), and that
transformers takes what is saved, both heads with nothing missing and nothing left over.

usage: compare_pairs.py LATHE [--dir DIR]

Documents have two sentences, so a pair is one of two: in order or swapped. Steps of one pair, rate 0, every token a target and none hidden (--mask-rate 1
--mask-keep 1): each loss must be that of one of them, within 1e-5 relative, and about half of each kind must come.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys

import torch
import transformers

DOCUMENTS = 40
WORDS = [f"w{i}" for i in range(60)]


def make_model(path):
    os.makedirs(path)
    with open(f"{path}/vocab.txt", "w") as f:
        f.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS) + "\n")
    torch.manual_seed(1)
    config = transformers.BertConfig(vocab_size=len(WORDS) + 5, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=64,
                                     initializer_range=0.3)
    transformers.BertForPreTraining(config).save_pretrained(path)


def write_documents(path):
    draw = random.Random(3)
    documents = [[[draw.choice(WORDS) for _ in range(draw.randint(3, 9))] for _ in range(2)] for _ in range(DOCUMENTS)]
    with open(path, "w") as f:
        for d in documents:
            f.write("\n".join(" ".join(s) for s in d) + "\n\n")
    return documents


def loss_of(model, a, b, label, masked):
    ids = [2] + [5 + WORDS.index(w) for w in a] + [3] + [5 + WORDS.index(w) for w in b] + [3]
    types = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]))
    loss = torch.nn.functional.cross_entropy(out.seq_relationship_logits, torch.tensor([label])).item()
    if masked:
        targets = torch.tensor([i if i > 4 else -100 for i in ids])
        loss += torch.nn.functional.cross_entropy(out.prediction_logits[0], targets).item()
    return loss


def check(lathe, folder, objective):
    documents = write_documents(f"{folder}/docs.txt")
    out, log, masked = f"{folder}/{objective}", f"{folder}/{objective}.jsonl", objective.startswith("mlm")
    command = [lathe, "train", f"{folder}/model", "--objective", objective, "--data", f"{folder}/docs.txt", "--epochs", "1", "--batch", "1", "--no-shuffle", "--dropout", "0",
               "--lr", "0", "--weight-decay", "0", "--mask-rate", "1", "--mask-keep", "1", "--mask-random", "0", "--short-pairs", "0", "--log", log, "-o", out, "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    model, info = transformers.BertForPreTraining.from_pretrained(out if masked else f"{folder}/model", output_loading_info=True)
    assert not any(info.values()), info
    losses = [json.loads(line)["loss"] for line in open(log)]
    assert len(losses) == DOCUMENTS
    worst, wrong = 0, 0
    for (a, b), got in zip(documents, losses):
        off, label = min((abs(loss_of(model.eval(), *pair, masked) - got) / got, pair[2]) for pair in ((a, b, 0), (b, a, 1)))
        worst, wrong = max(worst, off), wrong + label
    good = worst < 1e-5 and 0.2 < wrong / DOCUMENTS < 0.8
    print(f"{'ok  ' if good else 'FAIL'} {objective}: {DOCUMENTS} pairs, {wrong} wrong ones, losses off by {worst:.1e} relative at most")
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lathe")
    parser.add_argument("--dir", default="/tmp/compare_pairs")
    a = parser.parse_args()
    shutil.rmtree(a.dir, ignore_errors=True)
    os.makedirs(a.dir)
    make_model(f"{a.dir}/model")
    good = [check(os.path.abspath(a.lathe), a.dir, o) for o in ("sop", "mlm+sop")]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
