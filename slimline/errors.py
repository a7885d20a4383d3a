"""Mistakes that a user can make, and nothing else.

    SlimlineError (ValueError)
    +-- ParamsError          params.yaml is wrong
    +-- DataError            the images are not what params.yaml says
    +-- PretrainedError      pretrained weights are missing or of another network
    +-- TrainingError        a training ends in numbers that are not finite
    +-- NetworkError         a network cannot be built, followed or exported
    +-- ArtifactError        a model folder is missing, incomplete or of another kind
    +-- TargetError          what a target needs is not installed
    +-- ParityError          an export does not compute what the model computes

The command line prints them as one sentence and exits with code 2 (`slimline.stage`). A bug is
any other exception, and ends in a traceback.
"""

from collections.abc import Sequence


class SlimlineError(ValueError):
    """A mistake in what was given to Slimline; its text says what was given and what is allowed."""


class ParamsError(SlimlineError):
    """`params.yaml` is wrong; one line per mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        """Join the mistakes, one a line."""
        super().__init__("\n".join(mistakes))


class DataError(SlimlineError):
    """The images or labels are missing, damaged or not what the settings say."""


class PretrainedError(SlimlineError):
    """Pretrained weights are missing, unreadable, or those of another network."""


class TrainingError(SlimlineError):
    """A training run diverged, or began with what is not finite: no result comes of it."""


class NetworkError(SlimlineError):
    """A network is none that can be built, followed or exported here."""


class ArtifactError(SlimlineError):
    """A model folder is missing, incomplete, or made for something else."""


class TargetError(SlimlineError):
    """A target cannot be written for, or run, with the packages that are here."""


class ParityError(SlimlineError):
    """The exported model and the model it came from do not agree."""
