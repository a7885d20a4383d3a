"""Hash what of our code each stage runs, so that no other change runs it again."""

from pathlib import Path

from slimline import code_hashes, stage


def main(stages: Path, settings: Path, target: Path) -> None:
    """Write `target/<stage>.txt` for each script in `stages`, by what `settings` choose."""
    code_hashes.write(stages, settings, target)


if __name__ == "__main__":
    stage.run(main)
