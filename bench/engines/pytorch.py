"""PyTorch, eager and compiled: BertModel of transformers with SDPA attention."""
import json
import os

from engines.padded import Padded, padded


def sentence_module(model, attention):
    """BERT, mean over the tokens, unit length, as one PyTorch module: what is run, and what is exported to ONNX."""
    import torch
    from transformers import BertModel

    class Sentence(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = BertModel.from_pretrained(model, add_pooling_layer=False, attn_implementation=attention).eval()

        def forward(self, input_ids, attention_mask):
            hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
            weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)

    return Sentence()


def export(model, work):
    """The module as ONNX, and the same with ONNX Runtime's fusions for BERT; made once."""
    plain, fused = os.path.join(work, "plain.onnx"), os.path.join(work, "fused.onnx")
    if not os.path.exists(fused):
        import torch
        from onnxruntime.transformers.optimizer import optimize_model

        ids = torch.randint(1000, 2000, (2, 9))
        axes = {0: "batch", 1: "tokens"}
        torch.onnx.export(sentence_module(model, "eager"), (ids, torch.ones_like(ids)), plain, opset_version=17, dynamo=False,
                          input_names=["input_ids", "attention_mask"], output_names=["vector"],
                          dynamic_axes={"input_ids": axes, "attention_mask": axes, "vector": {0: "batch"}})
        config = json.load(open(os.path.join(model, "config.json")))
        graph = optimize_model(plain, model_type="bert", num_heads=config["num_attention_heads"],
                               hidden_size=config["hidden_size"], opt_level=0)
        print("onnxruntime fused:", {k: v for k, v in graph.get_fused_operator_statistics().items() if v})
        graph.save_model_to_file(fused)
    return plain, fused


class Torch(Padded):
    def load(self):
        import torch

        torch.set_num_threads(self.threads)
        torch.set_grad_enabled(False)
        self.module = sentence_module(self.model, "sdpa").to(torch.bfloat16 if self.precision == "bf16" else torch.float32)
        self.version = torch.__version__

    def run(self, rows):
        import torch

        ids, mask = padded(rows)
        return self.module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()


class Compiled(Torch):
    """torch.compile with any batch and length (dynamic shapes) and frozen weights, which packs them for oneDNN."""

    def load(self):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(self.work, "inductor")
        super().load()
        import torch
        import torch._inductor.config

        torch._inductor.config.freezing = True
        self.module = torch.compile(self.module, dynamic=True)
        self.run([[101, 102, 102]] * 4)
        self.run([[101, 102]] * 3)

    @staticmethod
    def prepare(model, precision, work, calibration):
        Compiled(model, precision, 1, work)  # the compiler's own cache is filled
