"""Every file is the same to the byte in a clone with `core.autocrlf=true`, as Windows has it."""

from pathlib import Path

import toy


def test_a_checkout_changes_no_byte(tmp_path: Path) -> None:
    names = [
        name
        for name in toy.git(toy.ROOT, "ls-files").splitlines()
        if (toy.ROOT / name).is_file() and not name.startswith("data/raw/fashion_mnist/t")
    ]
    toy.git(tmp_path, "init", "--quiet")
    for name in names:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((toy.ROOT / name).read_bytes())
    toy.git(tmp_path, "add", "--all", "--force")
    toy.git(tmp_path, "-c", "core.autocrlf=true", "checkout-index", "--all", "--prefix=again/")
    differing = [
        name
        for name in names
        if (tmp_path / "again" / name).read_bytes() != (toy.ROOT / name).read_bytes()
    ]
    assert differing == []
    assert "params.yaml" in names


def test_data_is_not_touched(tmp_path: Path) -> None:
    toy.git(tmp_path, "init", "--quiet")
    attributes = (toy.ROOT / ".gitattributes").read_text()
    (tmp_path / ".gitattributes").write_text(attributes)
    content = b"\x1f\x8b\r\n" * 50
    (tmp_path / "images.gz").write_bytes(content)
    toy.git(tmp_path, "-c", "core.autocrlf=true", "add", "--all")
    toy.git(tmp_path, "-c", "core.autocrlf=true", "checkout-index", "--all", "--prefix=again/")
    assert (tmp_path / "again" / "images.gz").read_bytes() == content
