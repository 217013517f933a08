"""Tokens a second, from texts to unit vectors: engines of one precision take turns; one round is one pass of each over all texts, and
the median round counts. Vectors are compared with lathe's in f32."""
import os
import statistics

import texts
from engines import has
from worker import Worker

# Texts of a set by precision: more where engines are faster, so that a pass of any takes about as long.
TEXTS = {"sentences": {"f32": 300, "bf16": 550, "int8": 900}, "passages": {"f32": 45, "bf16": 80, "int8": 130}}


def start(names, precision, threads, arguments):
    workers = []
    for name in names:
        try:
            workers.append(Worker(name, precision, threads, arguments))
        except RuntimeError as error:
            print(f"  {error}")
    return workers


def reference(kind, chosen, threads, arguments):
    """lathe's f32 vectors of these texts, made once."""
    path = os.path.join(arguments.work, f"reference-{os.getpid()}-{kind}-{len(chosen)}.npy")
    if not os.path.exists(path):
        w = Worker("lathe", "f32", threads, arguments)
        w.ask(do="texts", texts=chosen)
        w.ask(do="check", save=True, reference=path)
        w.close()
    return path


def one_set(kind, precision, threads, workers, arguments):
    chosen = texts.every(texts.texts_of(kind), arguments.limit or TEXTS[kind][precision])
    notes = {w.name: w.ask(do="texts", texts=chosen)["note"] for w in workers}
    path = reference(kind, chosen, threads, arguments)
    checks = {w.name: w.ask(do="check", save=False, reference=path) for w in workers}  # and warms up
    tokens = next((c["tokens"] for c in checks.values() if c["tokens"]), None)
    if tokens is None:
        raise SystemExit("peers: at least one peer is needed to count tokens")
    rounds = {w.name: [] for w in workers}
    for _ in range(arguments.rounds):
        for w in workers:
            rounds[w.name].append(w.ask(do="run")["seconds"])
    return [dict(set=kind, precision=precision, threads=threads, texts=len(chosen), tokens=tokens, engine=w.name, version=w.version,
                 tokens_per_s=tokens / statistics.median(rounds[w.name]), seconds=rounds[w.name], cosine_min=checks[w.name]["cosine"][0],
                 cosine_mean=checks[w.name]["cosine"][1], settings=notes[w.name]) for w in workers]


def show(results):
    r = results[0]
    print(f"\n{r['set']}, {r['precision']}: {r['texts']} texts, {r['tokens']} tokens, {r['tokens'] / r['texts']:.1f} a text; "
          f"{r['threads']} thread{'s' * (r['threads'] > 1)}")
    print(f"  {'engine':<24}{'tokens/s':>10}{'range':>18}{'lathe is':>11}{'cosine: min.':>14}{'mean':>10}   settings")
    own = next((r["tokens_per_s"] for r in results if r["engine"] == "lathe"), None)
    for r in results:
        spread = f"{r['tokens'] / max(r['seconds']):.0f}-{r['tokens'] / min(r['seconds']):.0f}"
        ratio = f"x {own / r['tokens_per_s']:.2f}" if own and r["engine"] != "lathe" else ""
        print(f"  {r['engine'] + ' ' + r['version'].split('+')[0].split('-')[0]:<24}{r['tokens_per_s']:>10.0f}{spread:>18}{ratio:>11}"
              f"{r['cosine_min']:>14.6f}{r['cosine_mean']:>10.6f}   {r['settings']}")
    best = max((r["tokens_per_s"] for r in results if r["engine"] != "lathe"), default=0)
    if own and best:
        print(f"  lathe against the best peer: x {own / best:.2f}", flush=True)
    wrong = [r["engine"] for r in results if r["precision"] == "f32" and not r["cosine_min"] >= 0.9999]
    if wrong:
        raise SystemExit(f"peers: {', '.join(wrong)}: vectors differ from lathe's: not the same work")


def measure(arguments):
    results = []
    for threads in arguments.threads:
        for precision in arguments.precision:
            workers = start([name for name in arguments.engines if has(name, precision)], precision, threads, arguments)
            for kind in arguments.sets if workers else []:
                part = one_set(kind, precision, threads, workers, arguments)
                results += part
                show(part)
            for w in workers:
                w.close()
    return results
