#!/usr/bin/env python3
"""Trains a tiny random BERT with lathe and with PyTorch from identical data, once for each optimizer, schedule and detail of an update, and compares losses,
rates and final weights.

usage: compare_optimizers.py LATHE [--steps 20] [--dir DIR] [WORD…]     (only cases whose names have one of the words)

The updates are written out here, formula by formula; those that PyTorch, transformers or schedulefree (if it is installed) have too are held against
these first, on random gradients. Fails when a loss differs by more than 1e-4 relative or a final weight by more than 1e-4. Biases of keys are left out:
softmax does not see them, so their gradients are rounding noise, which some optimizers blow up. An optimizer of signs (lion) may disagree about one weight
in ten thousand: those whose mean gradient is zero within rounding.
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

torch.set_num_threads(1)
LAYERS, VOCAB = 3, 1511  # tables and inner matrices are larger than a piece of an update


# ---- updates of one parameter: s is its state, t its steps from 1 ----

def adam_ratio(p, g, s, t, h):
    m, v = s.setdefault("m", torch.zeros_like(p)), s.setdefault("v", torch.zeros_like(p))
    m.mul_(h["beta1"]).add_(g, alpha=1 - h["beta1"])
    v.mul_(h["beta2"]).addcmul_(g, g, value=1 - h["beta2"])
    c1, c2 = (1 - h["beta1"] ** t, 1 - h["beta2"] ** t) if h.get("correct", True) else (1, 1)
    at, eps = h.get("eps_at", "after"), h["eps"]
    root = (v / c2).sqrt() + eps if at == "after" else (v.sqrt() + eps) / math.sqrt(c2) if at == "before" else (v / c2 + eps).sqrt()
    return m / c1 / root


def adamw(p, g, s, t, lr, wd, h):
    if h.get("decay") == "coupled":
        g, wd = g + wd * p, 0
    u = adam_ratio(p, g, s, t, h)
    p.mul_(1 - lr * wd).sub_(u, alpha=lr)


def sgd(p, g, s, t, lr, wd, h):
    if h.get("decay") == "decoupled":
        p.mul_(1 - lr * wd)
    else:
        g = g + wd * p
    v = s.setdefault("v", torch.zeros_like(p)).mul_(h["momentum"]).add_(g)
    p.sub_(g + h["momentum"] * v if h.get("nesterov") else v, alpha=lr)


def lion(p, g, s, t, lr, wd, h):
    m = s.setdefault("m", torch.zeros_like(p))
    p.mul_(1 - lr * wd).sub_((h["beta1"] * m + (1 - h["beta1"]) * g).sign(), alpha=lr)
    m.mul_(h["beta2"]).add_(g, alpha=1 - h["beta2"])


def lamb(p, g, s, t, lr, wd, h):
    u = adam_ratio(p, g, s, t, h) + wd * p
    trust = (p.norm() / u.norm()).item() if p.dim() > 1 else 1
    p.sub_(u, alpha=lr * trust)


def adafactor(p, g, s, t, lr, wd, h):
    if h.get("rate") != "fixed":
        lr = min(1e-6 * t if h.get("rate") == "warmup" else 1e-2, 1 / math.sqrt(t)) * h.get("factor", 1)
    if h.get("scale", True):
        lr *= max(1e-3, p.square().mean().sqrt().item())
    keep, squares = 1 - t ** -h.get("decay_rate", 0.8), g * g + 1e-30
    if p.dim() == 2:
        row, col = s.setdefault("row", torch.zeros(p.shape[0])), s.setdefault("col", torch.zeros(p.shape[1]))
        row.mul_(keep).add_(squares.mean(1), alpha=1 - keep)
        col.mul_(keep).add_(squares.mean(0), alpha=1 - keep)
        u = g * (row / row.mean()).rsqrt()[:, None] * col.rsqrt()[None, :]
    else:
        u = g * s.setdefault("v", torch.zeros_like(p)).mul_(keep).add_(squares, alpha=1 - keep).rsqrt()
    u = u / max(1, u.square().mean().sqrt().item() / h.get("clip", 1.0)) * lr
    if h.get("beta1"):
        u = s.setdefault("m", torch.zeros_like(p)).mul_(h["beta1"]).add_(u, alpha=1 - h["beta1"])
    p.mul_(1 - lr * wd).sub_(u)


def newton_schulz(g, steps):
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if g.shape[0] > g.shape[1] else x


def muon(p, g, s, t, lr, wd, h):
    if not h["hidden"]:
        return adamw(p, g, s, t, lr * h.get("others", 0.015), wd, h)
    mean = s.setdefault("mean", torch.zeros_like(p)).lerp_(g, 1 - h["momentum"])
    u = newton_schulz(g.lerp(mean, h["momentum"]) if h.get("nesterov", True) else mean, h.get("steps", 5))
    by = 0.2 * math.sqrt(max(p.shape)) if h.get("scale") == "rms" else math.sqrt(max(1, p.shape[0] / p.shape[1]))
    p.mul_(1 - lr * wd).sub_(u, alpha=lr * by)


def schedule_free(p, g, s, t, lr, wd, h):
    if "z" not in s:
        s.update(z=p.clone(), v=torch.zeros_like(p), sum=0.0)
    s["v"].mul_(h["beta2"]).addcmul_(g, g, value=1 - h["beta2"])
    u = g / ((s["v"] / (1 - h["beta2"] ** t)).sqrt() + h["eps"]) + wd * p
    s["sum"] += lr ** 2
    c = lr ** 2 / s["sum"] if s["sum"] else 0
    p.lerp_(s["z"], c).add_(u, alpha=lr * (h["beta1"] * (1 - c) - 1))
    s["z"].sub_(u, alpha=lr)


def averaged_z(p, s, h):
    return p.lerp(s["z"], 1 - 1 / h["beta1"]) if "z" in s else p


# ---- the same, where others have them ----

def check_formulas():
    base = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "momentum": 0.9}
    library = [
        ("adamw", adamw, base, lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
        ("adam", adamw, {**base, "decay": "coupled"}, lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1)),
        ("sgd", sgd, base, lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1)),
        ("nesterov", sgd, {**base, "nesterov": True}, lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1)),
    ]
    factor = transformers.optimization.Adafactor
    library += [
        ("adafactor", adafactor, {}, lambda p: factor(p, weight_decay=0.1)),
        ("adafactor warmup", adafactor, {"rate": "warmup"}, lambda p: factor(p, weight_decay=0.1, warmup_init=True)),
        ("adafactor fixed", adafactor, {"rate": "fixed", "scale": False, "beta1": 0.9},
         lambda p: factor(p, lr=0.01, weight_decay=0.1, relative_step=False, scale_parameter=False, beta1=0.9)),
    ]
    try:
        import schedulefree
        library.append(("schedule_free", schedule_free, base, lambda p: schedulefree.AdamWScheduleFree(p, lr=0.01, weight_decay=0.1)))
    except ImportError:
        print("# schedulefree is not installed: its formula is taken as written")
    good = True
    for name, update, h, make in library:
        rng = torch.Generator().manual_seed(1)
        mine = [torch.randn(5, 7, generator=rng), torch.randn(7, generator=rng)]
        theirs = [torch.nn.Parameter(x.clone()) for x in mine]
        states, opt = [{} for _ in mine], make(theirs)
        if hasattr(opt, "train"):
            opt.train()
        for t in range(1, 11):
            for p, q, s in zip(mine, theirs, states):
                g = torch.randn(p.shape, generator=rng)
                q.grad = g.clone()
                update(p, g, s, t, 0.01, 0.1, h)
            opt.step()
        if hasattr(opt, "eval"):
            opt.eval()
            mine = [averaged_z(p, s, h) for p, s in zip(mine, states)]
        worst = max((p - q).abs().max().item() for p, q in zip(mine, theirs))
        good &= worst < 2e-6
        print(f"{'ok' if worst < 2e-6 else 'NOT OK'} the formula of {name}: differs from the library's by {worst:.1e}")
    return good


# ---- rates ----

def rate_of(case, step, steps):
    lr, warmup, start = case["lr"], case.get("warmup", 0), case.get("decay_from") == "start"
    if case["update"] is schedule_free:
        return lr * min(1, (step + 1) / warmup) if warmup else lr
    if step < warmup:
        return lr * (step + case.get("warmup_from", 0)) / warmup
    begin = 0 if start else warmup
    share, kind, end = min(1, (step - begin) / max(1, steps - begin)), case.get("schedule", "constant"), case.get("lr_end", 0)
    factor = {"constant": 1, "linear": 1 - share, "cosine": 0.5 * (1 + math.cos(math.pi * share)), "polynomial": (1 - share) ** case.get("power", 1),
              "inverse_sqrt": math.sqrt((warmup or 10000) / (step - warmup + (warmup or 10000))),
              "wsd": min(1, (steps - step) / math.ceil(steps / 10))}[kind]
    return end + (lr - end) * factor


def check_rates(steps):
    """transformers' own schedules, behind a warm-up."""
    good = True
    for kind, more in (("constant_with_warmup", {}), ("linear", {}), ("cosine", {}), ("inverse_sqrt", {}), ("polynomial", {"power": 2.0, "lr_end": 1e-4})):
        opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
        sched = transformers.get_scheduler(kind, opt, 5, steps, scheduler_specific_kwargs=more)
        case, worst = {"update": adamw, "lr": 1e-3, "warmup": 5, "schedule": kind.split("_with")[0], **more}, 0
        for step in range(steps):
            worst = max(worst, abs(sched.get_last_lr()[0] - rate_of(case, step, steps)))
            opt.step()
            sched.step()
        good &= worst < 1e-15
        print(f"{'ok' if worst < 1e-15 else 'NOT OK'} the schedule {kind}: differs from transformers' by {worst:.1e}")
    return good


# ---- roles of parameters ----

def depth_of(name):
    block = re.search(r"encoder\.layer\.(\d+)\.", name)
    return 0 if "embeddings" in name else int(block[1]) + 1 if block else LAYERS + 1


def role(case, name, p):
    decays = case.get("decay_all") or p.dim() > 1
    r = {"rate": case.get("layer_decay", 1) ** (LAYERS + 1 - depth_of(name)), "decay": case["decay"] if decays else 0, "frozen": 0}
    for regex, settings in reversed(case.get("groups", [])):
        if re.search(regex, name):
            r["rate"] *= settings.get("lr", 1)
            r["frozen"] = settings.get("frozen", 0)
            if "decay" in settings:
                r["decay"] = case["decay"] * settings["decay"]
            break
    return r


# ---- training ----

def batch_of(rows, task):
    longest = max(len(r["ids"]) for r in rows)
    ids, mask = torch.zeros((len(rows), longest), dtype=torch.long), torch.zeros((len(rows), longest), dtype=torch.long)
    labels = torch.full((len(rows), longest), -100)
    for i, r in enumerate(rows):
        ids[i, :len(r["ids"])] = torch.tensor(r["ids"])
        mask[i, :len(r["ids"])] = 1
        labels[i, :len(r["ids"])] = torch.tensor(r["labels"])
    return ids, mask, labels if task == "labels" else torch.tensor([int(r["label"]) for r in rows])[:, None]


def losses_of(model, batches, mean, task):
    """Of each batch what its backward pass begins at."""
    counted = [int((b[2] >= 0).sum()) for b in batches]
    sequences = sum(int((b[2] >= 0).any(1).sum()) for b in batches)
    for b, n in zip(batches, counted):
        logits = model(input_ids=b[0], attention_mask=b[1]).logits
        if task != "labels":
            logits = logits[:, None, :]
        each = torch.nn.functional.cross_entropy(logits.transpose(1, 2), b[2], ignore_index=-100, reduction="none")
        if mean == "sequence":
            of = (b[2] >= 0).sum(1)
            yield (each.sum(1)[of > 0] / of[of > 0]).sum() / sequences
        else:
            yield each.sum() / (sum(counted) if mean == "step" else n * len(batches) if mean == "batch" else 1)


def run_torch(model, rows, case, steps):
    own = {muon: {"momentum": 0.95}, adafactor: {"beta1": 0}}  # what an optimizer has for itself under the name of an option
    task, h = case["task"], {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "momentum": 0.9, **own.get(case["update"], {}), **case.get("h", {})}
    params = [(name, p, {}, role(case, name, p)) for name, p in model.named_parameters()]
    average = {name: p.detach().clone() for name, p, _, _ in params}
    start = {name: p.detach().clone() for name, p, _, _ in params}
    model.train()
    log, at = [], 0
    for step in range(steps):
        batches = []
        for _ in range(case["accumulate"]):
            at = 0 if at >= len(rows) else at
            batches.append(batch_of(rows[at:at + case["batch"]], task))
            at += case["batch"]
        for _, p, _, r in params:
            p.grad = None
            p.requires_grad_(step >= r["frozen"])
        total = 0.0
        for loss in losses_of(model, batches, case.get("mean", "step"), task):
            loss.backward()
            total += loss.item()
        if case.get("anchor"):  # L2-SP, of parameters that the loss depends on; the loss that is logged is without it
            sum(case["anchor"] / 2 * (p - start[name]).square().sum() for name, p, _, _ in params if p.grad is not None).backward()
        lr, moved = rate_of(case, step, steps), [x for x in params if x[1].grad is not None]
        norm = math.sqrt(sum(p.grad.square().sum().item() for _, p, _, _ in moved))
        if case["update"] is adafactor and h.get("rate") != "fixed":
            lr = min(1e-6 * (step + 1) if h.get("rate") == "warmup" else 1e-2, 1 / math.sqrt(step + 1))
        log.append({"loss": total, "grad_norm": norm, "lr": lr})
        with torch.no_grad():
            for name, p, s, r in moved:
                of = p.grad.norm().item() if case.get("clip_by") == "tensor" else norm
                g = p.grad * min(1, case["clip"] / (of + 1e-6)) if case["clip"] else p.grad.clone()
                hidden = 0 < depth_of(name) <= LAYERS and p.dim() == 2
                case["update"](p, g, s, step + 1 - r["frozen"], lr * r["rate"], r["decay"], {**h, "hidden": hidden, "factor": r["rate"]})
                average[name].lerp_(p, 1 - case.get("ema", 0))
    if case["update"] is schedule_free:
        return log, {name: averaged_z(p.detach(), s, h) for name, p, s, _ in params}
    return log, average


def options_of(case):
    out = ["--objective", case["task"], "--optimizer", case["optimizer"], "--batch", case["batch"], "--accumulate", case["accumulate"], "--clip", case["clip"],
           "--weight-decay", case["decay"], "--loss-mean", case.get("mean", "step"), "--clip-by", case.get("clip_by", "global")]
    if "adafactor" not in case["optimizer"] or "fixed" in case["optimizer"]:
        out += ["--lr", case["lr"]]
    for key in ("schedule", "warmup", "decay_from", "warmup_from", "lr_end", "power", "layer_decay", "ema", "anchor"):
        if key in case:
            out += ["--" + key.replace("_", "-"), case[key]]
    for key in ("beta1", "beta2", "eps", "momentum"):
        if key in case.get("h", {}) and key in case.get("given", ()):
            out += ["--" + key, case["h"][key]]
    for regex, settings in case.get("groups", []):
        out += ["--group", regex + ":" + ",".join(f"{k}={v}" for k, v in settings.items())]
    return [str(x) for x in out + (["--decay-all"] if case.get("decay_all") else [])]


def compare(case, make, rows, args):
    model = make()
    with tempfile.TemporaryDirectory(dir=args.dir) as d:
        model.save_pretrained(f"{d}/model")
        with open(f"{d}/rows.jsonl", "w") as f:
            for r in rows:
                f.write(json.dumps(r) + "\n")
        subprocess.run([args.lathe, "train", f"{d}/model", "--data", f"{d}/rows.jsonl", "--steps", str(args.steps), "--dropout", "0", "--no-shuffle",
                        "--log", f"{d}/log.jsonl", "-o", f"{d}/out", "--quiet", "--threads", "2", *options_of(case)], check=True, stdout=subprocess.DEVNULL)
        log = [json.loads(x) for x in open(f"{d}/log.jsonl")]
        ours = load_file(f"{d}/out/model.safetensors")
    first = {k: v.detach().clone() for k, v in model.named_parameters()}
    want, weights = run_torch(model, rows, case, args.steps)
    loss = max(abs(a["loss"] - b["loss"]) / abs(b["loss"]) for a, b in zip(log, want))
    norm = max(abs(a["grad_norm"] - b["grad_norm"]) / b["grad_norm"] for a, b in zip(log, want))
    rate = max(abs(a["lr"] - b["lr"]) for a, b in zip(log, want))
    off = torch.cat([(ours[k] - v).abs().flatten() for k, v in weights.items() if not k.endswith("key.bias")])
    moved = max((first[k] - v).abs().max().item() for k, v in weights.items())
    worst = off.max().item() if case["update"] is not lion else off.kthvalue(int(off.numel() * 0.9999))[0].item()
    good = len(log) == len(want) == args.steps and loss < 1e-4 and worst < 1e-4 and rate < 1e-12
    print(f"{'ok' if good else 'NOT OK'} {case['name']}: loss {want[0]['loss']:.4f} -> {want[-1]['loss']:.4f}, differs by {loss:.1e}; gradient norm {norm:.1e}; "
          f"rate {rate:.1e}; weights {worst:.1e} of {moved:.1e}", flush=True)
    return good


def cases():
    base = {"task": "labels", "optimizer": "adamw", "update": adamw, "lr": 1e-3, "batch": 8, "accumulate": 1, "clip": 1.0, "decay": 0.1}

    def of(name, **more):
        return {**base, "name": name, **more}
    small = {"eps": 1e-4}  # an epsilon that shows
    yield of("adamw")
    yield of("adamw, classify", task="classify")
    yield of("adamw, coupled", optimizer="adamw:decay=coupled", h={"decay": "coupled", **small}, given="eps")
    yield of("adamw, moments as they are", optimizer="adamw:correct=no", h={"correct": False}, lr=3e-4)
    yield of("adamw, epsilon before the correction", optimizer="adamw:eps_at=before", h={"eps_at": "before", **small}, given=["eps"])
    yield of("adamw, epsilon in the root", optimizer="adamw:eps_at=inside", h={"eps_at": "inside", **small}, given=["eps"])
    yield of("adamw, betas", h={"beta1": 0.8, "beta2": 0.95}, given=["beta1", "beta2"])
    yield of("sgd", optimizer="sgd", update=sgd, lr=0.05)
    yield of("sgd, nesterov", optimizer="sgd:nesterov=yes", update=sgd, lr=0.05, h={"nesterov": True, "momentum": 0.8}, given=["momentum"])
    yield of("sgd, decoupled", optimizer="sgd:decay=decoupled", update=sgd, lr=0.05, h={"decay": "decoupled"})
    yield of("lion", optimizer="lion", update=lion, lr=1e-4, h={"beta2": 0.99}, given=["beta2"])
    yield of("lamb", optimizer="lamb", update=lamb, lr=1e-2)
    yield of("lamb, moments as they are, epsilon before", optimizer="lamb:correct=no,eps_at=before", update=lamb, lr=1e-2, h={"correct": False})
    yield of("adafactor", optimizer="adafactor", update=adafactor, decay=0.01)
    yield of("adafactor, warmup", optimizer="adafactor:rate=warmup", update=adafactor, h={"rate": "warmup"})
    yield of("adafactor, layer decay", optimizer="adafactor", update=adafactor, layer_decay=0.7)
    yield of("adafactor, fixed rate", optimizer="adafactor:rate=fixed,scale=no", update=adafactor, h={"rate": "fixed", "scale": False}, schedule="linear", warmup=4)
    yield of("adafactor, first moment", optimizer="adafactor:rate=fixed,beta1=0.9,clip=0.5,decay_rate=0.5", update=adafactor, lr=1e-2,
             h={"rate": "fixed", "beta1": 0.9, "clip": 0.5, "decay_rate": 0.5})
    yield of("muon", optimizer="muon", update=muon, lr=0.02)
    yield of("muon, no Nesterov", optimizer="muon:nesterov=no,momentum=0.9,steps=3", update=muon, lr=0.02, h={"nesterov": False, "momentum": 0.9, "steps": 3})
    yield of("muon, the scale of AdamW", optimizer="muon:scale=rms,others=1", update=muon, h={"scale": "rms", "others": 1})
    yield of("schedule_free", optimizer="schedule_free", update=schedule_free, lr=3e-3)
    yield of("schedule_free, warm-up", optimizer="schedule_free", update=schedule_free, lr=3e-3, warmup=8, h={"beta1": 0.95}, given=["beta1"])
    yield of("averaged weights", ema=0.9)
    yield of("averaged weights, slow", ema=0.999, optimizer="lamb", update=lamb, lr=1e-2)
    yield of("anchored", anchor=0.5, decay=0)
    yield of("anchored, sgd", anchor=0.2, optimizer="sgd", update=sgd, lr=0.05, clip=0)
    yield of("layer decay", layer_decay=0.6, task="classify")
    yield of("decay on all", decay_all=True)
    groups = [("bias|LayerNorm", {"lr": 0.1, "decay": 2}), ("embeddings", {"frozen": 7}), (r"layer\.1\.", {"lr": 0.5, "decay": 0, "frozen": 3})]
    yield of("groups", groups=groups, schedule="cosine", warmup=3)
    yield of("groups, schedule_free", groups=groups, optimizer="schedule_free", update=schedule_free, lr=3e-3, warmup=5)
    yield of("groups, muon", groups=groups, optimizer="muon", update=muon, lr=0.02)
    yield of("groups, adafactor", groups=groups, optimizer="adafactor", update=adafactor)
    yield of("clip none", clip=0, optimizer="sgd", update=sgd, lr=0.02)
    yield of("clip global", clip=0.3, optimizer="sgd", update=sgd, lr=0.1)
    yield of("clip per tensor", clip=0.05, clip_by="tensor", optimizer="sgd", update=sgd, lr=0.1)
    for mean in ("step", "batch", "sequence", "none"):
        yield of(f"mean over {mean}", mean=mean, accumulate=3, batch=4, clip=0 if mean != "none" else 1.0, optimizer="sgd", update=sgd, lr=0.05)
    yield of("mean over sequence, classify", mean="sequence", accumulate=2, batch=4, task="classify")
    for schedule in ("constant", "linear", "cosine", "inverse_sqrt", "wsd", "polynomial"):
        more = {"power": 2, "lr_end": 1e-4} if schedule == "polynomial" else {}
        yield of(f"schedule {schedule}", schedule=schedule, warmup=5, **more)
        yield of(f"schedule {schedule}, from the start", schedule=schedule, warmup=5, decay_from="start", warmup_from=1, **more)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("lathe")
    p.add_argument("words", nargs="*")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--dir")
    args = p.parse_args()
    args.lathe = os.path.abspath(args.lathe)
    rng = np.random.default_rng(5)
    rows = []
    for _ in range(90):
        k = int(rng.integers(3, 40))
        labels = [int(rng.integers(0, VOCAB)) if rng.random() < 0.2 else -100 for _ in range(k)]
        labels[0] = int(rng.integers(0, VOCAB)) if rng.random() < 0.9 else -100
        rows.append({"ids": rng.integers(5, VOCAB, k).tolist(), "labels": labels, "label": str(int(rng.integers(0, 3)))})
    config = transformers.BertConfig(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=LAYERS, num_attention_heads=4, intermediate_size=720, max_position_embeddings=64,
                                     hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3)
    good = check_formulas() & check_rates(args.steps)
    for case in cases():
        if args.words and not any(w in case["name"] for w in args.words):
            continue

        def make():
            torch.manual_seed(3)
            return (transformers.BertForMaskedLM if case["task"] == "labels" else transformers.BertForSequenceClassification)(config)
        good &= compare(case, make, rows, args)
    sys.exit(not good)


if __name__ == "__main__":
    main()
