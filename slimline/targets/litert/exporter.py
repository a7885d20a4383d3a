"""From a quantized network to the .tflite that LiteRT runs in int8."""

import contextlib
import copy
import io
from pathlib import Path
from typing import Any

from torch import Tensor, fx

from slimline.errors import ParityError, TargetError
from slimline.targets import quiet
from slimline.targets.litert import hybrid_layers, installed, rewrites, runtime, tflite_file

INPUT, OUTPUT = "input", "logits"
"""Names of the signature, as in the .onnx."""


def write(converted: fx.GraphModule, example: Tensor, path: Path) -> dict[str, Any]:
    """Write a converted network for one image at a time, with channels last.

    `example` is float32 [1 or more, channels, height, width]. Returns what `model.json` says of
    the file.

    Raises:
        TargetError: LiteRT is not installed, does not fit this torch, does not convert the
            network, or refuses its own file.
        ParityError: its converter gave values other ranges than were trained.
    """
    installed.require()
    network = copy.deepcopy(converted)
    hybrid_layers.fold_scales(network)
    hybrid_layers.span_ranges(network)
    weights = hybrid_layers.find(network)
    rewrites.rewrite(network, image=INPUT, answer=OUTPUT)
    _convert(network, example[:1].permute(0, 2, 3, 1).contiguous(), path)
    hybrid_layers.restore(path, weights)
    _check_ranges(network, weights, path)
    takes, gives = _ends(path)
    return {
        "file": path.name,
        "input": {"name": INPUT, **takes, "layout": "nhwc"},
        "output": {"name": OUTPUT, **gives},
        "litert": installed.versions()["ai-edge-litert"],
        **tflite_file.describe(path),
    }


def _convert(network: fx.GraphModule, image: Tensor, path: Path) -> None:
    """Let LiteRT's converter write a rewritten network.

    The quantizer quantizes nothing here: that there is a static one tells the converter to make
    int8 operators of those between dequantize and quantize.

    Raises:
        TargetError: it fails.
    """
    silent = contextlib.redirect_stdout(io.StringIO())
    with quiet.converting("litert", "LiteRT's converter"), silent:
        import litert_torch
        from litert_torch.quantize import pt2e_quantizer, quant_config

        static = pt2e_quantizer.PT2EQuantizer().set_global(
            pt2e_quantizer.get_symmetric_quantization_config(is_per_channel=True)
        )
        litert_torch.convert(
            network,
            sample_kwargs={INPUT: image},
            quant_config=quant_config.QuantConfig(pt2e_quantizer=static),
        ).export(str(path))


def _ends(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return runtime.ends(path)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise TargetError(
            "device_export@litert: LiteRT does not run what its own converter wrote: "
            f"{reason.rstrip('.')}; quantization.mixed.float_layers can keep layers in float; else "
            "take litert from targets: the .onnx does not depend on it"
        ) from None


def _check_ranges(network: fx.GraphModule, weights: hybrid_layers.Weights, path: Path) -> None:
    """Refuse a file in which bytes stand for something else than in the network.

    Logits tell of that too, but less surely: deep networks carry rounding on.

    Raises:
        ParityError: some do; the text names where.
    """
    trained, found = set(rewrites.ranges(network)), tflite_file.ranges(path)
    trained |= {(tuple(steps.tolist()), 0) for _, steps in weights.values()}
    others = sorted({name or INPUT for steps, name in found.items() if steps not in trained})
    if others:
        raise ParityError(
            f"device_export@litert: LiteRT's converter gave ranges of its own to values of "
            f"{', '.join(others)}: the file would not be what was trained. "
            "quantization.mixed.float_layers can keep layers in float until that is mended"
        )
