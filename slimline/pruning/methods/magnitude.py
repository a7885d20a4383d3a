"""Unstructured: single weights become exactly zero (Han et al., 2015, arXiv:1506.02626).

Zeros alone make neither the file smaller nor the model faster; only the deflated file shrinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slimline.pruning.settings import PruneSettings

if TYPE_CHECKING:
    from slimline.data.split_files import Split
    from slimline.networks.classifier import Classifier
    from slimline.pruning.groups import Plan


class Magnitude(PruneSettings):
    """`prune.method: magnitude`."""

    removes_macs = False
    has_absolute_unit = True

    method: Literal["magnitude"]

    def survey(self, model: Classifier, calibration: Split) -> Plan:  # noqa: ARG002
        """Rank the weights of every convolution and linear layer by their absolute value."""
        from slimline.pruning.single_weights import WeightPlan

        return WeightPlan(model.network, model.example)
