from pathlib import Path

import numpy as np
import pytest
import tiny_model
import torch

from slimline import files
from slimline.artifacts import description, model_folder
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import ArtifactError
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.params import RunParams

FRAME = Preprocessing(28, 28, 1, mean=(0.5,), std=(0.5,))
SPLIT = Split(np.zeros((1, 28, 28, 1), np.uint8), np.zeros(1, np.int64), ["a", "b"], FRAME)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    architecture = Architecture("shufflenet_v2_x0_5", 2, 1, 1, 3)
    model = Classifier(classifier.make(architecture).eval(), architecture, ["a", "b"], FRAME)
    target = tmp_path_factory.mktemp("models") / "net"
    settings = RunParams(seed=1, num_threads=1, processes=1)
    model_folder.save(target, model, data=SPLIT, settings=settings, with_onnx=False)
    return target


def test_it_comes_back_as_it_was(folder: Path) -> None:
    one, two = model_folder.load(folder), model_folder.load(folder)
    images = torch.randn(2, 1, 28, 28)
    assert torch.equal(one.network(images), two.network(images))
    assert one.preprocessing == FRAME
    assert one.classes == ["a", "b"]


def test_the_same_model_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    model = model_folder.load(folder)
    settings = RunParams(seed=1, num_threads=1, processes=1)
    model_folder.save(tmp_path / "again", model, data=SPLIT, settings=settings, with_onnx=False)
    for name in ("weights.safetensors", "model.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("weights.safetensors", b"rubbish", "is not the file that model.json"),
        ("weights.safetensors", None, "weights.safetensors is missing"),
        ("model.json", None, "model.json is missing"),
    ],
)
def test_a_broken_folder_is_told_in_one_sentence(
    folder: Path, tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    for path in folder.iterdir():
        if path.name != name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
        elif content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=told):
        model_folder.load(tmp_path)


def test_weights_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    """The other has the same settings, and was trained otherwise: another code, CPU or seed."""
    model = model_folder.load(folder)
    with torch.no_grad():
        next(model.network.parameters()).mul_(1.5)
    other = tmp_path / "other"
    settings = RunParams(seed=1, num_threads=1, processes=1)
    model_folder.save(other, model, data=SPLIT, settings=settings, with_onnx=False)
    names = [files.hash_file(each / "model.json") for each in (folder, other)]
    assert names[0] != names[1], "who names its parent by this hash names it to the byte"
    weights = "weights.safetensors"
    (other / weights).write_bytes((folder / weights).read_bytes())
    with pytest.raises(ArtifactError, match=rf"{weights}: is not the file that model.json"):
        model_folder.load(other)


def test_an_onnx_of_another_model_is_refused(tmp_path: Path) -> None:
    made = tiny_model.write(tmp_path / "m")
    description.write(made, description.read(made))
    assert description.deployable(made).path == made / "model.onnx"
    with (made / "model.onnx").open("ab") as file:
        file.write(b" ")
    assert len(description.differing(made)) == 1
    with pytest.raises(ArtifactError, match=r"model\.onnx: is not the file that model.json"):
        description.deployable(made)
