from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model

from slimline import files
from slimline.artifacts import model_interface
from slimline.artifacts.model_interface import Interface
from slimline.data.raw_pixels import RawPixels
from slimline.errors import ArtifactError
from slimline.measure import softmax


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_model.write(tmp_path / "model")


def change(folder: Path, changes: dict[str, Any]) -> None:
    path = folder / "model.json"
    files.write_json(path, files.read_json(path) | changes)


def test_without_a_word_it_is_normalised_images_and_logits(folder: Path) -> None:
    assert model_interface.read(folder) == Interface(tiny_model.FRAME, "logits")


def test_bytes_in_steps_of_a_range_are_made_of_normalised_images(folder: Path) -> None:
    change(folder, {"input": {"dtype": "int8", "layout": "nhwc", "scale": 0.01, "zero_point": -3}})
    assert model_interface.read(folder) == Interface(tiny_model.FRAME, "logits")


@pytest.mark.parametrize("takes", ["float32", "uint8", "uint8_nhwc"])
@pytest.mark.parametrize("answers", ["logits", "probabilities"])
def test_what_is_described_is_read(folder: Path, takes: str, answers: str) -> None:
    asked = model_interface.of(tiny_model.FRAME, takes=takes, answers=answers)
    change(folder, asked.describe())
    assert model_interface.read(folder) == asked
    assert isinstance(asked.frame, RawPixels) == (takes != "float32")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"input": 3}, "'input' is wrong"),
        ({"output": []}, "'output' is wrong"),
        ({"output": {"name": "scores"}}, "neither logits nor probabilities"),
        ({"input": {"dtype": "uint8"}}, "nchw or nhwc"),
        ({"input": {"dtype": "int8", "layout": "nchw"}}, "known are float32, and uint8"),
    ],
)
def test_a_wrong_description_is_told(folder: Path, wrong: dict[str, Any], told: str) -> None:
    change(folder, wrong)
    with pytest.raises(ArtifactError, match=told):
        model_interface.read(folder)


def test_probabilities_become_logits_of_the_same_softmax() -> None:
    shares = np.array([[0.5, 0.25, 0.25], [1, 0, 0]], np.float32)
    gives_shares = Interface(tiny_model.FRAME, "probabilities")
    logits = gives_shares.with_logits(lambda images: images)(shares)
    assert np.isfinite(logits).all()
    assert np.allclose(np.exp(softmax.log_shares(logits)), shares, atol=1e-7)
    assert Interface(tiny_model.FRAME).to_logits(shares) is shares
