import shutil
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import onnx
import pytest
import repository
import tiny_model
import toy
from repository import State

from slimline import files, params
from slimline.__main__ import main
from slimline.measure import accuracy
from slimline.repository import retiming

Capsys: TypeAlias = pytest.CaptureFixture[str]
_LIMITS = ("min_", "max_")


def gate(capsys: Capsys, *arguments: str) -> tuple[int, dict[str, str], str]:
    """The exit code, the verdicts by key, and all that was printed."""
    code = main(["gate", *arguments])
    done = capsys.readouterr()
    words = [line.split("  ") for line in done.out.splitlines()]
    verdicts = {next(filter(None, row[1:])).strip(): row[0].strip() for row in words}
    return code, verdicts, done.out + done.err


def test_a_comment_changes_nothing(folder: Path, capsys: Capsys) -> None:
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(f"# A comment.\n{text}")
    toy.commit(folder, "Comment")
    code, verdicts, told = gate(capsys, "--base", "main")
    assert code == 0
    assert set(verdicts.values()) == {"kept"}
    assert len(verdicts) == 7
    assert "0 images won, 0 lost" in told
    assert "where this branch left it" in told


def test_two_lost_points_break_the_gates(folder: Path, capsys: Capsys) -> None:
    repository.write(folder, State(lost=40))
    code, verdicts, told = gate(capsys, "--base", "main")
    assert code == 1
    broken = {key for key, verdict in verdicts.items() if verdict == "broken"}
    assert broken == {"max_top1_drop", "max_top1_loss"}
    assert "2.00 points (" in told
    assert "0 images won, 40 lost" in told


def test_a_loss_that_chance_could_make_breaks_nothing(folder: Path, capsys: Capsys) -> None:
    repository.write(folder, State(lost=7))  # 0.35 points, 0.3 are allowed
    code, verdicts, _ = gate(capsys, "--base", "main")
    assert (code, verdicts["max_top1_loss"]) == (0, "within noise")
    on_main(folder, {"gates.confidence": 50})
    repository.write(folder, State(lost=7))
    code, verdicts, _ = gate(capsys, "--base", "main")
    assert (code, verdicts["max_top1_loss"]) == (1, "broken")


def on_main(folder: Path, values: dict[str, object]) -> None:
    """Change limits on main, and begin a new branch there."""
    toy.git(folder, "switch", "--quiet", "--discard-changes", "main")
    toy.set_params(folder, values)
    toy.commit(folder, "Change the limits")
    toy.git(folder, "switch", "--quiet", "--create", "with-limits")


def test_proof_is_owed_where_the_settings_say_so(alike: Path, capsys: Capsys) -> None:
    """5 of 2000 images lost are 0.25 points, within the limits, and may be 0.5 by chance."""
    repository.write(alike, State(lost=5))
    assert gate(capsys, "--base", "main")[0] == 0
    toy.set_params(alike, {"gates.burden": "prove"})
    code, verdicts, told = gate(capsys, "--base", "main")
    assert (code, verdicts["max_top1_loss"]) == (1, "not proven")
    assert "2,000 test images show a loss from 0.33 points on, one of 0.3 would take 2,382" in told
    assert verdicts["max_size_growth"] == "kept"


def test_a_limit_that_is_loosened_is_told_first_and_does_not_hold(
    folder: Path, capsys: Capsys
) -> None:
    repository.write(folder, State(lost=40))
    toy.set_params(folder, {"gates.max_top1_drop": 50, "gates.max_top1_loss": "none"})
    code, verdicts, told = gate(capsys, "--base", "main")
    assert told.startswith(
        "loosened      max_top1_drop     50 here, 0.5 on the base, which holds until this is merged"
    )
    assert code == 1
    assert {verdicts["max_top1_drop"], verdicts["max_top1_loss"]} == {"broken"}


def test_a_model_that_leaves_int8_breaks_a_gate(folder: Path, capsys: Capsys) -> None:
    path = folder / "metrics/evaluate/int8_export.json"
    path.write_text(path.read_text().replace('"int8_macs": 100.0', '"int8_macs": 40.0'))
    repository.write_lock(folder, State())
    code, verdicts, _ = gate(capsys)
    assert (code, verdicts["min_int8_macs"]) == (1, "broken")


def test_sizes_are_exact(folder: Path, capsys: Capsys) -> None:
    toy.set_params(folder, {"gates.max_size_kib": 1050})
    repository.write(folder, State(size_kib=1050))
    assert gate(capsys, "--base", "main")[0] == 0
    repository.write(folder, State(size_kib=1050.1))
    code, verdicts, _ = gate(capsys, "--base", "main")
    assert code == 1
    assert (verdicts["max_size_kib"], verdicts["max_size_growth"]) == ("broken", "broken")


@pytest.mark.parametrize(
    ("milliseconds", "verdict"), [(0.5, "kept"), (0.61, "within noise"), (0.7, "broken")]
)
def test_latency_is_judged_beyond_noise(
    folder: Path, capsys: Capsys, milliseconds: float, verdict: str
) -> None:
    repository.write(folder, State(milliseconds=milliseconds, day=1))
    code, verdicts, told = gate(capsys, "--base", "main")
    assert verdicts["max_slowdown"] == verdict
    assert code == (verdict == "broken")
    assert "two separate runs on Test CPU (avx2)" in told


def test_a_noisy_run_is_called_noisy(folder: Path, capsys: Capsys) -> None:
    assert "noisy" not in gate(capsys, "--base", "main")[2]
    repository.write(folder, State(is_noisy=True))
    told = gate(capsys, "--base", "main")[2]
    assert "on Test CPU (avx2), which was noisy" in told


def test_other_cpus_are_not_compared(folder: Path, capsys: Capsys) -> None:
    repository.write(folder, State(cpu="Other CPU", milliseconds=1.9))
    code, verdicts, told = gate(capsys, "--base", "main")
    assert (code, verdicts["max_slowdown"]) == (0, "not judged")
    assert gate(capsys, "--base", "main", "--strict")[0] == 1
    assert "figures of different CPUs are not compared" in told
    assert "Test CPU" in told
    assert "Other CPU" in told


def test_other_test_images_are_not_compared(folder: Path, capsys: Capsys) -> None:
    repository.write(folder, replace(State(lost=400), test_split="2" * 32))
    _, verdicts, told = gate(capsys, "--base", "main")
    assert verdicts["max_top1_loss"] == "not judged"
    assert "the test images are others" in told


def test_speedups_against_another_baseline_are_not_compared(folder: Path, capsys: Capsys) -> None:
    path = folder / "metrics/evaluate/baseline_train.json"
    path.write_text(path.read_text().replace('"macs_m": 100.0', '"macs_m": 50.0'))
    repository.write_lock(folder, State())
    _, verdicts, told = gate(capsys, "--base", "main")
    assert verdicts["max_slowdown"] == "not judged"
    assert "the baseline model is another" in told


@pytest.mark.usefixtures("folder")
def test_an_empty_base_is_a_mistake(capsys: Capsys) -> None:
    assert main(["gate", "--strict", "--base", ""]) == 2
    assert capsys.readouterr().err == "no commit was named: the text in its place is empty\n"


@pytest.mark.usefixtures("folder")
def test_without_a_base_its_limits_are_left_out(capsys: Capsys) -> None:
    code, verdicts, told = gate(capsys)
    assert code == 0
    assert list(verdicts) == ["min_int8_macs", "max_top1_drop", "min_size_ratio", "min_speedup"]
    assert "--base REV" in told


def test_every_limit_can_be_switched_on_and_off(folder: Path, capsys: Capsys) -> None:
    on = {"min_top1": 99, "max_size_kib": 1, "max_p50_ms": 0.1, "max_peak_rss_mib": 1}
    toy.set_params(folder, {f"gates.{key}": limit for key, limit in on.items()})
    _, verdicts, _ = gate(capsys)
    assert {verdicts[key] for key in on} == {"broken"}
    off = dict.fromkeys(
        [*on, "min_int8_macs", "max_top1_drop", "min_size_ratio", "min_speedup"], "none"
    )
    toy.set_params(folder, {f"gates.{key}": limit for key, limit in off.items()})
    assert gate(capsys)[:2] == (0, {})


def test_a_base_of_an_older_version_is_compared_as_far_as_it_goes(
    folder: Path, capsys: Capsys
) -> None:
    toy.git(folder, "switch", "--quiet", "main")
    for name in ("predictions/labels.txt", "predictions/test_split.json", "benchmark/blocks.tsv"):
        (folder / "metrics" / name).unlink()
    toy.commit(folder, "Be older")
    toy.git(folder, "switch", "--quiet", "--create", "newer")
    repository.write(folder, State(lost=40))
    _, verdicts, told = gate(capsys, "--base", "main")
    assert (verdicts["max_top1_loss"], verdicts["max_slowdown"]) == ("broken", "not judged")
    assert "before the times of blocks were kept" in told


def test_a_shallow_clone_is_compared_with_the_fetched_tip(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capsys,
) -> None:
    repository.write(folder, State(lost=40))
    toy.commit(folder, "Ruin accuracy")
    url = folder.as_uri()  # a plain path would ignore --depth
    toy.git(tmp_path, "clone", "--quiet", "--depth", "1", "--branch", "topic", url, "clone")
    clone = tmp_path / "clone"
    monkeypatch.chdir(clone)
    code = main(["gate", "--base", "origin/main"])
    told = capsys.readouterr().err
    assert code == 2
    assert "git fetch --depth 1 origin main:refs/remotes/origin/main" in told
    assert len(told.splitlines()) == 1
    toy.git(clone, "fetch", "--quiet", "--depth", "1", "origin", "main:refs/remotes/origin/main")
    code, verdicts, told = gate(capsys, "--base", "origin/main")
    assert (code, verdicts["max_top1_loss"]) == (1, "broken")
    assert "its latest fetched commit" in told


def test_mistakes_are_one_sentence(folder: Path, capsys: Capsys) -> None:
    toy.set_params(folder, {"prune.threshold": 0.2})
    assert main(["gate"]) == 2
    told = capsys.readouterr().err
    assert told == (
        "stage int8_export is stale: params.yaml: prune.threshold is 0.2, it ran with 0.15\n"
        "the figures are not of what is here; run `dvc repro`\n"
    )
    toy.git(folder, "restore", ".")
    (folder / "metrics/predictions/prune.txt").write_text("1\n2\n")
    assert main(["gate"]) == 2
    assert "prune.txt: has 2 answers for 2000 labels" in capsys.readouterr().err
    (folder / "metrics/predictions/prune.txt").write_text("<<<<<<< HEAD\n")
    assert main(["gate"]) == 2
    assert "prune.txt: is no list of class numbers" in capsys.readouterr().err
    (folder / "metrics/evaluate/prune.json").write_text("<<<<<<< HEAD\n")
    assert main(["gate"]) == 2
    assert "prune.json: is no JSON" in capsys.readouterr().err
    (folder / "metrics/evaluate/prune.json").write_text("{}")
    assert main(["gate"]) == 2
    assert "prune.json: lacks " in capsys.readouterr().err
    (folder / "metrics/evaluate/prune.json").unlink()
    assert main(["gate"]) == 2
    assert "prune.json: is missing; run `dvc repro`" in capsys.readouterr().err


def test_answers_of_another_run_are_noticed(folder: Path, capsys: Capsys) -> None:
    path = folder / "metrics/predictions/int8_export.txt"
    path.write_text(path.read_text().replace("3\n", "4\n", 30))
    assert main(["gate"]) == 2
    assert "int8_export.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (-1, "must be a number from 0 to 100, or none for no limit (given -1)"),
        ("banana", "or none for no limit (given 'banana')"),
        (None, "or none for no limit (given None)"),
        (True, "or none for no limit (given True)"),
    ],
)
def test_a_wrong_limit_is_one_line(folder: Path, capsys: Capsys, value: object, told: str) -> None:
    toy.set_params(folder, {"gates.max_top1_drop": value})
    assert main(["gate"]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.startswith("params.yaml: gates.max_top1_drop: ")
    assert len(printed.splitlines()) == 1


def test_outside_of_a_repository_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gate"]) == 2
    assert capsys.readouterr().err == "params.yaml: the file is missing\n"


def with_models(folder: Path) -> None:
    """Give main and the branch a model each, tracked by DVC, of which the first is in the cache."""
    toy.git(folder, "switch", "--quiet", "main")
    toy.init_dvc(folder)
    toy.set_params(folder, {"gates.max_slowdown": 100_000})
    tiny_model.write(folder / "models/int8_export")
    pipeline = (folder / "dvc.yaml").read_text()
    pipeline = pipeline.replace("    outs:\n    - models/int8_export\n", "")
    (folder / "dvc.yaml").write_text(pipeline.replace("    - models/int8_export\n", ""))
    toy.dvc(folder, "add", "--quiet", "models/int8_export")
    toy.commit(folder, "Add the model")
    toy.git(folder, "switch", "--quiet", "--create", "other")
    path = folder / "models/int8_export/model.onnx"
    model = onnx.load(path)
    model.doc_string = "other"
    path.unlink()
    onnx.save(model, path)
    toy.set_params(folder, {"benchmark.blocks": 7, "benchmark.max_seconds": 0})


def test_latency_is_measured_anew_where_dvc_has_the_models(folder: Path, capsys: Capsys) -> None:
    """Which is faster is not asked here: only that both were timed, and that it is said."""
    with_models(folder)
    repository.write(folder, State(cpu="Other CPU"))
    code, verdicts, told = gate(capsys, "--base", "main")
    assert (code, verdicts["max_slowdown"]) == (0, "kept")
    assert "both models measured anew, in turns, on " in told
    _, verdicts, told = gate(capsys, "--base", "main", "--no-measure")
    assert verdicts["max_slowdown"] == "not judged"
    assert (
        "figures of different CPUs are not compared; not measured anew: that was switched" in told
    )
    shutil.rmtree(folder / ".dvc/cache")
    repository.write(folder, State())
    _, verdicts, told = gate(capsys, "--base", "main")
    assert verdicts["max_slowdown"] == "kept"
    assert (
        "by the speedups of two separate runs on Test CPU (avx2); not measured anew: neither "
        in (told)
    )


def test_a_model_of_another_run_is_not_timed(folder: Path, capsys: Capsys) -> None:
    tiny_model.write(folder / "models/int8_export")
    repository.write(folder, State(product_md5="3" * 32))
    told = gate(capsys, "--base", "main")[2]
    assert "not measured anew: models/int8_export/model.onnx is not the one that dvc.lock" in told
    shutil.rmtree(folder / "models")
    told = gate(capsys, "--base", "main")[2]
    assert "not measured anew: models/int8_export/model.onnx is not here" in told


@pytest.mark.parametrize("takes", ["uint8", "uint8_nhwc"])
def test_a_product_of_raw_pixels_is_timed_against_one_of_floats(
    takes: str, folder: Path, capsys: Capsys
) -> None:
    with_models(folder)
    tiny_model.rewrite(folder / "models/int8_export", takes=takes, answers="probabilities")
    repository.write(folder, State(cpu="Other CPU"))
    code, verdicts, told = gate(capsys, "--base", "main")
    assert (code, verdicts["max_slowdown"]) == (0, "kept")
    assert "both models measured anew, in turns, on " in told


def test_the_same_file_is_exactly_as_fast(folder: Path, capsys: Capsys) -> None:
    toy.git(folder, "switch", "--quiet", "main")
    repository.write(folder, State(product_md5="3" * 32))
    toy.commit(folder, "Name the product's hash")
    toy.git(folder, "switch", "--quiet", "--create", "other")
    repository.write(folder, State(product_md5="3" * 32, cpu="Other CPU", milliseconds=1.9))
    toy.set_params(folder, {"gates.max_slowdown": 0, "gates.min_speedup": "none"})
    code, verdicts, told = gate(capsys, "--base", "main")
    assert (code, verdicts["max_slowdown"]) == (0, "kept")
    assert "slower than the base: 0.00 %, at most 0.00 %; the model is the same file" in told


def test_without_onnxruntime_the_recorded_speedups_are_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    repository.write(folder, State())
    monkeypatch.setattr(retiming, "_RUNTIME", "no_such_package")
    told = gate(capsys, "--base", "main")[2]
    assert "two separate runs on Test CPU (avx2); not measured anew: no_such_package is not" in told


def test_labels_that_are_not_the_base_s_are_refused(folder: Path, capsys: Capsys) -> None:
    """An image that nobody answers rightly has another label, which no score shows."""
    path = folder / "metrics/predictions/labels.txt"
    labels = accuracy.read_predictions(path)
    labels[9] = (labels[9] + 2) % 10
    path.write_text(accuracy.format_predictions(labels))
    repository.write_lock(folder, State())
    assert main(["gate", "--base", "main", "--no-measure"]) == 2
    assert "labels.txt: is not that of the base, though the test images" in capsys.readouterr().err


def test_a_base_whose_params_were_merged_without_a_run_is_told(
    folder: Path, capsys: Capsys
) -> None:
    toy.git(folder, "switch", "--quiet", "main")
    toy.set_params(folder, {"prune.threshold": 0.3, "gates.min_top1": 1})
    toy.commit(folder, "Prune more, and run nothing")
    toy.git(folder, "switch", "--quiet", "--create", "later")
    repository.write(folder, State())
    main(["gate", "--base", "main", "--no-measure"])
    told = "stage int8_export: params.yaml: prune.threshold is 0.3, it ran with 0.15\n"
    assert f"its figures are not of what it holds: {told}" in capsys.readouterr().err
    main(["diff", "main"])
    comment = capsys.readouterr().out
    assert "> **The base's figures are not of what it holds**" in comment
    assert "it ran with 0.15. `dvc repro` there would give others.\n" in comment


@pytest.mark.usefixtures("folder")
def test_a_base_whose_figures_are_its_own_is_not_remarked_upon(capsys: Capsys) -> None:
    main(["gate", "--base", "main", "--no-measure"])
    main(["diff", "main"])
    done = capsys.readouterr()
    assert "not of what it holds" not in done.out + done.err


def test_a_base_with_metrics_of_another_run_is_told(folder: Path, capsys: Capsys) -> None:
    path = folder / "metrics/latency/int8_export.json"
    files.write_json(path, files.read_json(path) | {"p50_ms": 0.1})
    toy.commit(folder, "Merge metrics without their lock")
    toy.git(folder, "branch", "--force", "main")
    repository.write(folder, State())
    main(["gate", "--base", "main", "--no-measure"])
    told = "stage benchmark: metrics/latency is not the one that it wrote"
    assert told in capsys.readouterr().err


def test_a_merge_conflict_in_the_blocks_is_one_sentence(folder: Path, capsys: Capsys) -> None:
    path = folder / "metrics/benchmark/blocks.tsv"
    path.write_text(path.read_text() + "<<<<<<< HEAD\n=======\n>>>>>>> topic\n")
    assert main(["gate"]) == 2
    assert "metrics/benchmark/blocks.tsv: is no table of times" in capsys.readouterr().err


@pytest.mark.parametrize("lost", [0, 1])
def test_with_an_unknown_noise_nothing_is_proven(folder: Path, capsys: Capsys, lost: int) -> None:
    on_main(folder, {"gates.max_top1_loss": 2})
    repository.write(folder, State(lost=lost))
    toy.set_params(folder, {"gates.burden": "prove"})
    assert main(["gate", "--base", "main", "--no-measure"]) == 1
    (line,) = (each for each in capsys.readouterr().out.splitlines() if "max_top1_loss" in each)
    assert line.startswith("not proven")
    assert "would take" not in line, "no number of images is enough"


def test_another_product_is_not_compared_with_its_namesake(folder: Path, capsys: Capsys) -> None:
    """Main ships another variant; this branch one that main has too, with the same file."""
    same = State(product_md5="3" * 32, milliseconds=1.5, lost=40)
    text = (folder / "variants.yaml").read_text()
    product, comparator = "int8_export:\n    role: product", "int8_dynamic:\n    role: comparator"
    swapped = text.replace(product, product.replace("product", "comparator"))
    swapped = swapped.replace(comparator, comparator.replace("comparator", "product"))
    (folder / "variants.yaml").write_text(swapped)
    repository.write(folder, same)
    toy.commit(folder, "Ship what is quantized as it runs")
    toy.git(folder, "branch", "--force", "main")
    (folder / "variants.yaml").write_text(text)
    repository.write_lock(folder, same)
    _, verdicts, told = gate(capsys, "--base", "main", "--no-measure")
    assert verdicts["max_slowdown"] == "broken"
    assert "the same file" not in told
    main(["diff", "main", "--no-measure"])
    comment = capsys.readouterr().out
    assert "**int8_export**, in the place of int8_dynamic: " in comment
    assert "0 images won, 40 lost" in comment[: comment.index("### Gates")]
    assert "is what it was" not in comment
    assert "| variants.yaml: int8\\_export.role | comparator | product |" in comment


def test_where_nothing_is_judged_strict_fails(folder: Path, capsys: Capsys) -> None:
    toy.set_params(folder, {"gates.min_top1": 1})
    keys = [key for key in params.read(folder / "params.yaml")["gates"] if key[:4] in _LIMITS]
    against_base = {"max_top1_loss", "max_size_growth", "max_slowdown"}
    toy.set_params(folder, {f"gates.{key}": "none" for key in keys if key not in against_base})
    assert main(["gate", "--strict"]) == 1
    assert "those that are switched on need --base REV" in capsys.readouterr().err
    toy.set_params(folder, {f"gates.{key}": "none" for key in keys})
    assert main(["gate"]) == 0
    assert main(["gate", "--strict"]) == 1
    told = "nothing is judged by the limits of section gates: all are none"
    assert capsys.readouterr().err.count(told) == 2
