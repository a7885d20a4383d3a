"""Finds what the fake-quants of a network are given, and sets their ranges by a calibrator.

ONNX Runtime's own quantizer has its own (`slimline.quantization.onnxruntime_quantizers`).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils.hooks import RemovableHandle
from torchao.quantization.pt2e import FakeQuantize

from slimline.quantization.calibrators import CALIBRATORS, NUM_BINS, Calibrator, Histogram
from slimline.quantization.observers import KNEE, OnlySwishObserver
from slimline.quantization.operators import constants

_MANY_FLAT = 0.1
"""Share of calibration images that may show nothing before that is told."""
_WITH_CHANNELS = (2, 4)
"""Dimensions of values whose second one is channels."""
_MUCH_CUT = 0.01
"""Share of the values of an activation that a range may leave out before that is told: entropy left
out 3 to 8 % with 5 to 50 images, where it cost 1.3 to 3 points, and minmax none."""
_LOPSIDED = 100
"""Times the middle channel that the largest may be: beyond that half of them have few bytes."""


def count_flat(images: Tensor) -> int:
    """Return how many of [count, channels, height, width] have one colour everywhere."""
    return int((images.amax((2, 3)) == images.amin((2, 3))).all(1).sum())


def warning(num_flat: int, count: int) -> str:
    """Return what to say of calibration images of which some are flat; empty: nothing."""
    if num_flat < _MANY_FLAT * count:
        return ""
    return (
        f"warning: {num_flat} of {count} calibration images have one colour everywhere, as black "
        "ones have, and ranges that fit them cut off what photos hold: look at where "
        "data.calibration_images are taken from"
    )


def of_images(batches: Iterable[Tensor]) -> list[str]:
    """Return what to say of calibration images, a sentence each, where no range tells of them.

    Batches are [count, channels, height, width], normalised.
    """
    low, high = float("inf"), float("-inf")
    num_flat = count = 0
    for batch in batches:
        low, high = min(low, batch.min().item()), max(high, batch.max().item())
        num_flat, count = num_flat + count_flat(batch), count + len(batch)
    told = (warning(num_flat, count), _of_constant("the input", low) if low == high else "")
    return [each for each in told if each]


def set_ranges(network: nn.Module, calibrator: Calibrator, run: Callable[[], None]) -> list[str]:
    """Give each activation the range that a calibrator chooses; ranges of constants stay.

    Returns what to say of values that a range for all channels does no good, a sentence each.

    `run` feeds the network with the calibration images and is called for the extremes, and again
    for the counts between them, where these decide. Fake-quant is expected to be off, so that the
    values are float.
    """
    names, of_constants = _names(network), _of_constants(network)
    watched = [
        _Watched(each, names.get(name, name))
        for name, each in network.named_modules()
        if _is_of_activation(each) and name not in of_constants
    ]
    passes = (_Watched.widen,) if calibrator == "minmax" else (_Watched.widen, _Watched.count)
    for observe in passes:
        hooks = [each.watch(observe) for each in watched]
        run()
        for hook in hooks:
            hook.remove()
    left_out = [(each.set_range(calibrator), each.name) for each in watched]
    of_values = [told for each in watched if (told := each.told())]
    return [*of_values, *_of_cuts(left_out, calibrator)]


def _of_constant(name: str, value: float) -> str:
    return (
        f"warning: {name} is {value:.3g} in all calibration images, of which no range can be "
        "found: look at where data.calibration_images are taken from"
    )


def _of_cuts(left_out: list[tuple[float, str]], calibrator: Calibrator) -> list[str]:
    """Return what to say of ranges that leave out many values, by the share of each; or nothing."""
    worst, name = max(left_out, default=(0.0, ""))
    if worst <= _MUCH_CUT:
        return []
    count = sum(share > _MUCH_CUT for share, _ in left_out)
    return [
        f"warning: calibrator {calibrator} leaves {100 * worst:.1f} % of the values of "
        f"{name} out of its range, and more than {100 * _MUCH_CUT:.0f} % of {count} of "
        f"{len(left_out)} activations, as it does with few images: if int8 costs accuracy, give it "
        "more (data.calibration_images), or set the calibrator to minmax"
    ]


def _names(network: nn.Module) -> dict[str, str]:
    """Return, by the name of a fake-quant, the module of the network whose values it is given."""
    if not isinstance(network, fx.GraphModule):
        return {}
    found = {}
    for node in network.graph.nodes:
        given = node.args[0] if node.op == "call_module" and node.args else None
        if isinstance(given, fx.Node):
            modules = [path for path, _ in given.meta.get("nn_module_stack", {}).values()]
            own = modules[-1] if modules and modules[-1] else given.name
            found[str(node.target)] = "the input" if given.op == "placeholder" else own
    return found


def _of_constants(network: nn.Module) -> set[str]:
    """Return the names of fake-quants that are given weights alone, as a layer scale's."""
    if not isinstance(network, fx.GraphModule):
        return set()
    known = constants(network.graph)
    calls = [node for node in network.graph.nodes if node.op == "call_module"]
    of_images = {str(node.target) for node in calls if node not in known}
    return {str(node.target) for node in calls} - of_images


def _times_the_middle(of_channels: Tensor) -> float:
    """Return how many times the middle one the largest is, of those that are not 0."""
    used = of_channels[of_channels > 0]
    return float(used.max() / used.median()) if len(used) else 1.0


def _is_of_activation(module: nn.Module) -> bool:
    return isinstance(module, FakeQuantize) and module.qscheme == torch.per_tensor_affine


class _Watched:
    """A fake-quant, and what it was given so far."""

    def __init__(self, fake_quant: Any, name: str) -> None:
        self._fake_quant, self.name = fake_quant, name
        self._observer = fake_quant.activation_post_process
        self._low, self._high = float("inf"), float("-inf")
        self._counts = torch.zeros(NUM_BINS, dtype=torch.float64)
        self._of_channels: dict[int, Tensor] = {}
        """The largest absolute value of each channel, by how many there are: values that are only
        moved, as halves, share a fake-quant."""

    def watch(self, observe: Callable[["_Watched", Tensor], None]) -> RemovableHandle:
        """Call one of the methods below with all that the fake-quant is given."""

        def hook(_: nn.Module, given: tuple[Tensor]) -> None:
            values = given[0].detach()
            # Below this all values are the same to a hard-swish: none of them is an error.
            is_clipped = isinstance(self._observer, OnlySwishObserver)
            observe(self, values.clamp(min=-KNEE) if is_clipped else values)

        handle: RemovableHandle = self._fake_quant.register_forward_pre_hook(hook)
        return handle

    def widen(self, values: Tensor) -> None:
        """Remember the extremes."""
        self._low = min(self._low, values.min().item())
        self._high = max(self._high, values.max().item())
        if values.dim() in _WITH_CHANNELS:
            found = values.abs().transpose(0, 1).flatten(1).amax(1)
            known = self._of_channels.get(len(found), found)
            self._of_channels[len(found)] = torch.maximum(known, found)

    def told(self) -> str:
        """Return what to say of the values; empty: nothing."""
        if self._low == self._high:
            return _of_constant(self.name, self._low)
        ratio = max(map(_times_the_middle, self._of_channels.values()), default=1.0)
        if ratio < _LOPSIDED:
            return ""
        return (
            f"warning: one channel of {self.name} reaches {ratio:,.0f} times as far as half of "
            "the others do, for which few of the 256 bytes are left: if int8 costs accuracy, set "
            "quantization.equalise, or keep what reads it in float (quantization.mixed)"
        )

    def count(self, values: Tensor) -> None:
        """Count the values by bins between the extremes."""
        if self._low < self._high:
            counts = torch.histc(values.float(), NUM_BINS, self._low, self._high)
            self._counts += counts.double()

    def set_range(self, calibrator: Calibrator) -> float:
        """Tell the observer, and the fake-quant what follows from it.

        Something that is the same everywhere keeps the range that the observer saw. Returns the
        share of the values that is out of the range, 0 to 1.
        """
        left_out = 0.0
        if self._low < self._high:
            found = Histogram(self._counts.numpy(), self._low, self._high)
            low, high = CALIBRATORS[calibrator](found)
            self._observer.min_val.fill_(low)
            self._observer.max_val.fill_(high)
            left_out = found.share_outside(low, high)
        scale, zero_point = self._fake_quant.calculate_qparams()
        self._fake_quant.scale.copy_(scale)
        self._fake_quant.zero_point.copy_(zero_point)
        return left_out
