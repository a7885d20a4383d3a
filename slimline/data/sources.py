"""Raw data sets under `data/raw`: which reader a set is for. Free of torch.

What a set looks like is known by its reader: `idx`, `folders`, `lists` or `downloads`.
"""

from pathlib import Path

from slimline.data import downloads, folders, idx, lists, user_files
from slimline.data.raw_set import RawSet
from slimline.errors import DataError


def read(
    source: str, raw: Path, scratch: Path, *, size: int, crop: float, skip_bad: bool, looks: bool
) -> RawSet:
    """Return the set `raw / source`, downloaded into `scratch` if torchvision knows it by name.

    `size` (pixels) and `crop` (share) are what images will be brought to; `skip_bad` goes on
    without files that cannot be used; `looks` asks for what near copies of photos are found by.

    Raises:
        DataError: there is no such set, or what its reader raises.
    """
    folder = raw / source
    if folder.is_dir():
        user_files.refuse_links(folder)
    if source in downloads.SETS:
        return downloads.read(source, raw, scratch, size=size, crop=crop)
    require(source, raw)
    if idx.is_set(folder):
        return idx.read(folder)
    if found := lists.find(folder):
        return lists.read(folder, found, size=size, crop=crop, skip_bad=skip_bad, looks=looks)
    return folders.read(folder, size=size, crop=crop, skip_bad=skip_bad, looks=looks)


def require(source: str, raw: Path) -> None:
    """Refuse a set that is not there, with how to get it.

    Raises:
        DataError: `raw / source` is no folder.
    """
    folder = raw / source
    if folder.is_dir():
        return
    if folder.with_name(f"{source}.dvc").is_file():
        raise DataError(
            f"params.yaml: data.source: {folder} is in DVC but not here: `dvc checkout` brings it "
            "from the cache, `dvc pull` from the remote"
        )
    if source in downloads.SETS:
        raise DataError(
            f"params.yaml: data.source: {folder} is missing, of which DVC asks what has changed: "
            f'say `git restore "{folder}"`, or make an empty folder'
        )
    below = sorted(path.name for path in raw.iterdir() if path.is_dir()) if raw.is_dir() else []
    own = [name for name in below if name not in downloads.SETS]
    raise DataError(
        f"params.yaml: data.source: there is no folder {folder}; {raw} has {own}, and "
        f"torchvision's {', '.join(downloads.SETS)} are known by name"
    )
