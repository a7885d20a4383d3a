"""Results of other params, data or code than those that are here are not judged."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import repository
import toy
from ruamel.yaml import YAML

from slimline import code_hashes, files, params
from slimline.__main__ import main
from slimline.repository import declared_stages, dvc_files, staleness


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose results are of what is there."""
    made = repository.make(tmp_path / "toy")
    monkeypatch.chdir(made)
    return made


def change_lock(folder: Path, stage: str, kind: str, **entry: Any) -> None:
    """Change what `dvc.lock` says of the first dep or out of a stage, or of a param."""
    lock = json.loads((folder / "dvc.lock").read_text())
    told = lock["stages"][stage][kind]
    (told["params.yaml"] if kind == "params" else told[0]).update(entry)
    (folder / "dvc.lock").write_text(json.dumps(lock))


@pytest.mark.parametrize("command", [["gate"], ["diff", "main"], ["pareto"]])
def test_another_data_set_after_a_failed_repro_is_stale(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """validate_params ran with the new params, and what came after it did not."""
    toy.set_params(folder, {"data.source": "shoes"})
    given = params.read(folder / "params.yaml")
    change_lock(folder, "validate_params", "params", **given)
    assert main(command) == 2
    done = capsys.readouterr()
    assert done.out == ""
    assert done.err == (
        "stage prepare_data is stale: params.yaml: data.source is 'shoes', it ran with "
        "'fashion_mnist'\nthe figures are not of what is here; run `dvc repro`\n"
    )


def test_a_repro_that_died_half_way_is_stale(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_lock(folder, "baseline_train", "outs", md5="7" * 32 + ".dir")
    assert main(["gate"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        "stage int8_export is stale: models/baseline_train is not what stage baseline_train made "
    )


def test_figures_of_another_run_are_stale(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "metrics/latency/int8_export.json"
    files.write_json(path, files.read_json(path) | {"p50_ms": 0.1})
    assert main(["gate"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("stage benchmark is stale: metrics/latency is not the one that it wrote")


def test_an_accuracy_of_nan_is_not_that_of_the_answers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "metrics/evaluate/int8_export.json"
    path.write_text(json.dumps(files.read_json(path) | {"top1": float("nan")}))
    repository.write_lock(folder, repository.State())
    assert main(["gate"]) == 2
    assert "90.000 % of the answers are right, the figures say nan %" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [{"gates.min_top1": 1}, {"search.trials": 3}, {"progress.checkpoint_minutes": 7}]
)
def test_a_limit_a_search_or_a_watcher_makes_nothing_stale(
    folder: Path, change: dict[str, int]
) -> None:
    toy.set_params(folder, change)
    assert main(["gate"]) == 0


def test_a_stage_that_never_ran_is_stale(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "dvc.yaml"
    path.write_text(f"{path.read_text()}  device_export:\n    cmd: python -m stages.device\n")
    assert main(["gate"]) == 2
    assert "stage device_export is stale: dvc.lock has no run of it\n" in capsys.readouterr().err


_RAW = """\
stages:
  prepare_data:
    cmd: python -m stages.prepare_data
    deps:
    - metrics/code/prepare_data.txt
    - data/raw
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A set under data/raw that `dvc add` tracks, and the code of the stage that read it."""
    files.write_text(tmp_path / "dvc.yaml", _RAW)
    files.write_text(tmp_path / "params.yaml", "seed: 1\n")
    files.write_text(tmp_path / "stages/prepare_data.py", "from slimline import split\n")
    files.write_text(tmp_path / "slimline/__init__.py", "")
    files.write_text(tmp_path / "slimline/split.py", "SHARE = 0.1\n")
    code_hashes.write(tmp_path / "stages", tmp_path / "params.yaml", tmp_path / "metrics/code")
    for name in ("a", "b"):
        files.write_text(tmp_path / f"data/raw/shoes/{name}.png", name)
    shoes = tmp_path / "data/raw/shoes"
    out = {"md5": dvc_files.hash_path(shoes), "size": 2, "nfiles": 2, "path": "shoes"}
    files.write_text(tmp_path / "data/raw/shoes.dvc", json.dumps({"outs": [out]}))
    deps = []
    for path in ("metrics/code/prepare_data.txt", "data/raw"):
        num_files, size = dvc_files.extent(tmp_path / path)
        entry = {"path": path, "md5": dvc_files.hash_path(tmp_path / path), "size": size}
        deps.append(entry | ({"nfiles": num_files} if num_files > 1 else {}))
    lock = {"stages": {"prepare_data": {"cmd": "python -m stages.prepare_data", "deps": deps}}}
    files.write_text(tmp_path / "dvc.lock", json.dumps(lock))
    return tmp_path


def stale(folder: Path) -> staleness.Staleness:
    return staleness.find(folder, dvc_files.read_lock(folder))


def test_photos_are_compared_where_they_are(raw: Path) -> None:
    assert stale(raw) == staleness.Staleness()
    files.write_text(raw / "data/raw/shoes/a.png", "c")
    assert stale(raw).stages == {"prepare_data": ["data/raw is another than the one it ran with"]}


def test_a_clone_without_photos_goes_by_their_number_and_size_and_says_so(raw: Path) -> None:
    shutil.rmtree(raw / "data/raw/shoes")
    assert stale(raw).stages == {}
    assert stale(raw).notes == [
        "data/raw: compared by number and size of files, as parts of it are not here"
    ]
    text = (raw / "data/raw/shoes.dvc").read_text()
    (raw / "data/raw/shoes.dvc").write_text(text.replace('"nfiles": 2', '"nfiles": 3'))
    (reason,) = stale(raw).stages["prepare_data"]
    assert reason.startswith("data/raw has 4 files of ")


def test_a_large_set_goes_by_number_and_size(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "_MOST_FILES", 1)
    files.write_text(raw / "data/raw/shoes/a.png", "c")
    assert stale(raw).notes == ["data/raw: compared by number and size of files, as it is large"]
    files.write_text(raw / "data/raw/shoes/c.png", "c")
    assert "prepare_data" in stale(raw).stages


def test_code_is_compared_without_its_comments(raw: Path) -> None:
    files.write_text(raw / "slimline/split.py", "# A tenth.\nSHARE = 0.1\n")
    assert stale(raw).stages == {}
    files.write_text(raw / "slimline/split.py", "SHARE = 0.2\n")
    assert stale(raw).stages == {"prepare_data": ["its code changed: slimline/split.py"]}


def test_blocks_that_stand_for_several_stages_are_read_as_dvc_does() -> None:
    declared = {stage.name: stage for stage in declared_stages.read(toy.ROOT)}
    locked = dvc_files.read_lock(toy.ROOT).stages
    templated = [name for name in declared if "@" in name]
    assert templated == [f"evaluate@{name}" for name in toy.VARIANTS]
    for name in templated:
        assert declared[name].cmd == locked[name]["cmd"]
    source = params.read(toy.ROOT / "params.yaml")["data"]["source"]
    assert f"data/raw/{source}" in declared["prepare_data"].deps


def test_what_is_not_understood_is_refused(tmp_path: Path) -> None:
    files.write_text(tmp_path / "dvc.yaml", "stages:\n  a:\n    cmd: echo ${b.c}\n")
    with pytest.raises(ValueError, match=r"dvc.yaml: \$\{b.c\}: stands for nothing"):
        declared_stages.read(tmp_path)
    files.write_text(tmp_path / "dvc.yaml", "stages:\n  a:\n    matrix: {b: [1]}\n    cmd: c\n")
    with pytest.raises(ValueError, match=r"stages.a: matrix is not understood; use foreach"):
        declared_stages.read(tmp_path)


def test_a_frozen_stage_is_compared_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`dvc repro` left it alone, and its figures are of the params before."""
    pipeline = params.read(folder / "dvc.yaml")
    pipeline["stages"]["int8_export"]["frozen"] = True
    YAML().dump(pipeline, folder / "dvc.yaml")
    toy.set_params(folder, {"prune.threshold": 0.9})
    lock = json.loads((folder / "dvc.lock").read_text())
    given = params.read(folder / "params.yaml")
    lock["stages"]["validate_params"]["params"]["params.yaml"] = given
    (folder / "dvc.lock").write_text(json.dumps(lock))
    assert main(["gate"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("stage int8_export is stale: it is frozen: `dvc unfreeze` lets it run;")
