#!/usr/bin/env python3
"""Holds what `lathe quantize` writes against the compressed-tensors library, and what that library writes against `lathe`.

int8 and int4 checkpoints of lathe are opened by transformers with that library. The weights that it makes of them must be codes times
scales as the file has them, to rounding; with these weights PyTorch in float64 must give the hidden states that `lathe --precision f32`
gives on the same checkpoint, within --tolerance (1e-5); and those of `lathe` in the checkpoint's own precision must be near. Smoothed
checkpoints, which the library does not know, must be refused by it. Then the library quantises the model itself, and lathe reads that.
Status 1 where any of it does not hold. Run it in the environment of tools/oracle-venv.sh.

  compare_quantized.py --lathe build/lathe --model MINILM-FOLDER --data $LATHE_DATA
"""
import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch  # noqa: E402
import transformers  # noqa: E402
from compressed_tensors.compressors import ModelCompressor  # noqa: E402
from compressed_tensors.linear.compressed_linear import CompressedLinear  # noqa: E402
from compressed_tensors.quantization import QuantizationConfig, QuantizationStatus, apply_quantization_config  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

transformers.logging.set_verbosity_error()
logging.disable(logging.WARNING)  # the library misses the pooler that is left out here
GROUP = 32


def run(args, *words):
    done = subprocess.run([str(w) for w in (args.lathe, *words, "--quiet")], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: status {done.returncode}: {done.stderr.strip()}")


def lathe_hidden(args, folder, rows, *options):
    with tempfile.TemporaryDirectory() as tmp:
        Path(tmp, "in.txt").write_text("".join(json.dumps(r) + "\n" for r in rows))
        run(args, "forward", folder, f"{tmp}/in.txt", "--ids", "--output", "hidden", "-o", f"{tmp}/out.npy", *options)
        return np.load(f"{tmp}/out.npy").astype(np.float64)


def open_plain(folder):
    return transformers.AutoModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False).eval()


def open_compressed(folder):
    return transformers.AutoModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False, torch_dtype=torch.float32).eval()


def library_weights(model):
    """What the library makes of each linear's codes."""
    return {name: m.compressor.decompress_module(m).detach().double() for name, m in model.named_modules() if isinstance(m, CompressedLinear)}


def file_weights(folder):
    """Codes times scales as the file has them, read without the library."""
    stored, weights = load_file(Path(folder) / "model.safetensors"), {}
    for key, scale in stored.items():
        if not key.endswith(".weight_scale"):
            continue
        name, scale = key.removesuffix(".weight_scale"), scale.double()
        if f"{name}.weight" in stored:
            weights[name] = stored[f"{name}.weight"].double() * scale
            continue
        rows, cols = (int(n) for n in stored[f"{name}.weight_shape"])
        words = stored[f"{name}.weight_packed"].numpy().view(np.uint32)
        codes = (words[:, :, None] >> (4 * np.arange(8, dtype=np.uint32))) & 15
        codes = codes.reshape(rows, -1)[:, :cols].astype(np.float64) - 8
        weights[name] = torch.from_numpy(codes) * scale.repeat_interleave(GROUP, dim=1)[:, :cols]
    return weights


def hidden_states(args, opened, weights, rows):
    """The original in float64, with these weights in place of its own, and the checkpoint's other parameters (embeddings are rounded to bf16)."""
    model = open_plain(args.model).double()
    with torch.no_grad():
        for name, p in opened.named_parameters():
            if not name.split(".")[-1].startswith("weight_") and p.is_floating_point():
                model.get_parameter(name).copy_(p)
        for name, w in weights.items():
            model.get_submodule(name).weight.copy_(w)
        return np.concatenate([model(input_ids=torch.tensor([r]))[0][0].numpy() for r in rows])


def least_cosine(x, y):
    return float(((x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)).min())


def say(ok, text):
    print(f"{text}{'' if ok else '   NOT SO'}", flush=True)
    return ok


def compare(args, what, folder, rows, nearest):
    model = open_compressed(folder)
    theirs, ours = library_weights(model), file_weights(folder)
    if not theirs or set(theirs) != set(ours):
        return say(False, f"{what}: the library has {len(theirs)} quantised linears, the file {len(ours)}")
    apart = max(float((theirs[n] - ours[n]).abs().max() / ours[n].abs().max()) for n in theirs)
    exact = hidden_states(args, model, theirs, rows)
    plain = lathe_hidden(args, folder, rows, "--precision", "f32")
    own = lathe_hidden(args, folder, rows)
    with torch.no_grad():
        direct = np.concatenate([model(input_ids=torch.tensor([r]))[0][0].numpy() for r in rows]).astype(np.float64)
    far = float(np.abs(plain - exact).max())
    near, run_by_library = least_cosine(own, exact), least_cosine(direct, exact)
    ok = apart <= 1e-6 and far <= args.tolerance and near >= nearest and run_by_library >= 0.98
    return say(ok, f"{what:<24} {len(theirs)} linears, weights {apart:.1e} apart (relative); hidden states of {sum(map(len, rows))} tokens: "
                   f"lathe f32 to torch f64 {far:.1e}; smallest cosine to it, as stored: lathe {near:.5f}, the library {run_by_library:.5f}")


def compare_written(args, rows):
    ok = True
    with tempfile.TemporaryDirectory() as tmp:
        for what, options, nearest in (("int8", (), 0.99), ("int8, no threshold", ("--threshold", "0"), 0.98), ("int4", (), 0.9999),
                                       ("int4, calibrated", ("--calibrate", args.texts), 0.9999)):
            folder = f"{tmp}/{what}"
            run(args, "quantize", args.model, folder, "--precision", what[:4], *options)
            ok &= compare(args, what, folder, rows, nearest)
        run(args, "quantize", args.model, f"{tmp}/smoothed", "--precision", "int8", "--calibrate", args.texts)
        try:
            open_compressed(f"{tmp}/smoothed")
            ok &= say(False, "int8, smoothed: the library opens it, and knows nothing of its multipliers")
        except Exception as e:  # whatever it raises for a format that it does not know
            ok &= say("int-quantized-smoothed" in str(e), f"int8, smoothed: refused by the library ({type(e).__name__}: {str(e).splitlines()[0][:80]})")
    return ok


SCHEMES = {
    "int8": {"weights": {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True, "dynamic": False},
             "input_activations": {"num_bits": 8, "type": "int", "strategy": "token", "symmetric": True, "dynamic": True}},
    "int4": {"weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP, "symmetric": True, "dynamic": False}},
}


def write_by_library(args, kind, folder):
    model = open_plain(args.model)
    formats = {"int8": "int-quantized", "int4": "pack-quantized"}
    config = QuantizationConfig(config_groups={"group_0": {"targets": ["Linear"], **SCHEMES[kind]}}, format=formats[kind],
                                quantization_status=QuantizationStatus.INITIALIZED)
    apply_quantization_config(model, config)
    with torch.no_grad():
        for m in model.modules():
            if not hasattr(m, "weight_scale"):
                continue
            w = m.weight if kind == "int8" else m.weight.view(m.weight.shape[0], -1, GROUP)
            m.weight_scale.copy_((w.abs().amax(-1) / (127 if kind == "int8" else 7.5)).reshape(m.weight_scale.shape))
            if hasattr(m, "weight_zero_point"):
                m.weight_zero_point.zero_()
            m.quantization_status = QuantizationStatus.FROZEN
    compressor = ModelCompressor.from_pretrained_model(model, quantization_format=formats[kind])
    state = compressor.compress(model)
    model.save_pretrained(folder, state_dict=state)
    compressor.update_config(folder)
    return folder


def compare_read(args, rows):
    ok = True
    with tempfile.TemporaryDirectory() as tmp:
        for kind, nearest in (("int8", 0.98), ("int4", 0.9999)):
            ok &= compare(args, f"{kind} by the library", write_by_library(args, kind, f"{tmp}/{kind}"), rows, nearest)
    return ok


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lathe", type=Path, default=Path("build/lathe"))
    p.add_argument("--model", type=Path, default=os.environ.get("LATHE_MODEL"), help="the folder of all-MiniLM-L6-v2; default: $LATHE_MODEL")
    p.add_argument("--data", type=Path, default=os.environ.get("LATHE_DATA"), help="the folder of data files; default: $LATHE_DATA")
    p.add_argument("--tolerance", type=float, default=1e-5)
    args = p.parse_args()
    if not args.model or not args.data:
        p.error("--model and --data are wanted")
    lines = (args.data / "mrpc/msr_paraphrase_test.txt").read_text(encoding="utf-8").splitlines()[1:101]
    texts = [line.split("\t")[3] for line in lines]
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    rows = [tokenizer(t, truncation=True, max_length=512)["input_ids"] for t in texts[:12]]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as calibrate:
        calibrate.write("".join(t + "\n" for t in texts))
        calibrate.flush()
        args.texts = calibrate.name
        ok = compare_written(args, rows)
        ok &= compare_read(args, rows)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
