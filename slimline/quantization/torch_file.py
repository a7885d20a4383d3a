"""A model in torch's own form: a .pt2 that `torch.export.load` reads, with nothing of ours.

Of a float model it is the network; of a fake-quant one the network with its ranges fixed, which
rounds as the int8 file does, in float. The bytes depend on the model alone: what torch notes of the
lines of code that a network came from, with paths of the machine, is left out.
"""

import copy
from pathlib import Path

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torchao.quantization.pt2e import FakeQuantizeBase

from slimline.artifacts import description, model_folder
from slimline.errors import ParityError
from slimline.networks.classifier import Classifier
from slimline.quantization import int8_export
from slimline.targets.onnxruntime import to_onnx

_OF_THE_SOURCE = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")
_NUM_IMAGES = 8


def write(folder: Path, path: Path) -> None:
    """Write the model of a folder of the chain as a .pt2 that takes any batch from 1 up.

    It takes what the model takes, float32 [batch, channels, height, width], normalised, and returns
    logits [batch, classes]. It is loaded again and compared before this returns.

    Raises:
        ArtifactError: the folder is incomplete, or its weights are not those of its description.
        ParityError: the file answers otherwise than the model.
    """
    model = _load(folder)
    program = to_onnx.program(model.network, model.example)
    with to_onnx.quiet_exporter():
        _forget_the_source(program)
        torch.export.save(program, path)
        found = torch.export.load(path).module()
    images = torch.randn(_NUM_IMAGES, *model.example.shape[1:])
    with torch.no_grad():
        difference = float((found(images) - model.network(images)).abs().max())
    if difference != 0:  # NaN is no agreement
        raise ParityError(f"{path.name}: answers otherwise than {folder}, by {difference:.3g}")


def _load(folder: Path) -> Classifier:
    if (folder / description.ONNX).is_file():
        return model_folder.load(folder)
    trained = int8_export.load_prepared(folder)
    return trained.with_network(_with_fixed_ranges(trained.network))


def _forget_the_source(program: ExportedProgram) -> None:
    for module in program.graph_module.modules():
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                for key in _OF_THE_SOURCE:
                    node.meta.pop(key, None)
    program.example_inputs = None


def _with_fixed_ranges(network: nn.Module) -> nn.Module:
    """Return a fake-quant network of torch's own operators, which observes nothing."""
    fixed = copy.deepcopy(network)
    # Values that are only moved share the fake-quant of what they were.
    for name, module in list(fixed.named_modules(remove_duplicate=False)):
        if isinstance(module, FakeQuantizeBase):
            fixed.set_submodule(name, _Rounding(module))
    return fixed


class _Rounding(nn.Module):
    """What a fake-quant does with the range that it has, in operators that torch exports.

    As torch's own `fake_quantize`: half to even, by the reciprocal of the scale.
    """

    def __init__(self, trained: FakeQuantizeBase) -> None:
        super().__init__()
        self._low, self._high = trained.quant_min, trained.quant_max
        self._axis = trained.ch_axis if trained.is_per_channel else None
        self.register_buffer("scale", trained.scale.detach().clone())
        self.register_buffer("zero", trained.zero_point.detach().to(torch.float32))

    def forward(self, values: Tensor) -> Tensor:
        scale, zero = self.get_buffer("scale"), self.get_buffer("zero")
        if self._axis is not None:
            shape = [-1 if axis == self._axis else 1 for axis in range(values.dim())]
            scale, zero = scale.view(shape), zero.view(shape)
        levels = (torch.round(values * (1 / scale)) + zero).clamp(self._low, self._high)
        return (levels - zero) * scale
