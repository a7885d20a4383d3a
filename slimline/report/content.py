"""All that the report says, as typed data; templates only arrange it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimline import files
from slimline.artifacts import description
from slimline.measure import block_times, device_figures, newly_wrong, other_runtimes, results
from slimline.measure.device_figures import Device
from slimline.measure.newly_wrong import NewlyWrong
from slimline.measure.other_runtimes import OtherRuntime
from slimline.measure.paired_answers import Paired
from slimline.measure.results import BenchmarkRun, Results
from slimline.measure.significance import SURE_95
from slimline.measure.variant_figures import Variant
from slimline.pruning import record, whole_layers
from slimline.pruning.record import LayerChange, Round
from slimline.quantization import mixed_record
from slimline.quantization.mixed_record import LayerChoice
from slimline.report import (
    confusion,
    curves,
    gates,
    images_seen,
    layer_losses,
    lineage,
    pareto_front,
    recall,
    waterfall,
)
from slimline.report.curves import LearningCurve
from slimline.report.gates import Gate, GatesParams
from slimline.report.layer_losses import LayerLosses
from slimline.report.lineage import Data, Link
from slimline.report.recall import ClassChange
from slimline.report.waterfall import Waterfall
from slimline.training import divergence
from slimline.variants import Variants

_PTQ, _DYNAMIC, _FLOAT16 = "int8_ptq", "int8_dynamic", "float16"

_NAMED = 12
"""Layers in a sentence."""

_WEAKEST = 5
"""Classes that the model card names as such."""

_FASTER = 1.05
"""Less than this is no gain in time that anybody would notice."""


@dataclass(frozen=True)
class Report:
    """The content of all three documents."""

    results: Results
    gates: Sequence[Gate]
    descriptions: Mapping[str, Mapping[str, Any]]
    """Each variant's `model.json`."""
    scan: LayerLosses
    """What each layer bears, if that was asked for."""
    curves: Sequence[LearningCurve]
    """Of the stages that train, in the order of the pipeline."""
    newly_wrong: Sequence[NewlyWrong]
    """Test images that the baseline answers right and the product does not, some of them."""
    lineage: Sequence[Link]
    """From the first model to the product."""
    images_seen: Mapping[str, int]
    """Training images that each variant's weights saw."""
    data: Data
    model_sha256: str
    """Of the product's .onnx file."""
    devices: Sequence[Device] = ()
    """The product in the other runtimes that `targets` names."""
    runtimes: Sequence[OtherRuntime] = ()
    """All variants in the other runtimes that `benchmark.runtimes` names."""

    @property
    def variants(self) -> list[Variant]:
        """All of them, in the order of the pipeline."""
        return list(self.results.variants.values())

    @property
    def baseline(self) -> Variant:
        """What all else is compared with."""
        return self.results.baseline

    @property
    def product(self) -> Variant:
        """What is shipped."""
        return self.results.product

    @property
    def run(self) -> BenchmarkRun:
        """How latency was measured."""
        assert self.results.run is not None, "only an older commit may lack it"
        return self.results.run

    @property
    def model(self) -> Mapping[str, Any]:
        """The product's `model.json`."""
        return self.descriptions[self.product.name]

    @property
    def waterfall(self) -> Waterfall:
        """The way from the baseline to the product."""
        return waterfall.waterfall(self.results)

    @property
    def paired(self) -> Paired:
        """What the product wins and loses against the baseline."""
        return self.results.paired(self.baseline.name, self.product.name)

    @property
    def classes(self) -> list[ClassChange]:
        """Recall of each class, baseline and product."""
        found = self.results
        before = found.predictions[self.baseline.name]
        return recall.compare(before, found.answers, found.labels, found.classes)

    @property
    def changed_classes(self) -> list[ClassChange]:
        """Those whose recall changed beyond chance."""
        return [each for each in self.classes if each.is_beyond_chance]

    @property
    def confusion(self) -> list[dict[str, Any]]:
        """What the product takes for what."""
        found = self.results
        return confusion.rows(found.answers, found.labels, found.classes)

    @property
    def weakest_classes(self) -> list[ClassChange]:
        """Those that the product recognises least, the worst first."""
        seen = [each for each in self.classes if each.paired.count]
        return sorted(seen, key=lambda each: each.paired.top1_after)[:_WEAKEST]

    @property
    def origins(self) -> list[Mapping[str, Any]]:
        """The pretrained weights that the chain began with."""
        return lineage.origins(self.lineage)

    @property
    def is_pruned(self) -> bool:
        """Whether any layer of the product lost channels or weights."""
        return any(
            each.channels_after < each.channels_before or each.zeros_after > each.zeros_before
            for each in self.layers
        )

    @property
    def is_trained_in_int8(self) -> bool:
        """Whether the rounding of int8 was trained with, or only simulated to set ranges."""
        return any(each.name == "qat_finetune" and each.top1 for each in self.curves)

    @property
    def unseen(self) -> str:
        """What is known of who has seen the test images, after the words for them."""
        given = {link.content["settings"].get("pretrained") for link in self.lineage}
        if given <= {None, "none", "imagenet"}:
            return "which nothing but this evaluation has seen"
        return (
            "which no stage of this pipeline trained on; whether the checkpoint that it began with "
            "did is not known"
        )

    @property
    def size_ratio(self) -> float:
        """How many times smaller the product is than the baseline."""
        return self.baseline.size_kib / self.product.size_kib

    @property
    def speedup_bounds(self) -> tuple[float, float]:
        """95 % interval of how many times faster the product is than the baseline."""
        times = self.results.blocks
        return block_times.speedup_bounds(
            times[self.baseline.name], times[self.product.name], SURE_95
        )

    def noise(self, name: str) -> float:
        """Return percent by which a variant's speedup may be off: half its 95 % interval."""
        times = self.results.blocks
        return block_times.noise(times[self.baseline.name], times[name])

    @property
    def smallest(self) -> list[Variant]:
        """The front of accuracy against size: no other is as accurate and smaller."""
        return pareto_front.front(self.variants, lambda each: each.size_kib)

    @property
    def fastest(self) -> list[Variant]:
        """The front of accuracy against latency."""
        return pareto_front.front(self.variants, lambda each: each.p50_ms)

    @property
    def rounds(self) -> list[Round]:
        """What each round of pruning did."""
        return record.rounds(self.descriptions["prune"])

    @property
    def layers(self) -> list[LayerChange]:
        """What pruning left of each layer."""
        return record.layers(self.descriptions["prune"])

    @property
    def whole(self) -> str:
        """The layers that pruning had to leave as wide as they were, with what kept them so."""
        return whole_layers.told(record.whole(self.descriptions["prune"]))

    @property
    def int8_layers(self) -> list[LayerChoice]:
        """What each layer runs in, and why; empty where nothing was asked and nothing measured."""
        (trained,) = (link.content for link in self.lineage if link.name == "qat_finetune")
        return mixed_record.read(trained)

    @property
    def parity(self) -> dict[str, float]:
        """How fake-quant and ONNX Runtime compare, on validation."""
        parity: dict[str, float] = self.model["parity"]
        return parity

    @property
    def logit_difference(self) -> float:
        """The largest that fake-quant and ONNX Runtime show, percent of the logits' spread."""
        largest, spread = self.parity["largest_difference"], self.parity["spread"]
        if largest and not spread:  # a network that answers all images alike
            return math.inf
        return 100 * largest / spread if largest else 0.0

    @property
    def is_kept(self) -> bool:
        """Whether every gate is kept."""
        return gates.are_kept(self.gates)

    @property
    def notes(self) -> list[str]:
        """What a reader could be misled about, said plainly."""
        return [
            *self._more_training(),
            *self._noisy_run(),
            *self._slow_int8(),
            *self._what_float16_brings(),
            *self._in_float(),
            *self._useless_zeros(),
            *self._undone_round(),
            *self._useless_training(),
            *self._exploded_losses(),
            *self._worse_than_ptq(),
            *self._what_dynamic_is_about(),
            *self._more_macs(),
        ]

    def _more_training(self) -> list[str]:
        product, baseline = (self.images_seen[each.name] for each in (self.product, self.baseline))
        if product <= baseline:
            return []
        if baseline == 0:
            return [
                f"{self.product.name} was trained on {product:,} images; {self.baseline.name} is a "
                "checkpoint as it was given, and what it saw before is not counted."
            ]
        return [
            f"{self.product.name} was trained on {product / baseline:.1f} times as many images as "
            f"{self.baseline.name}, {product:,} against {baseline:,}: what is between their "
            "accuracies is the effect of compression and of more training together. A baseline "
            f"that saw as many: baseline_train.recipe.epochs times {product / baseline:.1f}."
        ]

    def _noisy_run(self) -> list[str]:
        run = self.run
        if not run.is_noisy:
            return []
        off = "by more than they can say" if run.noise is None else f"by {run.noise:.1f} %"
        return [
            f"The machine was noisy while latency was measured: after {run.blocks} turns of each "
            f"variant, speedups may still be off {off}, where benchmark.max_noise asks for "
            f"{run.max_noise:g} %. `make benchmark` on a quieter machine measures anew."
        ]

    def _slow_int8(self) -> list[str]:
        pairs = [
            (each, self.results.variants[each.parent]) for each in self.variants if each.parent
        ]
        return [
            f"{each.name} is slower than the float model that it came from, on this CPU: "
            f"{each.p50_ms:.3f} ms against {before.p50_ms:.3f} ms."
            for each, before in pairs
            if each.is_int8 and self._is_slower(each, before)
        ]

    def _what_float16_brings(self) -> list[str]:
        half = self.results.variants.get(_FLOAT16)
        if half is None:
            return []
        if self.descriptions.get(_FLOAT16, {}).get("float16_weights_alone"):
            return [
                f"Values or weights of {half.parent} go beyond 65,504, float16's largest number: "
                f"{_FLOAT16} stores weights alone in 16 bits, and computes in float32."
            ]
        if half.speedup > _FASTER * self.results.variants[half.parent].speedup:
            return []
        return [
            f"{_FLOAT16} is no faster than {half.parent}, which it came from, on this CPU, where "
            "ONNX Runtime computes in float32: half the bytes are all that it saves. GPUs and "
            "some Arm CPUs compute in float16."
        ]

    def _is_slower(self, each: Variant, before: Variant) -> bool:
        """Whether one variant takes longer than another beyond noise, block by block."""
        times = self.results.blocks
        _, low, _ = block_times.slowdown_in_turns(times[before.name], times[each.name], SURE_95)
        return low > 0

    def _in_float(self) -> list[str]:
        """Layers that were quantized, and work that has no int8 form which gains."""
        found = self.model.get("in_float", {})
        layers, share = found.get("layers", []), found.get("products_share", 0)
        others = found.get("others", {})
        told = []
        if layers:
            told.append(
                f"{_listed(layers)} of {self.product.name} {'run' if len(layers) > 1 else 'runs'} "
                "in float, though quantized: ONNX Runtime does not join what lies around with it."
            )
        if others:
            largest_first = sorted(others, key=others.__getitem__, reverse=True)
            told.append(
                f"{sum(others.values()):.1f} % of the multiply-accumulates of {self.product.name} "
                f"have no int8 form and run in float: those of {_listed(largest_first)}."
            )
        if share:
            told.append(
                f"{share:.1f} % of the multiply-accumulates of {self.product.name} are products of "
                "two computed matrices, as in attention, and run in float, where they are faster "
                "(docs/int8.md)."
            )
        return told

    def _useless_zeros(self) -> list[str]:
        after = self.results.variants.get("prune")
        if after is None:
            return []
        before = self.results.variants[after.parent]
        is_smaller = after.size_kib < 0.99 * before.size_kib
        is_faster = after.speedup > _FASTER * before.speedup
        spared = {"bytes": is_smaller, "time": is_faster}
        missing = [f"no {name}" for name, is_spared in spared.items() if not is_spared]
        if after.sparsity < 1 or not missing:
            return []
        return [
            f"{after.sparsity:.0f} % of the weights of prune are zero, which saves "
            f"{' and '.join(missing)}: {before.size_kib:.0f} and {after.size_kib:.0f} KiB, "
            f"{before.p50_ms:.3f} and {after.p50_ms:.3f} ms. Deflated, the file goes from "
            f"{before.size_zip_kib:.0f} to {after.size_zip_kib:.0f} KiB."
        ]

    def _undone_round(self) -> list[str]:
        return [
            f"Pruning stopped early: round {each.number} ended at {each.judged[1]:.2f} % "
            f"{'mean recall ' if each.judged_by == 'mean_recall' else ''}on validation, below what "
            f"prune.max_drop allows, and was undone{_of_recovery(each)}."
            for each in self.rounds
            if not each.is_kept
        ]

    def _useless_training(self) -> list[str]:
        return [
            f"{each.name} gained nothing: {_selected(each, each.selected[0])} on validation before "
            f"training, {_selected(each, each.best)} at best after it."
            for each in self.curves
            if each.gained_nothing
        ]

    def _exploded_losses(self) -> list[str]:
        return [
            f"The training loss of {each.name} exploded on the way: it went to more than three "
            "times what it had been; a lower learning_rate would keep it down."
            for each in self.curves
            if any(divergence.explodes(losses) for losses in each.losses)
        ]

    def _worse_than_ptq(self) -> list[str]:
        if _PTQ not in self.results.variants:
            return []
        product = self.product.name
        compared = self.results.paired(_PTQ, product)
        if compared.gain >= 0 or compared.p_value >= 2 * (1 - SURE_95):
            return []
        return [
            f"{product} is less accurate than {_PTQ}, which is not trained, beyond noise: "
            f"{compared.top1_after:.2f} % against {compared.top1_before:.2f} %; of the test "
            f"images it wins {compared.won} and loses {compared.lost}."
        ]

    def _what_dynamic_is_about(self) -> list[str]:
        share = self.descriptions.get(_DYNAMIC, {}).get("linear_share")
        if share is None:
            return []
        after = self.results.variants[_DYNAMIC]
        before = self.results.variants[after.parent]
        smaller = 100 * (1 - after.size_kib / before.size_kib)
        return [
            f"{_DYNAMIC} makes the weights of linear layers int8 and no others: {share:.1f} % of "
            f"those of {before.name}. Its file is {smaller:.0f} % smaller, and it takes "
            f"{after.p50_ms:.3f} ms against {before.p50_ms:.3f}. It pays where linear layers hold "
            "most weights, as in VGG or a transformer (docs/int8.md)."
        ]

    def _more_macs(self) -> list[str]:
        before = self.results.variants[self.product.parent]
        if self.product.macs_m <= before.macs_m:
            return []
        return [
            f"{self.product.name} computes more than {before.name}, {self.product.macs_m:.2f} "
            f"against {before.macs_m:.2f} million multiply-accumulates{self._why_more_macs()}."
        ]

    def _why_more_macs(self) -> str:
        """What form `fastest` adds: grey images are widened, and channels padded if asked for.

        Form `portable` adds nothing, so that nothing is said of a reason.
        """
        settings = self.model["settings"]
        if settings["form"] != "fastest":
            return ""
        if self.model["preprocessing"]["channels"] == 1:
            reason = "its first convolution makes four columns of a grey image at once"
        elif settings["pad_channels"]:
            reason = (
                "channels are padded to as many as kernels take at once (int8_export.pad_channels)"
            )
        else:
            return ""
        return f": {reason}, which takes less time"


def _listed(names: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    more = len(names) - _NAMED
    rest = f" and {more} more" if more > 0 else ""
    kind = "layers" if len(names) > 1 else "layer"
    return f"{kind} {', '.join(names[:_NAMED])}{rest}"


def _selected(curve: LearningCurve, figure: float) -> str:
    if curve.selects == "loss":
        return f"a loss of {figure:.4f}"
    return f"{figure:.2f} %{' mean recall' if curve.selects == 'mean_recall' else ''}"


def _of_recovery(each: Round) -> str:
    cut, recovered = each.judged
    if recovered > cut:
        return ""
    return "; recovery gained nothing over the cut itself, as at too high a learning rate"


def gather(
    metrics: Path,
    declared: Variants,
    models: Path,
    raw: Path,
    sensitivity: Path,
    trained: Sequence[Path],
    *,
    settings: GatesParams,
    source: str,
    targets: Sequence[str] = (),
) -> Report:
    """Return the content from the figures and from what the stages wrote beside their models."""
    found = results.load(metrics, declared)
    links = lineage.chain([*trained, models / declared.product])
    learning = [
        curves.read(
            each / description.HISTORY, each.name, curves.selection(link.content["settings"])
        )
        for each, link in zip(trained, links, strict=False)
    ]
    product = declared.product
    mistakes = files.read_json(metrics / "newly_wrong" / f"{product}.json")
    return Report(
        results=found,
        gates=gates.judge(found, settings),
        descriptions={name: description.read(models / name) for name in declared},
        scan=layer_losses.read(sensitivity),
        curves=learning,
        newly_wrong=newly_wrong.from_dict(mistakes),
        lineage=links,
        images_seen=images_seen.count(declared, links, learning),
        data=lineage.data(raw, source),
        model_sha256=files.hash_file(description.onnx_path(models / product)),
        devices=device_figures.read(metrics, targets),
        runtimes=other_runtimes.read(metrics / results.BENCHMARK),
    )
