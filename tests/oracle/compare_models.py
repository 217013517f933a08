#!/usr/bin/env python3
"""Runs `lathe` beside transformers and sentence-transformers on real sentences at many lengths and prints the largest absolute
difference of hidden states for each family, and the cosines of embeddings.

The reference is PyTorch in float64; PyTorch in float32 is compared with it too, since it errs as much as lathe may. Status 1 where
lathe is more than --tolerance (1e-5) away. Families without a real checkpoint here get a base-size one with random weights, scaled
as trained weights are. Run it in the environment of tools/oracle-venv.sh.

  compare_models.py --lathe build/lathe --model MINILM-FOLDER --data $LATHE_DATA
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch  # noqa: E402
import transformers  # noqa: E402

transformers.logging.set_verbosity_error()


def real_texts(data):
    """Sentences and passages, shortest first, from what there is in the folder of data files."""
    texts = []
    for name, cut in (("sst2/*.tsv", lambda line: line.split("\t")[0]), ("wikitext-2/*", str.strip)):
        for path in sorted(data.glob(name)):
            texts += [cut(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[:4000]]
    for path in sorted(data.glob("xquad/*.json"))[:12]:
        for article in json.loads(path.read_text(encoding="utf-8"))["data"][:10]:
            for p in article["paragraphs"]:
                texts += [p["context"]] + [q["question"] for q in p["qas"]]
    return sorted({t for t in texts if t.strip()}, key=lambda t: (len(t), t))


def spread_over_lengths(rows, n, longest):
    """About n rows whose lengths are spread evenly over 1 … longest, longer ones cut."""
    by_length = {}
    for row in rows:
        by_length.setdefault(min(len(row), longest), row[:longest])
    lengths = sorted(by_length)
    wanted = np.unique(np.linspace(lengths[0], lengths[-1], n).astype(int))
    picked = {min(lengths, key=lambda x: (abs(x - w), x)) for w in wanted}
    return [by_length[x] for x in sorted(picked)]


def lathe(args, verb, folder, lines, *options, ids=False):
    with tempfile.TemporaryDirectory() as tmp:
        (Path(tmp) / "in.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        command = [args.lathe, verb, folder, f"{tmp}/in.txt", "-o", f"{tmp}/out.npy", "--quiet", *options]
        if ids:
            command.append("--ids")
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(str(c) for c in command)}: status {done.returncode}: {done.stderr.strip()}")
        return np.load(f"{tmp}/out.npy")


def hidden_states(model, rows, dtype):
    model = model.to(dtype)
    with torch.no_grad():
        return np.concatenate([model(input_ids=torch.tensor([r]))[0][0].numpy() for r in rows])


def compare_hidden(args, name, folder, rows):
    config = transformers.AutoConfig.from_pretrained(folder)
    options = {"attn_implementation": "eager"}
    if config.model_type in ("bert", "roberta"):
        options["add_pooling_layer"] = False
    model = transformers.AutoModel.from_pretrained(folder, **options).eval()
    lines = [json.dumps(r) for r in rows]
    together = lathe(args, "forward", folder, lines, "--output", "hidden", ids=True)
    alone = lathe(args, "forward", folder, lines, "--output", "hidden", "--batch-tokens", "1", "--threads", "1", ids=True)
    single = hidden_states(model, rows, torch.float32)
    exact = hidden_states(model, rows, torch.float64)
    ours, torchs = np.abs(together - exact).max(), np.abs(single - exact).max()
    apart = np.abs(together - alone).max()
    ok = ours <= args.tolerance and apart == 0
    print(f"{name:<22} {len(rows):>4} inputs {sum(map(len, rows)):>6} tokens of 1-{max(map(len, rows))}: lathe f32 to torch f64 {ours:.2e}, "
          f"torch f32 to torch f64 {torchs:.2e}, lathe to torch f32 {np.abs(together - single).max():.2e}, "
          f"alone to batch {apart:.0e}, largest value {np.abs(exact).max():.1f}{'' if ok else '   TOO FAR'}", flush=True)
    return ok


def compare_embeddings(args, texts):
    from sentence_transformers import SentenceTransformer

    st = SentenceTransformer(str(args.model), device="cpu")
    single = st.encode(texts, batch_size=1)
    exact = st.double().encode(texts, batch_size=1)
    ours = lathe(args, "embed", args.model, texts)
    cosine = (ours.astype(np.float64) * exact).sum(1) / np.linalg.norm(ours.astype(np.float64), axis=1) / np.linalg.norm(exact, axis=1)
    worst, torchs = np.abs(ours - exact).max(), np.abs(single - exact).max()
    ok = worst <= args.tolerance
    print(f"{'embeddings':<22} {len(texts):>4} texts: lathe f32 to sentence-transformers f64 {worst:.2e}, its f32 to its f64 {torchs:.2e}, "
          f"cosine at least {cosine.min():.9f}{'' if ok else '   TOO FAR'}", flush=True)
    return ok


def random_checkpoint(folder, kind, seed):
    """A base-size model: weights as trained ones are spread, no bias zero, no norm the identity."""
    torch.manual_seed(seed)
    common = {"bert": {}, "distilbert": {}, "roberta": {"max_position_embeddings": 514, "vocab_size": 50265, "type_vocab_size": 1,
                                                        "layer_norm_eps": 1e-5, "pad_token_id": 1}}[kind]
    config = transformers.AutoConfig.for_model(kind, **common)
    model = transformers.AutoModel.from_config(config)
    with torch.no_grad():
        for key, p in model.named_parameters():
            if p.dim() == 2:
                p.normal_(0, 0.05)
            elif key.endswith("weight"):
                p.normal_(0.9, 0.15)
            else:
                p.normal_(0, 0.1)
    config.architectures = [type(model).__name__]
    model.save_pretrained(folder)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lathe", type=Path, default=Path("build/lathe"))
    p.add_argument("--model", type=Path, default=os.environ.get("LATHE_MODEL"), help="the folder of all-MiniLM-L6-v2; default: $LATHE_MODEL")
    p.add_argument("--data", type=Path, default=os.environ.get("LATHE_DATA"), help="the folder of data files; default: $LATHE_DATA")
    p.add_argument("--inputs", type=int, default=40, help="inputs for each family")
    p.add_argument("--texts", type=int, default=300, help="texts to embed")
    p.add_argument("--families", default="bert,roberta,distilbert", help="which base-size families")
    p.add_argument("--tolerance", type=float, default=1e-5)
    args = p.parse_args()
    if not args.model or not args.data:
        p.error("--model and --data are wanted")
    texts = real_texts(args.data)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    step = max(1, len(texts) // 3000)
    # Long rows are passages joined; the longest there may be is among them.
    rows = [tokenizer(t, truncation=True, max_length=512)["input_ids"] for t in texts[::step] + [" ".join(texts[i:i + 12]) for i in range(-400, -12, 12)]]
    rows += [[tokenizer.cls_token_id], tokenizer("")["input_ids"]]
    ok = compare_hidden(args, "all-MiniLM-L6-v2", args.model, spread_over_lengths(rows, args.inputs, 512))
    ok &= compare_embeddings(args, texts[::max(1, len(texts) // args.texts)])
    for i, kind in enumerate(f for f in args.families.split(",") if f):
        with tempfile.TemporaryDirectory() as folder:
            random_checkpoint(folder, kind, i)
            ok &= compare_hidden(args, f"{kind} (random, base)", folder, spread_over_lengths(rows, max(2, args.inputs // 2), 512))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
