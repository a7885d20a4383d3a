import shutil
from pathlib import Path

from benchmarks import million_images, packed_formats


def test_formats_give_the_same_bytes(tmp_path: Path) -> None:
    million_images.make(tmp_path / "raw", count=20, size=16)
    photos = sorted((tmp_path / "raw").rglob("*.jpg"))
    sums = set()
    for kept in (packed_formats.Files(), packed_formats.Packed()):
        kept.write(tmp_path / "kept", photos)
        sums.add(packed_formats.read(kept, tmp_path / "kept", len(photos)).sha256)
        shutil.rmtree(tmp_path / "kept")
    kept.write(tmp_path / "kept", photos[:-1] + photos[:1])
    other = packed_formats.read(kept, tmp_path / "kept", len(photos)).sha256
    assert len(sums) == 1
    assert other not in sums
