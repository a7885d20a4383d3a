"""What README and guides tell to type is there, and does what they say."""

import ast
import itertools
import re
import subprocess
from pathlib import Path

import guides
import pytest
import small_photos
import toy
from dvc.cli import parse_args
from ruamel.yaml import YAML

from slimline import schema
from slimline.__main__ import main
from slimline.data import sources

_MANY_LINES = 130
_KNOWN = {"git", "dvc", "make", "python", "docker", ".", "mkdir", "cp", "echo"}
COMMANDS = [(path.name, each) for path in guides.GUIDES for each in guides.commands(path)]


def of(program: str, *beginning: str) -> list[list[str]]:
    return [words for _, words in COMMANDS if words[: 1 + len(beginning)] == [program, *beginning]]


def test_the_readme_is_short() -> None:
    assert len((toy.ROOT / "README.md").read_text().splitlines()) <= _MANY_LINES


@pytest.mark.parametrize("path", guides.GUIDES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text)
    ours = [link for link in links if not link.startswith("https://")]
    assert [link for link in ours if not (path.parent / link).exists()] == []


def test_the_readme_links_every_guide() -> None:
    readme = (toy.ROOT / "README.md").read_text()
    assert [path.name for path in guides.GUIDES[1:] if f"(docs/{path.name})" not in readme] == []


def test_only_known_programs_are_called() -> None:
    assert {words[0] for _, words in COMMANDS} == _KNOWN


@pytest.mark.parametrize("words", of("make"), ids=" ".join)
def test_make_has_the_target(words: list[str]) -> None:
    done = subprocess.run(
        [*words, "--dry-run"], cwd=toy.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("words", of("dvc"), ids=" ".join)
def test_dvc_understands_it(words: list[str]) -> None:
    assert parse_args(words[1:]).func


@pytest.mark.parametrize("words", of("python", "-m", "slimline"), ids=" ".join)
def test_slimline_understands_it(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*words[3:], "--help"])
    assert stopped.value.code == 0
    options = [word for word in words[4:] if word.startswith("--")]
    told = capsys.readouterr().out
    assert [option for option in options if option not in told] == []


def test_scripts_and_benchmarks_are_there() -> None:
    text = "".join(path.read_text() for path in guides.GUIDES)
    scripts = re.findall(r"python (tools/[a-z_]+\.py)", text)
    modules = re.findall(r"python -m (benchmarks\.[a-z0-9_]+)", text)
    assert scripts
    assert modules
    paths = [*scripts, *(f"{each.replace('.', '/')}.py" for each in modules)]
    assert [path for path in paths if not (toy.ROOT / path).is_file()] == []


def test_each_setting_may_have_the_value_that_is_shown() -> None:
    changes = [
        {key: value}
        for words in of("dvc", "exp", "run")
        for option, given in itertools.pairwise(words)
        if option == "-S"
        for key, _, values in [given.partition("=")]
        for value in YAML(typ="safe", pure=True).load(f"[{values}]")
    ]
    assert len(changes) >= 5
    for change in changes:
        schema.check_content(_with(change), Path("params.yaml"))


def test_no_code_block_is_of_a_language_that_is_not_tested() -> None:
    text = "".join(path.read_text() for path in guides.GUIDES)
    fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
    assert set(fences[::2]) == {"console", "csv", "python", "yaml"}
    assert set(fences[1::2]) == {""}


def test_python_in_the_guides_is_valid() -> None:
    """What it does is tested where it belongs, as in tests/networks/test_discovery.py."""
    blocks = [each for path in guides.GUIDES for each in guides.blocks(path, "python")]
    assert blocks
    for block in blocks:
        ast.parse(block)


def _with(changes: dict[str, object]) -> object:
    content = YAML(typ="safe", pure=True).load(toy.ROOT / "params.yaml")
    for dotted, value in changes.items():
        section = content
        *parents, key = dotted.split(".")
        for parent in parents:
            section = section[parent]
        assert key in section, f"params.yaml has no {dotted}"
        section[key] = value
    return content


def test_the_list_of_photos_is_read(tmp_path: Path) -> None:
    (block,) = guides.blocks(toy.ROOT / "docs" / "photos.md", "csv")
    (tmp_path / "shoes").mkdir()
    (tmp_path / "shoes" / "labels.csv").write_text(block)
    names = [line.split(",")[0] for line in block.splitlines()[1:]]
    for name in names:
        small_photos.save(tmp_path / "shoes" / name)
    found = sources.read("shoes", tmp_path, tmp_path, size=8, crop=1.0, skip_bad=False, looks=False)
    assert sorted(found.classes) == ["boot", "sandal"]


# What a test cannot do, or does elsewhere, by how it begins.
_LEFT_OUT = {
    "docker": "there is no container engine here; tools/set_up.py, which it calls, has its tests",
    ". .venv/bin/activate": "the Python that runs the tests is first on the path",
    "make": "tests/tools and .ci; a make within make test would wait for itself",
    "python -m pip install": "docs/devices.md: a gigabyte from the package index",
    "dvc exp run -S 'targets": "tests/stages/test_device_export.py, where that is installed",
    "python -m slimline package build/shoes-page": "npm; tests/commands/test_package.py",
    "python -m slimline benchmark --host": "a machine of yours; tests/commands/test_benchmark.py",
    "python -m benchmarks.layer_times --host": "so is this one; tests/benchmarks",
    "python -m benchmarks.int8_times --host": "and this",
    "python -m http.server": "it serves until it is stopped",
    "dvc push": "the remote of the example is not ours",
    "dvc get": "so is the repository",
    "dvc exp run --queue": "tests/test_experiments.py",
    "mkdir": "the checkpoint is yours; tests/networks has those of others",
    "echo": "so is what belongs to it",
    "dvc add data/raw/pretrained": "so is its folder",
    "dvc repro": "tests/test_photos.py, with settings that end within minutes",
    "python -m slimline search": "tests/search/test_real_study.py, in a space that is small",
    "git clone": "nor is that one there",
}


_OWN_NETWORK = """
from torch import nn


def build(num_classes, in_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, num_classes),
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize("path", guides.GUIDES, ids=lambda path: path.name)
def test_each_command_runs_after_one_another(
    path: Path, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = toy.clone(pipeline, tmp_path / "clone")
    monkeypatch.chdir(folder)
    as_it_came = (folder / "params.yaml").read_bytes()
    for name in ("boot", "sandal"):
        small_photos.fill(folder / "data" / "raw" / "shoes", name, count=4)
    small_photos.save(folder / "some" / "photo.jpg")
    (folder / "own" / "mine.py").write_text(_OWN_NETWORK)
    is_stale = False
    for line in guides.lines(path):
        if any(line.startswith(beginning) for beginning in _LEFT_OUT):
            is_stale = is_stale or line.startswith("dvc repro")
            continue
        if line.startswith("python -m slimline apply"):  # each example is of params as they come
            (folder / "params.yaml").write_bytes(as_it_came)
        if line.startswith("git commit"):  # what the guide wrote about before
            toy.set_params(folder, {"search.trials": 3})
        done = subprocess.run(
            ["bash", "-c", line], env=toy.of_stages(), capture_output=True, text=True, check=False
        )
        # It says no, or refuses to judge models that are not of these settings.
        gate_codes = {2} if is_stale else {0, 1}
        expected = gate_codes if "slimline gate" in line else {0}
        assert done.returncode in expected, f"{line}:\n{done.stderr}"


def test_nothing_is_left_out_that_no_guide_has() -> None:
    lines = [line for path in guides.GUIDES for line in guides.lines(path)]
    unused = [each for each in _LEFT_OUT if not any(line.startswith(each) for line in lines)]
    assert unused == []
