"""Makes docs/performance.md and its plots from bench/results/*.json, one file and one section per kind of processor.

    bench/report.py [FILES.json] [-o docs/performance.md]        default: every file of bench/results/
"""
import argparse
import glob
import json
import os

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lathe", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
from matplotlib import pyplot  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
COLOURS = {"lathe": "#c0392b", "torch": "#f0b27a", "torch-compiled": "#d68910", "onnxruntime": "#5dade2", "ctranslate2": "#7fb77e", "openvino": "#8e7cc3"}
STYLES = {"f32": "-", "bf16": "--", "int8": ":"}
AIMS = {"f32": "1.3", "bf16": "1.4 (2 with AMX)", "int8": "1.6 (2 with AMX, 1.3 with AVX2)"}

INTRO = """# Performance

Made by `bench/report.py` from the files of `bench/results/`; no number here was typed in. `make bench` measures this machine and
adds it. [bench/README.md](../bench/README.md) says what is inside each clock, which texts these are, and each engine's settings.
The model is {model} throughout. Engines take turns on the same texts; the median of the turns is shown.
"""


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def number(x):
    return f"{x:,.0f}"


def unique(values):
    return list(dict.fromkeys(values))


def picked(rows, **what):
    return [row for row in rows if all(row[k] == v for k, v in what.items())]


class Section:
    """One machine: its text, and the plots beside it."""

    def __init__(self, data, slug, out):
        self.data, self.slug = data, slug
        self.folder = os.path.join(os.path.dirname(out), "performance")
        self.text = f"\n## {data['cpu']}\n\n{data['processors']} processors. Printed by `{data['command']}`; " \
                    f"it took {sum(data['took'].values()) / 60:.0f} minutes.\n"

    def add(self, text):
        self.text += "\n" + text

    def plot(self, name, figure, what):
        os.makedirs(self.folder, exist_ok=True)
        file = f"{self.slug}-{name}.svg"
        figure.tight_layout()
        figure.savefig(os.path.join(self.folder, file), metadata={"Date": None})
        pyplot.close(figure)
        self.add(f"![{what}](performance/{file})\n")

    # ---- speed ----

    def speed(self, rows):
        self.add("### Tokens a second\n\nFrom texts to unit vectors, tokenizing and lathe's reading and writing of files included.\n")
        self.plot("speed", self.bars(rows), "tokens a second of each engine and precision")
        columns = unique((r["set"], r["threads"]) for r in rows)
        head = ["engine"] + [f"{kind}, {threads} thread{'s' * (threads > 1)}" for kind, threads in columns] + ["cosine to f32: smallest", "mean"]
        for precision in unique(r["precision"] for r in rows):
            lines, ratios = [], ["**lathe against the best peer**"]
            for engine in unique(r["engine"] for r in picked(rows, precision=precision)):
                mine = picked(rows, precision=precision, engine=engine)
                cells = [number(r["tokens_per_s"]) for c in columns for r in picked(mine, set=c[0], threads=c[1])]
                mean = sum(r["cosine_mean"] * r["texts"] for r in mine) / sum(r["texts"] for r in mine)
                lines.append([f"{engine} {mine[0]['version'].split('+')[0].split('-')[0]}", *cells, f"{min(r['cosine_min'] for r in mine):.5f}", f"{mean:.5f}"])
            for kind, threads in columns:
                here = {r["engine"]: r["tokens_per_s"] for r in picked(rows, precision=precision, set=kind, threads=threads)}
                best = max((v for k, v in here.items() if k != "lathe"), default=None)
                ratios.append(f"**× {here['lathe'] / best:.2f}**" if best and "lathe" in here else "")
            self.add(f"{precision}; lathe's aim is × {AIMS[precision]} the best peer:\n\n" + table(head, lines + [ratios + ["", ""]]))

    def bars(self, rows):
        threads = max(r["threads"] for r in rows)
        sets, precisions = unique(r["set"] for r in rows), unique(r["precision"] for r in rows)
        figure, axes = pyplot.subplots(1, len(sets), figsize=(8.5, 3), sharey=True, squeeze=False)
        for axis, kind in zip(axes[0], sets):
            at, ticks = 0, []
            for precision in precisions:
                here = sorted(picked(rows, set=kind, threads=threads, precision=precision), key=lambda r: r["tokens_per_s"])
                for i, r in enumerate(here):
                    axis.bar(at + i, r["tokens_per_s"] / 1000, color=COLOURS[r["engine"]], width=0.9)
                ticks.append((at + (len(here) - 1) / 2, precision))
                at += len(here) + 1
            axis.set_xticks([x for x, _ in ticks], [name for _, name in ticks])
            axis.set_title(f"{kind}, {threads} thread{'s' * (threads > 1)}")
        axes[0][0].set_ylabel("thousand tokens/s")
        engines = unique(r["engine"] for r in rows)
        axes[0][0].legend([pyplot.Rectangle((0, 0), 1, 1, color=COLOURS[e]) for e in engines], engines, frameon=False, fontsize=8)
        return figure

    # ---- latency, memory ----

    def latency(self, rows):
        self.add("### Latency\n\nOne text in a warm process, 1 thread, from token ids to the vector; milliseconds in the middle / at 99 %.\n")
        columns = unique((r["precision"], r["tokens"]) for r in rows)
        cells = [[engine] + [next((f"{r['p50_ms']:.2f} / {r['p99_ms']:.2f}" for r in picked(rows, engine=engine, precision=p, tokens=t)), "")
                             for p, t in columns] for engine in unique(r["engine"] for r in rows)]
        self.add(table(["engine"] + [f"{p}, {t} tokens" for p, t in columns], cells))

    def memory(self, rows):
        self.add(f"### Memory and start\n\nPeak resident memory of a process that loads the model and embeds {rows[0]['texts']} sentences, and seconds from "
                 "the start of a process to its first vector.\n")
        precisions = unique(r["precision"] for r in rows)
        cells = [[engine] + [next((f"{r['peak_bytes'] / 1e6:.0f} MB, {r['start_s']:.2f} s" for r in picked(rows, engine=engine, precision=p)), "")
                             for p in precisions] for engine in unique(r["engine"] for r in rows)]
        self.add(table(["engine"] + precisions, cells))

    # ---- shape ----

    def shape(self, data):
        self.add("### What length, batch and padding cost lathe\n\nThe network alone, by the `lathe bench` commands named below.\n")
        self.plot("shape", self.lines(data), "tokens a second against length and against batch")
        precisions = unique(r["precision"] for r in data["length"])
        head = ["tokens"] + [f"{p}: tokens/s" for p in precisions] + [f"{p}: one text, ms" for p in precisions]
        self.add(f"Texts of one length, 1 thread (`{data['length'][0]['command']}`, and so on):\n\n" + table(head, [
            [n] + [number(picked(data["length"], length=n, precision=p)[0]["tokens_per_s"]) for p in precisions]
            + [f"{picked(data['length'], length=n, precision=p)[0]['p50_ms']:.2f}" for p in precisions] for n in unique(r["length"] for r in data["length"])]))
        batch = data["batch"]
        self.add(f"Sentences in batches of one size, {batch[0]['threads']} threads (`{batch[0]['command']}`, and so on), tokens/s:\n\n" + table(
            ["batch"] + precisions, [[b] + [number(picked(batch, batch=b, precision=p)[0]["tokens_per_s"]) for p in precisions] for b in unique(r["batch"] for r in batch)]))
        self.padding(data["padding"])
        self.grouping(data["grouping"])

    def lines(self, data):
        figure, axes = pyplot.subplots(1, 2, figsize=(8.5, 3))
        for axis, rows, key in ((axes[0], data["length"], "length"), (axes[1], data["batch"], "batch")):
            for precision in unique(r["precision"] for r in rows):
                mine = picked(rows, precision=precision)
                axis.plot([r[key] for r in mine], [r["tokens_per_s"] / 1000 for r in mine], STYLES[precision], marker="o", markersize=3,
                          color=COLOURS["lathe"], label=precision)
            axis.set_xscale("log", base=2)
            axis.set_xticks([r[key] for r in picked(rows, precision=rows[0]["precision"])], [r[key] for r in picked(rows, precision=rows[0]["precision"])])
            axis.set_ylim(bottom=0)
        axes[0].set(xlabel="tokens of each text (1 thread)", ylabel="thousand tokens/s")
        axes[1].set_xlabel(f"sentences in a batch ({data['batch'][0]['threads']} threads)")
        axes[0].legend(frameon=False)
        return figure

    def padding(self, rows):
        self.add("### Padding\n\nThe comparison of ByteTransformer (Zhai et al. 2023, arXiv 2210.03052), three ways in one binary: every sequence padded to its "
                 "batch's longest; hidden states packed, attention padded; packed throughout, which is how lathe always works otherwise. Fill is "
                 f"the part of the padded rows that are tokens. f32, {rows[0]['threads']} threads.\n")
        figure, axis = pyplot.subplots(figsize=(5, 3))
        uniform = [r for r in rows if r["texts"].startswith("lengths")]
        for mode, label, colour in (("ragged", "packed throughout", "#c0392b"), ("padded-attention", "padded attention", "#5dade2"), ("padded", "padded", "#999999")):
            axis.plot([r["fill"] for r in uniform], [r["tokens_per_s"][mode] / 1000 for r in uniform], "o-", markersize=3, color=colour, label=label)
        axis.set(xlabel="fill ratio", ylabel="thousand tokens/s", ylim=(0, None))
        axis.legend(frameon=False)
        self.plot("padding", figure, "tokens a second against fill ratio, three ways to treat padding")
        self.add(table(["texts", "fill", "padded", "padded attention", "packed", "packed / padded", "packed / padded attention", "command"], [
            [r["texts"], f"{r['fill']:.2f}", *(number(r["tokens_per_s"][m]) for m in ("padded", "padded-attention", "ragged")),
             f"× {r['tokens_per_s']['ragged'] / r['tokens_per_s']['padded']:.2f}", f"× {r['tokens_per_s']['ragged'] / r['tokens_per_s']['padded-attention']:.2f}",
             f"`{r['command'].replace('--prefill ragged', '--prefill …')}`"] for r in rows]))

    def grouping(self, rows):
        self.add("### Grouping of ragged work\n\nHow threads share a batch of mixed sentences and passages: slices of about equal work taken costliest first "
                 "(lathe's way), the same in file order, and slices of equally many texts in file order. Grouping by cost is what Zeng et al. 2022 (arXiv "
                 f"2208.08124) do between GPU streams. {rows[0]['threads']} threads, tokens/s (`{rows[0]['command']}`, and so on):\n")
        self.add(table(["precision, batch", "costliest first", "file order", "equal count", "costliest / equal"], [
            [f"{r['precision']}, {r['batch']}", *(number(r["tokens_per_s"][s]) for s in ("costliest", "file", "equal")),
             f"× {r['tokens_per_s']['costliest'] / r['tokens_per_s']['equal']:.2f}"] for r in rows]))

    # ---- vocabulary ----

    def vocabulary(self, rows):
        self.add(f"### Training a tokenizer\n\n{rows[0]['entries']:,} entries from {rows[0]['bytes'] / 1e6:.1f} MB of text: `lathe tokenizer train` against the trainers "
                 "of Hugging Face tokenizers. Seconds by the clock, and those that processors worked; where the clock says much more, others used the machine.\n")
        lines = []
        for kind, threads in unique((r["kind"], r["threads"]) for r in rows):
            mine, peer = (picked(rows, kind=kind, threads=threads, engine=engine)[0] for engine in ("lathe", "tokenizers"))
            lines.append([f"{kind}, {threads} thread{'s' * (threads > 1)}", *(f"{r['s']:.2f}, {r['cpu_s']:.2f}" for r in (mine, peer)),
                          f"× {peer['s'] / mine['s']:.1f}", f"× {peer['cpu_s'] / mine['cpu_s']:.1f}"])
        self.add(table(["kind", "lathe", "tokenizers", "faster by the clock", "less work"], lines))

    # ---- training ----

    def training(self, rows):
        self.add("### Training a model\n\nSteps of masked-language-model training from new weights, 32 rows a step: tokens/s without padding, and the peak of resident "
                 "memory in MB. *sentences* as they come; *grouped*: the peer is given rows of like length together. *full*: rows of 128 tokens.\n")
        lines = []
        for shape, kind, precision, threads in unique((r["shape"], r["rows"], r["precision"], r["threads"]) for r in rows):
            mine, peer, grouped = ((picked(rows, shape=shape, rows=kind, precision=precision, threads=threads, engine=engine) or [None])[0]
                                   for engine in ("lathe", "PyTorch", "PyTorch, grouped"))
            lines.append([f"{shape}, {kind}, {precision}, {threads} thread{'s' * (threads > 1)}",
                          *(f"{number(r['tokens_per_s'])}, {r['mb']:.0f} MB" if r else "" for r in (mine, peer, grouped)),
                          *(f"× {mine['tokens_per_s'] / r['tokens_per_s']:.2f}" if r else "" for r in (peer, grouped))])
        self.add(table(["shape, rows", "lathe", "PyTorch", "PyTorch, grouped", "faster", "than grouped"], lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="JSON files of bench/peers.py")
    parser.add_argument("-o", "--out", default=os.path.join(HERE, "..", "docs", "performance.md"))
    arguments = parser.parse_args()
    files = arguments.files or sorted(glob.glob(os.path.join(HERE, "results", "*.json")))
    if not files:
        parser.error("no results: `make bench` makes bench/results/CPU.json")
    text = ""
    for file in files:
        with open(file, encoding="utf-8") as stream:
            data = json.load(stream)
        section = Section(data, os.path.splitext(os.path.basename(file))[0], arguments.out)
        for part in ("speed", "latency", "memory", "shape", "vocabulary", "training"):
            if data.get(part):
                getattr(section, part)(data[part])
        text += section.text
    with open(arguments.out, "w", encoding="utf-8") as out:
        out.write(INTRO.format(model=data["model"]) + text)


if __name__ == "__main__":
    main()
