"""lathe alone: cost against length and batch, the three ways to treat padding against fill ratio (ByteTransformer's comparison, Zhai et
al. 2023), and how a ragged pass is cut into what threads take. All by `lathe bench`, which times the network; each result carries the
command that printed it."""
import json
import os
import random
import subprocess

import texts
from memory import LATHE

LENGTHS = [8, 16, 32, 64, 128, 256, 512]
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128]
MODES = ["padded", "padded-attention", "ragged"]


def lathe(arguments, path, *options):
    """One run, and what it was: the folder of scratch files left out of its name."""
    words = ["bench", arguments.model, path, *map(str, options), "--json"]
    run = subprocess.run([LATHE, *words, "--quiet"], stdout=subprocess.PIPE, text=True, check=True)
    shown = ["lathe", "bench", os.path.basename(os.path.normpath(arguments.model)), os.path.basename(path), *words[3:]]
    return dict(json.loads(run.stdout), command=" ".join(shown))


def write(arguments, name, lines):
    path = os.path.join(arguments.work, name)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    return path


def against_length(arguments):
    results, tokens = [], 20 * arguments.limit if arguments.limit else 4096
    print(f"\ncost against length, 1 thread\n  {'precision':<11}{'tokens':>8}{'tokens/s':>10}{'one text ms':>13}")
    for n in LENGTHS:
        path = write(arguments, f"length-{n}.txt", texts.joined(n, max(4, tokens // n)))
        for precision in arguments.precision:
            r = lathe(arguments, path, "--max-tokens", n, "--precision", precision, "--threads", 1, "--repeat", 2)
            assert r["tokens"] == n * r["inputs"], r
            results.append(dict(length=n, precision=precision, tokens_per_s=r["tokens_per_s"], p50_ms=r["latency_p50_ms"], command=r["command"]))
            print(f"  {precision:<11}{n:>8}{r['tokens_per_s']:>10.0f}{r['latency_p50_ms']:>13.3f}", flush=True)
    return results


def against_batch(arguments):
    results, threads = [], max(arguments.threads)
    path = write(arguments, "sentences.txt", texts.every(texts.texts_of("sentences"), arguments.limit or 256))
    print(f"\ncost against batch, sentences, {threads} threads\n  {'precision':<11}{'batch':>8}{'tokens/s':>10}")
    for precision in arguments.precision:
        for batch in BATCHES:
            r = lathe(arguments, path, "--prefill", "ragged", "--batch", batch, "--precision", precision, "--threads", threads)
            results.append(dict(batch=batch, precision=precision, threads=threads, tokens_per_s=r["tokens"] / r["seconds"], command=r["command"]))
            print(f"  {precision:<11}{batch:>8}{results[-1]['tokens_per_s']:>10.0f}", flush=True)
    return results


def synthetic(fill, longest, n):
    """Rows of ids whose lengths are uniform in [2·mean − longest, longest], or [1, 2·mean], the mean being fill · longest; one in 16 is
    the longest, so that every batch is padded to that."""
    r, mean = random.Random(f"{fill} {longest}"), fill * longest
    low, high = (2 * mean - longest, longest) if 2 * mean > longest else (1, 2 * mean - 1)
    lengths = [longest if i % 16 == 0 else max(1, round(r.uniform(low, high))) for i in range(n)]
    return [json.dumps([r.randrange(1000, 30000) for _ in range(length)]) for length in lengths]


def padding(arguments):
    """Batches in file order; the fill ratio is tokens over what the padded run computed."""
    threads = max(arguments.threads)
    inputs = [(f"lengths U, mean {fill:.1f} of 256", write(arguments, f"uniform-{fill}.ids", synthetic(fill, 256, 16)), ["--ids", "--batch", 16])
              for fill in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)]
    inputs += [("SST-2, batch 64", write(arguments, "sst2.txt", texts.every(texts.texts_of("sentences"), 128)), ["--batch", 64]),
               ("WikiText-2 lines, batch 16", write(arguments, "wikitext2.txt", texts.every(texts.lines("test"), 48)), ["--batch", 16, "--max-tokens", 512])]
    results = []
    print(f"\npadding, f32, {threads} threads\n  {'texts':<30}{'fill':>6}" + "".join(f"{mode:>18}" for mode in MODES) + "   tokens/s")
    for name, path, options in inputs:
        runs = {mode: lathe(arguments, path, *options, "--prefill", mode, "--precision", "f32", "--threads", threads) for mode in MODES}
        fill = runs["ragged"]["tokens"] / runs["padded"]["computed_tokens"]
        rates = {mode: r["tokens"] / r["seconds"] for mode, r in runs.items()}
        print(f"  {name:<30}{fill:>6.2f}" + "".join(f"{rates[mode]:>18.0f}" for mode in MODES), flush=True)
        results.append(dict(texts=name, fill=fill, threads=threads, tokens_per_s=rates, command=runs["ragged"]["command"]))
    return results


def grouping(arguments):
    """Sentences and passages mixed: slices of about equal cost, costliest first; the same in file order; equally many texts each."""
    threads, results = max(arguments.threads), []
    mixed = texts.every(texts.texts_of("sentences"), 48) + texts.every(texts.texts_of("passages"), 16)
    random.Random(1).shuffle(mixed)
    path = write(arguments, "mixed.txt", mixed)
    print(f"\ngrouping of ragged work, {threads} threads\n  {'precision':<11}{'batch':>8}" + "".join(f"{s:>12}" for s in ("costliest", "file", "equal")) + "   tokens/s")
    for precision in arguments.precision:
        for batch in (16, 32):
            runs = {s: lathe(arguments, path, "--prefill", "ragged", "--batch", batch, "--slices", s, "--max-tokens", 256, "--precision", precision,
                             "--threads", threads) for s in ("costliest", "file", "equal")}
            rates = {s: r["tokens"] / r["seconds"] for s, r in runs.items()}
            print(f"  {precision:<11}{batch:>8}" + "".join(f"{r:>12.0f}" for r in rates.values()), flush=True)
            results.append(dict(precision=precision, batch=batch, threads=threads, tokens_per_s=rates, command=runs["costliest"]["command"]))
    return results


def measure(arguments):
    return dict(length=against_length(arguments), batch=against_batch(arguments), padding=padding(arguments), grouping=grouping(arguments))
