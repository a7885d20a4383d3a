"""Refuse a wrong `params.yaml` before anything expensive runs."""

from pathlib import Path

from slimline import files, schema, stage


def main(params: Path, pretrained: Path, marker: Path) -> None:
    """Check the whole file; the marker's content is constant, so that nothing else reruns.

    `pretrained` has the folders of checkpoints that it may name.
    """
    schema.check_files(schema.check(params), pretrained)
    files.write_text(marker, "ok\n")


if __name__ == "__main__":
    stage.run(main)
