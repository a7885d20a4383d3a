"""A product that takes raw pixels and answers probabilities, through all that runs it."""

import copy
import platform
from pathlib import Path

import calibrated
import numpy as np
import onnx
import pytest
import torch
import toy
from PIL import Image
from torch import Tensor, nn

from slimline import files, predict
from slimline.artifacts import description, model_interface
from slimline.data.split_files import Split
from slimline.errors import ParityError
from slimline.measure import softmax
from slimline.networks.classifier import Classifier
from slimline.quantization import int8_export
from slimline.repository import one_file
from slimline.targets.onnxruntime import interface

RAW = calibrated.EXPORT.model_copy(update={"input": "uint8_nhwc", "answer": "probabilities"})


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(10 * self.conv(images).relu().mean([2, 3]))


class Gated(Network):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(nn.functional.hardswish(self.conv(images)).mean([2, 3]))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.head = nn.Conv2d(1, 8, 7, stride=7), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        shares = (tokens @ tokens.transpose(1, 2)).softmax(-1)
        return self.head((shares @ tokens).mean(1))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return toy.splits(tmp_path_factory.mktemp("raw"))["validation"]


@pytest.fixture(scope="module")
def trained(split: Split) -> Classifier:
    return calibrated.classifier(Network(), split)


@pytest.fixture(scope="module")
def folders(
    trained: Classifier, split: Split, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Return the folders of the same model, plain and raw."""
    root = tmp_path_factory.mktemp("models")
    parent = root / "parent"
    parent.mkdir()
    files.write_json(parent / description.DESCRIPTION, {})
    for name, settings in (("plain", calibrated.EXPORT), ("raw", RAW)):
        own = trained.with_network(copy.deepcopy(trained.network))
        int8_export.save(root / name, own, split, settings, parent=parent, num_threads=1)
    return root / "plain", root / "raw"


def test_both_files_answer_alike(folders: tuple[Path, Path], split: Split) -> None:
    plain, raw = (
        model_interface.read(folder).to_logits(
            description.deployable(folder).predict(
                split.images, model_interface.read(folder).frame, num_threads=1
            )
        )
        for folder in folders
    )
    assert np.abs(softmax.log_shares(plain) - softmax.log_shares(raw)).max() < 1e-4
    given = onnx.load(folders[1] / "model.onnx").graph.input[0].type.tensor_type
    assert given.elem_type == onnx.TensorProto.UINT8
    assert [each.dim_value for each in given.shape.dim][1:] == [28, 28, 1]


def test_predict_and_what_is_shipped_answer_alike(
    folders: tuple[Path, Path], split: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"{row}.png" for row in range(5)]
    for row, path in enumerate(paths):
        Image.fromarray(np.asarray(split.images[row]).squeeze()).save(path)
    plain, raw = (list(predict.predict(predict.load(folder), paths)) for folder in folders)
    for before, after in zip(plain, raw, strict=True):
        assert isinstance(before, list)
        assert isinstance(after, list)
        assert after[0].label == before[0].label
        assert after[0].share == pytest.approx(before[0].share, abs=1e-6)
    told = []
    for folder in folders:
        shipped: dict[str, object] = {"__name__": "shipped", "__file__": str(folder / "predict.py")}
        exec(compile(one_file.predict_source(), "predict.py", "exec"), shipped)
        assert shipped["main"]([str(path) for path in paths]) == 0  # type: ignore[operator]
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert len(told[0].splitlines()) == len(paths)


def test_products_of_attention_are_told_to_be_in_float(split: Split, tmp_path: Path) -> None:
    model = calibrated.classifier(Attention(), split)
    files.write_json(tmp_path / description.DESCRIPTION, {})
    int8_export.save(
        tmp_path / "int8", model, split, calibrated.EXPORT, parent=tmp_path, num_threads=1
    )
    found = description.read(tmp_path / "int8")["in_float"]
    products, layers = 2 * 16 * 16 * 8, 16 * 49 * 8 + 8 * 10  # of 16 patches
    assert found == {"layers": [], "products_share": round(100 * products / (products + layers), 1)}


def test_where_all_is_in_int8_nothing_is_told(folders: tuple[Path, Path]) -> None:
    content = description.read(folders[0])
    assert "in_float" not in content
    assert content["faster_from_onnxruntime"] == "1.15"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Arm runs int8 activations in int8")
def test_where_layers_run_in_float_no_release_is_told_to_be_faster(
    split: Split, tmp_path: Path
) -> None:
    model = calibrated.classifier(Gated(), split, activation_type="int8")
    files.write_json(tmp_path / description.DESCRIPTION, {})
    int8_export.save(
        tmp_path / "int8", model, split, calibrated.EXPORT, parent=tmp_path, num_threads=1
    )
    content = description.read(tmp_path / "int8")
    assert content["in_float"]["layers"] == ["conv"]
    assert content["oldest_onnxruntime"] == "1.14"
    assert "faster_from_onnxruntime" not in content


def test_a_portable_file_rounds_its_pixels_before_it_reads_their_bytes(
    trained: Classifier, split: Split, tmp_path: Path
) -> None:
    settings = RAW.model_copy(update={"form": "portable"})
    files.write_json(tmp_path / description.DESCRIPTION, {})
    own = trained.with_network(copy.deepcopy(trained.network))
    int8_export.save(tmp_path / "raw", own, split, settings, parent=tmp_path, num_threads=1)
    graph = onnx.load(tmp_path / "raw" / "model.onnx").graph
    made = {name: node.op_type for node in graph.node for name in node.output}
    constants = {each.name for each in graph.initializer}
    of_bytes = {
        made[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] not in constants
    }
    assert of_bytes == {"QuantizeLinear"}


def test_metadata_says_what_the_file_is(folders: tuple[Path, Path], split: Split) -> None:
    for folder in folders:
        found = {each.key: each.value for each in onnx.load(folder / "model.onnx").metadata_props}
        content = description.read(folder)
        assert found["labels"].splitlines() == list(split.classes)
        assert content["sha256"]["settings"].startswith(found["settings"])
        assert ("pixels" in found) == (content["input"]["dtype"] == "uint8")


def test_a_file_that_is_rewritten_wrongly_is_refused(
    trained: Classifier, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite = interface.rewrite

    def wrongly(path: Path, *arguments: object, **options: object) -> None:
        rewrite(path, *arguments, **options)  # type: ignore[arg-type]
        model = onnx.load(path)
        for each in model.graph.initializer:
            if each.data_type == onnx.TensorProto.INT8:
                each.raw_data = bytes(len(each.raw_data))
        onnx.save(model, path)

    monkeypatch.setattr(interface, "rewrite", wrongly)
    files.write_json(tmp_path / description.DESCRIPTION, {})
    own = trained.with_network(copy.deepcopy(trained.network))
    with pytest.raises(ParityError, match="it is rewritten wrongly"):
        int8_export.save(tmp_path / "raw", own, split, RAW, parent=tmp_path, num_threads=1)
    assert not (tmp_path / "raw").exists()
