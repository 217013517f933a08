"""OpenVINO on its own form of the exported graph; int8 by NNCF's static quantisation with SmoothQuant, calibrated on other texts."""
import os

from engines.padded import Padded, padded, tokenizer


class OpenVino(Padded):
    @staticmethod
    def prepare(model, precision, work, calibration):
        import openvino

        from engines.pytorch import export

        plain, int8 = os.path.join(work, "openvino-f32.xml"), os.path.join(work, "openvino-int8.xml")
        if not os.path.exists(plain):
            openvino.save_model(openvino.Core().read_model(export(model, work)[0]), plain, compress_to_fp16=False)
        if precision == "int8" and not os.path.exists(int8):
            import nncf

            rows = [e.ids for e in tokenizer(model).encode_batch(calibration)]
            feed = [dict(zip(("input_ids", "attention_mask"), padded([row]))) for row in rows]
            quantized = nncf.quantize(openvino.Core().read_model(plain), nncf.Dataset(feed), model_type=nncf.ModelType.TRANSFORMER,
                                      subset_size=len(feed))
            openvino.save_model(quantized, int8, compress_to_fp16=False)

    def load(self):
        import openvino

        core = openvino.Core()
        hint = "f32"
        if self.precision != "f32" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            hint = "bf16"  # of int8: what stays in floats
        elif self.precision == "bf16":
            raise SystemExit("openvino: this processor has no bf16")
        settings = {"INFERENCE_NUM_THREADS": self.threads, "INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        path = os.path.join(self.work, f"openvino-{'int8' if self.precision == 'int8' else 'f32'}.xml")
        self.compiled = core.compile_model(path, "CPU", settings)
        self.note = f", floats in {hint}" if self.precision == "int8" else ""
        self.version = openvino.__version__

    def run(self, rows):
        ids, mask = padded(rows)
        return self.compiled({"input_ids": ids, "attention_mask": mask})[0]
