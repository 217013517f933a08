"""Peak resident memory of a process that loads the model and embeds the sentences, and the seconds from the start of a process to its
first vector. Of Python peers the interpreter and the imports that the engine needs are part of both; conversions, made before, are
not. This process must stay small: what the kernel reports of a child begins at its parent's size."""
import json
import os
import statistics
import subprocess
import sys
import time

import texts
from engines import MAX_TOKENS, has
from worker import command, environment

LATHE = os.environ.get("LATHE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "lathe"))


def ended(process, name):
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{name} ended with status {process.returncode}; --verbose shows why")
    return usage.ru_maxrss * 1024


def of_lathe(chosen, precision, threads, arguments):
    source, one, out = (os.path.join(arguments.work, name) for name in ("all.txt", "one.txt", "out.npy"))
    for path, some in ((source, chosen), (one, chosen[:1])):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(text + "\n" for text in some)

    def run(path):
        begin = time.perf_counter()
        peak = ended(subprocess.Popen([LATHE, "embed", arguments.model, path, "-o", out, "--precision", precision, "--threads", str(threads),
                                       "--max-tokens", str(MAX_TOKENS), "--quiet"]), "lathe")
        return time.perf_counter() - begin, peak

    return statistics.median(run(one)[0] for _ in range(7)), run(source)[1]


def of_peer(name, chosen, precision, threads, arguments):
    begin = time.perf_counter()
    process = subprocess.Popen(command("probe", name, precision, threads, arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=None if arguments.verbose else subprocess.DEVNULL, text=True, env=environment(threads))
    process.stdin.write(json.dumps(chosen) + "\n")
    process.stdin.close()
    process.stdout.readline()
    seconds = time.perf_counter() - begin
    peak = ended(process, name)
    process.stdout.close()
    return seconds, peak


def measure(arguments):
    results, threads = [], max(arguments.threads)
    chosen = texts.every(texts.texts_of("sentences"), arguments.limit or 700)
    print(f"\nmemory and start: {len(chosen)} sentences, {threads} thread{'s' * (threads > 1)}\n  {'engine':<18}{'precision':<11}{'peak MB':>10}{'first vector s':>16}")
    for precision in arguments.precision:
        for name in arguments.engines:
            if not has(name, precision) or name == "torch-compiled":  # which compiles anew in every process
                continue
            try:
                seconds, peak = of_lathe(chosen, precision, threads, arguments) if name == "lathe" else of_peer(name, chosen, precision, threads, arguments)
            except RuntimeError as error:
                print(f"  {error}")
                continue
            print(f"  {name:<18}{precision:<11}{peak / 1e6:>10.0f}{seconds:>16.3f}", flush=True)
            results.append(dict(engine=name, precision=precision, threads=threads, texts=len(chosen), peak_bytes=peak, start_s=seconds))
    return results
