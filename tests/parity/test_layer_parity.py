"""A file that is broken on purpose: the layer that was broken is named, and no other."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import calibrated
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
import toy
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from slimline import files
from slimline.data import split_files
from slimline.errors import ParityError
from slimline.networks.classifier import Classifier
from slimline.parity import layer_parity, places
from slimline.quantization import int8_export, qat
from slimline.targets import runtimes
from slimline.targets.onnxruntime import exporter

Break = Callable[[onnx.NodeProto, dict[str, onnx.TensorProto]], None]

NAMES = ["stem", "depthwise", "squeeze", "excite", "parts.0", "head"]


class Network(nn.Module):
    """One of each: a grey stem, a width that is padded, gates, halves, an answer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(1, 12, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.squeeze, self.excite = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.parts = nn.ModuleList([nn.Conv2d(6, 6, 1)])
        self.head = nn.Linear(12, 10)
        for layer in (self.squeeze, self.excite):
            layer.weight.data = 10 * layer.weight.data.abs()  # else they add less than a step

    def forward(self, images: Tensor) -> Tensor:
        first = self.stem(images).relu()
        wide = functional.hardswish(self.depthwise(first))
        pooled = functional.adaptive_avg_pool2d(wide, 1)
        wide = wide * functional.hardsigmoid(self.excite(self.squeeze(pooled).relu()))
        kept, read = (wide + first).chunk(2, dim=1)
        return self.head(torch.cat([kept, self.parts[0](read)], dim=1).mean([2, 3]))


class Attention(nn.Module):
    """Queries, keys and values are layers of their own, which read the same; windows of patches."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(1, 16, 7, stride=7), nn.LayerNorm(16)
        self.parts = nn.ModuleList([nn.Linear(16, 16) for _ in range(3)])
        self.out, self.head = nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.stem(images).flatten(2).transpose(1, 2))
        # [images, heads, windows, patches, features]
        parts = (each(x).view(-1, 4, 4, 2, 8).permute(0, 3, 1, 2, 4) for each in self.parts)
        mixed = functional.scaled_dot_product_attention(*parts)
        return self.head((x + self.out(mixed.permute(0, 2, 3, 1, 4).reshape(x.shape))).mean(1))


class OfPlaces(nn.Module):
    """Layers that read no image, but where its patches lie, as Swin V2 and EdgeNeXt have them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.places = nn.Conv2d(1, 16, 7, stride=7), nn.Buffer(torch.rand(16, 2))
        self.grid = nn.Conv2d(2, 16, 1)
        self.wide, self.narrow = nn.Linear(2, 12), nn.Linear(12, 16)
        self.mix, self.head = nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        ones = images.new_ones(images.size(0), 4, 4)
        grid = torch.stack([torch.sin(ones.cumsum(1)), torch.cos(ones.cumsum(2))], 1)
        x = (self.stem(images) + self.grid(grid)).flatten(2).transpose(1, 2)
        bias = 4 * torch.sigmoid(self.narrow(functional.gelu(self.wide(self.places))))
        return self.head(self.mix(torch.tanh(x + bias)).mean(1))


class Largest(nn.Module):
    """The largest values of maps and parts of them, and where, and a BatchNorm behind."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm1d(64)
        self.wide, self.head = nn.Linear(64, 16), nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.relu6(self.stem(images))
        of_parts = functional.adaptive_max_pool2d(x, 2).flatten(1)
        largest, places = functional.adaptive_max_pool2d(x, 1, return_indices=True)
        of_all = largest.flatten(1), (places / 196).flatten(1), x.amax((2, 3)), x.mean((2, 3))
        return self.head(self.wide(self.norm(torch.cat([of_parts, *of_all], 1))).relu())


class TalkingHeads(nn.Module):
    """A softmax of bytes that becomes bytes, between two layers, as EfficientFormerV2 has it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.before = nn.Conv2d(1, 16, 7, stride=7), nn.Conv2d(16, 16, 1)
        self.after, self.head = nn.Conv2d(16, 16, 1), nn.Linear(16, 10)
        self.before.weight.data *= 3  # else the weights are much alike

    def forward(self, images: Tensor) -> Tensor:
        weights = self.before(self.stem(images)).softmax(-1)
        return self.head(self.after(weights).mean((2, 3)))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> split_files.Split:
    return toy.splits(tmp_path_factory.mktemp("raw"))["validation"]


@pytest.fixture(scope="module")
def prepared(split: split_files.Split) -> Classifier:
    return calibrated.classifier(Network(), split)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "padded"])
def path(
    request: pytest.FixtureRequest, prepared: Classifier, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    target = tmp_path_factory.mktemp("written") / "model.onnx"
    converted = qat.convert(copy.deepcopy(prepared.network))
    exporter.write(converted, prepared.example, target, pad_channels=request.param)
    return target


@pytest.mark.parametrize("kind", [Attention, OfPlaces, Largest, TalkingHeads])
@pytest.mark.parametrize("optimised", [False, True])
def test_every_rounding_is_met_in_the_file(
    split: split_files.Split, tmp_path: Path, kind: type[nn.Module], optimised: bool
) -> None:
    prepared = calibrated.classifier(kind(), split)
    path = tmp_path / "model.onnx"
    exporter.write(qat.convert(copy.deepcopy(prepared.network)), prepared.example, path)
    found = places.find(prepared.network, ir.load(path))
    assert found is not None
    assert found.every_rounding
    assert compared(prepared, path, split, optimised=optimised).parting is None


def test_bytes_that_rounding_turned_part_nowhere_where_they_cannot_be_compared(
    split: split_files.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = calibrated.classifier(Attention(), split)
    path = tmp_path / "model.onnx"
    turned = copy.deepcopy(prepared.network)
    norm = turned.get_parameter("norm.weight")  # LayerNorm's, in front of queries, keys, values
    norm.data *= 1 + 2e-4
    exporter.write(qat.convert(turned), prepared.example, path)
    monkeypatch.setattr(places, "_are_alike", lambda *_: False)
    found = compared(prepared, path, split, optimised=False)
    assert [each.name for each in found.layers] == [
        "stem", "parts.0", "parts.1", "parts.2", "out", "head", "the logits",
    ]  # fmt: skip
    assert found.parting is None
    prepared.network.get_parameter("out.weight").data *= 1.1
    parting = compared(prepared, path, split, optimised=False).parting
    assert parting is not None
    assert parting.name == "out"


class Normalised(nn.Module):
    """A sum whose channels are nearly alike, so that a LayerNorm makes much of a step of it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.second = nn.Conv2d(1, 8, 4, 4), nn.Conv2d(8, 8, 1)
        self.third = nn.Conv2d(8, 16, 1)
        self.norm, self.inner, self.head = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 10)
        nn.init.constant_(self.stem.bias, 5.0)
        nn.init.normal_(self.second.weight, std=0.01)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images)
        maps = maps + self.second(maps)
        rows = self.inner(self.norm(maps.flatten(2).transpose(1, 2)))
        return self.head(functional.silu(rows).mean(1) + self.third(maps).mean((2, 3)))


def test_a_layernorm_makes_more_of_a_byte_that_rounding_turned(
    split: split_files.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = calibrated.classifier(Normalised(), split)
    path = tmp_path / "model.onnx"
    exporter.write(qat.convert(copy.deepcopy(prepared.network)), prepared.example, path)
    (norm,) = (e for e in prepared.network.graph.nodes if "layer_norm" in str(e.target))
    rounded = norm.args[0]
    while rounded.op != "call_module":
        rounded = rounded.args[0]
    # So that some bytes of the sum are others.
    prepared.network.get_submodule(rounded.target).scale *= 1 + 3e-5
    monkeypatch.setattr(places, "_are_alike", lambda *_: False)
    found = compared(prepared, path, split, optimised=False)
    assert "inner" in [each.name for each in found.layers]
    assert found.parting is None
    prepared.network.get_parameter("inner.weight").data *= 1.5
    parting = compared(prepared, path, split, optimised=False).parting
    assert parting is not None
    assert parting.name == "inner"


def double_the_scale(weight: onnx.NodeProto, tensors: dict[str, onnx.TensorProto]) -> None:
    scale = tensors[weight.input[1]]
    scale.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(scale), scale.name))


def negate_the_weight(weight: onnx.NodeProto, tensors: dict[str, onnx.TensorProto]) -> None:
    levels = tensors[weight.input[0]]
    levels.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(levels), levels.name))


def broken(path: Path, target: Path, layer: str, damage: Break) -> Path:
    model = onnx.load(path)
    makers = {name: node for node in model.graph.node for name in node.output}
    layers = [node for node in model.graph.node if node.op_type in {"Conv", "Gemm"}]
    tensors = {each.name: each for each in model.graph.initializer}
    damage(makers[layers[NAMES.index(layer)].input[1]], tensors)
    onnx.save(model, target)
    return target


def images(split: split_files.Split) -> np.ndarray:
    return split.preprocessing.normalise(split.images[:16])


def compared(
    prepared: Classifier, path: Path, split: split_files.Split, *, optimised: bool
) -> layer_parity.Compared:
    """Return what is found of a file, which has as many layers as the network."""
    found = layer_parity.compare(
        prepared.network, path, images(split), optimised=optimised, num_threads=1
    )
    assert found is not None
    return found


@pytest.mark.parametrize("optimised", [False, True])
def test_what_is_written_parts_nowhere(
    optimised: bool, prepared: Classifier, path: Path, split: split_files.Split
) -> None:
    found = compared(prepared, path, split, optimised=optimised).layers
    others = {each.name for each in found} - set(NAMES)
    assert [each.name for each in found if each.name in NAMES] == NAMES
    assert {"the input", "hardswish after depthwise", "mul after excite", "the logits"} <= others
    assert not any(each.parts for each in found)
    # A byte lies within half a step of what is rounded to it, and what biases in steps add.
    assert 0.4 / 0.6 < max(each.share for each in found if each.rounded) < 0.51 / 0.6


@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize("damage", [double_the_scale, negate_the_weight])
@pytest.mark.parametrize("layer", NAMES)
def test_the_layer_that_was_broken_is_the_one(
    layer: str,
    damage: Break,
    optimised: bool,
    prepared: Classifier,
    path: Path,
    split: split_files.Split,
    tmp_path: Path,
) -> None:
    wrong = broken(path, tmp_path / "broken.onnx", layer, damage)
    found = compared(prepared, wrong, split, optimised=optimised).layers
    assert [each.name for each in found if each.parts] == [layer]


def test_where_no_layer_is_to_blame_none_is(
    prepared: Classifier, path: Path, split: split_files.Split
) -> None:
    found = compared(prepared, path, split, optimised=True)
    assert layer_parity.explain(found) == "no layer alone differs by more than rounding"


def test_answers_in_another_order_are_seen_behind_the_last_layer(
    prepared: Classifier, path: Path, split: split_files.Split, tmp_path: Path
) -> None:
    model = onnx.load(path)
    (answer,) = (node for node in model.graph.node if node.output[0] == "logits")
    answer.output[0] = "unordered"
    order = numpy_helper.from_array(np.array([1, 0, *range(2, 10)], np.int64), "order")
    model.graph.initializer.append(order)
    gather = helper.make_node("Gather", ["unordered", "order"], ["logits"], axis=1)
    model.graph.node.append(gather)
    onnx.save(model, tmp_path / "m.onnx")
    found = compared(prepared, tmp_path / "m.onnx", split, optimised=False).layers
    assert [each.name for each in found if each.parts] == ["the logits"]


def scale_by_two_percent(weight: onnx.NodeProto, tensors: dict[str, onnx.TensorProto]) -> None:
    scale = tensors[weight.input[1]]
    changed = (1.02 * numpy_helper.to_array(scale)).astype(np.float32)
    scale.CopyFrom(numpy_helper.from_array(changed, scale.name))


def test_a_layer_that_is_a_little_wrong_stops(
    prepared: Classifier, split: split_files.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    files.write_json(parent / "model.json", {})
    write = exporter.write

    def write_wrongly(converted, example, path, **options) -> None:  # type: ignore[no-untyped-def]
        write(converted, example, path, **options)
        broken(path, path, "stem", scale_by_two_percent)

    monkeypatch.setattr(exporter, "write", write_wrongly)
    model = prepared.with_network(copy.deepcopy(prepared.network))
    with pytest.raises(ParityError, match=r"part at layer stem, which .*mixed\."):
        int8_export.save(
            tmp_path / "m", model, split, calibrated.EXPORT, parent=parent, num_threads=1
        )
    assert not (tmp_path / "m").exists()


def test_a_wrong_export_stops_and_names_the_layer(
    prepared: Classifier, split: split_files.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    files.write_json(parent / "model.json", {})
    write = exporter.write

    def write_wrongly(converted, example, path, **options) -> None:  # type: ignore[no-untyped-def]
        write(converted, example, path, **options)
        broken(path, path, "depthwise", negate_the_weight)

    def save(target: Path) -> None:
        model = prepared.with_network(copy.deepcopy(prepared.network))
        int8_export.save(target, model, split, calibrated.EXPORT, parent=parent, num_threads=1)

    save(tmp_path / "right")
    assert (tmp_path / "right" / "model.onnx").is_file()
    monkeypatch.setattr(exporter, "write", write_wrongly)
    with pytest.raises(ParityError, match=r"part at layer depthwise, which"):
        save(tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


def test_a_file_that_answers_otherwise_than_its_layers_do_stops(
    prepared: Classifier, split: split_files.Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where operators are fused wrongly, which stay apart while their values are asked for."""
    parent = tmp_path / "parent"
    parent.mkdir()
    files.write_json(parent / "model.json", {})
    predict, runs = runtimes.predict, []

    def fuse_wrongly(*given: Any) -> np.ndarray:
        runs.append(predict(*given))
        return runs[-1][:, ::-1].copy() if len(runs) == 2 else runs[-1]

    monkeypatch.setattr(runtimes, "predict", fuse_wrongly)
    model = prepared.with_network(copy.deepcopy(prepared.network))
    with pytest.raises(ParityError, match="optimised, and the same while its layers are looked in"):
        int8_export.save(
            tmp_path / "m", model, split, calibrated.EXPORT, parent=parent, num_threads=1
        )
    assert not (tmp_path / "m").exists()
