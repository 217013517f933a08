"""CTranslate2's encoder, which takes padding out for its linear layers; it is not given the mean and the norm, so NumPy does them."""
import os

import numpy as np

from engines.padded import Padded, padded

TYPES = {"f32": "float32", "int8": "int8"}


class CTranslate2(Padded):
    @staticmethod
    def prepare(model, precision, work, calibration):
        import ctranslate2

        class Converter(ctranslate2.converters.TransformersConverter):
            def load_model(self, model_class, name, **options):
                options.pop("dtype", None)  # transformers of this version calls it torch_dtype; f32 is the default
                return super().load_model(model_class, name, **options)

        folder = os.path.join(work, "ctranslate2-" + precision)
        if not os.path.isdir(folder):
            Converter(model).convert(folder, quantization=TYPES[precision])

    def load(self):
        import ctranslate2

        folder = os.path.join(self.work, "ctranslate2-" + self.precision)
        self.encoder = ctranslate2.Encoder(folder, device="cpu", compute_type=TYPES[self.precision], inter_threads=1, intra_threads=self.threads)
        self.version = ctranslate2.__version__

    def run(self, rows):
        hidden = np.asarray(self.encoder.forward_batch(rows).last_hidden_state)
        mask = padded(rows)[1].astype(np.float32)
        mean = np.matmul(mask[:, None, :], hidden)[:, 0] / mask.sum(1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)
