"""lathe and its peers on the same texts with one sentence-embedding model: speed, latency, memory and start, and how lathe's own cost
depends on the shape of its input; training a tokenizer; and training a model. Every engine is a process of its own, pinned to as many processors as it
may have threads, and does nothing while another one runs. What each is given, and why, stands in bench/README.md.

    bench/peers.py                        all of it
    bench/peers.py --speed --precision int8 --threads 1 --sets sentences --engines lathe,openvino
    bench/peers.py --save                 all, kept in bench/results/ and written up in docs/performance.md
"""
import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import latency
import memory
import shape
import throughput
import training
import vocabulary
from engines import ENGINES, PRECISIONS, has
from worker import prepare

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = {"speed": throughput.measure, "latency": latency.measure, "memory": memory.measure, "shape": shape.measure, "vocabulary": vocabulary.measure,
         "training": training.measure}


def processor():
    """Its name, with what tells apart machines that hide it: family, model, and the instructions that matter here."""
    try:
        fields = dict((k.strip(), v.strip()) for k, v in (line.split(":", 1) for line in open("/proc/cpuinfo") if ":" in line))
    except OSError:
        fields = {}
    flags = set(fields.get("flags", "").split())
    known = (("AMX", {"amx_tile"}), ("AVX-512", {"avx512f"}), ("BF16", {"avx512_bf16"}), ("VNNI", {"avx512_vnni", "avx_vnni"}), ("AVX2", {"avx2"}))
    has_these = [name for name, any_of in known if flags & any_of]
    name = fields.get("model name", platform.machine())
    if "model" in fields:
        name += f", family {fields.get('cpu family')} model {fields['model']}"
    return f"{name} ({', '.join(has_these)})" if has_these else name


def prepare_all(arguments):
    for precision in arguments.precision:
        for name in arguments.engines:
            if has(name, precision) and not prepare(name, precision, arguments):
                print(f"  {name}: no {precision} here: its model could not be prepared; --verbose shows why")


def shown(options):
    """Without the options that only name this machine's folders."""
    return [o for i, o in enumerate(options) if not ({o, options[i - 1] if i else ""} & {"--json", "--work", "--model"} or o.startswith(("--json=", "--work=", "--model=")))]


def measure(arguments, parts):
    known = processor()
    print(f"{known}, {os.cpu_count()} processors; {os.path.basename(os.path.normpath(arguments.model))}; "
          f"median of {arguments.rounds} alternating rounds", flush=True)
    result = dict(cpu=known, processors=os.cpu_count(), model=os.path.basename(os.path.normpath(arguments.model)), rounds=arguments.rounds,
                  command=" ".join(["bench/peers.py", *shown(sys.argv[1:])]), took={})
    begin = time.time()
    if set(parts) - {"shape", "vocabulary", "training"}:
        prepare_all(arguments)
        result["took"]["prepare"] = round(time.time() - begin)
    for part in parts:
        begin = time.time()
        result[part] = PARTS[part](arguments)
        result["took"][part] = round(time.time() - begin)
    print("\ntook " + ", ".join(f"{part} {seconds} s" for part, seconds in result["took"].items()))
    return result


def write(result, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


def merge(old, new):
    """What was measured anew takes the place of what it was before: an entire part, of speed the same set, precision and threads."""
    def key(row):
        return row["set"], row["precision"], row["threads"]

    both = {**old, **new, "took": {**old["took"], **new["took"]}}
    if "speed" in old and "speed" in new:
        again = {key(row) for row in new["speed"]}
        both["speed"] = [row for row in old["speed"] if key(row) not in again] + new["speed"]
        order = {name: i for i, name in enumerate(PRECISIONS)}
        both["speed"].sort(key=lambda row: (row["threads"], order[row["precision"]], row["set"] != "sentences"))
    both["command"] = "; ".join(dict.fromkeys([*old["command"].split("; "), new["command"]]))
    return both


def save(result):
    folder = os.path.join(HERE, "results")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, re.sub(r"[^a-z0-9]+", "-", result["cpu"].lower()).strip("-") + ".json")
    if os.path.exists(path) and set(result) & set(PARTS) != set(PARTS):
        with open(path, encoding="utf-8") as file:
            result = merge(json.load(file), result)
    write(result, path)
    subprocess.run([sys.executable, os.path.join(HERE, "report.py")], check=True)


def words(text):
    return text.split(",")


def stop(*_):
    """Ends the run, once, by way of what removes its folder."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in PARTS:
        parser.add_argument("--" + part, action="store_true", help="only this part, or these")
    parser.add_argument("--model", help="a BERT sentence-embedding checkpoint; default: the one that tools/model.sh fetches")
    parser.add_argument("--precision", type=words, default=list(PRECISIONS), help="f32,bf16,int8")
    parser.add_argument("--threads", type=lambda t: list(map(int, words(t))), default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sets", type=words, default=["sentences", "passages"])
    parser.add_argument("--engines", type=words, default=list(ENGINES))
    parser.add_argument("--limit", type=int, help="so many texts of each set, spread evenly; default: what bench/README.md says")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--save", action="store_true", help="keep them in bench/results/ and remake docs/performance.md")
    parser.add_argument("--work", help="keep the engines' converted models in this folder; default: one that is removed")
    parser.add_argument("--verbose", action="store_true", help="show what the engines print")
    arguments = parser.parse_args()
    for what, given, known in (("precision", arguments.precision, PRECISIONS), ("engine", arguments.engines, ENGINES), ("set", arguments.sets, throughput.TEXTS)):
        if wrong := set(given) - set(known):
            parser.error(f"unknown {what}: {', '.join(sorted(wrong))}; there are {', '.join(known)}")
    if not arguments.model:
        arguments.model = subprocess.run([os.path.join(HERE, "..", "tools", "model.sh")], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    signal.signal(signal.SIGTERM, stop)
    work = None if arguments.work else tempfile.mkdtemp(prefix="lathe-peers-")
    arguments.work = os.path.abspath(arguments.work or work)
    os.makedirs(arguments.work, exist_ok=True)
    try:
        result = measure(arguments, [part for part in PARTS if getattr(arguments, part)] or list(PARTS))
    finally:
        if work:
            shutil.rmtree(work, ignore_errors=True)  # engines that are just ending may still remove their own
    if arguments.json:
        write(result, arguments.json)
    if arguments.save:
        save(result)


if __name__ == "__main__":
    main()
