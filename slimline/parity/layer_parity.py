"""Names the layer at which an .onnx file parts from the network that it was made from.

Each place (`slimline.parity.places`) is judged by its own doing: the network goes on from what the
file has there, so that no layer is blamed for its input. In a deep network a last bit that rounding
turned becomes many steps; here it stays one.

What rounding explains is known of each value. A byte lies at most half a step from what the network
has before it rounds, however close to a tie that is. A float sum may be off by a share of what was
added up, the sum of the absolute products (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1), and by what ONNX Runtime's approximate functions are. So one rule holds for any
number of images, large activations and networks that are hardly trained.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from slimline.parity import places
from slimline.parity.places import ACTIVATIONS, BATCHNORM, LAYERS, Place, Places
from slimline.targets.onnxruntime import runtime, to_onnx
from slimline.targets.onnxruntime.graph import scale_and_zero

_HALF = 0.5 + 0.1
"""Steps: rounding, and what kernels in integers may be off before they round. Sound files need less
than 0.501 on x86 (docs/experiments.md)."""

_TWO_ROUNDINGS = 1.5
"""Steps: where not every rounding can be compared, one before a layer may have turned a bit."""

_TURNED = 2
"""How many bytes in front of a layer may be another, where they cannot be compared either: those of
its largest weight."""

_FLOAT = 1e-4
"""Share of what was added up. Sound files need less than a tenth of it (docs/experiments.md)."""

_LAST_BIT = 2.0**-23
"""Of the largest value that was added up: what any of them may be off by, however small."""

_FLOAT_BEHIND_SOFTMAX = 10 * _FLOAT
"""The same in networks with attention: what rounding does to a logit of softmax is as large a share
of its exponential, which is not followed to the next layer."""

_APPROXIMATE = 2e-7
"""What ONNX Runtime's and torch's sigmoid and tanh may be off by below zero, and SiLU as a share of
what it is given; 1.4e-7 was seen. Beside 1 that is little, but a SiLU of -15 is a fifth of itself
off by 6.5e-8, and a layer that sees nothing larger answers otherwise."""

_APPROXIMATE_GELU = 5e-7
"""The same of GELU; 3.6e-7 was seen, of torch's with AVX-512."""

_BATCH = 10
"""Images at once: all values of a network are held."""

LOGITS = "the logits"

_aten = torch.ops.aten
_BOUNDED = {
    _aten.sigmoid.default,
    _aten.sigmoid_.default,
    _aten.tanh.default,
    _aten.tanh_.default,
}
_TIMES_BOUNDED = {
    _aten.silu.default: _APPROXIMATE,
    _aten.silu_.default: _APPROXIMATE,
    _aten.gelu.default: _APPROXIMATE_GELU,
    _aten.gelu_.default: _APPROXIMATE_GELU,
}
_LAYER_NORM = _aten.layer_norm.default
_ROWS_STAY = {_aten.reshape.default, _aten.view.default, _aten.flatten.using_ints}
_SOFTMAX = {_aten.softmax.int, _aten.scaled_dot_product_attention.default}
_PRODUCTS = {_aten.mul.Tensor, _aten.mul_.Tensor}
_SUMS = {_aten.add.Tensor, _aten.add_.Tensor}
_MEANS = {_aten.mean.dim, _aten.adaptive_avg_pool2d.default, _aten.avg_pool2d.default}


@dataclass(frozen=True)
class LayerDifference:
    """How a place of the file differs from that of the network, both given the same values."""

    name: str
    """As in `slimline.parity.places`; `LOGITS` for what the file answers in the end."""
    share: float
    """The largest difference, as a share of what rounding explains."""
    rounded: bool
    """Whether in steps of int8, or in float."""

    @property
    def parts(self) -> bool:
        """Is that more than rounding?"""
        return not self.share <= 1  # NaN is more

    def __str__(self) -> str:
        kind = "to a byte" if self.rounded else "of float sums"
        return f"{self.name}, which differs by {self.share:.3g} times what rounding {kind} explains"


@dataclass(frozen=True)
class Compared:
    """What `compare` found."""

    layers: list[LayerDifference]
    """All places in order of execution, and the logits."""
    logits: NDArray[np.float32]
    """[images, classes], of the file while its places were asked for as well."""

    @property
    def parting(self) -> LayerDifference | None:
        """The first that differs by more than rounding, None where none does."""
        return next((each for each in self.layers if each.parts), None)


def explain(compared: Compared | None) -> str:
    """Return half a sentence that names the first layer which parts, of what `compare` found."""
    if compared is None:
        return "at which layer cannot be told, since the file has others than the network"
    if compared.parting is None:
        return "no layer alone differs by more than rounding"
    return f"they part at layer {compared.parting}"


def compare(
    network: fx.GraphModule,
    path: Path,
    images: NDArray[np.float32],
    *,
    optimised: bool,
    num_threads: int,
) -> Compared | None:
    """Return how a file's places differ from a network's; None if the file has other layers.

    `network` is exported, in evaluation mode, and may have fake-quant that is not yet converted;
    `images` are normalised, float32 [count, channels, height, width].
    """
    model = ir.load(path)
    found = places.find(network, model)
    if found is None:
        return None
    comparer = _Comparer(network, found)
    values = FileValues(model, found.places, optimised=optimised, num_threads=num_threads)
    logits = []
    with torch.no_grad():
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            of_file = values.of(batch)
            comparer.compare(torch.from_numpy(batch), of_file)
            logits.append(of_file[0].numpy())
    names = [(place.name, place.quantize is not None) for place in found.places]
    layers = [
        LayerDifference(name, share, rounded)
        for (name, rounded), share in zip([*names, (LOGITS, False)], comparer.shares, strict=True)
    ]
    return Compared(layers, np.concatenate(logits))


class FileValues:
    """A file that also returns what it has at each place."""

    def __init__(
        self, model: ir.Model, found: list[Place], *, optimised: bool, num_threads: int
    ) -> None:
        self._places = found
        (answer,) = model.graph.outputs
        self._names = [answer.name, *(place.value.name for place in found)]
        for place in found:
            if not place.value.is_graph_output():
                model.graph.outputs.append(place.value)
        content = ir.to_proto(model).SerializeToString()
        self._session = runtime.load(content, num_threads=num_threads, optimised=optimised)

    @classmethod
    def load(
        cls, path: Path, network: fx.GraphModule, *, optimised: bool, num_threads: int
    ) -> "FileValues":
        """Return those of a file that has the layers of a network."""
        model = ir.load(path)
        found = places.find(network, model)
        assert found is not None
        return cls(model, found.places, optimised=optimised, num_threads=num_threads)

    def of(self, images: NDArray[np.float32]) -> list[Tensor]:
        """Return the logits, and the float32 values of each place."""
        logits, *raw = self._session.run(self._names, {to_onnx.INPUT: images})
        return [torch.from_numpy(logits), *self._dequantized(raw)]

    def _dequantized(self, raw: list[NDArray[Any]]) -> Iterator[Tensor]:
        for values, place in zip(raw, self._places, strict=True):
            if place.quantize is None:
                yield torch.from_numpy(values)
                continue
            quantization = scale_and_zero(place.quantize)
            assert quantization is not None, "values are quantized in fixed steps"
            scale, zero = quantization
            yield torch.from_numpy((values.astype(np.float32) - np.float32(zero)) * scale)


class _Comparer(fx.Interpreter):
    """Runs a network, and goes on from each place with what the file has there."""

    def __init__(self, network: fx.GraphModule, found: Places) -> None:
        super().__init__(network)
        self._graph, self._every_rounding = network, found.every_rounding
        self._steps = _HALF if found.every_rounding else _TWO_ROUNDINGS
        is_followed = _SOFTMAX.isdisjoint(node.target for node in network.graph.nodes)
        self._float = _FLOAT if is_followed else _FLOAT_BEHIND_SOFTMAX
        self._numbers = {place.end: number for number, place in enumerate(found.places)}
        for again, first in places.again_rounded(network).items():
            if first in self._numbers:
                self._numbers.setdefault(again, self._numbers[first])
        self._values: list[Tensor] = []
        self._sums: dict[fx.Node, Tensor] = {}
        self._errors: dict[fx.Node, Any] = {}
        self._turned_before: dict[fx.Node, Tensor] = {}
        """How far a LayerNorm may be off by a byte that rounding turned before it, [..., 1]."""
        self.shares = [0.0] * (len(found.places) + 1)

    def compare(self, images: Tensor, values: list[Tensor]) -> None:
        """Compare some images; `values` are of the file, logits first."""
        logits, *self._values = values
        own = self.run(images)
        self._errors.clear()
        self._turned_before.clear()
        self._note(len(self._values), (logits - own).abs(), self._float * own.abs().amax())

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        error = self._approximated(n, args, kwargs)  # before it changes an argument in place
        if n.target is _LAYER_NORM:
            self._turned_before[n] = self._amplified(n, *args)
        value = super().run_node(n)
        first: Any = n.args[0] if n.args else None
        if n.target in LAYERS:
            self._sums[n] = _added_up(n, args, kwargs)
        elif n.target is BATCHNORM and first in self._sums:
            self._sums[n] = _normalised(self._sums.pop(first), args)
        elif n.target in ACTIVATIONS and first in self._sums:
            self._sums[n] = self._sums.pop(first)  # none makes more of a difference
        if n not in self._numbers:
            if error is not None:
                self._errors[n] = error
            return value
        number = self._numbers[n]
        found = self._values[number]
        # Padding adds channels of 0 behind those of the network.
        found = found[:, : value.shape[1]].reshape(value.shape)
        if places.is_fake_quant(self._graph, n):
            difference, allowed = self._of_bytes(n, args[0], found)
            before = None if self._every_rounding else self._errors.get(first)
            self._note(number, difference, allowed if before is None else allowed + before)
            self._sums.pop(first, None)
        else:
            # What an activation adds by itself, as hard-sigmoid its half, is in the value.
            size = self._sums.pop(n) + value.abs()
            # A layer may pick one value, near 0, of a difference of large ones, as LayerNorm is.
            allowed = self._float * size + _LAST_BIT * size.amax()
            allowed = allowed if error is None else allowed + error
            self._note(number, (found - value).abs(), allowed)
        return found

    def _approximated(self, n: fx.Node, args: Any, kwargs: Any) -> Any:
        """Return how far off a value may be by approximate functions since the last place.

        None where none of them went before, or where what they do to it is not known.
        """
        target: Any = n.target
        if target in _BOUNDED:
            return torch.full_like(args[0], _APPROXIMATE)
        if target in _TIMES_BOUNDED:
            return _TIMES_BOUNDED[target] * args[0].abs()
        given = [self._errors.get(each) for each in n.args[:2] if isinstance(each, fx.Node)]
        first = given[0] if given else None
        if target in _PRODUCTS | _SUMS and len(given) == 2 and any(e is not None for e in given):
            one, other = (0.0 if each is None else each for each in given)
            if target in _SUMS:
                return torch.zeros_like(args[0] + args[1]) + one + other
            return one * args[1].abs() + other * args[0].abs()
        if target in LAYERS:
            turned = self._turned(n.args[0], len(args[0]), args[1])
            if first is None:
                return turned
            before = target(first, args[1].abs(), None, *args[3:], **kwargs)
            return before if turned is None else before + turned
        if first is None:
            return None
        if target is BATCHNORM:
            return first * _factor(args).view(1, -1, *[1] * (first.dim() - 2))
        if target in ACTIVATIONS:
            return first
        if target in _MEANS | places.MOVES:
            return target(first, *args[1:], **kwargs)
        return None

    def _turned(self, read: Any, rows: int, weight: Tensor) -> Tensor | None:
        """Return how far off a layer may be by bytes in front of it that rounding turned.

        One value a channel, float32 [channels, 1, 1], or of a linear layer [channels], and where a
        LayerNorm stands in front [rows, channels]; None where those bytes are a place.
        """
        steps = [] if self._every_rounding else list(self._steps_before(read))
        if not steps:
            return None
        by_row = weight.dim() == 2 and all(each.numel() in {1, rows} for each in steps)
        largest = [each.view(-1, 1) if by_row else each.median() for each in steps]
        turned = _TURNED * reduce(torch.maximum, largest) * weight.abs().flatten(1).amax(1)
        return turned if weight.dim() == 2 else turned.view(-1, *[1] * (weight.dim() - 2))

    def _amplified(
        self,
        n: fx.Node,
        maps: Tensor,
        shape: Sequence[int],
        weight: Tensor | None = None,
        _bias: Tensor | None = None,
        epsilon: float = 1e-5,
        *_: Any,
    ) -> Tensor:
        """Return how far off a LayerNorm may be by one byte in front of it that rounding turned.

        It divides by the deviation of its values, which may be much smaller than they are.
        """
        given: Any = n.args[0]
        steps = [] if self._every_rounding else list(self._steps_before(given))
        step = max((float(each.max()) for each in steps), default=0.0)
        gain = 1.0 if weight is None else float(weight.abs().max())
        dims = tuple(range(-len(shape), 0))
        deviation = (maps.var(dims, correction=0, keepdim=True) + epsilon).sqrt()
        # No value of a LayerNorm is further from 0 than this root, times its weight.
        most = 2 * math.prod(shape) ** 0.5
        amplified: Tensor = gain * (step / deviation).clamp_max(most)
        return amplified

    def _steps_before(self, read: fx.Node, *, rows_stay: bool = True) -> Iterator[Tensor]:
        """Yield the steps of the roundings in front of a value that are no place, through moves.

        One value; of a LayerNorm with what it makes of a step before it, one a row, or that of a
        usual row where moves change their order.
        """
        if read in self._numbers:
            return
        if places.is_fake_quant(self._graph, read):
            fake_quant: Any = self.module.get_submodule(str(read.target))
            source: Any = read.args[0]
            while source.target in _ROWS_STAY:
                source = source.args[0]
            before = self._turned_before.get(source, torch.zeros(1))
            yield fake_quant.scale.view(1) + (before.flatten() if rows_stay else before.median())
        elif read.target in places.MOVES:
            for each in read.all_input_nodes:
                stay = rows_stay and read.target in _ROWS_STAY
                yield from self._steps_before(each, rows_stay=stay)

    def _of_bytes(self, n: fx.Node, unrounded: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far bytes lie from what was rounded to them, and how far they may."""
        fake_quant: Any = self.module.get_submodule(str(n.target))
        step, zero = fake_quant.scale, fake_quant.zero_point
        low, high = ((end - zero) * step for end in (fake_quant.quant_min, fake_quant.quant_max))
        return (found - unrounded.clamp(low, high)).abs(), self._steps * step

    def _note(self, number: int, difference: Tensor, allowed: Tensor) -> None:
        """Keep the largest share of what is allowed; where nothing is, no difference is none."""
        shares = torch.where(difference == 0, 0.0, difference / allowed)
        self.shares[number] = float(np.maximum(self.shares[number], float(shares.max())))


def _added_up(layer: fx.Node, args: Any, kwargs: Any) -> Tensor:
    """Return the sums of absolute products of a layer, shaped as its output."""
    absolute = [each.abs() if isinstance(each, Tensor) else each for each in args]
    sums: Tensor = layer.target(*absolute, **kwargs)  # type: ignore[operator]
    return sums


def _normalised(sums: Tensor, args: Any) -> Tensor:
    """Return what BatchNorm makes of such sums, its own constants added."""
    _, _, bias, mean, *_ = args
    factor, shape = _factor(args), (1, -1, *[1] * (sums.dim() - 2))
    constant = factor * mean.abs() + (0.0 if bias is None else bias.abs())
    result: Tensor = sums * factor.view(shape) + constant.view(shape)
    return result


def _factor(args: Any) -> Tensor:
    """Return what BatchNorm multiplies each channel by, without its sign."""
    _, weight, _, _, variance, *_, epsilon, _ = args
    scale = 1.0 if weight is None else weight.abs()
    factor: Tensor = scale / (variance + epsilon).sqrt()
    return factor
