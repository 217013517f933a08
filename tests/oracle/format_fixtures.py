"""Writes tests/format/data: small files from the reference implementations, numpy and safetensors (with torch for bfloat16).

    python3 tests/oracle/format_fixtures.py        # from the root of the tree; needs numpy, torch, safetensors

types.safetensors holds a tensor "x.T" of each element type T and its values once more as "x.T.f64", which is what lathe must read.
The metadata say how the file was written, so that a test can write the same bytes again."""
import os

import numpy as np
import torch
from safetensors.torch import save_file

OUT = "tests/format/data"
os.makedirs(OUT, exist_ok=True)

half_bits = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0x3C01, 0xBC00, 0x3555, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00]
brain_bits = [0x0000, 0x8000, 0x0001, 0x807F, 0x0080, 0x3F80, 0x3F81, 0xBF80, 0x3EAB, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x7FC0]
x = {
    "F16": torch.tensor(half_bits, dtype=torch.int32).to(torch.int16).view(torch.float16),
    "BF16": torch.tensor(brain_bits, dtype=torch.int32).to(torch.int16).view(torch.bfloat16),
    "F32": torch.tensor([[0.0, -0.0, 1e-45], [3.4e38, float("inf"), float("nan")]], dtype=torch.float32),
    "F64": torch.tensor([0.1, -1e300, 5e-324], dtype=torch.float64),
    "I8": torch.tensor([-128, 0, 127], dtype=torch.int8),
    "U8": torch.tensor([0, 255, 7], dtype=torch.uint8),
    "I16": torch.tensor([-32768, 32767], dtype=torch.int16),
    "I32": torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
    "I64": torch.tensor([-(2**63), 2**53, 3], dtype=torch.int64),
    "BOOL": torch.tensor([True, False, True]),
}
tensors = {}
for name, t in x.items():
    tensors[f"x.{name}"] = t
    tensors[f"x.{name}.f64"] = t.to(torch.float64, copy=True)
tensors["no rows"] = torch.zeros(0, 5)
tensors["one number \u00e9 \"quoted\"\n"] = torch.tensor(4.5)
tensors["float8"] = torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn)
tensors["many dimensions"] = torch.arange(4.0).reshape(1, 1, 1, 2, 1, 2, 1, 1)
save_file(tensors, f"{OUT}/types.safetensors", metadata={"format": "pt"})

os.chmod(f"{OUT}/types.safetensors", 0o644)
np.save(f"{OUT}/f4.npy", (np.arange(12, dtype="<f4") / 3).reshape(3, 4))
np.save(f"{OUT}/i4.npy", np.array([-1, 0, 2**31 - 1], dtype="<i4"))
np.save(f"{OUT}/i8.npy", np.arange(24, dtype="<i8").reshape(2, 3, 1, 4) - 7)
np.save(f"{OUT}/f8_scalar.npy", np.float64(0.1))
np.save(f"{OUT}/f8_fortran.npy", np.asfortranarray(np.arange(6.0).reshape(2, 3)))
with open(f"{OUT}/f2_version2.npy", "wb") as f:
    np.lib.format.write_array(f, np.array([1.5, -2.0, 65504.0], dtype="<f2"), version=(2, 0))
