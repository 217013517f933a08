"""lathe and its peers on the same texts: tokens a second of one sentence-embedding model, f32, from texts to unit vectors.

Every engine is a process of its own, pinned to as many processors as it may have threads, and does nothing while another
one runs. Engines take turns: one round is one pass of each over all texts, and the median round counts. What each peer is
given, and why, stands in bench/README.md.

    bench/peers.py [--model DIR] [--threads 1,2] [--rounds 5] [--sets sentences,passages] [--engines lathe,torch,...]
                   [--limit N] [--json FILE]
"""
import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LATHE = os.environ.get("LATHE", os.path.join(HERE, "..", "build", "lathe"))
ENGINES = ["lathe", "torch", "onnxruntime", "ctranslate2", "openvino"]
BATCHES = [8, 16, 32, 64, 128]
MAX_TOKENS = 256  # what the model's own sentence_bert_config.json says


# ---- texts ----------------------------------------------------------------------------------------------------------


def data(name):
    root = os.environ.get("LATHE_DATA")
    if not root:
        sys.exit("peers: LATHE_DATA is not set: the folder of data files that holds sst2/ and wikitext-2/")
    return open(os.path.join(root, name), encoding="utf-8")


def texts_of(kind):
    """sentences: film reviews of SST-2 (dev and test). passages: every third longer paragraph of WikiText-2 (test)."""
    if kind == "sentences":
        return [line.split("\t")[0].strip() for name in ("sst2/dev.tsv", "sst2/test.tsv") for line in data(name) if line.strip()]
    lines = (line.strip() for line in data("wikitext-2/test.txt"))
    return [line for line in lines if len(line) > 300 and not line.startswith("=")][::3]


# ---- engines, each in its own process --------------------------------------------------------------------------------


class Padded:
    """A peer: tokenized by Hugging Face tokenizers, sorted by length, cut into batches that are padded to their longest."""

    def __init__(self, model, threads, work):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.no_padding()
        self.batch = BATCHES[0]
        self.load(model, threads, work)

    def tune(self, texts):
        """The batch size that is fastest on at most 256 of these texts; some batches go before, not counted."""
        best = None
        texts = texts[:: -(-len(texts) // 256)]
        for batch in BATCHES:
            self.batch = batch
            self.embed(texts[: 2 * batch])
            begin = time.perf_counter()
            self.embed(texts)
            seconds = time.perf_counter() - begin
            if best is None or seconds < best[0]:
                best = (seconds, batch)
        self.batch = best[1]
        return f"batch {self.batch}"

    def embed(self, texts):
        import numpy as np

        rows = [e.ids for e in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        out = None
        for first in range(0, len(order), self.batch):
            part = order[first : first + self.batch]
            vectors = self.run([rows[i] for i in part])
            if out is None:
                out = np.empty((len(rows), vectors.shape[1]), np.float32)
            out[part] = vectors
        return out, sum(map(len, rows))


def padded(rows):
    import numpy as np

    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


def sentence_module(model):
    """BERT, mean over the tokens, unit length, as one PyTorch module: what is run, and what is exported to ONNX."""
    import torch
    from transformers import BertModel

    class Sentence(torch.nn.Module):
        def __init__(self, attention):
            super().__init__()
            self.bert = BertModel.from_pretrained(model, add_pooling_layer=False, attn_implementation=attention).eval()

        def forward(self, input_ids, attention_mask):
            hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)

    return Sentence


class Torch(Padded):
    def load(self, model, threads, work):
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.module = sentence_module(model)("sdpa")
        self.version = torch.__version__

    def run(self, rows):
        import torch

        ids, mask = padded(rows)
        return self.module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()


def export(model, work):
    """The module as ONNX, and the same with ONNX Runtime's fusions for BERT; made once."""
    plain, fused = os.path.join(work, "plain.onnx"), os.path.join(work, "fused.onnx")
    if not os.path.exists(fused):
        import torch
        from onnxruntime.transformers.optimizer import optimize_model

        ids = torch.randint(1000, 2000, (2, 9))
        axes = {0: "batch", 1: "tokens"}
        torch.onnx.export(sentence_module(model)("eager"), (ids, torch.ones_like(ids)), plain, opset_version=17, dynamo=False,
                          input_names=["input_ids", "attention_mask"], output_names=["vector"],
                          dynamic_axes={"input_ids": axes, "attention_mask": axes, "vector": {0: "batch"}})
        config = json.load(open(os.path.join(model, "config.json")))
        graph = optimize_model(plain, model_type="bert", num_heads=config["num_attention_heads"],
                               hidden_size=config["hidden_size"], opt_level=0)
        print("onnxruntime fused:", {k: v for k, v in graph.get_fused_operator_statistics().items() if v}, file=sys.stderr)
        graph.save_model_to_file(fused)
    return plain, fused


class OnnxRuntime(Padded):
    def load(self, model, threads, work):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(export(model, work)[1], options, providers=["CPUExecutionProvider"])
        self.version = onnxruntime.__version__

    def run(self, rows):
        ids, mask = padded(rows)
        return self.session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


class CTranslate2(Padded):
    def load(self, model, threads, work):
        import ctranslate2

        folder = os.path.join(work, "ctranslate2")
        if not os.path.isdir(folder):
            class Converter(ctranslate2.converters.TransformersConverter):
                def load_model(self, model_class, name, **options):
                    options.pop("dtype", None)  # transformers of this version calls it torch_dtype; f32 is the default
                    return super().load_model(model_class, name, **options)

            Converter(model).convert(folder)
        self.encoder = ctranslate2.Encoder(folder, device="cpu", compute_type="float32", inter_threads=1, intra_threads=threads)
        self.version = ctranslate2.__version__

    def run(self, rows):
        import numpy as np

        hidden = np.asarray(self.encoder.forward_batch(rows).last_hidden_state)
        mask = padded(rows)[1].astype(np.float32)
        mean = np.matmul(mask[:, None, :], hidden)[:, 0] / mask.sum(1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


class OpenVino(Padded):
    def load(self, model, threads, work):
        import openvino

        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self.model = openvino.Core().compile_model(export(model, work)[0], "CPU", settings)
        self.version = openvino.__version__

    def run(self, rows):
        ids, mask = padded(rows)
        return self.model({"input_ids": ids, "attention_mask": mask})[0]


class Lathe:
    """The command, from a file of texts to a file of vectors. The time to start and load the model, measured on one text, is
    taken off, as the peers load theirs before the clock starts."""

    def __init__(self, model, threads, work):
        self.model, self.threads = model, threads
        self.folder = tempfile.mkdtemp(dir=work)
        self.version = subprocess.run([LATHE, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]

    def command(self, texts):
        source, out = os.path.join(self.folder, "texts.txt"), os.path.join(self.folder, "out.npy")
        with open(source, "w", encoding="utf-8") as file:
            file.writelines(text + "\n" for text in texts)
        begin = time.perf_counter()
        subprocess.run([LATHE, "embed", self.model, source, "-o", out, "--threads", str(self.threads),
                        "--max-tokens", str(MAX_TOKENS), "--quiet"], check=True)
        return time.perf_counter() - begin, out

    def tune(self, texts):
        self.empty = statistics.median(self.command(texts[:1])[0] for _ in range(5))
        return f"start and load, {1000 * self.empty:.0f} ms, taken off"

    def embed(self, texts):
        import numpy as np

        self.seconds, out = self.command(texts)
        self.seconds -= self.empty
        return np.load(out), None


CLASSES = dict(lathe=Lathe, torch=Torch, onnxruntime=OnnxRuntime, ctranslate2=CTranslate2, openvino=OpenVino)


def worker(engine, model, threads, work):
    """Reads one command a line and answers with one line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    texts = []
    me = CLASSES[engine](model, threads, work)

    def answer(**fields):
        print(json.dumps(fields), file=answers, flush=True)

    answer(version=me.version)
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "texts":
            texts = command["texts"]
            answer(note=me.tune(texts))
        else:
            begin = time.perf_counter()
            vectors, tokens = me.embed(texts)
            seconds = getattr(me, "seconds", None) or time.perf_counter() - begin
            if "save" in command:
                import numpy as np

                np.save(command["save"], vectors)
            answer(seconds=seconds, tokens=tokens)


class Worker:
    def __init__(self, engine, arguments, threads, work):
        # Settings that pin OpenBLAS to an old kernel would slow the peers that use it.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        environment["OMP_NUM_THREADS"] = str(threads)
        self.name = engine
        self.process = subprocess.Popen([sys.executable, __file__, "--worker", engine, "--model", arguments.model, "--threads", str(threads),
                                         "--work", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=None if arguments.verbose else subprocess.DEVNULL, text=True, env=environment)
        self.version = self.answer()["version"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}; --verbose shows why")
        return json.loads(line)

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- the run --------------------------------------------------------------------------------------------------------


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def compare(workers, texts, work):
    """The smallest cosine between each engine's vectors and the first one's. Vectors are of unit length."""
    import numpy as np

    saved = {}
    tokens = None
    for w in workers:
        path = os.path.join(work, w.name + ".npy")
        tokens = w.ask(do="run", save=path)["tokens"] or tokens
        saved[w.name] = np.load(path).astype(np.float64)
    first = saved[workers[0].name]
    return {name: float((v * first).sum(1).min()) for name, v in saved.items()}, tokens


def measure(arguments, work):
    results = []
    print(f"{processor()}, {os.cpu_count()} processors; {os.path.basename(os.path.normpath(arguments.model))}, f32; "
          f"median of {arguments.rounds} alternating rounds")
    for kind in arguments.sets.split(","):
        texts = texts_of(kind)[: arguments.limit]
        for threads in map(int, arguments.threads.split(",")):
            workers = []
            for engine in arguments.engines.split(","):
                try:
                    workers.append(Worker(engine, arguments, threads, work))
                except RuntimeError as error:
                    print(f"  {error}")
            notes = {w.name: w.ask(do="texts", texts=texts)["note"] for w in workers}
            cosine, tokens = compare(workers, texts, work)
            if tokens is None:
                sys.exit("peers: at least one peer is needed to count tokens")
            rounds = {w.name: [] for w in workers}
            for _ in range(arguments.rounds):
                for w in workers:
                    rounds[w.name].append(w.ask(do="run")["seconds"])
            for w in workers:
                w.close()
            rate = {name: tokens / statistics.median(seconds) for name, seconds in rounds.items()}
            best = max((r for name, r in rate.items() if name != "lathe"), default=0)
            print(f"\n{kind}: {len(texts)} texts, {tokens} tokens, {tokens / len(texts):.1f} a text; {threads} thread{'s' * (threads > 1)}")
            print(f"  {'engine':<24}{'tokens/s':>10}{'range':>18}{'lathe is':>11}{'min. cosine':>13}   settings")
            for w in workers:
                spread = f"{tokens / max(rounds[w.name]):.0f}-{tokens / min(rounds[w.name]):.0f}"
                ratio = f"x {rate['lathe'] / rate[w.name]:.2f}" if "lathe" in rate and w.name != "lathe" else ""
                print(f"  {w.name + ' ' + w.version.split('+')[0].split('-')[0]:<24}{rate[w.name]:>10.0f}{spread:>18}{ratio:>11}{cosine[w.name]:>13.7f}   {notes[w.name]}")
                results.append(dict(set=kind, texts=len(texts), tokens=tokens, threads=threads, engine=w.name, version=w.version,
                                    tokens_per_s=rate[w.name], seconds=rounds[w.name], cosine_min=cosine[w.name], settings=notes[w.name]))
            if "lathe" in rate and best:
                print(f"  lathe against the best peer: x {rate['lathe'] / best:.2f}")
            wrong = [name for name, c in cosine.items() if c < 0.9999]
            if wrong:
                sys.exit(f"peers: {', '.join(wrong)}: vectors differ from {workers[0].name}'s: not the same work")
    if arguments.json:
        json.dump(dict(cpu=processor(), results=results), open(arguments.json, "w"), indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a BERT sentence-embedding checkpoint; default: the one that tools/model.sh fetches")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sets", default="sentences,passages")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--limit", type=int, help="only the first N texts of each set")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--verbose", action="store_true", help="show what the engines print")
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments.worker, arguments.model, int(arguments.threads), arguments.work)
    if not arguments.model:
        arguments.model = subprocess.run([os.path.join(HERE, "..", "tools", "model.sh")], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder below is removed
    work = tempfile.mkdtemp(prefix="lathe-peers-")
    try:
        measure(arguments, work)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
