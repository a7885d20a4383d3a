"""Networks that train with more than they run with: RepVGG, MobileOne, FastViT, RepGhost.

The branches of a block are linear, so that one convolution stands for all of them. Merged before
pruning, the block is cut as what will run, and no branch ties widths that the merged network has
free; the answers are the same within float rounding, which is looked at. So it is with weights that
are computed from others, as by `torch.nn.utils.parametrizations.weight_norm` or in a layer's own
`forward`, which standardises them: standardised again without the channels that went, they would be
others. And so it is with torch's own transformer layers, which are not traced as they are.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm, SpectralNormLoadStateDictPreHook
from torch.nn.utils.weight_norm import WeightNorm
from torch.overrides import TorchFunctionMode

from slimline.errors import NetworkError
from slimline.networks import plain_transformers
from slimline.networks.evaluation import evaluating

if TYPE_CHECKING:
    from slimline.networks.classifier import Classifier

_METHODS = ("reparameterize", "switch_to_deploy")
"""What timm and the networks' authors call it."""

_MERGED = "reparam_conv"
"""The convolution that timm's blocks have once they are merged; most cannot be merged twice."""

_TOLERANCE = 1e-3
"""Of the spread of logits: sums in another order, many layers deep."""

_IMAGES = 4


def merged(model: Classifier) -> Classifier:
    """Return a classifier with the branches of each block merged, itself where there are none.

    Raises:
        NetworkError: a merged network would answer otherwise.
    """
    network = copy.deepcopy(model.network).eval()
    names = merge(network)
    if not names:
        return model
    frame = model.preprocessing
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(_IMAGES, frame.channels, frame.height, frame.width, generator=generator)
    before, after = (_answers(each, images) for each in (model.network, network))
    difference, spread = (after - before).abs().max(), before.max() - before.min()
    if not difference <= _TOLERANCE * spread:  # NaN is more
        raise NetworkError(
            f"{model.architecture.backbone}: with what it trains with merged ({names[0]} and "
            f"{len(names) - 1} more) it answers otherwise, by {float(difference):.3g} of "
            f"{float(spread):.3g}: a `{_METHODS[0]}` of its modules is wrong, or goes by the "
            "stride that its first layer was published with: write stem_stride: keep"
        )
    print(f"{model.architecture.backbone}: {len(names)} blocks are made plain, as {names[0]}")
    architecture = replace(model.architecture, reparameterised=True)
    return replace(model, network=network, architecture=architecture)


def merge(network: nn.Module) -> list[str]:
    """Merge the branches of every block in place; return the names of the blocks.

    Weights that a layer computes from others become plain ones, and it counts as a block, as does
    an encoder or attention of torch's own classes.
    """
    is_training = network.training
    with evaluating(network):  # some refuse to merge what is trained
        written = plain_transformers.write(network)
        found = [*written, *_merge_blocks(network)]
    for name in found:
        network.get_submodule(name).train(is_training)
    return found


def _merge_blocks(network: nn.Module) -> list[str]:
    found = [*_with_plain_weights(network), *_with_plain_convolutions(network)]
    for name, module in list(network.named_modules()):
        is_inside = any(name.startswith(f"{each}.") for each in found)
        if is_inside or getattr(module, _MERGED, None) is not None:
            continue
        method = next((each for each in _METHODS if _is_command(module, each)), None)
        is_trained = any(each.requires_grad for each in module.parameters())
        if method is not None and name:
            before = _weights(module)
            getattr(module, method)()
            if _weights(module) != before:
                found.append(name)
        elif _fuses_branches(module) and name:
            fused: Any = module.fuse
            network.set_submodule(name, fused())
            found.append(name)
        if name in found:  # Much published code detaches what it has just merged.
            network.get_submodule(name).requires_grad_(is_trained)
            _tell_channels(network.get_submodule(name))
    return found


def _with_plain_weights(network: nn.Module) -> list[str]:
    """Let layers keep what they compute their weights as; return the names of the layers."""
    found = []
    for name, module in network.named_modules():
        if parametrize.is_parametrized(module) and isinstance(
            module.parametrizations, nn.ModuleDict
        ):
            _remove_parametrizations(module)
            found.append(name)
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
                found.append(name)
            if isinstance(hook, SpectralNorm):
                _remove_spectral_norm(module, hook.name)
                found.append(name)
    return found


def _with_plain_convolutions(network: nn.Module) -> list[str]:
    """Replace convolutions that compute a weight of their own; return their names."""
    found = []
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d) and type(module).forward is not nn.Conv2d.forward and name:
            plain = _plain(module)
            if plain is not None:
                network.set_submodule(name, plain)
                found.append(name)
    return found


class _Called(TorchFunctionMode):
    """Notes the convolutions that a layer calls: what each was given, and its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[inspect.BoundArguments, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        if func is functional.conv2d:
            given = _CONVOLUTION.bind(*args, **(kwargs or {}))
            given.apply_defaults()
            self.calls.append((given, answer))
        return answer


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> None:
    """Stand for `functional.conv2d`, which has no signature."""


_CONVOLUTION = inspect.signature(_convolution)


@torch.no_grad()
def _plain(layer: nn.Conv2d) -> nn.Conv2d | None:
    """Return a convolution of the weight that a layer computes; None where it does anything else.

    Whatever it is given, that must be what it convolves with one weight, and answers.
    """
    spans = zip(layer.dilation, layer.kernel_size, strict=True)
    size = [dilation * (kernel - 1) + 1 for dilation, kernel in spans]
    images = torch.rand(2, 1, layer.in_channels, *size, device=layer.weight.device)
    found = []
    for each in images:
        try:
            with _Called() as noted:
                answer = layer(each)
        # Anybody's code, which may ask for more than an image, or refuse one of this size.
        except Exception:
            return None
        if len(noted.calls) != 1:
            return None
        given, convolved = noted.calls[0]
        if given.arguments["input"] is not each or convolved is not answer:
            return None
        found.append(given.arguments)
    own, again = found
    weight, bias = own["weight"], own["bias"]
    if weight is layer.weight or not torch.equal(weight, again["weight"]):
        return None
    kernel: Any = layer.kernel_size
    plain = nn.Conv2d(
        layer.in_channels, len(weight), kernel, own["stride"], own["padding"], own["dilation"],
        own["groups"], bias=bias is not None, device=weight.device,
    )  # fmt: skip
    plain.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    plain.train(layer.training)
    return plain.requires_grad_(layer.weight.requires_grad)


def _remove_parametrizations(layer: nn.Module) -> None:
    """Let a layer keep what its weights are computed as.

    torch's own function changes the class, which copies of the layer share: they lose their weight.
    """
    computed: dict[str, Any] = {
        weight: nn.Parameter(
            getattr(layer, weight).detach().clone(),
            requires_grad=any(each.requires_grad for each in parts.parameters()),
        )
        for weight, parts in layer.parametrizations.items()  # type: ignore[union-attr, operator]
    }
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer.parametrizations
    for weight, values in computed.items():
        layer.register_parameter(weight, values)


def _remove_spectral_norm(layer: nn.Module, weight: str) -> None:
    """Let a layer keep its weight as it is; it can be loaded again.

    torch leaves the hook that looks for what the weight was computed from: it wraps it today.
    """
    remove_spectral_norm(layer, weight)
    for key, hook in list(layer._load_state_dict_pre_hooks.items()):
        if isinstance(getattr(hook, "hook", hook), SpectralNormLoadStateDictPreHook):
            del layer._load_state_dict_pre_hooks[key]


def _tell_channels(block: nn.Module) -> None:
    """Let convolutions say what they take: a block may go by what it was made with, in colour."""
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            layer.in_channels = layer.weight.shape[1] * layer.groups


def _is_command(module: nn.Module, name: str) -> bool:
    """Is it a method that is told nothing? A layer, or what joins two maps, may be called alike."""
    method = getattr(module, name, None)
    if not inspect.ismethod(method):
        return False
    told = inspect.signature(method).parameters.values()
    optional = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return all(each.default is not each.empty or each.kind in optional for each in told)


def _fuses_branches(module: nn.Module) -> bool:
    """Does a `fuse` merge several convolutions? That of one folds its BatchNorm, which is for QAT.

    So RepViT's blocks do, and LeViT's layers do not.
    """
    convolutions = [each for each in module.modules() if isinstance(each, nn.Conv2d)]
    return _is_command(module, "fuse") and len(convolutions) > 1


def _weights(module: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(each.shape)) for name, each in module.named_parameters()]


@torch.no_grad()
def _answers(network: nn.Module, images: Tensor) -> Tensor:
    answers: Tensor = network.eval()(images)
    return answers
