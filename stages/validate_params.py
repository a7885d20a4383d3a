"""Refuse a wrong `params.yaml` before anything expensive runs."""

from pathlib import Path

from slimline import schema
from slimline.core import cli, serialize


def main(params: Path, marker: Path) -> None:
    """Check the whole file; the marker's content is constant, so that nothing else reruns."""
    schema.check(params)
    serialize.write_text(marker, "ok\n")


if __name__ == "__main__":
    cli.run(main)
