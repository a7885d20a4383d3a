import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import repository
import toy
from repository import State

from slimline import params
from slimline.__main__ import main
from slimline.measure.retimed import SideBySide
from slimline.report import base_commit as reference
from slimline.report import comparison, render
from slimline.report.gates import GatesParams
from slimline.report.render import COMMENT_LIMIT
from slimline.repository import commit_results, revision

Capsys: TypeAlias = pytest.CaptureFixture[str]


def diff(capsys: Capsys, base: str = "main") -> str:
    assert main(["diff", base]) == 0
    return capsys.readouterr().out


def shown(text: str) -> str:
    """What is not folded."""
    return text[: text.index("<details>")]


def cells(text: str, first: str) -> list[str]:
    """The row of a table that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_comment_changes_nothing(folder: Path, capsys: Capsys) -> None:
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(f"# A comment.\n{text}")
    told = diff(capsys)
    assert told.startswith("## Slimline: every gate is kept\n\n**int8_export is what it was**")
    assert "No parameter changed." in told
    assert "Unchanged: file, " in told
    assert f"Variants that did not change ({len(repository.VARIANTS)})" in told
    assert "beyond chance" not in shown(told).replace("changed beyond chance", "")


def test_a_smaller_model_by_another_threshold(folder: Path, capsys: Capsys) -> None:
    toy.set_params(folder, {"prune.threshold": 0.3})
    repository.write(folder, State(lost=5, size_kib=800))
    told = diff(capsys)
    assert told.startswith("## Slimline: every gate is kept\n")
    assert "0 images won, 5 lost, p 0.062: within what chance can do" in shown(told)
    assert cells(told, "prune.threshold")[1:] == ["0.15", "0.3"]
    assert cells(told, "file")[1:] == ["1,000 KiB", "800 KiB", "\N{MINUS SIGN}20.00 %"]


def test_a_loss_beyond_chance_is_told_though_it_is_allowed(alike: Path, capsys: Capsys) -> None:
    repository.write(alike, State(lost=7))
    told = diff(capsys)
    assert told.startswith("## Slimline: every gate is kept, though accuracy fell beyond chance\n")


def test_an_unknown_noise_is_told_without_a_gate_that_says_so(folder: Path, capsys: Capsys) -> None:
    toy.set_params(folder, {"gates.max_top1_loss": "none"})
    toy.commit(folder, "Ask for nothing against the base")
    toy.git(folder, "branch", "--force", "main")
    repository.write(folder, State(lost=7))
    told = shown(diff(capsys))
    unknown = "beyond chance of these images; trained anew, and the noise of that is unknown"
    assert told.splitlines()[0].endswith(f", though accuracy fell {unknown}")
    assert f"{unknown}: `python -m slimline seeds --write` measures it" in told
    assert told.count("beyond chance") == told.count(unknown)


def test_two_lost_points_come_first(folder: Path, capsys: Capsys) -> None:
    repository.write(folder, State(lost=40))
    told = diff(capsys)
    assert told.startswith("## Slimline: 2 gates are broken: accuracy lost against the baseline, ")
    assert "0 images won, 40 lost, p < 0.001: beyond chance" in shown(told)
    assert cells(told, "**broken**")[1] == "accuracy lost against the baseline"
    rows = [line for line in told.splitlines() if line.startswith(("| **broken", "| kept"))]
    assert rows == sorted(rows, key=lambda row: "broken" not in row)


@pytest.mark.parametrize("is_trained_anew", [False, True])
def test_the_class_that_changed_is_named(
    alike: Path, capsys: Capsys, *, is_trained_anew: bool
) -> None:
    folder = alike
    path = folder / "metrics/predictions/int8_export.txt"
    labels = (folder / "metrics/predictions/labels.txt").read_text().split()
    answers = path.read_text().split()
    rows = [row for row, label in enumerate(labels) if label == "3" and answers[row] == "3"][:30]
    changed = ["8" if row in rows else answer for row, answer in enumerate(answers)]
    path.write_text("\n".join(changed) + "\n")
    repository.write_top1(folder, "int8_export")
    why = "Trained anew: the noise of that is not known by class, so none is called changed."
    if is_trained_anew:
        repository.write_training(folder, "b" * 64)
        told = diff(capsys)
        assert "Classes that changed" not in told
        assert cells(told, "class 3")[-2:] == ["0", "30"]
        assert why in told
        return
    told = diff(capsys)
    assert "### Classes that changed beyond chance" in shown(told)
    assert cells(shown(told), "**class 3**")[-2:] == ["0", "30"]
    assert why not in told


def test_other_cpus_are_not_compared_and_it_says_so(folder: Path, capsys: Capsys) -> None:
    repository.write(folder, State(cpu="Other | CPU"))
    told = diff(capsys)
    assert "every gate that can be judged is kept, 1 cannot" in told
    assert "Latency is not compared: the latency here is of Other \\| CPU (avx2)" in told
    assert "| speedup |" not in told


def test_same_cpus_are_compared(folder: Path, capsys: Capsys) -> None:
    repository.write(folder, State(milliseconds=0.25, day=1))
    row = cells(diff(capsys), "speedup")
    assert row[1:3] == ["20.0 x", "40.0 x"]
    assert row[3].startswith("\N{MINUS SIGN}")


def test_times_measured_anew_replace_the_recorded_ones(folder: Path) -> None:
    found = revision.find("main")
    repository.write(folder, State(cpu="Other CPU", milliseconds=0.25))
    now = commit_results.workspace()
    then = commit_results.of(found, now)
    before, slower = np.linspace(0.9, 1.1, 21), np.linspace(1.9, 2.1, 21)
    timed = SideBySide(before, slower * before, max_noise=2.5, machine="This CPU")
    against = replace(reference.of(then, now), anew=timed)
    settings = params.load("gates", GatesParams)
    told = render.diff(comparison.compare(then, now, settings, against, "main"))
    row = cells(told, "time per image")
    assert row[1:3] == ["1.00 ms", "2.00 ms"]
    # The sixth and the sixteenth of 21 values bound their median.
    assert row[3].startswith("+100.00 % of time per image (95.00 to 105), both models measured")
    assert "| speedup |" not in told, "the recorded ones are of two CPUs"
    assert cells(told, "**broken**")[1] == "slower than the base"


def test_what_each_stage_gains_is_compared(folder: Path, capsys: Capsys) -> None:
    repository.write(folder, State(lost=40, size_kib=800, milliseconds=0.25, day=1))
    told = diff(capsys)
    folded = told[told.index("What each stage gains and loses") :]
    *exact, before, after, difference = cells(folded, "int8_export")
    assert exact == [
        "int8_export",
        *("0.00", "\N{MINUS SIGN}2.00"),
        *("\N{MINUS SIGN}2,000 KiB", "\N{MINUS SIGN}2,200 KiB"),
        *("\N{MINUS SIGN}5 M", "\N{MINUS SIGN}5.5 M"),
    ]
    number = "\N{MINUS SIGN}" + r"\d+\.\d"
    interval = rf"{number} % \({number} to {number}\)"
    assert re.fullmatch("\N{MINUS SIGN}0.100 ms, " + interval, before)
    assert re.fullmatch("\N{MINUS SIGN}0.350 ms, " + interval, after)
    assert re.fullmatch(rf"{number} %, beyond noise", difference)
    assert cells(folded, "prune")[-1].endswith(" %, within noise")
    assert cells(folded, "baseline to product")[3:5] == [
        "\N{MINUS SIGN}39,000 KiB",
        "\N{MINUS SIGN}39,200 KiB",
    ]


def test_hostile_names_are_harmless(folder: Path, capsys: Capsys) -> None:
    names = ["<script>alert(1)</script>", "a | b", "x" * 10_000, "@octocat", "\u202eabc", "l\nl"]
    classes = [*names, *repository.CLASSES[len(names) :]]
    repository.write(folder, State(lost=40, classes=classes))
    told = diff(capsys)
    assert "<script>" not in told
    assert "&lt;script&gt;" in told
    assert "a \\| b" in told
    assert "x" * 300 not in told
    assert "@octocat" not in told
    assert "\u202e" not in told
    assert "| l l |" in told


def test_the_comment_stays_below_its_limit(folder: Path, capsys: Capsys) -> None:
    classes = [f"{index} " + "\N{SNOWMAN}" * 250 for index in range(2000)]
    toy.set_params(folder, {f"prune.key{index}": "y" * 400 for index in range(500)})
    repository.write(folder, State(lost=40, classes=classes))
    told = diff(capsys)
    assert 5000 < len(told) < COMMENT_LIMIT
    assert "more, which changed less" in told
    assert told.count("<details>") == told.count("</details>")


def test_stale_figures_are_not_compared(folder: Path, capsys: Capsys) -> None:
    toy.set_params(folder, {"prune.threshold": 0.3})
    assert main(["diff", "main"]) == 2
    done = capsys.readouterr()
    assert done.out == ""
    assert "stage int8_export is stale: params.yaml: prune.threshold is 0.3" in done.err


def test_a_new_test_set_is_not_compared(folder: Path, capsys: Capsys) -> None:
    repository.write(folder, replace(State(), test_split="2" * 32))
    told = diff(capsys)
    assert "the test images are others or in another order: answers are not compared" in told
    assert "Recall of each class" not in told


def test_main_moving_on_is_no_change_of_ours(folder: Path, capsys: Capsys) -> None:
    toy.git(folder, "switch", "--quiet", "main")
    repository.write(folder, State(size_kib=500))
    toy.commit(folder, "Move on")
    toy.git(folder, "switch", "--quiet", "topic")
    told = diff(capsys)
    assert "**int8_export is what it was**" in told
    assert "where this branch left it" in told


def test_without_git_it_is_one_sentence(folder: Path, capsys: Capsys) -> None:
    shutil.rmtree(folder / ".git")
    assert main(["diff", "main"]) == 2
    told = capsys.readouterr().err
    assert told == "this is no git repository; run the command inside a clone\n"


def test_a_base_without_results_is_one_sentence(folder: Path, capsys: Capsys) -> None:
    toy.git(folder, "switch", "--quiet", "--orphan", "empty")
    toy.git(folder, "commit", "--quiet", "--allow-empty", "--message", "Begin")
    toy.git(folder, "switch", "--quiet", "topic")
    assert main(["diff", "empty"]) == 2
    told = capsys.readouterr().err
    assert "empty at " in told
    assert "dvc.lock: the file is missing" in told
    assert len(told.splitlines()) == 1
    assert main(["diff", "--", "-x"]) == 2
    assert "is no commit that this clone knows" in capsys.readouterr().err
