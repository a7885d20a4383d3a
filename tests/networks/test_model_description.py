"""A `model.json` that was copied, edited or merged wrongly ends in a sentence."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slimline import files
from slimline.artifacts import model_folder
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import ArtifactError, PretrainedError
from slimline.networks import checkpoint_folder, classifier
from slimline.networks.settings import ModelParams

SPLIT = Split(
    np.zeros((2, 28, 28, 1), np.uint8), np.arange(2), ["bag", "coat"],
    Preprocessing(28, 28, 1, (0.3,), (0.2,)),
)  # fmt: skip
SETTINGS = ModelParams(
    backbone="shufflenet_v2_x0_5", pretrained="none", stem_stride=1, stem_kernel=3,
    activation="keep",
)  # fmt: skip
OPTIONAL = {"architecture.activation", "preprocessing.crop"}
"""What older files lack."""

NEEDED = ("architecture", "classes", "preprocessing", "pretrained")
OTHERS: tuple[Any, ...] = (None, "a word", -1, 0, 2.5, True, [], ["a", 1], {}, {"a": 1})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    model = classifier.build(SETTINGS, SPLIT, folder)
    model_folder.save(folder / "mine", model, data=SPLIT, settings=SETTINGS, with_onnx=False)
    return folder


def places(content: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the keys that a network is rebuilt from, and those within them."""
    for key in NEEDED:
        yield (key,)
        if isinstance(content[key], dict):
            yield from ((key, inner) for inner in content[key] if inner != "steps")


def damaged(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield copies that lack a key, or have something of another kind there."""
    for place in places(content):
        *parents, key = place
        for other in ("nothing", *OTHERS):
            changed = copy.deepcopy(content)
            section = changed[parents[0]] if parents else changed
            if other == "nothing":
                del section[key]
            elif type(other) is type(section[key]) and not isinstance(other, list | dict):
                continue
            else:
                section[key] = other
            yield f"{'.'.join(place)} = {other!r}", changed


def refusal(root: Path) -> str | None:
    try:
        checkpoint_folder.read(root, "mine")
    except PretrainedError as error:
        return str(error)
    return None


def test_every_damage_is_one_sentence(root: Path) -> None:
    path = root / "mine" / "model.json"
    whole = files.read_json(path)
    refused = {}
    for damage, content in damaged(whole):
        path.write_text(json.dumps(content))
        refused[damage] = refusal(root)
        if refused[damage] is None:
            model_folder.load(root / "mine")
        else:
            with pytest.raises(ArtifactError):
                model_folder.load(root / "mine")
    files.write_json(path, whole)
    told = [each for each in refused.values() if each is not None]
    assert len(told) > 100
    assert [each for each in told if "\n" in each or str(path) not in each] == []
    assert refused.keys() - {damage for damage, each in refused.items() if each} == {
        *(f"{key} = 'nothing'" for key in OPTIONAL), "pretrained = {}", "pretrained = {'a': 1}",
    }  # fmt: skip


def test_a_file_that_is_cut_is_one_sentence(root: Path) -> None:
    path = root / "mine" / "model.json"
    whole = path.read_bytes()
    for length in range(0, len(whole.rstrip()), 31):
        path.write_bytes(whole[:length])
        with pytest.raises(PretrainedError, match=r"model\.json: is no JSON"):
            checkpoint_folder.read(root, "mine")
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("section", "changes", "told"),
    [
        ("architecture", {"backbone": "resnet999"}, "architecture.backbone: must be one of"),
        ("architecture", {"num_classes": 3}, "must name as many classes as architecture.num_clas"),
        ("architecture", {"depth": 3}, "architecture.depth: Extra inputs are not permitted"),
        ("preprocessing", {"std": [0]}, "preprocessing.std.0: should be greater than 0 (given 0)"),
        ("preprocessing", {"mean": [0, 0]}, "1 numbers in mean and in std, as many as channels"),
    ],
)
def test_what_cannot_be_is_told(
    section: str, changes: dict[str, Any], told: str, root: Path
) -> None:
    path = root / "mine" / "model.json"
    whole = files.read_json(path)
    path.write_text(json.dumps(whole | {section: whole[section] | changes}))
    refused = refusal(root)
    files.write_json(path, whole)
    assert told in str(refused)


def test_weights_that_are_damaged_are_one_sentence(root: Path) -> None:
    """Their header is whole, and says that a tensor has fewer bytes than its shape needs."""
    path = root / "mine" / "weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"shape":[2,1024]', b'"shape":[3,1024]', 1))
    with pytest.raises(PretrainedError, match="weights"):
        classifier.build(SETTINGS.model_copy(update={"pretrained": "mine"}), SPLIT, root)
    path.write_bytes(whole)
