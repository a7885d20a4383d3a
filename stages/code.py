"""Hash what of our code each stage runs, so that no other change runs it again."""

from pathlib import Path

from slimline import code, stage


def main(pipeline: Path, settings: Path, target: Path) -> None:
    """Write `target/<stage>.txt` for each stage that depends on it: a line per file of its code."""
    code.write(pipeline, settings, target)


if __name__ == "__main__":
    stage.run(main)
