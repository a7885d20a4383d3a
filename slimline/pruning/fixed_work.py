"""Multiply-accumulates with weights that no convolution or linear layer does, which pruning leaves.

That is `F.conv2d(x, self.kernel)` and its like in a `forward`, `einsum` with a weight, transposed
convolutions, those of sequences and volumes, and recurrent layers. Products of two matrices that
are both computed from the image, as in attention, do not count, nor does what is done with a
layer's weight besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from slimline.pruning.function_rules import leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

_PER_OUTPUT = {"conv1d", "conv2d", "conv3d", "linear", "bilinear"}
_PER_INPUT = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
_PRODUCTS = {"matmul", "__matmul__", "mm"}
_PLACES_OF_WEIGHT = {"bilinear": 2}
"""Among the tensors that a function gets, where it is not the second."""
_MOST_DIMENSIONS = 3
"""Of what is multiplied by a matrix: maps of heads have more."""


Note = Callable[[str, int], None]
"""Takes the name of a weight or module, and its multiply-accumulates."""


@contextmanager
def noting(network: nn.Module, note: Note) -> Iterator[None]:
    """Tell `note` of such work, while the network runs on one image; not of that in its layers."""
    mode = _Noting(network, note)
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            hooks.append(module.register_forward_pre_hook(mode.enter_layer))
            hooks.append(module.register_forward_hook(mode.leave_layer))
        elif isinstance(module, nn.RNNBase):
            hooks.append(module.register_forward_hook(partial(_note_recurrent, name, note)))
    try:
        with mode:
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _note_recurrent(name: str, note: Note, module: nn.RNNBase, given: Any, _: Any) -> None:
    """Note the work of all matrices at each place of a sequence."""
    places = given[0].numel() // given[0].shape[-1]
    note(name, places * sum(each.numel() for each in module.parameters() if each.dim() > 1))


class _Noting(TorchFunctionMode):
    """Sees each function that the network calls."""

    def __init__(self, network: nn.Module, note: Note) -> None:
        super().__init__()
        self._note, self._depth = note, 0
        self._constants: dict[int, tuple[Tensor, str]] = {}
        """What is made of no image, by its id, with the name of a weight in it."""
        of_layers = {
            id(weight)
            for layer in network.modules()
            if isinstance(layer, nn.Conv2d | nn.Linear)
            for weight in layer.parameters()
        }
        for name, weight in [*network.named_parameters(), *network.named_buffers()]:
            if id(weight) not in of_layers:
                self._constants[id(weight)] = (weight, name.removesuffix(".weight"))

    def enter_layer(self, *_: Any) -> None:
        self._depth += 1

    def leave_layer(self, *_: Any) -> None:
        self._depth -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [each for each in leaves((args, kwargs or {})) if isinstance(each, Tensor)]
        names = [self._constants[id(each)][1] for each in tensors if id(each) in self._constants]
        if len(names) == len(tensors):
            for each in leaves(result):
                if isinstance(each, Tensor):
                    self._constants[id(each)] = (each, next(filter(None, names), ""))
        elif not self._depth and isinstance(result, Tensor):
            if func.__name__ == "einsum":
                self._count_sum(args[0], tensors, result)
            else:
                self._count(func.__name__, tensors, result)
        return result

    def _count(self, function: str, tensors: list[Tensor], result: Tensor) -> None:
        """Note the work of a function with a constant weight; the image's maps come first."""
        place = _PLACES_OF_WEIGHT.get(function, 1)
        if len(tensors) <= place:
            return
        maps, weight = tensors[0], tensors[place]
        if id(maps) in self._constants or id(weight) not in self._constants:
            return
        name = self._constants[id(weight)][1] or "forward"
        if function in _PER_OUTPUT:
            self._note(name, result.numel() * weight[0].numel())
        elif function in _PER_INPUT:
            self._note(name, maps.numel() * weight[0].numel())
        elif function in _PRODUCTS and weight.dim() == 2 and maps.dim() <= _MOST_DIMENSIONS:
            self._note(name, result.numel() * len(weight))

    def _count_sum(self, equation: str, tensors: list[Tensor], result: Tensor) -> None:
        """Note the work of an `einsum` of the image's maps and a constant weight, in any order."""
        weights = [each for each in tensors if id(each) in self._constants]
        if len(tensors) == 2 and len(weights) == 1:
            name = self._constants[id(weights[0])][1] or "forward"
            self._note(name, result.numel() * _num_summed(equation, tensors))


def _num_summed(equation: str, tensors: list[Tensor]) -> int:
    """Return how many products an `einsum` adds for each of its values."""
    given, arrow, answer = equation.replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, tensor in zip(given.split(","), tensors, strict=True):
        first, _, last = term.partition("...")
        found = [*zip(first, tensor.shape, strict=False)]
        found += zip(reversed(last), reversed(tensor.shape), strict=False)
        for index, size in found:
            sizes[index] = max(size, sizes.get(index, 1))
    kept = answer if arrow else [each for each in sizes if given.count(each) == 1]
    return math.prod(size for index, size in sizes.items() if index not in kept)
