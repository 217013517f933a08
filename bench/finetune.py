"""Does fine-tuning reach what the same settings reach in PyTorch? all-MiniLM-L6-v2 on five labelled sets, several seeds, by `lathe train` and by a loop over
transformers' models: AdamW 5e-5 (tags 1e-4), decay 0.01 but for biases and norms, linear warm-up of a tenth and decay, clipping at 1, the checkpoint's dropout, 32
rows a step, 128 tokens. Seeds decide the order of rows, the new head and dropout, in each engine by its own numbers. Both are judged by `lathe eval`.

    LATHE_DATA=… bench/finetune.py [--steps 150] [--seeds 3] [--sets sst2,mrpc,cola,germeval18,wnut17]
"""
import argparse
import csv
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile

from vocabulary import LATHE

DATA = os.environ.get("LATHE_DATA") or sys.exit("finetune: LATHE_DATA is not set: the folder of data files that holds sst2/ and others")
RATE = {"classify": 5e-5, "tag": 1e-4}


def table(name, skip=0):
    with open(os.path.join(DATA, name), encoding="utf-8-sig") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[skip:]


def sentences(name):
    rows, words, tags = [], [], []
    with open(os.path.join(DATA, name), encoding="utf-8") as file:
        for line in [*file, ""]:
            parts = line.split()
            if len(parts) >= 2:
                words.append(parts[0])
                tags.append(parts[-1])
            elif words:
                rows.append(dict(words=words, tags=tags))
                words, tags = [], []
    return rows


def plain(name, text, label, skip=0, pair=None):
    return [dict(text=row[text], label=row[label], **({"text_pair": row[pair]} if pair is not None else {})) for row in table(name, skip)]


SETS = {  # task, what counts, rows to learn from, rows to judge by
    "sst2": ("classify", "accuracy", lambda: plain("sst2/train.tsv", 0, 1), lambda: plain("sst2/dev.tsv", 0, 1)),
    "mrpc": ("classify", "accuracy", lambda: plain("mrpc/msr_paraphrase_train.txt", 3, 0, 1, 4), lambda: plain("mrpc/msr_paraphrase_test.txt", 3, 0, 1, 4)),
    "cola": ("classify", "mcc", lambda: plain("glue/CoLA/train.tsv", 3, 1), lambda: plain("glue/CoLA/dev.tsv", 3, 1)),
    "germeval18": ("classify", "f1_macro", lambda: plain("germeval18/germeval2018.training.txt", 0, 1), lambda: plain("germeval18/germeval2018.test.txt", 0, 1)),
    "wnut17": ("tag", "f1", lambda: sentences("wnut17/wnut17train.conll"), lambda: sentences("wnut17/emerging.dev.conll")),
}


def write(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def lathe(*command):
    done = subprocess.run([LATHE, *map(str, command), "--quiet"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"lathe {command[0]} ended with status {done.returncode}")
    return done.stdout


def by_lathe(task, model, train, test, rows, options, seed, work):
    out = os.path.join(work, "lathe")
    lathe("train", model, "--objective", task, "--data", train, "--steps", options.steps, "--batch", 32, "--lr", RATE[task], "--schedule", "linear",
          "--warmup", options.steps // 10, "--max-tokens", 128, "--seed", seed, "--threads", options.threads, "-o", out)
    result = json.loads(lathe("eval", out, "--data", test, "--task", task, "--threads", options.threads, "--json"))
    subprocess.run(["rm", "-r", out], check=True)
    return result


def by_torch(task, model, train, test, rows, options, seed, work):
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(options.threads)
    torch.manual_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    names = sorted({label for row in rows[0] for label in (row["tags"] if task == "tag" else [row["label"]])})
    kind = transformers.AutoModelForTokenClassification if task == "tag" else transformers.AutoModelForSequenceClassification
    network = kind.from_pretrained(model, num_labels=len(names))

    def encode(row):
        if task == "classify":
            return tokenizer(row["text"], row.get("text_pair"), truncation=True, max_length=128), names.index(row["label"])
        inputs = tokenizer(row["words"], is_split_into_words=True, truncation=True, max_length=128)
        words = inputs.word_ids()
        return inputs, [-100 if w is None or w == words[i - 1] else names.index(row["tags"][w]) for i, w in enumerate(words)]

    def collate(pairs):
        inputs = tokenizer.pad([p[0] for p in pairs], return_tensors="pt")
        width = inputs["input_ids"].shape[1]
        return inputs, torch.tensor([p[1] if task == "classify" else p[1] + [-100] * (width - len(p[1])) for p in pairs])

    learned = [encode(row) for row in rows[0]]
    decayed = [p for p in network.parameters() if p.dim() > 1]
    optimizer = torch.optim.AdamW([dict(params=decayed, weight_decay=0.01), dict(params=[p for p in network.parameters() if p.dim() < 2], weight_decay=0.0)],
                                  lr=RATE[task])
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, options.steps // 10, options.steps)
    network.train()
    order, shuffle = [], random.Random(seed)
    for _ in range(options.steps):
        if not order:
            order = shuffle.sample(range(len(learned)), len(learned))
        inputs, labels = collate([learned[i] for i in order[:32]])
        order = order[32:]
        optimizer.zero_grad()
        network(**inputs, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    network.eval()
    said = []
    with torch.no_grad():
        for i in range(0, len(rows[1]), 64):
            some = [(encode(dict(row, label=names[0]) if task == "classify" else dict(row, tags=[names[0]] * len(row["words"])))) for row in rows[1][i : i + 64]]
            inputs, firsts = collate(some)
            best = network(**inputs).logits.argmax(-1).tolist()
            for k, row in enumerate(rows[1][i : i + 64]):
                if task == "classify":
                    said.append(names[best[k]])
                else:
                    tags = [names[b] for b, f in zip(best[k], firsts[k].tolist()) if f >= 0]
                    said.append(tags + ["O"] * (len(row["words"]) - len(tags)))
    return json.loads(lathe("eval", "--predictions", write(os.path.join(work, "said.jsonl"), said), "--data", test, "--task", task, "--json"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    options = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    model = subprocess.run([os.path.join(here, "..", "tools", "model.sh")], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    print(f"{options.steps} steps of 32 rows, seeds 0 to {options.seeds - 1}: mean ± deviation\n\n| set | metric | lathe | PyTorch | difference | of its standard error |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as work:
        for name in options.sets:
            task, metric, learn, judge = SETS[name]
            rows = learn(), judge()
            train, test = (write(os.path.join(work, part + ".jsonl"), r) for part, r in zip(("train", "test"), rows))
            scores = [[by(task, model, train, test, rows, options, seed, work)[metric] for seed in range(options.seeds)] for by in (by_lathe, by_torch)]
            mean = [statistics.mean(s) for s in scores]
            deviation = [statistics.stdev(s) if len(s) > 1 else math.nan for s in scores]
            error = math.sqrt(sum(d * d for d in deviation) / options.seeds)
            cells = [f"{100 * m:.1f} ± {100 * d:.1f}" for m, d in zip(mean, deviation)]
            print(f"| {name} | {metric} | {cells[0]} | {cells[1]} | {100 * (mean[0] - mean[1]):+.1f} | {(mean[0] - mean[1]) / error if error else math.nan:+.1f} |", flush=True)


if __name__ == "__main__":
    main()
