"""Int8: quantization-aware training, the checked product, and what it is compared with.

`settings` needs no torch. `quantizer` says where fake-quant goes, `observers`, `calibrators`
and `calibration` what it covers, `qat` prepares, trains and converts, `bias_rounding` makes fake-
quant answer as the file will. `int8_export` has the file written by its target (`slimline.targets`)
and checked (`slimline.parity`); `ptq` and `onnxruntime_quantizers` make what it is compared with.
`mixed_precision` chooses layers that stay float, from the tables of `int8_sensitivity_table` (made
by `int8_sensitivity`) and `int8_times`, and `mixed_record` keeps why; `float_operators` says what
else in the graph is float then.
"""

import logging

# Importing torchao warns of a deprecation inside itself, which no user can act upon.
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
