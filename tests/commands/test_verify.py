"""On real DVC: a bit is flipped in the way in which disks do it, time and mode of the file kept."""

import os
import stat
from pathlib import Path

import pytest
import tiny_model
import toy

from slimline.__main__ import main
from slimline.artifacts import description

_STAGE = """\
stages:
  make:
    cmd: >-
      mkdir -p models/made && cp data/raw/photos/a.bin models/made/weights.bin
      && cp data/raw/one.bin models/made/model.bin && echo 1 > metric.txt
    deps:
    - data/raw/photos
    outs:
    - models/made
    - metric.txt:
        cache: false
  use:
    cmd: cat models/made/model.bin > used.bin
    deps:
    - models/made/model.bin
    outs:
    - used.bin
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify") / "toy"
    (folder / "data/raw/photos").mkdir(parents=True)
    (folder / "data/raw/photos/a.bin").write_bytes(bytes(range(256)))
    (folder / "data/raw/photos/b.bin").write_bytes(b"b" * 100)
    (folder / "data/raw/one.bin").write_bytes(b"one" * 50)
    (folder / "dvc.yaml").write_text(_STAGE)
    toy.git(folder, "init", "--quiet", "--initial-branch=main")
    toy.init_dvc(folder)
    toy.dvc(folder, "add", "--quiet", "data/raw/photos", "data/raw/one.bin")
    toy.dvc(folder, "repro", "--quiet")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy in which workspace and cache are files of their own, not links to one."""
    import shutil

    copied = shutil.copytree(made, tmp_path / "toy", symlinks=True)
    monkeypatch.chdir(copied)
    return Path(copied)


def flip(path: Path) -> None:
    """Flip one bit; size, time and mode stay."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(before.st_mode | stat.S_IWUSR)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def objects(folder: Path) -> list[Path]:
    return sorted((folder / ".dvc/cache/files/md5").glob("??/*"))


def verify(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    code = main(["verify", *arguments])
    done = capsys.readouterr()
    return code, done.out.splitlines(), done.err


@pytest.mark.usefixtures("folder")
def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, told = verify(capsys)
    assert (code, lines) == (0, [])
    assert "7 files and 5 objects of the cache hashed, 0 differ" in told


@pytest.mark.parametrize(
    "name",
    [
        "data/raw/photos/a.bin",
        "data/raw/one.bin",
        "models/made/weights.bin",
        "models/made/model.bin",
        "metric.txt",
        "used.bin",
    ],
)
def test_a_flipped_bit_in_the_workspace_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    flip(folder / name)
    code, lines, _ = verify(capsys)
    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"{name}: is not what ")


def test_a_flipped_bit_in_any_object_of_the_cache_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in objects(folder):
        flip(path)
        code, lines, _ = verify(capsys, "--all")
        assert code == 1
        assert len(lines) == 1, lines
        assert lines[0].startswith(str(path))
        flip(path)
    assert verify(capsys, "--all")[0] == 0


def test_what_dvc_does_not_notice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason for this command: of a damaged cache DVC hands out what is there."""
    name = "models/made/weights.bin"
    digest = next(path for path in objects(folder) if path.read_bytes() == bytes(range(256)))
    flip(digest)
    (folder / name).unlink()
    toy.dvc(folder, "checkout", "--quiet")
    assert "up to date" in toy.dvc(folder, "status").stdout
    code, lines, _ = verify(capsys)
    assert code == 1
    assert any(line.startswith(f"{name}: ") for line in lines)
    assert any("is damaged; it is the cache's copy of data/raw/photos/a.bin" in x for x in lines)


def test_without_a_cache_folders_are_judged_as_a_whole(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in objects(folder):
        path.chmod(0o644)
        path.unlink()
    assert verify(capsys)[:2] == (0, [])
    flip(folder / "models/made/weights.bin")
    code, lines, _ = verify(capsys)
    assert code == 1
    assert lines[0].startswith("models/made: a file in this folder is not what ")


def test_what_is_not_here_is_no_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "used.bin").unlink()
    code, lines, told = verify(capsys)
    assert (code, lines) == (0, [])
    assert "used.bin: is not here, and not verified" in told


def test_files_too_many_and_too_few_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "models/made/weights.bin").unlink()
    (folder / "models/made/extra.bin").write_text("x")
    code, lines, _ = verify(capsys)
    assert code == 1
    assert [line.split(" dvc.lock")[0] for line in lines] == [
        "models/made/weights.bin: is missing;",
        "models/made/extra.bin: is unknown to",
    ]


def test_without_a_lock_it_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert verify(capsys) == (2, [], "dvc.lock: the file is missing\n")


def test_a_file_of_another_model_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is here it may be what dvc.lock has, and still not what model.json beside it says."""
    model = tiny_model.write(folder / "models/int8_export")
    description.write(model, description.read(model))
    assert verify(capsys)[:2] == (0, [])
    with (model / "model.onnx").open("ab") as file:
        file.write(b" ")
    code, lines, told = verify(capsys)
    assert code == 1
    assert lines[0].startswith("models/int8_export/model.onnx: is not the file that model.json")
    assert "1 differ" in told


def test_a_stage_that_is_gone_says_nothing_of_files_that_others_make(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DVC leaves it in dvc.lock, with hashes of its own time."""
    lock = folder / "dvc.lock"
    gone = "  gone:\n    cmd: true\n    outs:\n    - path: metric.txt\n      hash: md5\n"
    lock.write_text(lock.read_text() + f"{gone}      md5: {'0' * 32}\n")
    assert main(["verify"]) == 0
    assert "differ" in capsys.readouterr().err
