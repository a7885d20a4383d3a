"""The committed benchmark of parity: each fault that it plants is noticed, and nothing else is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import parity
from slimline import params
from slimline.data import splitting
from slimline.data.split_files import Split
from slimline.quantization.settings import Int8ExportParams


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Split]:
    settings = params.load("data", splitting.DataParams)
    scratch = tmp_path_factory.mktemp("scratch")
    return splitting.prepare(Path("data/raw"), settings, seed=1, scratch=scratch)


@pytest.fixture(scope="module")
def exported(splits: dict[str, Split], tmp_path_factory: pytest.TempPathFactory) -> parity.Exported:
    return parity.export("resnet18", splits, 1, tmp_path_factory.mktemp("net") / "resnet18")


@pytest.mark.slow
def test_sound_files_pass(exported: parity.Exported, splits: dict[str, Split]) -> None:
    bounds = params.load("int8_export", Int8ExportParams)
    some = parity.first(splits["validation"], np.arange(200))
    shown = replace(exported, fake_quant=exported.fake_quant[:200])
    drawn = sum(parity.DRAWS.values())
    assert [told for _, told in parity.sound(shown, some, bounds)] == drawn * [""]
    assert [told for _, told in parity.sound_float(exported, some)] == drawn * [""]


@pytest.mark.slow
def test_every_fault_is_noticed_on_fifty_images(
    exported: parity.Exported, splits: dict[str, Split]
) -> None:
    validation = splits["validation"]
    few = parity.first(validation, np.arange(parity.NUM_IMAGES))
    one_class = parity.first(validation, np.flatnonzero(validation.labels == 0)[:200])
    caught = {name: list[str]() for name in [*parity.FAULTS, parity.NORMALISATION]}
    of_float = {name: list[str]() for name in parity.OF_FLOAT}
    parity.plant_all(exported, few, one_class, caught, of_float)
    assert len(caught) >= 12
    assert not [name for name, hows in (caught | of_float).items() if "" in hows]
    assert sum(hows == ["none"] for hows in caught.values()) <= 1, "hardly any changes no byte"
