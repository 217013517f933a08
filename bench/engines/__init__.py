"""The engines that are compared, one file each. A file is imported only by the process that runs its engine, so that none pays for
another's libraries."""
import importlib

ENGINES = {  # name: (module, class, the precisions it has on a CPU)
    "lathe": ("lathe", "Lathe", ("f32", "bf16", "int8")),
    "torch": ("pytorch", "Torch", ("f32", "bf16")),
    "torch-compiled": ("pytorch", "Compiled", ("f32", "bf16")),
    "onnxruntime": ("onnxruntime", "OnnxRuntime", ("f32", "int8")),
    "ctranslate2": ("ctranslate2", "CTranslate2", ("f32", "int8")),
    "openvino": ("openvino", "OpenVino", ("f32", "bf16", "int8")),
}
PRECISIONS = ("f32", "bf16", "int8")
MAX_TOKENS = 256  # what the model's own sentence_bert_config.json says


def engine(name):
    module, cls, _ = ENGINES[name]
    return getattr(importlib.import_module("engines." + module), cls)


def has(name, precision):
    return precision in ENGINES[name][2]
