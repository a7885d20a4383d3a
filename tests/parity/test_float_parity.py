"""A float file that is broken on purpose stops its stage, which names the layer."""

import copy
import shutil
from pathlib import Path

import entries
import kinds
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from slimline.artifacts import model_folder
from slimline.data.split_files import Split
from slimline.errors import ParityError, SlimlineError
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams
from slimline.parity import float_parity
from slimline.targets.onnxruntime import runtime, to_onnx


@pytest.fixture(scope="module", params=kinds.KINDS)
def split(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Split:
    raw = tmp_path_factory.mktemp("raw")
    return kinds.splits(request.param, raw, validation_images=40)["validation"]


def settings(backbone: str) -> ModelParams:
    return ModelParams(
        backbone=backbone, pretrained="none", stem_stride=2, stem_kernel=3, activation="keep"
    )


def built(backbone: str, split: Split, folder: Path) -> Classifier:
    torch.manual_seed(0)
    model = classifier.build(settings(backbone), split, folder)
    for _ in range(3):  # else its activations vanish
        model.network(torch.from_numpy(split.preprocessing.normalise(split.images[:])))
    model.network.eval()
    return model


def scaled(path: Path, place: int, factor: float) -> None:
    """Multiply the weight of the layer at a place in the order of execution."""
    model = onnx.load(path)
    layers = [node for node in model.graph.node if node.op_type in {"Conv", "Gemm"}]
    tensors = {each.name: each for each in model.graph.initializer}
    weight = tensors[layers[place].input[1]]
    changed = (factor * numpy_helper.to_array(weight)).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    onnx.save(model, path)


@pytest.fixture(scope="module")
def model(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return built("resnet8_w48", split, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def right(model: Classifier, split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "right"
    check = float_parity.checker(model, split, num_threads=1)
    model_folder.save(folder, model, data=split, settings=settings("resnet8_w48"), check=check)
    return folder / "model.onnx"


@pytest.mark.parametrize(
    ("place", "layer"), [(0, "conv1"), (5, r"layer2\.0\.downsample\.0"), (-1, "fc")]
)
def test_the_layer_that_was_broken_is_named(
    place: int, layer: str, model: Classifier, split: Split, right: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(right, tmp_path))
    scaled(path, place, 1.0)
    float_parity.check(model, split, path, num_threads=1)
    scaled(path, place, 1.5)
    with pytest.raises(ParityError, match=rf"as it is written, .*; they part at layer {layer}, "):
        float_parity.check(model, split, path, num_threads=1)


def test_nothing_is_written_of_a_broken_file(
    model: Classifier, split: Split, tmp_path: Path
) -> None:
    def check(path: Path) -> None:
        scaled(path, 0, 1.5)
        float_parity.check(model, split, path, num_threads=1)

    with pytest.raises(ParityError):
        model_folder.save(
            tmp_path / "wrong", model, data=split, settings=settings("resnet8_w48"), check=check
        )
    assert not (tmp_path / "wrong").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", entries.ONE_PER_FAMILY)
def test_every_family_is_handed_over(name: str, split: Split, tmp_path: Path) -> None:
    model = built(name, split, tmp_path)
    check = float_parity.checker(model, split, num_threads=1)
    model_folder.save(tmp_path / "m", model, data=split, settings=settings(name), check=check)
    scaled(tmp_path / "m" / "model.onnx", -1, 2.0)
    last = [key for key, each in model.network.named_modules() if isinstance(each, nn.Linear)][-1]
    with pytest.raises(ParityError, match=rf"they part at layer {last}, which"):
        float_parity.check(model, split, tmp_path / "m" / "model.onnx", num_threads=1)


class Faint(nn.Module):
    """Has nothing but a SiLU far below zero to go by, and makes much of it, as hardly learnt."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.deep = nn.Conv2d(1, 8, 3, stride=2), nn.Conv2d(8, 8, 3, bias=False)
        self.activation, self.head = activation, nn.Linear(8, 10)
        self.stem.weight.data *= 0.5
        self.stem.bias = nn.Parameter(torch.full([8], -13.0))
        self.deep.weight.data *= 1e6

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.deep(self.activation(self.stem(images))).mean([2, 3]))


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.SiLU(inplace=True), nn.Sigmoid()])
def test_approximate_functions_are_no_fault(activation: nn.Module, tmp_path: Path) -> None:
    split = kinds.splits("arrays", tmp_path / "raw", validation_images=40)["validation"]
    frame = split.preprocessing
    architecture = Architecture("any", 10, frame.channels, 2, 3)
    model = Classifier(Faint(activation).eval(), architecture, split.classes, frame)
    path = tmp_path / "model.onnx"
    to_onnx.write_onnx(model.network, model.example, path)
    float_parity.check(model, split, path, num_threads=1)
    scaled(path, 1, 1.5)
    with pytest.raises(ParityError, match="they part at layer deep, "):
        float_parity.check(model, split, path, num_threads=1)


@pytest.mark.parametrize(
    ("activation", "share"), [(nn.Sigmoid(), 0.0), (nn.SiLU(), 2e-7), (nn.GELU(), 5e-7)], ids=str
)
def test_functions_are_off_by_no_more_than_is_explained(
    activation: nn.Module, share: float, tmp_path: Path
) -> None:
    """On whatever CPU this is: each type of CPU has functions of its own."""
    values = torch.linspace(-20, 0, 2 * 500 * 500).view(2, 1, 500, 500)
    to_onnx.write_onnx(activation.eval(), values, tmp_path / "model.onnx")
    allowed = share * values.abs() if share else torch.tensor(2e-7)
    for optimised in (False, True):
        loaded = runtime.load(tmp_path / "model.onnx", num_threads=1, optimised=optimised)
        found = torch.from_numpy(runtime.run(loaded, values.numpy()))
        assert ((found - activation(values)).abs() <= allowed).all()


class Shifted(nn.Module):
    """What an approximate function makes of each channel is added at every place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.gate = nn.Conv2d(1, 8, 3, stride=2), nn.Linear(8, 8)
        self.deep, self.head = nn.Conv2d(8, 8, 3), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images).relu()
        shift = self.gate(x.mean([2, 3])).sigmoid()
        return self.head(self.deep(x + shift[:, :, None, None]).mean([2, 3]))


def test_an_approximate_function_may_be_added_at_every_place(tmp_path: Path) -> None:
    split = kinds.splits("arrays", tmp_path / "raw", validation_images=40)["validation"]
    architecture = Architecture("any", 10, 1, 2, 3)
    model = Classifier(Shifted().eval(), architecture, split.classes, split.preprocessing)
    path = tmp_path / "model.onnx"
    to_onnx.write_onnx(model.network, model.example, path)
    float_parity.check(model, split, path, num_threads=1)


class Shared(nn.Module):
    """A layer that stands in two places, each with a BatchNorm of its own behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.deep = nn.Conv2d(1, 8, 3, stride=2), nn.Conv2d(8, 8, 3)
        self.norms = nn.ModuleList([nn.BatchNorm2d(8), nn.BatchNorm2d(8)])
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norms[0](self.deep(self.stem(images))).relu()
        return self.head(self.norms[1](self.deep(x)).mean((2, 3)))


class Twice(nn.Module):
    """Two branches compute one activation of one value, and another layer runs between them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.left, self.right = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.stem(images))
        left = self.left(x.relu())
        return self.head((left + self.right(x.relu())).mean((2, 3)))


class ChangedBetween(Twice):
    """The second time it is another value."""

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.stem(images))
        left = self.left(x.relu())
        x.sub_(0.5)
        return self.head((left + self.right(x.relu())).mean((2, 3)))


class Picked(nn.Module):
    """Its second layer picks single values of a LayerNorm, some of them all but 0, as ConViT's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(1, 32, 7, stride=7), nn.LayerNorm(32)
        self.pick, self.head = nn.Linear(32, 32, bias=False), nn.Linear(32, 10)
        self.pick.weight.data = torch.eye(32)
        self.stem.bias.data = 30 * torch.randn(32)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.norm(self.stem(images).flatten(2).transpose(1, 2))
        return self.head(self.pick(rows).mean(1))


def written(network: nn.Module, folder: Path) -> tuple[Classifier, Split, Path]:
    """Return a network's classifier, the images of its statistics, and its .onnx."""
    split = kinds.splits("arrays", folder / "raw", validation_images=40)["validation"]
    architecture = Architecture("any", 10, 1, 2, 3)
    model = Classifier(network, architecture, split.classes, split.preprocessing)
    with torch.no_grad():  # statistics of its own, which no file may leave out
        for _ in range(3):
            network(torch.from_numpy(split.preprocessing.normalise(split.images[:])))
    network.eval()
    path = folder / "model.onnx"
    to_onnx.write_onnx(network, model.example, path)
    return model, split, path


@pytest.mark.parametrize(
    ("kind", "layer"),
    [(Shared, "deep"), (Picked, "pick"), (Twice, "stem"), (ChangedBetween, "right")],
)
def test_what_is_rounded_otherwise_is_no_fault(
    kind: type[nn.Module], layer: str, tmp_path: Path
) -> None:
    model, split, path = written(kind(), tmp_path)
    float_parity.check(model, split, path, num_threads=1)
    with torch.no_grad():
        model.network.get_parameter(f"{layer}.weight").mul_(1.01)
    with pytest.raises(ParityError, match=f"they part at layer {layer}, "):
        float_parity.check(model, split, path, num_threads=1)


class Reordered(nn.Module):
    """BatchNorm behind its layer and behind the activation, as people write both."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.maps = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.BatchNorm2d(8),
            nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8),
        )  # fmt: skip
        self.last, self.norm = nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
        self.rows = nn.Sequential(
            nn.Linear(8, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.BatchNorm1d(8)
        )
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(nn.functional.relu6(self.last(self.maps(images))))
        return self.head(self.rows(maps.mean((2, 3))))


_ORDER = ["maps.0", "maps.3", "last", "rows.0", "rows.3", "head"]


@pytest.mark.parametrize("layer", _ORDER)
def test_batchnorm_may_stand_behind_an_activation(layer: str, tmp_path: Path) -> None:
    model, split, path = written(Reordered(), tmp_path)
    float_parity.check(model, split, path, num_threads=1)
    scaled(path, _ORDER.index(layer), 1.5)
    with pytest.raises(ParityError, match=f"they part at layer {layer}, "):
        float_parity.check(model, split, path, num_threads=1)


class Tokens(nn.Module):
    """Layers on sequences, which move a logit by a ten-thousandth or nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.place = nn.Conv2d(1, 8, 4, stride=4), nn.Parameter(torch.randn(49, 8))
        self.inner, self.unbiased = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)
        self.shift, self.head = nn.Parameter(torch.randn(8)), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images).flatten(2).transpose(1, 2) + self.place
        x = x + 1e-4 * self.inner(x).relu()
        x = x + 1e-4 * (self.unbiased(x) + self.shift)
        return self.head(x @ x.transpose(1, 2) @ x)[:, 0]


@pytest.mark.parametrize("layer", ["inner", "unbiased", "head"])
def test_layers_on_sequences_are_compared_as_others_are(layer: str, tmp_path: Path) -> None:
    model, split, path = written(Tokens(), tmp_path)
    float_parity.check(model, split, path, num_threads=1)
    proto = onnx.load(path)
    known = {each.name: each for each in proto.graph.initializer}
    weights = [
        known[node.input[1]]
        for node in proto.graph.node
        if node.op_type == "MatMul" and node.input[1] in known
    ]
    broken = weights[["inner", "unbiased", "head"].index(layer)]
    changed = np.zeros_like(numpy_helper.to_array(broken))
    broken.CopyFrom(numpy_helper.from_array(changed, broken.name))
    onnx.save(proto, path)
    with pytest.raises(ParityError, match=f"they part at layer {layer}, "):
        float_parity.check(model, split, path, num_threads=1)


class Projected(nn.Module):
    """A product with a parameter is no layer, and the layers beside it are compared."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(1, 8, 4, stride=4), nn.Linear(8, 10)
        self.projection = nn.Parameter(torch.randn(8, 8))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stem(images).relu().mean([2, 3]) @ self.projection)


def test_a_product_with_a_parameter_hides_no_layer(tmp_path: Path) -> None:
    model, split, path = written(Projected(), tmp_path)
    float_parity.check(model, split, path, num_threads=1)
    scaled(path, 0, 1.5)
    with pytest.raises(ParityError, match="they part at layer stem, "):
        float_parity.check(model, split, path, num_threads=1)


def test_a_file_that_answers_otherwise_than_its_layers_do_stops(
    model: Classifier, split: Split, right: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where operators are fused wrongly, which stay apart while their values are asked for."""
    run = runtime.run
    monkeypatch.setattr(runtime, "run", lambda *given: -run(*given))
    with pytest.raises(ParityError, match="answers otherwise than while its layers are looked in"):
        float_parity.check(model, split, right, num_threads=1)


def test_nan_agrees_with_nothing(
    model: Classifier, split: Split, right: Path, tmp_path: Path
) -> None:
    """A diverged network and its file, though both give NaN."""
    path = Path(shutil.copy(right, tmp_path))
    scaled(path, -1, float("nan"))
    diverged = model.with_network(copy.deepcopy(model.network))
    with torch.no_grad():
        diverged.network.get_parameter("fc.weight").fill_(torch.nan)
    with pytest.raises(ParityError, match="differ in a logit by nan"):
        float_parity.check(diverged, split, path, num_threads=1)


def test_nothing_is_written_of_a_diverged_network(
    model: Classifier, split: Split, tmp_path: Path
) -> None:
    diverged = model.with_network(copy.deepcopy(model.network))
    with torch.no_grad():
        diverged.network.get_parameter("fc.bias").fill_(torch.nan)
    with pytest.raises(SlimlineError):
        model_folder.save(tmp_path / "m", diverged, data=split, settings=settings("resnet8_w48"))
    assert not (tmp_path / "m").exists()
