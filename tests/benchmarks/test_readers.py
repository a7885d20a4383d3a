from pathlib import Path

import numpy as np
import pytest

from benchmarks import one_reader, readers
from slimline import files


def test_a_folder_is_of_this_very_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MODELS", tmp_path)
    (tmp_path / "qat_finetune").mkdir()
    names = set()
    for content in ("{}", '{"a": 1}', "{}"):
        (tmp_path / "qat_finetune" / "model.json").write_text(content)
        names.add(readers.hash_sources(readers.PRODUCT))
    assert len(names) == 2
    assert readers.hash_sources("resnet18") not in names


def test_pixels_stand_for_the_images_to_half_a_step() -> None:
    images = np.random.default_rng(0).uniform(-3, 3, (2, 3, 4, 5)).astype(np.float32)
    frame = readers.frame_of(images)
    found = frame.normalise(readers.to_pixels(images, frame))
    assert np.abs(found - images).max() <= 0.51 / 255 / readers.STD


def test_only_a_file_that_takes_pixels_is_given_them(tmp_path: Path) -> None:
    images = np.zeros((2, 3, 4, 5), np.float32)
    pixels = np.ones((2, 4, 5, 3), np.uint8)
    images.tofile(tmp_path / "images.bin")
    pixels.tofile(tmp_path / "pixels.bin")
    files.write_json(tmp_path / "shape.json", {"shape": list(images.shape)})
    int8, of_float = tmp_path / "int8.onnx", tmp_path / "float.onnx"
    assert np.array_equal(one_reader.read_images(int8), images)
    shapes = {"shape": list(images.shape), "pixels": list(pixels.shape)}
    files.write_json(tmp_path / "shape.json", shapes)
    assert np.array_equal(one_reader.read_images(int8), pixels)
    assert np.array_equal(one_reader.read_images(of_float), images)
