"""Milliseconds of one text in a warm process on one thread, from token ids to the unit vector: tokenizing is in nobody's clock.
Engines take turns; each turn gives the middle and 99 % of its calls, and the median turn counts."""
import statistics

import texts
from engines import has
from throughput import start

LENGTHS = {12: 300, 191: 100}  # tokens, special ones included: calls in a turn
TURNS = 3


def measure(arguments):
    results = []
    for precision in arguments.precision:
        workers = start([name for name in arguments.engines if has(name, precision)], precision, 1, arguments)
        for tokens, calls in LENGTHS.items():
            calls = arguments.limit or calls
            chosen = texts.longer_than(tokens, calls)
            turns = {w.name: [] for w in workers}
            for _ in range(min(TURNS, arguments.rounds)):
                for w in workers:
                    turns[w.name].append(w.ask(do="latency", texts=chosen, tokens=tokens, calls=calls)["ms"])
            print(f"\nlatency of {tokens} tokens, {precision}, 1 thread: {calls} calls in a turn\n  {'engine':<18}{'p50 ms':>10}{'p99 ms':>10}{'of lathe':>10}")
            middle = {name: [statistics.median(t[i] for t in ms) for i in (0, 1)] for name, ms in turns.items()}
            for name, (p50, p99) in middle.items():
                ratio = f"x {p50 / middle['lathe'][0]:.2f}" if "lathe" in middle and name != "lathe" else ""
                print(f"  {name:<18}{p50:>10.3f}{p99:>10.3f}{ratio:>10}", flush=True)
                results.append(dict(tokens=tokens, precision=precision, engine=name, calls=calls, p50_ms=p50, p99_ms=p99))
        for w in workers:
            w.close()
    return results
