#!/usr/bin/env python3
"""Makes tests/fixtures/models and tests/fixtures/sentence: tiny checkpoints with random weights, one for each switch of the
families' configs, and what Hugging Face transformers and sentence-transformers compute from them in float64.

Run it in the environment that tools/oracle-venv.sh makes; the same seeds give the same weights. Each folder is a model as
transformers stores it, plus expected.json (inputs, what there is to compare, and what is absent) and float64 .npy files with
the rows of all inputs one after another. Weights are read back from the stored file, so rounding to f16 or bf16 is in both.
"""
import argparse
import json
import os
import re
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402

transformers.logging.set_verbosity_error()
torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)

SHORT = [1, 3, 8, 17]
LONG = [1, 2, 7, 16, 31, 40]
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}

# Words of every kind that the tokenizers below must cut up; also the corpus that they are trained on.
TEXTS = [  # sentence-transformers strips blanks at both ends before it tokenizes
    "The lathe turns a block of wood while a sharp tool takes off what is not wanted.",
    "A small model, well made, answers the question at once.",
    "Où est la tour? Dans le jardin, près de l'eau.",
    "Prices rose by 3.5% in 2019; nobody had expected that!",
    "tokens, Tokens and TOKENS: un-believable re-writing of words",
    "x",
    "naïve café übergröße ÉTÉ",
    " \t\u00a0blanks before and after \u3000",
    "the the the the the the the the the the the the the the the the the the the the the the the the",
    "Wer reitet so spät durch Nacht und Wind? Es ist der Vater mit seinem Kind.",
]


def seed_of(name):
    return zlib.crc32(name.encode())


def randomise(model, name):
    """Weights large enough that every part of the model matters: no bias is zero, no norm is the identity."""
    g = torch.Generator().manual_seed(seed_of(name))
    seen = set()
    for key, p in model.named_parameters():
        if p.data_ptr() in seen:
            continue
        seen.add(p.data_ptr())
        r = torch.randn(p.shape, generator=g)
        norm = "LayerNorm" in key or "layer_norm" in key
        with torch.no_grad():
            if norm and key.endswith("weight"):
                p.copy_(1 + 0.2 * r)
            elif p.dim() == 1:
                p.copy_(0.2 * r)
            elif "embeddings" in key or "distance_embedding" in key:
                p.copy_(0.5 * r)
            else:
                p.copy_(r / p.shape[1] ** 0.5)


def inputs_of(name, config, lengths, types, pads):
    g = np.random.default_rng(seed_of(name))
    rows = []
    for n in lengths:
        ids = g.integers(0, config.vocab_size, n)
        if pads is not None:  # RoBERTa counts positions past such tokens
            ids[ids == config.pad_token_id] = (config.pad_token_id + 1) % config.vocab_size
            if pads and n > 2:
                ids[g.integers(0, n, max(1, n // 5))] = config.pad_token_id
        row = {"ids": ids.tolist()}
        if types > 1:
            row["types"] = np.sort(g.integers(0, types, n)).tolist()
        rows.append(row)
    return rows


HEADS = {  # architecture's ending: its head's name, a row per token or per input
    "Model": ("none", None),
    "ForMaskedLM": ("mlm", "token"),
    "ForPreTraining": ("pretraining", "token"),
    "ForNextSentencePrediction": ("nsp", "input"),
    "ForSequenceClassification": ("classify", "input"),
    "ForTokenClassification": ("tag", "token"),
    "ForQuestionAnswering": ("span", "token"),
}


def run(model, base, rows, head, row_step):
    """Float64 outputs, one input at a time: {"hidden": [rows, h], "pooled": …, "logits": …}."""
    out = {"hidden": [], "pooled": [], "logits": []}
    with torch.no_grad():
        for row in rows:
            args = {"input_ids": torch.tensor([row["ids"]])}
            if "types" in row:
                args["token_type_ids"] = torch.tensor([row["types"]])
            bare = base(**args)
            out["hidden"].append(bare[0][0][::row_step])
            if getattr(bare, "pooler_output", None) is not None:
                out["pooled"].append(bare.pooler_output)
            if head == "none":
                continue
            full = model(**args)
            if head == "span":
                logits = torch.stack([full.start_logits[0], full.end_logits[0]], 1)
            elif head == "pretraining":
                logits = full.prediction_logits[0]
            else:
                logits = full.logits[0] if full.logits.dim() == 3 else full.logits
            out["logits"].append(logits[::row_step] if HEADS_PER_TOKEN[head] else logits)
    return {k: torch.cat(v).numpy() for k, v in out.items() if v}


HEADS_PER_TOKEN = {name: per == "token" for name, per in HEADS.values()}


def save_weights(folder, state, shards):
    if not shards:
        save_file(state, folder / "model.safetensors", {"format": "pt"})
        return
    keys = sorted(state)
    parts = {f"model-{i + 1:05d}-of-{shards:05d}.safetensors": keys[i::shards] for i in range(shards)}
    for part, names in parts.items():
        save_file({k: state[k] for k in names}, folder / part, {"format": "pt"})
    total = sum(t.numel() * t.element_size() for t in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": {k: p for p, names in parts.items() for k in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def make(root, name, arch, config, dtype="f16", lengths=SHORT, shards=0, rename=None, types=None, pads=None, row_step=1,
         extra=None, drop=None, tokenizer=None, made_as=None):
    """One folder. `rename` maps stored names, `extra` adds tensors, `drop` leaves some out, `made_as`: an architecture whose
    weights are stored although config.json names `arch`."""
    folder = root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cls = getattr(transformers, arch)
    config = cls.config_class(**{"architectures": [arch], **config})
    source = getattr(transformers, made_as or arch)(config)
    randomise(source, name)
    tied = (getattr(source, "_tied_weights_keys", None) or []) if config.tie_word_embeddings else []
    state = {k: v.to(DTYPES[dtype]).contiguous() for k, v in source.state_dict().items() if not any(re.search(t, k) for t in tied)}
    for key in drop or []:
        del state[key]
    if rename:
        state = {rename(k): v for k, v in state.items()}
    for key, value in (extra or {}).items():
        state[key] = value
    save_weights(folder, state, shards)
    stored = config.to_dict()
    keep = set(config.to_diff_dict()) | {"hidden_act", "layer_norm_eps", "position_embedding_type", "type_vocab_size",
                                         "pad_token_id", "activation", "tie_word_embeddings"}
    stored = {k: v for k, v in stored.items() if k in keep and k not in ("_attn_implementation_autoset", "transformers_version")}
    (folder / "config.json").write_text(json.dumps(stored, indent=1) + "\n")
    if tokenizer:
        tokenizer(folder)

    options = {"torch_dtype": torch.float64, "attn_implementation": "eager", "output_loading_info": True}
    model, info = cls.from_pretrained(folder, **options)
    assert not info["missing_keys"] and not info["mismatched_keys"], (name, info)
    kind, _ = HEADS[arch[len(cls.config_class.__name__) - len("Config"):]]
    base = model
    if kind != "none":
        base_cls = getattr(transformers, cls.config_class.__name__.replace("Config", "Model"))
        base, info = base_cls.from_pretrained(folder, **options)
        assert all("pooler.dense." in k for k in info["missing_keys"]), (name, info)
        if info["missing_keys"]:
            base, _ = base_cls.from_pretrained(folder, add_pooling_layer=False, **options)
    rows = inputs_of(name, config, lengths, config.type_vocab_size if types is None else types, pads)
    out = run(model.eval(), base.eval(), rows, kind, row_step)
    files = {}
    for what, a in out.items():
        assert np.isfinite(a).all()
        np.save(folder / f"{what}.npy", a)
        files[what] = f"{what}.npy"
    expected = {
        "family": config.model_type, "architecture": arch, "head": kind, "dtype": dtype, "row_step": row_step,
        "outputs": files, "absent": [w for w in ("pooled", "logits") if w not in out],
        "inputs": rows,
    }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


# ---- tokenizers -----------------------------------------------------------------------------------------------------


def pieces(t, size):
    """A WordPiece vocabulary of TEXTS: characters, then the most frequent beginnings and continuations of words. (The trainer
    of tokenizers breaks ties at random.)"""
    counts = {}
    for text in TEXTS:
        for word, _ in t.pre_tokenizer.pre_tokenize_str(t.normalizer.normalize_str(text)):
            for i in range(len(word)):
                for j in range(i + 1, len(word) + 1):
                    piece = ("##" if i else "") + word[i:j]
                    counts[piece] = counts.get(piece, 0) + 1
    single = sorted(p for p in counts if len(p.removeprefix("##")) == 1)
    longer = sorted((p for p in counts if p not in single), key=lambda p: (-counts[p] * len(p), p))
    return {p: i for i, p in enumerate((["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + single + longer)[:size])}


def wordpiece(folder):
    t = Tokenizer(models.WordPiece())
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.model = models.WordPiece(pieces(t, 200), unk_token="[UNK]")
    t.decoder = decoders.WordPiece(prefix="##")
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    save_tokenizer(transformers.BertTokenizerFast(tokenizer_object=t, do_lower_case=True, model_max_length=64), folder)


def byte_bpe(folder):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    t.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False,
                                                     initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    t.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls=("<s>", 0), trim_offsets=True, add_prefix_space=False)
    save_tokenizer(transformers.RobertaTokenizerFast(tokenizer_object=t, model_max_length=64), folder)


def save_tokenizer(fast, folder):
    """tokenizer.json and a tokenizer_config.json of the keys that matter; the other files repeat these."""
    fast.save_pretrained(folder)
    for path in folder.iterdir():
        if path.name in ("vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json"):
            path.unlink()
    path = folder / "tokenizer_config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("added_tokens_decoder", "extra_special_tokens")}
    path.write_text(json.dumps(config, indent=1) + "\n")


# ---- models ---------------------------------------------------------------------------------------------------------


def bert(**changes):
    return {"vocab_size": 30, "hidden_size": 18, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 34,
            "max_position_embeddings": 20, "type_vocab_size": 2, **changes}


def roberta(**changes):
    return bert(max_position_embeddings=22, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, bos_token_id=0,
                eos_token_id=2, **changes)


def distilbert(**changes):
    return {"vocab_size": 30, "dim": 18, "n_layers": 1, "n_heads": 3, "hidden_dim": 34, "max_position_embeddings": 20, **changes}


def labels(*names):
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


def drop_prefix(prefix):
    return lambda k: k[len(prefix):] if k.startswith(prefix) else k


def old_names(k):
    return "bert." + k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def make_models(root):
    m = lambda name, arch, config, **more: make(root, name, arch, config, **more)  # noqa: E731
    # A stranger's first model: text in, two layers, sizes with no tails and with.
    m("bert-tiny", "BertModel", bert(vocab_size=200, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                     intermediate_size=64, max_position_embeddings=64), dtype="f32", lengths=LONG, tokenizer=wordpiece)
    m("bert-odd", "BertModel", bert(vocab_size=37, hidden_size=35, num_attention_heads=5, intermediate_size=51,
                                    max_position_embeddings=41), lengths=LONG)
    # Sequences for the streaming attention beside short ones, one model for each of some head widths.
    for width, heads in (8, 2), (16, 1), (32, 1):
        m(f"bert-long-{width}", "BertModel", bert(hidden_size=width * heads, num_attention_heads=heads, max_position_embeddings=530),
          lengths=[520, 3, 130], row_step=13, types=0)
    for act in ("gelu_new", "gelu_python", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate", "quick_gelu", "relu", "relu2", "silu",
                "swish", "mish", "tanh", "sigmoid", "linear"):
        m(f"bert-act-{act}", "BertModel", bert(hidden_act=act, hidden_size=10, num_attention_heads=2, intermediate_size=33),
          lengths=[1, 3, 8], types=1)
    for kind in ("relative_key", "relative_key_query"):
        m(f"bert-{kind}", "BertModel", bert(position_embedding_type=kind, num_hidden_layers=2))
    m("bert-relative-long", "BertModel", bert(position_embedding_type="relative_key_query", hidden_size=16, num_attention_heads=2,
                                              max_position_embeddings=300), lengths=[290, 5], row_step=13, types=1)
    m("bert-types-1", "BertModel", bert(type_vocab_size=1))
    m("bert-types-3", "BertModel", bert(type_vocab_size=3))
    m("bert-eps", "BertModel", bert(layer_norm_eps=1e-2))
    m("bert-bf16", "BertModel", bert(), dtype="bf16")
    m("bert-sharded", "BertModel", bert(num_hidden_layers=2), shards=3)
    m("bert-old-names", "BertModel", bert(), rename=old_names, dtype="f32",
      extra={"bert.embeddings.position_ids": torch.arange(20)[None]})
    # Heads; the weights of the first are those of the original checkpoints: pooler and both heads, under BertForMaskedLM.
    m("bert-mlm-original", "BertForMaskedLM", bert(), made_as="BertForPreTraining")
    m("bert-mlm-untied", "BertForMaskedLM", bert(tie_word_embeddings=False))
    m("bert-mlm-relu", "BertForMaskedLM", bert(hidden_act="relu"))
    m("bert-pretraining", "BertForPreTraining", bert())
    m("bert-nsp", "BertForNextSentencePrediction", bert())
    m("bert-classify", "BertForSequenceClassification", bert(**labels("bad", "fair", "good")))
    m("bert-classify-many", "BertForSequenceClassification", bert(problem_type="multi_label_classification", **labels("a", "b", "c", "d")))
    m("bert-regress", "BertForSequenceClassification", bert(problem_type="regression", **labels("score")))
    m("bert-tag", "BertForTokenClassification", bert(**labels("O", "B-PER", "I-PER", "B-LOC", "I-LOC")))
    m("bert-span", "BertForQuestionAnswering", bert())
    m("bert-for-pretraining-as-model", "BertModel", bert(), made_as="BertForPreTraining")
    make_without_pooler(root, "bert-no-pooler", bert())

    m("roberta-tiny", "RobertaModel", roberta(vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                              intermediate_size=64) | {"max_position_embeddings": 66}, pads=False, tokenizer=byte_bpe)
    m("roberta-pads", "RobertaModel", roberta(), pads=True)
    m("roberta-pad-0", "RobertaModel", roberta() | {"pad_token_id": 0, "type_vocab_size": 2}, pads=True)
    m("roberta-prefix", "RobertaModel", roberta(), rename=lambda k: "roberta." + k, pads=False)
    m("roberta-relative", "RobertaModel", roberta(position_embedding_type="relative_key"), lengths=[1, 2, 7, 22], pads=True)
    m("roberta-mlm", "RobertaForMaskedLM", roberta(), pads=True)
    m("roberta-mlm-untied", "RobertaForMaskedLM", roberta(tie_word_embeddings=False), pads=False)
    m("roberta-classify", "RobertaForSequenceClassification", roberta(**labels("no", "yes")), pads=False)
    m("roberta-tag", "RobertaForTokenClassification", roberta(**labels("O", "B-X", "I-X")), pads=True)
    m("roberta-span", "RobertaForQuestionAnswering", roberta(), pads=False)

    m("distilbert-tiny", "DistilBertModel", distilbert(n_layers=2), lengths=[1, 2, 7, 16, 20], types=0)
    m("distilbert-prefix", "DistilBertModel", distilbert(sinusoidal_pos_embds=True), types=0, rename=lambda k: "distilbert." + k)
    m("distilbert-mlm", "DistilBertForMaskedLM", distilbert(), types=0)
    m("distilbert-mlm-relu", "DistilBertForMaskedLM", distilbert(activation="relu", tie_word_embeddings=False), types=0)
    m("distilbert-classify", "DistilBertForSequenceClassification", distilbert(**labels("minus", "plus")), types=0)
    m("distilbert-tag", "DistilBertForTokenClassification", distilbert(**labels("O", "B-X", "I-X")), types=0)
    m("distilbert-span", "DistilBertForQuestionAnswering", distilbert(), types=0)


def make_without_pooler(root, name, config):
    """BertModel saved by BertModel(add_pooling_layer=False), as many embedding models are."""
    folder = root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = transformers.BertConfig(architectures=["BertModel"], **config)
    model = transformers.BertModel(config, add_pooling_layer=False)
    randomise(model, name)
    save_weights(folder, {k: v.half() for k, v in model.state_dict().items()}, 0)
    stored = {k: v for k, v in config.to_diff_dict().items() if k != "transformers_version"}
    (folder / "config.json").write_text(json.dumps(stored, indent=1) + "\n")
    model = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False, torch_dtype=torch.float64, attn_implementation="eager")
    rows = inputs_of(name, config, SHORT, 2, None)
    np.save(folder / "hidden.npy", run(model.eval(), model, rows, "none", 1)["hidden"])
    expected = {"family": "bert", "architecture": "BertModel", "head": "none", "dtype": "f16", "row_step": 1,
                "outputs": {"hidden": "hidden.npy"}, "absent": ["pooled", "logits"], "inputs": rows}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


# ---- sentence-transformers --------------------------------------------------------------------------------------------


def pooling_config(dim, modes, include_prompt=None):
    """The file that sentence-transformers writes for these modes."""
    keys = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "mean_sqrt": "mean_sqrt_len_tokens",
            "weightedmean": "weightedmean_tokens", "last": "lasttoken"}
    config = {"word_embedding_dimension": dim, **{f"pooling_mode_{v}": k in modes for k, v in keys.items()}}
    if include_prompt is not None:
        config["include_prompt"] = include_prompt
    return config


def make_sentence(root, models, name, base, modes, dense=(), normalize=False, prompt=None, prompt_name=None, prompts=None,
                  default_prompt=None, bert_config=None, include_prompt=None, similarity=None, truncate=None, force_normalize=False,
                  inside=""):
    """`dense`: (out, activation, bias) of each Dense module; `inside`: the Transformer module's folder. Model and tokenizer are
    links to those of `base`."""
    from sentence_transformers import SentenceTransformer

    folder = root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / inside).mkdir(exist_ok=True)
    for path in sorted((models / base).iterdir()):
        if path.name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
            (folder / inside / path.name).symlink_to(os.path.relpath(path, folder / inside))
    config = json.loads((folder / inside / "config.json").read_text())
    dim = config["hidden_size"]
    modules = [(inside, "Transformer"), ("1_Pooling", "Pooling")]
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling_config(dim, modes, include_prompt), indent=1) + "\n")
    width = dim * len(modes)
    g = torch.Generator().manual_seed(seed_of(name))
    for out, activation, bias in dense:
        path = f"{len(modules)}_Dense"
        modules.append((path, "Dense"))
        (folder / path).mkdir()
        (folder / path / "config.json").write_text(json.dumps({
            "in_features": width, "out_features": out, "bias": bias,
            "activation_function": f"torch.nn.modules.{activation}"}) + "\n")
        state = {"linear.weight": torch.randn(out, width, generator=g) / width**0.5}
        if bias:
            state["linear.bias"] = 0.2 * torch.randn(out, generator=g)
        save_file(state, folder / path / "model.safetensors")
        width = out
    if normalize:
        modules.append((f"{len(modules)}_Normalize", "Normalize"))
    listed = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
              for i, (path, kind) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(listed, indent=1) + "\n")
    if bert_config is not None:
        (folder / inside / "sentence_bert_config.json").write_text(json.dumps(bert_config, indent=1) + "\n")
    st_config = {}
    if prompts is not None:
        st_config = {"prompts": prompts, "default_prompt_name": default_prompt}
    if similarity:
        st_config["similarity_fn_name"] = similarity
    if st_config:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(st_config, indent=1) + "\n")

    st = SentenceTransformer(str(folder), device="cpu", model_kwargs={"torch_dtype": torch.float64, "attn_implementation": "eager"},
                             truncate_dim=truncate)
    st = st.double().eval()
    args = {"prompt": prompt, "prompt_name": prompt_name, "normalize_embeddings": force_normalize}
    rows = st.encode(TEXTS, batch_size=1, show_progress_bar=False, **args)
    assert rows.dtype == np.float64 and np.isfinite(rows).all()
    np.save(folder / "embedding.npy", rows)
    used = prompt if prompt is not None else (prompts or {}).get(prompt_name or default_prompt, "")
    ids = [st.tokenize([used + t])["input_ids"][0].tolist() for t in TEXTS]
    expected = {"texts": TEXTS, "ids": ids, "prompt": prompt, "prompt_name": prompt_name, "truncate_dim": truncate or 0,
                "normalize": force_normalize, "embedding": "embedding.npy", "pooling": "+".join(modes),
                "ends_in_normalize": normalize, "similarity": st.similarity_fn_name, "max_tokens": st.max_seq_length}
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n")


def make_sentences(root, models):
    m = lambda name, modes, **more: make_sentence(root, models, name, more.pop("base", "bert-tiny"), modes, **more)  # noqa: E731
    prompts = {"query": "Query: ", "passage": ""}
    for mode in ("cls", "mean", "max", "mean_sqrt", "weightedmean", "last"):
        m(f"pool-{mode}", [mode])
        # Rows of the prompt do not count, except that "cls" is the first row of all.
        m(f"pool-{mode}-prompt", [mode], prompt="Search the wood: ", include_prompt=False)
    m("pool-all", ["cls", "max", "mean", "mean_sqrt", "weightedmean", "last"], normalize=True)
    m("pool-mean-max", ["max", "mean"])
    m("normalize", ["mean"], normalize=True, similarity="dot")
    m("dense-tanh", ["mean"], dense=[(20, "activation.Tanh", True)])
    m("dense-identity", ["cls"], dense=[(48, "linear.Identity", False)], normalize=True)
    m("dense-twice", ["max", "mean"], dense=[(24, "activation.ReLU", True), (7, "linear.Identity", True)], normalize=True)
    m("dense-gelu", ["last"], dense=[(16, "activation.GELU", True)])
    m("prompt-name", ["mean"], prompts=prompts, prompt_name="query", include_prompt=True)
    m("prompt-default", ["mean"], prompts=prompts, default_prompt="query", include_prompt=False)
    m("prompt-empty", ["mean"], prompts=prompts, default_prompt="query", prompt_name="passage", include_prompt=False)
    m("max-length", ["mean"], bert_config={"max_seq_length": 8, "do_lower_case": False})
    m("inside", ["mean"], inside="0_Transformer", bert_config={"max_seq_length": 12, "do_lower_case": False})
    m("truncate", ["mean"], truncate=10, force_normalize=True)
    m("roberta", ["mean"], base="roberta-tiny", bert_config={"max_seq_length": 40, "do_lower_case": True}, normalize=True)
    m("roberta-prompt", ["weightedmean"], base="roberta-tiny", prompt="query: ", include_prompt=False)


def main():
    here = Path(__file__).resolve().parent.parent / "fixtures"
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=here, help="where the folders models/ and sentence/ go")
    args = p.parse_args()
    for part in ("models", "sentence"):
        shutil.rmtree(args.out / part, ignore_errors=True)
    make_models(args.out / "models")
    make_sentences(args.out / "sentence", args.out / "models")
    size = sum(f.lstat().st_size for part in ("models", "sentence") for f in (args.out / part).rglob("*") if f.is_file() and not f.is_symlink())
    print(f"{len(list((args.out / 'models').iterdir()))} models, {len(list((args.out / 'sentence').iterdir()))} sentence models, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
