"""The metric file of stage `evaluate`: one name and one rounding for each figure, in one place.

What a figure means is said at the property that it comes from.
"""

from slimline.measure.accuracy import Accuracy
from slimline.targets.model_file import ModelFile


def to_dict(score: Accuracy, file: ModelFile) -> dict[str, float]:
    """Return the content of `metrics/evaluate/<variant>.json`."""
    low, high = score.top1_interval
    return {
        "top1": round(score.top1, 3),
        "top1_low": round(low, 3),
        "top1_high": round(high, 3),
        "mean_recall": round(score.mean_recall, 3),
        "least_recall": round(score.least_recall, 3),
        "agreement": round(score.agreement, 3),
        "loss": round(score.loss, 5),
        "ece": round(score.ece, 3),
        "size_kib": round(file.size_kib, 1),
        "size_zip_kib": round(file.size_zip_kib, 1),
        "params": file.params,
        "sparsity": round(file.sparsity, 2),
        "macs_m": round(file.macs_m, 3),
        "int8_macs": round(file.int8_share, 2),
    }
