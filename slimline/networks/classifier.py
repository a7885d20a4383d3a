"""A network together with what it takes to use it; built and rebuilt here.

The networks themselves come from `slimline.networks.registry`; folders on disk are in
`slimline.artifacts.model_folder`.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import ArtifactError, NetworkError, PretrainedError
from slimline.networks import backbones, pretrained, state, traceable, tracing, users_code
from slimline.networks.architecture import Architecture, stride_and_kernel
from slimline.networks.evaluation import evaluating
from slimline.networks.settings import ModelParams

COMPUTED = "_computed"
"""What the name of a weight that quantization made of another adds to that, and maybe a number."""

BATCHNORM_MOMENTUM = 0.1
"""MobileNetV3 and EfficientNet come with 0.01, whose running statistics are still near their start
after the few hundred steps of a short run (17 % instead of 86 % measured)."""

_GREY = torch.tensor([0.299, 0.587, 0.114])
"""Shares of red, green and blue in grey, ITU-R 601-2, as `slimline.data.preprocessing` has them."""


@dataclass(frozen=True)
class Classifier:
    """A network, how it is built, and how an image becomes its input."""

    network: nn.Module
    architecture: Architecture
    classes: Sequence[str]
    preprocessing: Preprocessing
    pretrained: Mapping[str, Any] | None = None
    """Source and licence of the weights it began with, and what of them fitted."""

    @property
    def example(self) -> Tensor:
        """Two black images, float32 [2, channels, height, width]."""
        frame = self.preprocessing
        return torch.zeros(2, frame.channels, frame.height, frame.width)

    @property
    def head(self) -> str:
        """Prefix of the parameters that classify."""
        return backbones.find(self.architecture.backbone).head

    @property
    def given(self) -> list[str]:
        """Names of the parameters that it began with the weights of somebody's training."""
        if self.pretrained is None:
            return []
        fresh = set(self.pretrained["random"])
        return [name for name, _ in self.network.named_parameters() if name not in fresh]

    def with_network(self, network: nn.Module) -> "Classifier":
        """Return the same classifier with another network."""
        return replace(self, network=network)


def build(
    settings: ModelParams, split: Split, weights_folder: Path, *, unchanged: bool = False
) -> Classifier:
    """Return a classifier for the split's classes, with random or pretrained weights.

    `weights_folder` holds the folders that `pretrained` may name. `unchanged` is for a checkpoint
    that is used as it is, without training: all of it must fit, and its preprocessing be known.

    Raises:
        PretrainedError: the weights cannot be had, are those of another network, or do not fit as
            they are.
    """
    # It makes classifiers itself.
    from slimline.networks import adoption

    checkpoint = pretrained.find(
        settings.pretrained,
        settings.backbone,
        weights_folder,
        accepted=settings.accept_licence,
    )
    if checkpoint is not None:
        return _checked(adoption.build(settings, split, checkpoint, unchanged=unchanged))
    if unchanged:
        raise PretrainedError(
            "params.yaml: pretrained: none: a recipe of 0 epochs uses a checkpoint as it is; name "
            "its folder under data/raw/pretrained"
        )
    architecture = Architecture(
        settings.backbone,
        len(split.classes),
        split.preprocessing.channels,
        *_stem(settings),
        settings.activation,
    )
    return _checked(
        Classifier(make(architecture), architecture, split.classes, split.preprocessing)
    )


def _checked(model: Classifier) -> Classifier:
    """Let a network whose parts were found answer, before anything is trained.

    Raises:
        NetworkError: it does not take these images, or answers with something else than logits; or
            it keeps values that no file of its tensors has, and would be another when read back.
    """
    if backbones.find(model.architecture.backbone).is_found:
        with torch.random.fork_rng(devices=[]):
            _check_answers(model)
            _check_rebuilt(model)
    return model


def _check_answers(model: Classifier) -> None:
    name, frame = model.architecture.backbone, model.preprocessing
    # What training changes, as BatchNorm's statistics, stays as it is.
    try:
        network = copy.deepcopy(model.network)
    except RuntimeError as error:
        raise NetworkError(
            f"{name}: cannot be copied, as it keeps weights that are computed of others "
            f"({str(error).partition('. ')[0]}); torch.nn.utils.remove_weight_norm takes that off"
        ) from None
    for is_training, count, when in _ASKED:
        images = torch.rand_like(model.example[:count])
        given = images.clone()
        try:
            with torch.no_grad():
                answer = network.train(is_training)(images)
        except Exception as error:
            raise NetworkError(
                f"{name}: does not take images of {frame.channels} x {frame.height} x "
                f"{frame.width}{when} ({users_code.told(error)}); set data.image_size, or write "
                "stem_stride: keep and stem_kernel: keep"
            ) from error
        if not torch.equal(images, given):
            raise NetworkError(
                f"{name}: changes its images in place, which others read as well: write "
                "`x = x - mean`, not `x -= mean`, and so with whatever else it does to them"
            )
        wanted = (count, len(model.classes))
        if not isinstance(answer, Tensor) or tuple(answer.shape) != wanted:
            shape = list(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise NetworkError(
                f"{name}: answers {count} image{'s' if count > 1 else ''}{when} with {shape}, not "
                f"with logits {wanted}: {_remedy(answer)}"
            )


_ASKED = ((False, 2, ""), (False, 1, ""), (True, 2, " while it is trained"))
"""Whether in training, how many images, and what is said of it."""


def _remedy(answer: object) -> str:
    if not isinstance(answer, Tensor):
        return "let forward return the logits alone, while it is trained as well"
    if answer.dim() == 1:
        return "squeeze() takes the batch of one image away; write flatten(1) or squeeze(-1)"
    return "let forward return a row of logits for each image"


def _check_rebuilt(model: Classifier) -> None:
    """Compare with the network that the next stage will read from this one's folder."""
    name, images = model.architecture.backbone, torch.rand_like(model.example)
    described = {
        "architecture": asdict(model.architecture),
        "classes": model.classes,
        "preprocessing": model.preprocessing.to_dict(),
        "pretrained": model.pretrained,
    }
    try:
        again = rebuild(described, model.network.state_dict())
    except ArtifactError as error:
        raise NetworkError(
            f"{name}: cannot be built again from its tensors ({error}); take weight_norm, "
            "spectral_norm and the like off before (torch.nn.utils.parametrize)"
        ) from None
    with torch.no_grad():
        wanted, found = (
            each(images) for each in (copy.deepcopy(model.network).eval(), again.network)
        )
    if not torch.allclose(wanted, found, rtol=1e-3, atol=1e-5):
        raise NetworkError(
            f"{name}: answers otherwise when it is built again from its tensors: it keeps values "
            "that its state_dict has not, as a buffer with persistent=False or a plain attribute "
            "that is random"
        )


def rebuild(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Classifier:
    """Return the classifier that a `model.json` describes, pruned as its tensors are, strictly.

    Raises:
        ArtifactError: the tensors are not those of the description.
    """
    model = fresh(description)
    shapes = {key: list(each.shape) for key, each in tensors.items()}
    fit_shapes(model.network, shapes, model.example)
    state.untie(model.network, tensors)
    try:
        state.load(model.network, tensors)
    except RuntimeError as error:
        raise ArtifactError(f"the weights do not fit model.json: {error}") from None
    model.network.eval()
    return model


def fresh(description: Mapping[str, Any]) -> Classifier:
    """Return the classifier that a `model.json` describes, with random weights, not pruned."""
    architecture = Architecture(**description["architecture"])
    return Classifier(
        make(architecture),
        architecture,
        description["classes"],
        Preprocessing.from_dict(description["preprocessing"]),
        description["pretrained"],
    )


def _stem(settings: ModelParams) -> tuple[int, int]:
    """Return stride and kernel of the first convolution; `keep` is what the network has."""
    stride, kernel = settings.stem_stride, settings.stem_kernel
    if stride != "keep" and kernel != "keep":
        return stride, kernel
    entry = backbones.find(settings.backbone)
    has = stride_and_kernel(entry.outline(2).get_submodule(entry.stem))
    return has[0] if stride == "keep" else stride, has[1] if kernel == "keep" else kernel


def make(architecture: Architecture, adopt: Callable[[nn.Module], None] | None = None) -> nn.Module:
    """Return the network with random weights, and BatchNorm statistics that fit a short run.

    `adopt` may load tensors into it, under the names of the published network.
    """
    network = backbones.find(architecture.backbone).make(architecture, adopt)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = BATCHNORM_MOMENTUM
    return network


def fit_shapes(network: nn.Module, shapes: Mapping[str, Sequence[int]], example: Tensor) -> None:
    """Cut a fresh network to the widths that pruning left: `shapes` of weights by name.

    A group of a convolution keeps its size. A BatchNorm that was folded has no weight: it is as
    wide as what it reads of `example`, float32 [batch, channels, height, width]. A tensor that
    stands in several places may have any of its names. What quantization left out, since no answer
    depends on it, as a second head, becomes an identity; a layer of whose weight it computed
    others, as slices, keeps its width.

    Raises:
        ArtifactError: a layer of the network has no weight of that name.
    """
    held = network.state_dict(keep_vars=True)
    alike = defaultdict(list)
    for name, tensor in held.items():
        alike[tensor].append(name)
    by_layer: dict[str, dict[str, Sequence[int]]] = defaultdict(dict)
    for name, shape in shapes.items():
        # Pruning may have untied them: then each has a shape of its own.
        twins = [each for each in alike[held[name]] if each not in shapes] if name in held else []
        for each in [name, *twins]:
            layer, _, own = each.rpartition(".")
            by_layer[layer][own] = shape
    without = []
    for name, module in network.named_modules():
        if parametrize.is_parametrized(module):
            continue  # such a layer is plain before it is pruned
        if isinstance(module, _RESIZED):
            width = by_layer[name].get("weight") or by_layer[name].get("running_mean")
            if width is None and any(own.startswith(f"weight{COMPUTED}") for own in by_layer[name]):
                continue
            if width is None:
                without.append(name)
            else:
                _fit_module(module, width, by_layer[name])
        else:
            _fit_weights(module, by_layer[name])
    folded = [
        module
        for module in map(network.get_submodule, without)
        if isinstance(module, _NORMALISATIONS)
    ]
    if len(folded) < len(without):
        used = _leave_out(network, without)
        if used and not any(COMPUTED in name for name in shapes):
            raise ArtifactError(f"the weights have no tensor {used[0]}.weight")
    if folded:
        _fit_to_maps(network, folded, example)


@torch.no_grad()
def _fit_to_maps(network: nn.Module, folded: Iterable[nn.Module], example: Tensor) -> None:
    """Give each BatchNorm as many channels as the maps have that it gets."""

    def fit(module: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        (maps,) = (*given, *named.values())
        _fit_module(module, maps.shape[1:2], {})

    hooks = [each.register_forward_pre_hook(fit, with_kwargs=True) for each in folded]
    try:
        with evaluating(network):
            network(example)
    finally:
        for hook in hooks:
            hook.remove()


def _leave_out(network: nn.Module, without: Sequence[str]) -> list[str]:
    """Put identities in the place of those layers without weights that no answer depends on.

    Returns the others, but for BatchNorm, which may have been folded.
    """
    flow = fx.GraphModule(network, tracing.graph(network, with_whole_parts=True))
    flow.graph.eliminate_dead_code(lambda node: node.is_impure() or traceable.changes(node.target))
    used = [str(node.target) for node in flow.graph.nodes if node.op in {"call_module", "get_attr"}]
    left = []
    for name in without:
        if not any(f"{name}.".startswith(f"{each}.") for each in used):
            network.set_submodule(name, nn.Identity())
        elif not isinstance(network.get_submodule(name), _NORMALISATIONS):
            left.append(name)
    return left


_NORMALISATIONS = nn.BatchNorm1d | nn.BatchNorm2d
_RESIZED = nn.Conv2d | nn.Linear | nn.PReLU | _NORMALISATIONS
"""What pruning may cut."""


def _fit_module(module: nn.Module, shape: Sequence[int], own: Mapping[str, Sequence[int]]) -> None:
    """Give a layer the width of its weight, `shape`; what has it already stays as it is.

    `own` are the shapes of its tensors in the file, which has none of a folded BatchNorm's, of what
    a standardised weight was computed from, and of buffers that are not kept.
    """
    if isinstance(module, _NORMALISATIONS):
        shape = shape[:1]  # of a convolution, where quantization put one in its place
        module.num_features = shape[0]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = shape[0]
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = shape[:2]
    elif isinstance(module, nn.Conv2d):
        if module.groups > 1:
            made, read = module.out_channels // module.groups, module.weight.shape[1]
            # A last group that was left may have been cut as any convolution is.
            is_of_groups = shape[1] == read and shape[0] % made == 0
            module.groups = shape[0] // made if is_of_groups else 1
        module.out_channels, module.in_channels = shape[0], shape[1] * module.groups
    for name, tensor in [
        *module.named_parameters(recurse=False),
        *module.named_buffers(recurse=False),
    ]:
        if tensor.dim() == 0:
            continue
        # A gain per channel, of timm's standardised convolutions, has the dimensions of a weight.
        guessed = shape if name == "weight" else (*shape[:1], *tensor.shape[1:])
        # Quantization may have put a convolution in a BatchNorm's place: that has another shape.
        size = guessed if isinstance(module, _NORMALISATIONS) else own.get(name, guessed)
        if tuple(size) == tuple(tensor.shape):
            continue
        if name in module._non_persistent_buffers_set and not isinstance(module, _NORMALISATIONS):
            raise ArtifactError(
                f"the weights have no tensor {name} of a {type(module).__name__}, which was cut; "
                "register_buffer(..., persistent=True) keeps it in the file"
            )
        fresh = torch.zeros(*size, dtype=tensor.dtype)
        if isinstance(tensor, nn.Parameter):
            setattr(module, name, nn.Parameter(fresh, requires_grad=tensor.requires_grad))
        else:
            setattr(module, name, fresh)


def _fit_weights(module: nn.Module, own: Mapping[str, Sequence[int]]) -> None:
    """Give the tensors of any other module, by channel or head, the shapes that they have."""
    weights = list(module.named_parameters(recurse=False))
    for name, old in [*weights, *module.named_buffers(recurse=False)]:
        shape = tuple(own.get(name, old.shape))
        if shape != tuple(old.shape) and len(shape) == old.dim():
            fresh = torch.zeros(*shape, dtype=old.dtype)
            is_weight = isinstance(old, nn.Parameter)
            setattr(module, name, nn.Parameter(fresh, old.requires_grad) if is_weight else fresh)


def adapted(teacher: Classifier, preprocessing: Preprocessing) -> nn.Module:
    """Return a teacher's network that takes images normalised as its pupil wants them."""
    if teacher.preprocessing == preprocessing:
        return teacher.network
    return nn.Sequential(_Renormalise(preprocessing, teacher.preprocessing), teacher.network)


class _Renormalise(nn.Module):
    """From one normalisation to another: grey is repeated, RGB weighted as Pillow does."""

    factor: Tensor
    offset: Tensor

    def __init__(self, given: Preprocessing, wanted: Preprocessing) -> None:
        super().__init__()
        self._makes_grey = given.channels > wanted.channels
        shape = (1, -1, 1, 1)
        mean, std = (torch.tensor(each).view(shape) for each in (given.mean, given.std))
        if self._makes_grey:
            self.register_buffer("shares", _GREY.view(shape))
            self.register_buffer("given_mean", mean)
            self.register_buffer("given_std", std)
            mean, std = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
        new_mean, new_std = (torch.tensor(each).view(shape) for each in (wanted.mean, wanted.std))
        self.register_buffer("factor", std / new_std)
        self.register_buffer("offset", (mean - new_mean) / new_std)

    def forward(self, images: Tensor) -> Tensor:
        if self._makes_grey:
            pixels = images * self.get_buffer("given_std") + self.get_buffer("given_mean")
            images = (pixels * self.get_buffer("shares")).sum(1, keepdim=True)
        return images * self.factor + self.offset
