"""A classifier that begins with weights that somebody has trained: published, a user's, or ours.

What the weights cannot say (normalisation, classes, the stride of the stem) is taken from what lies
beside them, from the settings, or from the data, and is said. A checkpoint that is to be used
unchanged must fit entirely, else it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

from slimline.errors import ArtifactError, PretrainedError
from slimline.networks import (
    backbones,
    checkpoint_file,
    class_order,
    classifier,
    discovery,
    pretrained,
    state,
)
from slimline.networks.architecture import (
    Architecture,
    of_channels,
    stride_and_kernel,
    takes_images,
)
from slimline.networks.checkpoint_folder import Notes

if TYPE_CHECKING:
    from slimline.data.preprocessing import Preprocessing
    from slimline.data.split_files import Split
    from slimline.networks.architecture import Backbone
    from slimline.networks.checkpoint_folder import CheckpointFolder
    from slimline.networks.classifier import Classifier
    from slimline.networks.pretrained import Account, Checkpoint
    from slimline.networks.settings import ModelParams


_ANSWERING = nn.Linear | nn.Conv2d
"""What may be the last layer of a head."""


def build(
    settings: ModelParams, split: Split, checkpoint: Checkpoint, *, unchanged: bool
) -> Classifier:
    """Return a classifier for the split's classes with the checkpoint's weights.

    Raises:
        PretrainedError: they are those of another network, or do not fit as they are although they
            are to be used unchanged.
    """
    folder = checkpoint.folder
    model = (
        _from_ours(settings, split, checkpoint, folder, unchanged=unchanged)
        if folder is not None and folder.description is not None
        else _from_tensors(settings, split, checkpoint, unchanged=unchanged)
    )
    if unchanged:
        print(f"{checkpoint.source}: used unchanged")
    return model


def _from_tensors(
    settings: ModelParams, split: Split, checkpoint: Checkpoint, *, unchanged: bool
) -> Classifier:
    entry, source = backbones.find(settings.backbone), checkpoint.source
    notes = checkpoint.folder.notes if checkpoint.folder else Notes()
    published = entry.outline(len(split.classes))
    content = checkpoint.read(published.state_dict())
    last = last_layer(published, entry)
    head = head_of(published, last)
    tensors = _with_renamed_head(content.tensors, published, last, head, source)
    stem = _Stem.of(entry, published, tensors, notes)
    channels = split.preprocessing.channels
    if unchanged:
        stem.refuse_changes(settings, source)
        _refuse_other_frame(checkpoint.image_size, checkpoint.crop, split.preprocessing, source)
        channels = stem.channels or channels
        if not checkpoint.mean:
            raise PretrainedError(
                f"{source}: does not say how its images were normalised, and is to be used as it "
                'is: put {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, or what '
                "your script had, into a JSON file beside it; without normalisation a mean of 0 "
                "and a std of 1"
            )
    architecture = Architecture(
        settings.backbone,
        len(split.classes),
        channels,
        stem.stride if settings.stem_stride == "keep" else settings.stem_stride,
        stem.kernel if settings.stem_kernel == "keep" else settings.stem_kernel,
        settings.activation,
    )
    labels: Sequence[str] = checkpoint.folder.labels if checkpoint.folder else ()
    key = ""
    if not labels:
        labels, key = _named(content.labels, split.classes), content.labels_key
    _refuse_other_count(labels, tensors.get(f"{last}.weight"), key, source)
    tensors = _with_head(tensors, labels, split.classes, last, source, unchanged=unchanged)
    account = pretrained.Account()

    def adopt(network: nn.Module) -> None:
        nonlocal account
        account = pretrained.adopt(network, tensors, source=source, stems=entry.stems, head=head)

    network = classifier.make(architecture, adopt)
    print(f"{source}: {account}")
    if unchanged and (account.random or account.resized):
        would = "be random" if account.random else "be resized"
        raise PretrainedError(
            f"{source}: cannot be used as it is: "
            f"{pretrained.listed(account.random or account.resized)} of {settings.backbone} would "
            f"{would}; a recipe of more than 0 epochs would train them"
        )
    return _classifier(network, architecture, split, checkpoint, account, content.tensors)


def _from_ours(
    settings: ModelParams,
    split: Split,
    checkpoint: Checkpoint,
    folder: CheckpointFolder,
    *,
    unchanged: bool,
) -> Classifier:
    """Go on from a model folder, pruned or rewritten as it is."""
    assert folder.description is not None
    source = checkpoint.source
    tensors = checkpoint_file.read_safetensors(folder.weights)
    try:
        model = classifier.rebuild(folder.description, tensors)
    except ArtifactError as error:
        raise PretrainedError(
            f"{folder.path}: cannot be trained further ({error}); take the folder of "
            "baseline_train, backbone_swap or prune, as its stage wrote it"
        ) from None
    made, frame = model.architecture, model.preprocessing
    for key in ("backbone", "stem_stride", "stem_kernel", "activation"):
        given, has = getattr(settings, key), getattr(made, key)
        if given not in {has, "keep"}:
            raise PretrainedError(
                f"{folder.path}: is a model of {key} {has}, params.yaml says {given}; write {has}"
            )
    network, channels = model.network, split.preprocessing.channels
    account = pretrained.Account(matched=list(network.state_dict()))
    entry = backbones.find(made.backbone)
    if unchanged:
        _refuse_other_frame(frame.height, frame.crop, split.preprocessing, source)
        channels = made.channels
    elif channels != made.channels:
        # Branches that were merged are called otherwise.
        names = discovery.readers(network, channels=made.channels, size=frame.height)
        for name in names or entry.stems:
            if not takes_images(network.get_submodule(name)):
                raise PretrainedError(
                    f"{folder.path}: is a model of images of {made.channels} channels, the data's "
                    f"have {channels}, and {name}, which reads them, can only be kept as it is"
                )
            _change_channels(network, name, channels)
            account.resized[f"{name}.weight"] = f"{made.channels} -> {channels} channels"
    last = last_layer(network, entry)
    _refuse_other_count(folder.labels, network.state_dict().get(f"{last}.weight"), "", source)
    fitting = _with_head(
        network.state_dict(), folder.labels, split.classes, last, source, unchanged=unchanged
    )
    account.random = [name for name in network.state_dict() if name not in fitting]
    if account.random:
        fresh = _for_classes(network.get_submodule(last), len(split.classes))
        network.set_submodule(last, fresh)
    state.load(network, network.state_dict() | fitting)
    print(f"{source}: {account}")
    changed = replace(made, num_classes=len(split.classes), channels=channels)
    return _classifier(
        network,
        changed,
        split,
        replace(checkpoint, mean=frame.mean, std=frame.std),
        account,
        tensors,
    )


def _classifier(
    network: nn.Module,
    architecture: Architecture,
    split: Split,
    checkpoint: Checkpoint,
    account: Account,
    tensors: Mapping[str, Tensor],
) -> Classifier:
    origin = {
        "source": checkpoint.source,
        "licence": checkpoint.licence,
        "image_size": checkpoint.image_size,
        "crop": checkpoint.crop,
        "num_bytes": sum(each.nbytes for each in tensors.values()),
        **account.to_dict(),
    }
    preprocessing = replace(
        split.preprocessing,
        channels=architecture.channels,
        mean=_for_channels(checkpoint.mean or split.preprocessing.mean, architecture.channels),
        std=_for_channels(checkpoint.std or split.preprocessing.std, architecture.channels),
    )
    return classifier.Classifier(network, architecture, split.classes, preprocessing, origin)


@dataclass(frozen=True)
class _Stem:
    """The first convolution as a checkpoint has it, as far as that is known."""

    channels: int | None
    kernel: int
    stride: int

    @classmethod
    def of(
        cls, entry: Backbone, published: nn.Module, tensors: dict[str, Tensor], notes: Notes
    ) -> _Stem:
        """Return what the tensors and notes say, else what the published network has."""
        layer = published.get_submodule(entry.stem)
        stride, kernel = stride_and_kernel(layer)
        weight = tensors.get(f"{entry.stem}.weight")
        is_known = weight is not None and weight.dim() == 4 and takes_images(layer)
        return cls(
            int(weight.shape[1]) if weight is not None and is_known else None,
            int(weight.shape[-1]) if weight is not None and is_known else kernel,
            notes.stem_stride or stride,
        )

    def refuse_changes(self, settings: ModelParams, source: str) -> None:
        """Compare with the settings of a network that is used unchanged.

        Raises:
            PretrainedError: they ask for another stem, or other activations.
        """
        mistakes = []
        if settings.stem_kernel not in {self.kernel, "keep"}:
            mistakes.append(
                f"stem_kernel: {settings.stem_kernel}, the checkpoint has {self.kernel}"
            )
        if settings.stem_stride not in {self.stride, "keep"}:
            mistakes.append(
                f"stem_stride: {settings.stem_stride}, {settings.backbone} is published with "
                f"{self.stride}; if yours was trained with {settings.stem_stride}, say "
                f'{{"stem_stride": {settings.stem_stride}}} in the JSON file beside it'
            )
        if settings.activation != "keep":
            mistakes.append(f"activation: {settings.activation} makes it another network")
        if self.channels not in {None, 1, 3}:
            mistakes.append(f"its images have {self.channels} channels, ours 1 or 3")
        if mistakes:
            raise PretrainedError(
                f"{source}: cannot be used as it is: {'; '.join(mistakes)}; `keep` in params.yaml "
                "takes what the checkpoint has"
            )


def last_layer(network: nn.Module, entry: Backbone) -> str:
    """Return the name of the layer that answers, the last of the head.

    It is linear, or a convolution, as in SqueezeNet.
    """
    head = entry.head.rstrip(".")
    names: list[str] = [
        name
        for name, module in network.named_modules()
        if isinstance(module, _ANSWERING) and (name == head or name.startswith(entry.head))
    ]
    return names[-1]


def head_of(network: nn.Module, last: str) -> str:
    """Return the prefix of all that may be exchanged with the layer that answers.

    That is the outermost part in which this layer alone has weights: of `classifier.1` behind
    dropout it is `classifier.`, which people replace as a whole.
    """
    own = sum(each.numel() for each in network.get_submodule(last).parameters())
    name = last
    while "." in name:
        parent = name.rpartition(".")[0]
        if sum(each.numel() for each in network.get_submodule(parent).parameters()) != own:
            break
        name = parent
    return f"{name}."


def _named(labels: Sequence[str], classes: Sequence[str]) -> Sequence[str]:
    """Return the names of classes that a file has; none where it has numbers for names.

    Numbers in order say no more than the order itself, but where the classes are called so.
    """
    is_numbered = list(labels) == [str(number) for number in range(len(labels))]
    return () if is_numbered and set(labels) != set(classes) else labels


def _for_classes(old: nn.Module, count: int) -> nn.Module:
    """Return a layer like one that answers, for so many classes, with random weights."""
    has_bias = old.bias is not None
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, count, bias=has_bias)
    assert isinstance(old, nn.Conv2d)
    return nn.Conv2d(
        old.in_channels,
        count,
        old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        bias=has_bias,
    )


def _with_renamed_head(
    tensors: Mapping[str, Tensor], published: nn.Module, last: str, head: str, source: str
) -> dict[str, Tensor]:
    """Return tensors with the one linear layer of a head named as the published network names it.

    `model.fc = nn.Sequential(nn.Dropout(), nn.Linear(512, 5))` is how a head is exchanged; dropout
    does nothing when a network answers. A head of more layers is another one.
    """
    weights = [name for name, each in tensors.items() if name.startswith(head) and each.dim() == 2]
    own = [
        name
        for name, each in published.named_parameters()
        if name.startswith(head) and each.dim() == 2
    ]
    if len(weights) > max(len(own), 1):
        print(f"{source}: has a head of {len(weights)} layers, which is another: it is left out")
        return {name: each for name, each in tensors.items() if not name.startswith(head)}
    layer = published.get_submodule(last)
    if not isinstance(layer, nn.Linear) or len(weights) != 1 or weights[0] == f"{last}.weight":
        return dict(tensors)
    old = weights[0].removesuffix(".weight")
    if tensors[weights[0]].shape[1] != layer.in_features or old == weights[0]:
        return dict(tensors)
    print(f"{source}: {old} of the head is taken for {last}")
    return {
        f"{last}.{name.removeprefix(f'{old}.')}" if name.startswith(f"{old}.") else name: each
        for name, each in tensors.items()
    }


def _refuse_other_count(labels: Sequence[str], head: Tensor | None, key: str, source: str) -> None:
    """Compare how many classes the head has and are named, under a key or in a file beside it.

    Raises:
        PretrainedError: the head answers more or fewer.
    """
    if labels and head is not None and len(labels) != len(head):
        where = f" under {key!r}" if key else ""
        remedy = ", or take that key out of it" if key else ""
        raise PretrainedError(
            f"{source}: names {len(labels)} classes{where}, and its head answers {len(head)}; name "
            f"them all, in the order of the head{remedy}"
        )


def _with_head(
    tensors: dict[str, Tensor],
    labels: Sequence[str],
    classes: Sequence[str],
    last: str,
    source: str,
    *,
    unchanged: bool,
) -> dict[str, Tensor]:
    """Return tensors whose head answers the data's classes in order, or that lack its last layer.

    Raises:
        PretrainedError: the classes are others, and the checkpoint is to be used unchanged.
    """
    head = tensors.get(f"{last}.weight")
    if head is None:
        return tensors
    told = ""
    if not labels and len(head) != len(classes):
        told = f"its head answers {len(head)} classes, the data has {len(classes)}"
        rows = None
    else:
        rows = class_order.match(labels, classes, source=source)
        told = "" if rows is not None else class_order.difference(labels, classes)
    if rows is not None:
        return class_order.reordered(tensors, rows, last=last)
    if unchanged:
        raise PretrainedError(f"{source}: cannot be used as it is: {told}")
    print(f"{source}: the last layer begins at random: {told}")
    return {name: each for name, each in tensors.items() if not name.startswith(f"{last}.")}


def _refuse_other_frame(
    size: int | None, crop: float | None, frame: Preprocessing, source: str
) -> None:
    """Compare what a checkpoint says of its images with the data's.

    Raises:
        PretrainedError: the data is brought to another size, or cut otherwise.
    """
    for key, given, wanted in (
        ("image_size", frame.height, size),
        ("crop", frame.crop, crop),
    ):
        if wanted is not None and wanted != given:
            raise PretrainedError(
                f"params.yaml: data.{key}: must be {wanted}, as {source} was trained with, to use "
                f"it as it is (given {given})"
            )


def _change_channels(network: nn.Module, name: str, channels: int) -> None:
    old = network.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    kernel = int(old.kernel_size[0])
    stem = of_channels(old, channels)
    weight = pretrained.resize_stem(old.weight.detach(), channels=channels, kernel=kernel)
    stem.weight = nn.Parameter(weight)
    stem.bias = old.bias
    network.set_submodule(name, stem)


def _for_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Return a mean or std for grey or RGB images; grey takes the mean of the three."""
    if len(values) == channels:
        return tuple(values)
    return (sum(values) / len(values),) * channels
