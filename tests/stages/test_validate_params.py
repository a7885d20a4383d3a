import shutil
from pathlib import Path

import pytest
import toy

from slimline import files
from slimline.errors import ArtifactError, ParamsError, PretrainedError, SlimlineError
from stages import validate_params


def test_the_marker_is_constant(tmp_path: Path) -> None:
    marker = tmp_path / "metrics" / "params.ok"
    validate_params.main(toy.ROOT / "params.yaml", toy.ROOT / "data" / "raw", marker)
    assert marker.read_text() == "ok\n"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nope", "there is no folder {raw}/nope; {raw} has ['toy'], and torchvision's CIFAR10, "),
        ("shoes", "{raw}/shoes is in DVC but not here: `dvc checkout` brings it from the cache, "),
        ("CIFAR10", "{raw}/CIFAR10 is missing, of which DVC asks what has changed: say `git res"),
        ("../..", "must be the name of a folder in data/raw, at most 100 letters (A to Z), digit"),
        ("a/b", "must be the name of a folder in data/raw, at most 100 letters (A to Z), digit"),
        ("shoes ", "must be the name of a folder in data/raw, at most 100 letters (A to Z), digit"),
        (None, "should be a valid string (given None)"),
    ],
)
def test_a_set_that_is_not_there_is_refused(tmp_path: Path, source: str | None, told: str) -> None:
    raw = tmp_path / "raw"
    (raw / "toy").mkdir(parents=True)
    (raw / "shoes.dvc").touch()
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    toy.set_params(tmp_path, {"data.source": source})
    with pytest.raises(SlimlineError) as refused:
        validate_params.main(path, raw, tmp_path / "params.ok")
    assert f"params.yaml: data.source: {told.format(raw=raw)}" in str(refused.value)
    assert not (tmp_path / "params.ok").exists()


@pytest.mark.parametrize("source", ["my shoes", "shoes-2.1_b", "x"])
def test_names_that_folders_have(tmp_path: Path, source: str) -> None:
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    toy.set_params(tmp_path, {"data.source": source})
    (tmp_path / "raw" / source).mkdir(parents=True)
    validate_params.main(path, tmp_path / "raw", tmp_path / "params.ok")


def test_a_missing_section_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    text = (toy.ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text[: text.index("\nbenchmark:")])
    with pytest.raises(ParamsError, match="benchmark: is missing"):
        validate_params.main(tmp_path / "params.yaml", tmp_path, tmp_path / "params.ok")
    assert not (tmp_path / "params.ok").exists()


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    text = (toy.ROOT / "params.yaml").read_text()
    told = text.replace("pretrained: none", "pretrained: mine", 1)
    (tmp_path / "params.yaml").write_text(told)
    marker = tmp_path / "params.ok"
    with pytest.raises(PretrainedError, match=r"pretrained: mine: there is no folder .*mine"):
        validate_params.main(tmp_path / "params.yaml", toy.ROOT / "data" / "raw", marker)
    loose = tmp_path / "pretrained"
    loose.mkdir()
    (loose / "mine.pth").touch()
    with pytest.raises(PretrainedError, match=r"mine\.pth must stand in a folder of its own"):
        validate_params.main(tmp_path / "params.yaml", tmp_path, marker)
    (loose / "mine").mkdir()
    (loose / "mine.pth").rename(loose / "mine" / "mine.pth")
    with pytest.raises(PretrainedError, match=r"mine\.pth: is empty"):
        validate_params.main(tmp_path / "params.yaml", tmp_path, marker)


def test_a_model_folder_with_the_weights_of_another_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "pretrained" / "mine"
    mine.mkdir(parents=True)
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    (mine / "weights.safetensors").write_bytes(weights)
    described = {
        "architecture": {
            "backbone": "resnet10", "num_classes": 1, "channels": 1, "stem_stride": 1,
            "stem_kernel": 3,
        },
        "preprocessing": {"height": 28, "width": 28, "channels": 1, "mean": [0.3], "std": [0.2]},
        "classes": ["a"], "pretrained": None, "sha256": {"weights": "0" * 64},
    }  # fmt: skip
    files.write_json(mine / "model.json", described)
    text = (toy.ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("pretrained: none", "pretrained: mine", 1))
    with pytest.raises(
        ArtifactError, match=r"is not the file that model\.json beside it describes"
    ):
        validate_params.main(tmp_path / "params.yaml", tmp_path, tmp_path / "params.ok")


@pytest.mark.parametrize("name", ["timm:repvgg_a0", "torchvision:regnet_x_400mf"])
def test_other_networks_are_checked_without_torch(name: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    keep = {"stem_stride": "keep", "stem_kernel": "keep"}
    toy.set_params(
        tmp_path,
        {f"baseline_train.{key}": value for key, value in (keep | {"backbone": name}).items()},
    )
    code = (
        "import sys; from pathlib import Path; from slimline import schema;"
        f"schema.check(Path({str(path)!r})); sys.exit('torch' in sys.modules)"
    )
    toy.run_command(toy.ROOT, "-c", code)
