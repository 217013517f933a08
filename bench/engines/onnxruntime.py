"""ONNX Runtime on the graph that its transformer optimiser fused; int8 by its dynamic quantiser."""
import os

from engines.padded import Padded, padded


class OnnxRuntime(Padded):
    @staticmethod
    def prepare(model, precision, work, calibration):
        from engines.pytorch import export

        fused = export(model, work)[1]
        if precision == "int8":
            import onnx
            from onnxruntime.quantization import QuantType, quantize_dynamic

            # Types of the fused operators' results are not inferred: they are floats.
            quantize_dynamic(fused, os.path.join(work, "int8.onnx"), per_channel=True, reduce_range=not vnni(), weight_type=QuantType.QInt8,
                             extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT})

    def load(self):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        path = os.path.join(self.work, "int8.onnx" if self.precision == "int8" else "fused.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.version = onnxruntime.__version__

    def run(self, rows):
        ids, mask = padded(rows)
        return self.session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def vnni():
    """Without VNNI the products of 8-bit pairs are summed in 16 bits, which 7-bit weights (reduce_range) keep from overflowing."""
    flags = open("/proc/cpuinfo").read()
    return "avx512_vnni" in flags or "avx_vnni" in flags
