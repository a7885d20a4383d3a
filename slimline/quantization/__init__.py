"""Int8 for ONNX Runtime: quantization-aware training, export, and the comparators.

`settings` needs no torch. `quantizer` says where fake-quant goes, `ranges`, `calibrators` and
`calibration` what it covers, `qat` prepares and converts. `int8` writes the product, in forms that
ONNX Runtime fuses: `gates`, `biases`, `pooling`, `moves`, `padding`, `grey_stem` and `islands`
rewrite the graph, and `opsets` for older runtimes; `trailing` leaves out what is appended at load,
`defaults` what need not be said. `parity` checks the file; `ptq` and `comparators` make what it is
compared with. `mixed` chooses layers that stay float, from the tables of `int8_scan` (made by
`sensitivity`) and `int8_times`; `placement` says what else in the graph is float then.
"""

import logging

# Importing torchao warns of a deprecation inside itself, which no user can act upon.
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
