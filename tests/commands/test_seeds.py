from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import repository
import toy
from repository import State

from slimline import files, params
from slimline.__main__ import main
from slimline.measure import accuracy, training_noise, trainings
from slimline.measure.training_noise import TrainingNoise
from slimline.measure.trainings import Training
from slimline.report import seeds
from slimline.repository import commit_results, experiments

Capsys = pytest.CaptureFixture[str]


def revision(name: str, seed: int, threshold: float, validation: float) -> dict[str, Any]:
    """What `dvc exp show --json` says of one."""
    figures = {"top1": validation - 1, "validation_top1": validation}
    given = {"seed": seed, "prune": {"threshold": threshold}, "gates": {"min_top1": seed}}
    return {
        "rev": name,
        "data": {
            "params": {"params.yaml": {"data": given}},
            "metrics": {"metrics/evaluate/int8_export.json": {"data": figures}},
        },
    }


SHOWN = [
    revision("workspace", 1, 0.15, 90.0),
    {
        **revision("a" * 40, 1, 0.15, 90.0),
        "experiments": [
            {"revs": [revision(f"exp-{number}", *each)]}
            for number, each in enumerate(
                [
                    (2, 0.15, 90.4), (3, 0.15, 89.6), (4, 0.15, 90.0),
                    (1, 0.3, 89.9), (2, 0.3, 90.2), (3, 0.3, 89.6),
                    (1, 0.6, 86.0), (2, 0.6, 86.4), (3, 0.6, 85.6),
                    (1, 0.7, 80.0),
                ]
            )
        ],
    },
]  # fmt: skip


@pytest.fixture
def shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(experiments, "show", lambda *, all_commits: SHOWN)  # noqa: ARG005
    return folder


@pytest.mark.usefixtures("shown")
def test_what_differs_in_the_seed_alone_is_gathered(capsys: Capsys) -> None:
    assert main(["seeds"]) == 0
    done = capsys.readouterr()
    header, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in done.out.splitlines()
        if line.startswith("|")
    )
    assert header == ["setting", "seeds", "validation", "test"]
    assert rows[0] == ["workspace", "4", "90.00 % (sd 0.33)", "89.00 % (sd 0.33)"]
    assert [row[:2] for row in rows[1:]] == [
        ["prune.threshold=0.3", "3"],
        ["prune.threshold=0.6", "3"],
    ]
    within, beyond = (line for line in done.out.splitlines() if not line.startswith("|"))
    assert within.startswith("prune.threshold=0.3: \N{MINUS SIGN}0.10 points (")
    assert within.endswith("within the noise of training")
    assert beyond.startswith("prune.threshold=0.6: \N{MINUS SIGN}4.00 points (")
    assert beyond.endswith("beyond the noise of training")
    assert "1 settings with fewer seeds are left out" in done.err


def test_the_spread_is_written_for_git(shown: Path, capsys: Capsys) -> None:
    assert main(["seeds", "--write"]) == 0
    found = training_noise.read(shown / commit_results.TRAINING_NOISE)
    assert found is not None
    assert (found.seeds, found.mean) == (4, 89.0)
    assert found.deviation == pytest.approx(0.3266, abs=1e-4)
    assert "commit it" in capsys.readouterr().err


def test_too_few_seeds_are_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setattr(experiments, "show", lambda *, all_commits: SHOWN[:1])  # noqa: ARG005
    assert main(["seeds", "--write"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("no setting was trained with 3 seeds or more; `dvc exp run --queue")
    assert len(told.splitlines()) == 1
    assert not (folder / commit_results.TRAINING_NOISE).exists()


def retrained(folder: Path, rng: np.random.Generator, deviation: float) -> None:
    """Write answers as of a training whose accuracy is off by chance, points."""
    repository.write(folder, State())
    path = folder / "metrics/predictions/int8_export.txt"
    labels = accuracy.read_predictions(folder / "metrics/predictions/labels.txt")
    off = rng.normal(0, deviation) / 100
    answers = accuracy.read_predictions(path)
    won = (answers != labels) & (rng.random(len(labels)) < (0.03 + off / 2) / 0.1)
    lost = (answers == labels) & (rng.random(len(labels)) < (0.03 - off / 2) / 0.9)
    answers = np.where(won, labels, np.where(lost, (labels + 1) % 10, answers))
    path.write_text(accuracy.format_predictions(answers))
    repository.write_top1(folder, "int8_export")


def on_main(folder: Path, path: Path, message: str) -> None:
    """Commit a file on main as the working tree has it, and begin the branch there."""
    toy.git(folder, "add", str(path))
    toy.git(folder, "commit", "--quiet", "--message", message, "--", str(path))
    toy.git(folder, "branch", "--force", "main")


def known_noise(folder: Path, deviation: float) -> TrainingNoise:
    given = params.flat(params.read(folder / "params.yaml"))
    return replace(training_noise.of([0, 1, 2], given), seeds=8, deviation=deviation)


def test_a_retraining_is_judged_with_its_noise(folder: Path, capsys: Capsys) -> None:
    """8 of 2000 images lost, 0.4 points, are beyond what chance does to images alone."""
    repository.write(folder, State(lost=8))
    assert main(["diff", "main", "--no-measure"]) == 0
    told = capsys.readouterr().out
    assert "though accuracy fell beyond chance of these images; trained anew, and the noise" in told
    training_noise.write(commit_results.TRAINING_NOISE, known_noise(folder, 0.3))
    assert main(["diff", "main", "--no-measure"]) == 0
    told = capsys.readouterr().out
    assert "though accuracy fell beyond chance" in told, "no branch brings its own excuse"
    assert "what this branch has measured holds once it is merged" in told
    on_main(folder, commit_results.TRAINING_NOISE, "Measure the noise of training")
    assert main(["diff", "main", "--no-measure"]) == 0
    told = capsys.readouterr().out
    assert "beyond chance" not in told.splitlines()[0]
    assert "what chance can do, training anew included (sd 0.30 points, 8 seeds)" in told
    assert "trained anew, with the noise of that, 0.30 points over 8 seeds" in told
    assert "of other settings" not in told
    assert "one of 0.3 no number of images: training anew alone hides 1.16" in told
    assert "has noise of its own, which is added where this says so" in told
    training_noise.write(commit_results.TRAINING_NOISE, TrainingNoise(8, 90.0, 0.3, "0" * 64))
    on_main(folder, commit_results.TRAINING_NOISE, "Measure that of other settings")
    assert main(["gate", "--base", "main", "--no-measure"]) == 0
    assert "0.30 points over 8 seeds of other settings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("weights", "cpu", "told"),
    [
        ("a" * 64, "Other CPU", "won, 8 lost;"),
        ("b" * 64, "Other CPU", "trained anew on another type of CPU (Other CPU AVX2, there Test "),
        ("b" * 64, "Test CPU", "trained anew, and the noise"),
    ],
)
def test_trained_alike_goes_by_the_weights_and_says_where(
    weights: str, cpu: str, told: str, folder: Path, capsys: Capsys
) -> None:
    history = folder / "metrics/history"
    made = Training("qat_finetune", "a" * 64, "cpu", "Test CPU", "AVX2", "2", "2.14.1")
    trainings.write(history, [made])
    on_main(folder, history, "Say where the model was trained")
    repository.write(folder, State(lost=8))
    trainings.write(history, [replace(made, weights=weights, cpu=cpu)])
    assert main(["gate", "--base", "main", "--no-measure"]) == 0
    (line,) = (each for each in capsys.readouterr().out.splitlines() if "max_top1_loss" in each)
    assert told in line
    assert ("trained anew" in line) == (weights[0] == "b")


def test_a_damaged_table_of_trainings_is_one_sentence(folder: Path, capsys: Capsys) -> None:
    files.write_text(folder / "metrics/history/trainings.tsv", "model\tcolour\nprune\tblue\n")
    assert main(["gate"]) == 2
    assert "trainings.tsv: is not what stage report writes" in capsys.readouterr().err


@pytest.mark.slow
def test_retrainings_of_one_setting_are_rarely_called_different(
    folder: Path, capsys: Capsys
) -> None:
    """Eight with other seeds: at most one verdict; without the noise of training there are more."""
    toy.git(folder, "switch", "--quiet", "main")
    toy.set_params(folder, {"gates.max_top1_drop": "none"})
    toy.commit(folder, "Judge what training does alone")
    toy.git(folder, "switch", "--quiet", "--create", "retrained")
    path, verdicts = commit_results.TRAINING_NOISE, {}
    for is_known in (False, True):
        if is_known:
            training_noise.write(path, known_noise(folder, 0.9))
            on_main(folder, path, "Measure the noise of training")
        rng, verdicts[is_known] = np.random.default_rng(7), 0
        for _ in range(8):
            retrained(folder, rng, 0.9)
            assert main(["diff", "main", "--no-measure"]) == 0
            told = capsys.readouterr().out
            assert "Classes that changed" not in told
            verdicts[is_known] += "beyond chance" in told or "broken" in told.splitlines()[0]
    assert verdicts[True] <= 1 < verdicts[False]


def test_damaged_spread_is_one_sentence(folder: Path, capsys: Capsys) -> None:
    path = folder / commit_results.TRAINING_NOISE
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"seeds": 8}')
    assert main(["gate"]) == 2
    assert "training_noise.json: is not what `python -m slimline seeds" in capsys.readouterr().err
    path.write_text('{"seeds": 8, "mean": 90, "deviation": NaN}')
    assert main(["gate"]) == 2
    assert "and a deviation above 0" in capsys.readouterr().err
    path.write_text('{"seeds": 3, "mean": 90, "deviation": 0}')
    assert main(["gate"]) == 2


@pytest.mark.parametrize("dep", ["metrics/code/prune.txt", "data/prepared/train"])
def test_other_code_or_images_are_no_other_seed(dep: str) -> None:
    shown = [revision(f"{seed}" * 40, seed, 0.3, 90.0 - seed) for seed in (1, 2, 3)]
    for each, md5 in zip(shown, ("1", "1", "2"), strict=True):
        each["data"]["deps"] = {dep: {"hash": md5}}
    assert [len(each.seeds) for each in seeds.gather(shown, "int8_export")] == [2, 1]


@pytest.mark.parametrize(
    ("key", "value", "is_same"),
    [
        ("progress.checkpoint_minutes", 0, True),
        ("prune_control.train", True, True),
        ("targets", ["executorch"], True),
        ("sensitivity.images", 0, False),
    ],
)
def test_what_changes_no_answer_is_no_other_setting(
    key: str, value: object, *, is_same: bool
) -> None:
    given = params.flat(params.read(toy.ROOT / "params.yaml"))
    digests = [training_noise.settings_digest(each) for each in (given, {**given, key: value})]
    assert (digests[0] == digests[1]) == is_same


def test_a_commit_whose_params_were_merged_without_a_run_is_no_seed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    run = toy.git(folder, "rev-parse", "HEAD").strip()
    toy.set_params(folder, {"seed": 5})
    toy.commit(folder, "Merge another seed, and run nothing")
    merged = toy.git(folder, "rev-parse", "HEAD").strip()
    toy.git(folder, "switch", "--quiet", "--detach", run)
    tried = [{"revs": [revision(f"exp-{seed}", seed, 0.15, 90.0 + seed)]} for seed in (2, 3)]
    shown = [
        revision("workspace", 1, 0.15, 91.0),
        {**revision(run, 4, 0.15, 90.0), "experiments": tried},
        revision(merged, 5, 0.15, 90.0),
        {"rev": "0" * 40, "data": {"params": {}}},
    ]
    monkeypatch.setattr(experiments, "show", lambda *, all_commits: shown)  # noqa: ARG005
    assert main(["seeds"]) == 0
    done = capsys.readouterr()
    assert f"{merged[:7]} is left out, its figures are not of its params: stage " in done.err
    assert "params.yaml: seed is 5, it ran with 1" in done.err
    assert run[:7] not in done.err
    assert "0000000" not in done.err, "what has no figures is not asked"
    assert "| workspace | 4 " in done.out


def test_seeds_that_answer_alike_tell_no_noise(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    tried = [
        {"revs": [revision(f"{threshold}-{seed}", seed, threshold, validation)]}
        for threshold, validation in ((0.15, 90.1), (0.3, 90.3))
        for seed in (1, 2, 3)
    ]
    alike = {**revision("workspace", 1, 0.15, 90.1), "experiments": tried}
    monkeypatch.setattr(experiments, "show", lambda *, all_commits: [alike])  # noqa: ARG005
    assert main(["seeds", "--write"]) == 2
    done = capsys.readouterr()
    assert (
        "points (cannot be told from noise: the seeds of either setting answer alike)" in done.out
    )
    assert done.err.endswith("--write needs more images or more seeds\n")
    assert not (folder / commit_results.TRAINING_NOISE).exists()


@pytest.mark.parametrize("deviation", ['"0.3"', "null", "Infinity"])
def test_a_spread_that_is_no_number_is_one_sentence(
    folder: Path, capsys: Capsys, deviation: str
) -> None:
    path = folder / commit_results.TRAINING_NOISE
    files.write_text(path, f'{{"seeds": 8, "mean": 90, "deviation": {deviation}}}')
    assert main(["gate"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
