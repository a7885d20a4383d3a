"""Int8 for ONNX Runtime: quantization-aware training, export, and the comparators.

`settings` needs no torch. `quantizer` says where fake-quant goes, `qat` prepares and converts,
`int8` writes the product, `ptq` and `dynamic` make what it is compared with, `parity` checks it.
"""

import logging

# Importing torchao warns of a deprecation inside itself, which no user can act upon.
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
