"""Steps of masked-language-model training: lathe against PyTorch (transformers' BertForMaskedLM), from new weights of the shapes of BERT-small (4 layers
of 512) and BERT-base, on real sentences and on rows of one full length. Tokens are counted without padding. Engines take turns, pinned to as
many processors as they have threads; the first steps warm up, the median of the others counts.

    bench/training.py MODEL FILE STEPS THREADS f32|bf16 BATCH TOKENS as-they-come|grouped        one run of PyTorch: what measure() starts
"""
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time

from texts import joined, lines, reviews
from vocabulary import LATHE, pinned

SHAPES = {"small": dict(num_hidden_layers=4, hidden_size=512, num_attention_heads=8, intermediate_size=2048),
          "base": dict(num_hidden_layers=12, hidden_size=768, num_attention_heads=12, intermediate_size=3072)}
FULL, WARM = 128, 2
STEPS = {"small": 8, "base": 5}
BATCH = 32


def make_model(folder, model, shape):
    os.makedirs(folder, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if os.path.exists(os.path.join(model, name)):
            shutil.copy(os.path.join(model, name), folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(dict(architectures=["BertForMaskedLM"], model_type="bert", vocab_size=30522, hidden_act="gelu", hidden_dropout_prob=0.1,
                       attention_probs_dropout_prob=0.1, max_position_embeddings=512, type_vocab_size=2, initializer_range=0.02, layer_norm_eps=1e-12,
                       pad_token_id=0, **SHAPES[shape]), file)
    return folder


def sentences(n):
    """Reviews and sentences of WikiText-2, mixed in a fixed order."""
    found = reviews("dev", "test") + [part + " ." for line in lines("valid") for part in line.split(" . ") if len(part.split()) > 3]
    step = 7919 % len(found)
    return [found[i * step % len(found)] for i in range(n)]


def reference(model, path, steps, threads, precision, batch, tokens, order):
    """Trains in this process: batches padded to their longest row, as transformers' collator makes them; `grouped`: rows of like length together, as
    its Trainer's group_by_length does."""
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForMaskedLM.from_config(transformers.AutoConfig.from_pretrained(model), attn_implementation="sdpa")
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-5, fused=True)
    collate = transformers.DataCollatorForLanguageModeling(tokenizer)
    with open(path, encoding="utf-8") as file:
        rows = [tokenizer(line.rstrip("\n"), truncation=True, max_length=tokens) for line in file]
    rows = rows[: steps * batch]
    if order == "grouped":
        rows.sort(key=lambda row: len(row["input_ids"]))
    batches = [rows[i : i + batch] for i in range(0, len(rows), batch)]
    if order == "grouped":
        random.Random(1).shuffle(batches)
    speeds, counts = [], []
    for rows in batches:
        begin = time.perf_counter()
        inputs = collate(rows)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = network(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        speeds.append(time.perf_counter() - begin)
        counts.append(sum(len(row["input_ids"]) for row in rows))
    return dict(seconds=speeds, tokens=counts, mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def of_peer(order):
    def run(case, threads, arguments):
        process = pinned([sys.executable, os.path.abspath(__file__), case["model"], case["path"], str(case["steps"]), str(threads), case["precision"],
                          str(BATCH), str(case["cut"]), order], threads, stderr=None if arguments.verbose else subprocess.DEVNULL)
        out = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"PyTorch ended with status {process.returncode}")
        return json.loads(out)
    return run


def of_lathe(case, threads, arguments):
    out, log = os.path.join(arguments.work, "trained"), os.path.join(arguments.work, "training.log")
    shutil.rmtree(out, ignore_errors=True)
    process = pinned([LATHE, "train", case["model"], "--init", "random", "--objective", "mlm", "--data", case["path"], "--batch", str(BATCH), "--steps",
                      str(case["steps"]), "--max-tokens", str(case["cut"]), "--no-shuffle", "--precision", case["precision"], "--threads", str(threads),
                      "--log", log, "-o", out, "--quiet"], threads)
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"lathe ended with status {process.returncode}")
    with open(log, encoding="utf-8") as file:
        steps = [row for row in map(json.loads, file) if "loss" in row]
    shutil.rmtree(out, ignore_errors=True)
    return dict(seconds=[row["tokens"] / row["tokens_per_s"] for row in steps], tokens=[row["tokens"] for row in steps], mb=usage.ru_maxrss / 1024)


def speed_of(run):
    """Tokens a second over all steps but the first ones."""
    return sum(run["tokens"][WARM:]) / sum(run["seconds"][WARM:])


def cases(arguments):
    for shape in SHAPES:
        steps = STEPS[shape] + WARM
        model = make_model(os.path.join(arguments.work, "bert-" + shape), arguments.model, shape)
        for kind, cut in (("sentences", 512), ("full", FULL)):
            path = os.path.join(arguments.work, f"training-{kind}.txt")
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(text + "\n" for text in (sentences if kind == "sentences" else lambda n: joined(FULL, n))((max(STEPS.values()) + WARM) * BATCH))
            for precision in arguments.precision:
                if precision != "int8":
                    yield dict(shape=shape, kind=kind, cut=cut, precision=precision, steps=steps, model=model, path=path)


def measure(arguments):
    results = []
    print(f"\ntraining, masked language model, {BATCH} rows a step\n"
          f"  {'shape':<7}{'rows':<11}{'precision':<11}{'threads':>7}  {'engine':<18}{'tokens/s':>10}{'from':>8}{'to':>8}{'MB':>7}{'lathe':>8}")
    for case in cases(arguments):
        engines = {"lathe": of_lathe, "PyTorch": of_peer("as-they-come")}
        if case["kind"] == "sentences":
            engines["PyTorch, grouped"] = of_peer("grouped")
        for threads in arguments.threads:
            runs = {name: [] for name in engines}
            for _ in range(arguments.rounds):
                for name, run in engines.items():
                    runs[name].append(run(case, threads, arguments))
            for name, of_engine in runs.items():
                speeds = [speed_of(run) for run in of_engine]
                speed, mb = statistics.median(speeds), max(run["mb"] for run in of_engine)
                ratio = f"x {results[-1]['tokens_per_s'] / speed:.2f}" if name == "PyTorch" else f"x {results[-2]['tokens_per_s'] / speed:.2f}" if name != "lathe" else ""
                print(f"  {case['shape']:<7}{case['kind']:<11}{case['precision']:<11}{threads:>7}  {name:<18}{speed:>10.0f}{min(speeds):>8.0f}{max(speeds):>8.0f}"
                      f"{mb:>7.0f}{ratio:>8}", flush=True)
                results.append(dict(shape=case["shape"], rows=case["kind"], precision=case["precision"], threads=threads, engine=name, tokens_per_s=speed, mb=mb))
    return results


if __name__ == "__main__":
    print(json.dumps(reference(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], int(sys.argv[6]), int(sys.argv[7]), sys.argv[8])))
