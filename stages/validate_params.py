"""Refuse a wrong `params.yaml`, or one of a missing data set, before anything expensive runs."""

from pathlib import Path

from slimline import files, schema, stage
from slimline.data import sources


def main(params: Path, raw: Path, marker: Path) -> None:
    """Check the whole file; the marker's content is constant, so that nothing else reruns.

    `raw` has the sets of images, and in `pretrained` the folders of checkpoints, that it may name.
    DVC has no sentence of its own for a folder that is missing among the deps of prepare_data.
    """
    content = schema.check(params)
    schema.check_files(content, raw / "pretrained")
    sources.require(content.data.source, raw)
    files.write_text(marker, "ok\n")


if __name__ == "__main__":
    stage.run(main)
