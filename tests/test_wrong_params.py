"""Wrong settings are refused by the first stage: before any training, in one line that helps."""

import shutil
from pathlib import Path

import pytest
import toy

from slimline import schema
from slimline.errors import ParamsError


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.make(tmp_path_factory.mktemp("wrong") / "toy")


# No value here is as long as the one that it takes the place of: DVC writes the file and the index
# of git within one second, and git, which compares sizes and seconds, sees no change to restore.
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("prune.threshold=banana", ["prune.threshold", "'banana'", "number"]),
        ("~int8_ptq", ["int8_ptq", "missing"]),
    ],
)
def test_refused_before_anything_runs(fresh: Path, change: str, told: list[str]) -> None:
    done = toy.dvc(fresh, "exp", "run", "-S", change, check=False)
    toy.git(fresh, "restore", ".")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "prepare_data" not in done.stdout
    line = next(each for each in done.stderr.splitlines() if each.startswith("params.yaml: "))
    assert [each for each in told if each not in line] == []
    assert toy.git(fresh, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("baseline_train.recipe.epochs", -1, ["-1", "greater"]),
        ("backbone_swap.backbone", "vgg", ["'vgg'", "resnet18", "efficientnet_lite4"]),
        ("backbone_swap.pretrained", "a.bin", ["imagenet", "'a.bin'"]),
        ("baseline_train.pretrained", "../a.pth", ["data/raw/pretrained", "'../a.pth'"]),
        ("baseline_train.pretrained", "models/prune", ["dvc get . models/prune", "copied first"]),
        ("baseline_train.pretrained", "a.pth", ["put it into data/raw/pretrained/a/"]),
        ("baseline_train.recipe.epochs", 0, ["would stay random", "given 0"]),
        ("backbone_swap.unfreeze", "some", ["must be all, or a number"]),
        ("backbone_swap.unfreeze", 50, ["has 3 stages", "given 50"]),
        ("backbone_swap.activation", "gelu", ["'gelu'", "relu6"]),
        ("data.crop", 1e-320, ["data.crop", "greater than or equal to 0.05"]),
        ("backbone_swap.unfrozen.augment.crop", 0, ["greater than 0"]),
        ("backbone_swap.unfrozen.balance", "even", ["'weights' or 'sampler'"]),
        ("training.augment.crop", 0, ["greater than 0"]),
        ("training.balance", "even", ["'weights' or 'sampler'"]),
        ("training.augment.flop", True, ["no setting that Slimline knows", "'flip'"]),
        ("training.epochs", 3, ["no setting that Slimline knows"]),
        ("targets", ["onnxruntime"], ["targets.0", "'executorch'", "given 'onnxruntime'"]),
        ("targets", ["executorch", "executorch"], ["must name each once"]),
        ("quantization.weight_bits", 5, ["7 or 8", "given 5"]),
        ("quantization.calibrator", "mse", ["int8_ptq may have a calibrator of its own"]),
        ("data.on_bad_image", "ignore", ["'error' or 'skip'"]),
        ("data.source", "../cats", ["'../cats'"]),
        ("prune.method", "luck", ["'luck'", "structured_magnitude"]),
        ("qat_finetune.activation_type", "int4", ["'uint8', 'int8' or 'int8_symmetric'"]),
        ("qat_finetune.calibrator", "auto", ["'auto'", "'mse'"]),
        ("int8_export.opset", 12, ["greater than or equal to 13", "12"]),
        ("int8_export.ir_version", 7, ["must be 8 to 10 with opset 18", "given 7"]),
        (
            "int8_ptq.calibrator",
            "mse",
            ["minmax, percentile, entropy or auto with int8_ptq.quantizer"],
        ),
        ("prune.treshold", 0.2, ["0.2", "did you mean 'threshold'?"]),
        ("prune.threshold", 0.95, ["at most 0.9 in unit layer_share", "0.95"]),
        ("prune.unit", "absolute", ["relative unless method is magnitude", "'absolute'"]),
        ("prune.target", {"macs": 0.5, "params": 0.5}, ["one share below 1", "macs and params"]),
        ("prune.target.macs", 0, ["greater than 0", "given 0"]),
        ("prune.layers", {"conv1.*": 2}, ["conv1.*", "less than or equal to 1"]),
        ("prune.rates", "auto", ["sensitivity.shares", "[0.2, 0.4, 0.6]"]),
        ("prune.max_drop", -1, ["greater", "-1"]),
        ("sensitivity.shares", [0.5, 1.5], ["less than 1", "1.5"]),
        ("quantization.mixed.max_drop", 0.5, ["needs a scan", "int8_sensitivity.scan to true"]),
        ("int8_ptq.mixed.max_drop", -1, ["greater than or equal to 0", "-1"]),
        ("qat_finetune.mixed.float_layers", "fc", ["valid list", "'fc'"]),
    ],
)
def test_one_line_names_key_and_choices(
    tmp_path: Path, key: str, value: object, told: list[str]
) -> None:
    path = shutil.copy(toy.ROOT / "params.yaml", tmp_path)
    toy.set_params(tmp_path, {key: value})
    with pytest.raises(ParamsError) as refused:
        schema.check(Path(path))
    (line,) = str(refused.value).splitlines()
    place = "prune" if key == "prune.method" else key
    assert line.startswith(f"{path}: {place}")
    assert [each for each in told if each not in line] == []


def test_what_a_shared_section_lacks_is_one_mistake(tmp_path: Path) -> None:
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    path.write_text(path.read_text().replace("  num_workers: 0", "  # num_workers: 0"))
    with pytest.raises(ParamsError) as refused:
        schema.check(path)
    assert str(refused.value) == f"{path}: training.num_workers: is missing"


def test_a_file_from_before_shared_sections_is_told_where_its_keys_went(tmp_path: Path) -> None:
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    text = path.read_text()
    path.write_text(text.replace("training:\n", "old:\n").replace("quantization:\n", "older:\n"))
    with pytest.raises(ParamsError) as refused:
        schema.check(path)
    first, second = str(refused.value).splitlines()
    assert "section 'training' is missing" in first
    assert "num_workers of all recipes now stand there once" in first
    assert "section 'quantization' is missing" in second


def test_a_recipe_keeps_what_it_says_itself(tmp_path: Path) -> None:
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    toy.set_params(
        tmp_path, {"training.augment.flip": True, "backbone_swap.frozen.augment.shift": 2}
    )
    checked = schema.check(path)
    recipes = checked.baseline_train.recipe, checked.backbone_swap.frozen
    assert [each.augment.flip for each in recipes] == [True, True]
    assert [each.augment.shift for each in recipes] == [0, 2]
    assert [each.batch_size for each in recipes] == [64, 128]


def test_a_target_of_macs_is_refused_for_single_weights(tmp_path: Path) -> None:
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    toy.set_params(tmp_path, {"prune.method": "magnitude", "prune.target.macs": 0.5})
    with pytest.raises(ParamsError, match=r"prune\.target: must have no share but params unless"):
        schema.check(path)


def test_auto_needs_a_unit_that_is_by_layer(tmp_path: Path) -> None:
    path = Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path))
    toy.set_params(tmp_path, {"prune.unit": "global_share", "prune.rates": "auto"})
    with pytest.raises(ParamsError, match=r"prune\.rates: must be uniform unless unit is layer_"):
        schema.check(path)


def test_what_is_kept_is_kept_whole(tmp_path: Path) -> None:
    path = shutil.copy(toy.ROOT / "params.yaml", tmp_path)
    toy.set_params(tmp_path, {"backbone_swap.backbone": "keep"})
    with pytest.raises(ParamsError) as refused:
        schema.check(Path(path))
    assert [line.partition(": must")[0] for line in str(refused.value).splitlines()] == [
        f"{path}: backbone_swap.{key}" for key in ("stem_stride", "stem_kernel")
    ]
    kept = {f"backbone_swap.{key}": "keep" for key in ("stem_stride", "stem_kernel")}
    toy.set_params(tmp_path, kept | {"backbone_swap.unfrozen.epochs": 0})
    assert schema.check(Path(path)).backbone_swap.unfrozen.epochs == 0
