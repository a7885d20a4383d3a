"""Does the comparison of a model with its file stop what is broken, and nothing that is sound?

  python -m benchmarks.parity
  python -m benchmarks.parity --seeds 3 4 5 --no-faults

trains small networks on the embedded set, some for a few steps and some for more, writes the float
and the int8 file of each, and asks two things. Sound files: how many are stopped, judged on 50 to
5,000 validation images, drawn several times? Faults, planted into the files of seed 1 one at a
time: how many are noticed on 50 images? Float files are judged on images of one class alone,
which is harder. A fault that changes no byte of any layer on these images is counted apart: nobody
could notice it. It takes about a minute for each network on one core.
"""

import argparse
import copy
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import fx, nn

from slimline import params
from slimline.artifacts import model_interface
from slimline.data import splitting
from slimline.data.split_files import Split
from slimline.errors import ParityError
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams
from slimline.params import RunParams
from slimline.parity import float_parity, int8_parity, layer_parity
from slimline.parity.layer_parity import FileValues
from slimline.quantization import int8_export, qat
from slimline.quantization.settings import Int8ExportParams
from slimline.targets import runtimes
from slimline.targets.onnxruntime import exporter, runtime, to_onnx
from slimline.targets.onnxruntime import interface as onnx_interface
from slimline.training import determinism, loop
from slimline.training.augmentation import Augment
from slimline.training.settings import Recipe, Step

FAMILIES = ("shufflenet_v2_x0_5", "resnet18", "mobilenet_v3_small", "mobilenet_v4_conv_small")
DRAWS: Mapping[int, int] = {50: 3, 200: 3, 1000: 2, 5000: 1}
"""Images, and how often so many are drawn of the validation split."""
NUM_IMAGES = 50
"""On which a fault must be noticed."""
EPOCHS = (0.03, 0.2)
"""Of odd seeds and of even ones. Few: many answers are nearly ties."""

NUM_THREADS = 1
"""More wait for each other where other processes want the same cores."""

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Exported:
    """A trained network in both forms, and what int8 answers."""

    model: Classifier
    prepared: Classifier
    float_path: Path
    int8_path: Path
    fake_quant: Logits
    """[images, classes], of the whole validation split."""


class File:
    """An .onnx file that faults are planted into, one in each copy."""

    def __init__(self, path: Path) -> None:
        self.proto = onnx.load(path)
        self.tensors = {each.name: each for each in self.proto.graph.initializer}
        self.makers = {name: node for node in self.proto.graph.node for name in node.output}
        self.layers = [node for node in self.proto.graph.node if node.op_type in {"Conv", "Gemm"}]

    @property
    def middle(self) -> onnx.NodeProto:
        """A layer in the middle with a kernel larger than one pixel."""
        wide = [node for node in self.layers if _kernel(node) > 1]
        return wide[len(wide) // 2]

    def weight(self, layer: onnx.NodeProto, place: int = 1) -> tuple[str, str | None]:
        """Return the names of a weight's or bias' levels and scale; of a float one, no scale."""
        maker = self.makers.get(layer.input[place])
        if maker is None:
            return layer.input[place], None
        levels = maker.input[0]
        while levels in self.makers:  # zeros are appended when the file is loaded
            levels = self.makers[levels].input[0]
        return levels, maker.input[1]

    def change(self, name: str, change: Callable[[NDArray[np.float64]], object]) -> None:
        """Replace a tensor by a function of it, in its own type."""
        before = numpy_helper.to_array(self.tensors[name])
        after = np.asarray(change(before.copy())).astype(before.dtype)
        self.tensors[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(after), name))

    def dequantize(self, layer: onnx.NodeProto) -> onnx.NodeProto:
        """Return the node that makes floats of what a layer reads."""
        return self.makers[layer.input[0]]

    def own_input(self, node: onnx.NodeProto, place: int) -> str:
        """Give a node a tensor of its own in place of one that it may share; return its name."""
        name = f"planted_{place}"
        tensor = copy.deepcopy(self.tensors[node.input[place]])
        tensor.name = name
        self.proto.graph.initializer.append(tensor)
        self.tensors[name] = self.proto.graph.initializer[-1]
        node.input[place] = name
        return name


def _kernel(node: onnx.NodeProto) -> int:
    shapes = [list(each.ints) for each in node.attribute if each.name == "kernel_shape"]
    return shapes[0][0] if shapes else 1


def weight_scale(file: File) -> None:
    """A weight's scale is off by 2 %; in a float file the weight is."""
    name, scale = file.weight(file.middle)
    file.change(scale or name, lambda values: 1.02 * values)


def input_scale(file: File) -> None:
    """What a layer reads is scaled by 2 % too much."""
    name = file.own_input(file.dequantize(file.middle), 1)
    file.change(name, lambda values: 1.02 * values)


def zero_point(file: File) -> None:
    """The zero point of what a layer reads is off by 1."""
    name = file.own_input(file.dequantize(file.middle), 2)
    file.change(name, lambda values: values + 1 if values < 100 else values - 1)


def bias_dropped(file: File) -> None:
    """A layer has no bias any more."""
    # Where all were 0, there is none.
    layer = next(each for each in [file.middle, *file.layers] if len(each.input) > 2)
    name, _ = file.weight(layer, 2)
    file.change(name, np.zeros_like)


def channels_swapped(file: File) -> None:
    """Two output channels of a weight stand in each other's place."""
    name, _ = file.weight(file.middle)
    file.change(name, lambda values: values[[1, 0, *range(2, len(values))]])


def kernel_transposed(file: File) -> None:
    """Height and width of a kernel are taken for each other."""
    name, _ = file.weight(file.middle)
    file.change(name, lambda values: values.swapaxes(-1, -2))


def scales_shifted(file: File) -> None:
    """Each output channel has the scale of its neighbour."""
    _, scale = file.weight(file.middle)
    assert scale is not None
    file.change(scale, lambda values: np.roll(values, 1))


def one_scale_doubled(file: File) -> None:
    """One output channel has twice its scale."""
    _, scale = file.weight(file.middle)
    assert scale is not None
    file.change(scale, lambda values: values * np.where(np.arange(values.size) == 1, 2, 1))


def four_bits(file: File) -> None:
    """A weight has four bits."""
    name, _ = file.weight(file.middle)
    file.change(name, lambda values: 8 * np.round(values / 8.0))


def weight_dropped(file: File) -> None:
    """A weight is all zeros."""
    name, _ = file.weight(file.middle)
    file.change(name, np.zeros_like)


def activation_added(file: File) -> None:
    """A layer without an activation function has one."""
    layer = file.layers[-1]
    output = layer.output[0]
    layer.output[0] = "planted"
    place = list(file.proto.graph.node).index(layer) + 1
    file.proto.graph.node.insert(place, helper.make_node("Relu", ["planted"], [output]))


def other_padding(file: File) -> None:
    """A layer pads on one side what it should pad on both."""
    pads = next(each for each in file.middle.attribute if each.name == "pads")
    half = len(pads.ints) // 2
    both = [pads.ints[place] + pads.ints[place + half] for place in range(half)]
    pads.ints[:] = [0] * half + both


def classes_swapped(file: File) -> None:
    """Two classes stand in each other's place."""
    graph = file.proto.graph
    maker = file.makers[graph.output[0].name]
    maker.output[0] = "planted"
    order = np.array([1, 0, *range(2, 10)], np.int64)
    graph.initializer.append(numpy_helper.from_array(order, "planted_order"))
    names = ["planted", "planted_order"]
    graph.node.append(helper.make_node("Gather", names, [graph.output[0].name], axis=1))


def stale_batch(file: File) -> None:
    """The file takes a batch of two alone."""
    file.proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


FAULTS: Mapping[str, Callable[[File], None]] = {
    each.__name__: each
    for each in (
        weight_scale, input_scale, zero_point, bias_dropped, channels_swapped, kernel_transposed,
        scales_shifted, one_scale_doubled, four_bits, weight_dropped, activation_added,
        other_padding, classes_swapped, stale_batch,
    )
}  # fmt: skip
OF_FLOAT = (
    "weight_scale", "bias_dropped", "channels_swapped", "kernel_transposed", "weight_dropped",
    "activation_added", "other_padding", "classes_swapped", "stale_batch",
)  # fmt: skip
NORMALISATION = "normalisation"


def export(name: str, splits: Mapping[str, Split], seed: int, folder: Path) -> Exported:
    """Train a network for a few steps, and write both of its files."""
    determinism.start(RunParams(seed=seed, num_threads=NUM_THREADS, processes=1))
    settings = ModelParams(
        backbone=name, pretrained="none", stem_stride=2, stem_kernel=3, activation="keep"
    )
    model = classifier.build(settings, splits["train"], folder)
    for each in model.network.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.momentum = 0.5  # so few steps would not reach its running statistics
    loop.fit(
        model.network, splits["train"], splits["calibration"], recipe(EPOCHS[(seed + 1) % 2]),
        preprocessing=model.preprocessing, seed=seed, phase=name,
    )  # fmt: skip
    folder.mkdir(parents=True)
    float_path, int8_path = folder / "float.onnx", folder / "int8.onnx"
    to_onnx.write_onnx(model.network, model.example, float_path)
    network = qat.prepare(model.network, model.example, weight_bits=7)
    qat.calibrate(network, splits["calibration"], model)
    qat.finish(network)
    prepared = model.with_network(network)
    logits = loop.predict(network, splits["validation"], model.preprocessing).numpy()
    exporter.write(qat.convert(copy.deepcopy(network)), model.example, int8_path)
    return Exported(model, prepared, float_path, int8_path, logits)


def recipe(epochs: float) -> Recipe:
    """Return how networks are trained here."""
    step = Step(
        precision="float32", accumulate=1, clip_norm=0, ema=0, decay_all=True, compile=False
    )
    augment = Augment(crop=1.0, flip=False, shift=0, color=0, randaugment=0, mixup=0, cutmix=0)
    return Recipe(
        batch_size=64, optimizer="adamw", label_smoothing=0.0, augment=augment, step=step,
        balance="none", select_by="top1", num_workers=0, epochs=epochs, learning_rate=0.003,
        weight_decay=0.0, validations=1,
    )  # fmt: skip


def answers(path: Path, images: Split, model: Classifier) -> tuple[Logits, Logits]:
    """Return the logits of a file, as it is written and as it is optimised."""
    written, optimised = (
        runtimes.predict(
            partial(runtime.run, runtime.load(path, num_threads=NUM_THREADS, optimised=optimised)),
            images.images,
            model.preprocessing,
        )
        for optimised in (False, True)
    )
    return written, optimised


def drawn(validation: Split) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield for every draw its size, and which images it has."""
    rng = np.random.default_rng(0)
    for count, draws in DRAWS.items():
        for _ in range(draws):
            yield count, rng.permutation(len(validation))[:count]


def sound(each: Exported, validation: Split, bounds: Int8ExportParams) -> Iterator[tuple[int, str]]:
    """Yield for every draw of images its size, and why the sound file is stopped, if it is."""
    written, optimised = answers(each.int8_path, validation, each.model)
    for count, rows in drawn(validation):
        logits = each.fake_quant[rows], written[rows], optimised[rows]
        compared = int8_parity.compare(*logits, validation.labels[rows])
        least = compared.least_top1_difference
        told = "" if least <= bounds.max_top1_difference else f"accuracy by {least:.2f} points"
        few = validation.images[rows[int8_parity.to_look_into(*logits)]]
        yield count, told or ", ".join(parting(each, each.int8_path, few, each.model)[:1])


def sound_float(each: Exported, validation: Split) -> Iterator[tuple[int, str]]:
    """Yield the same of the float file."""
    network = float_parity.exported(each.model)
    for count, rows in drawn(validation):
        images = first(validation, rows)
        told = noticed_float(network, each.float_path, each.float_path, images, each.model)
        yield count, "" if told == "none" else f"float, by {told}"


def noticed(each: Exported, path: Path, few: Split, model: Classifier) -> str:
    """Return by what a fault in an int8 file is noticed; nothing where it is not."""
    try:
        logits = each.fake_quant[: len(few)], *answers(path, few, model)
    except Exception:  # ONNX Runtime has its own
        return "runtime"
    images = few.images[int8_parity.to_look_into(*logits)]
    if parting(each, path, images, model):
        return "values"
    network = each.prepared.network
    assert isinstance(network, fx.GraphModule)
    return "" if has_effect(network, each.int8_path, path, few, model) else "none"


def parting(each: Exported, path: Path, images: NDArray[np.uint8], model: Classifier) -> list[str]:
    """Return the layers of an int8 file that differ by more than rounding."""
    found = []
    network = each.prepared.network
    assert isinstance(network, fx.GraphModule)
    for optimised in (False, True):
        compared = layer_parity.compare(
            network, path, model.preprocessing.normalise(images),
            optimised=optimised, num_threads=NUM_THREADS,
        )  # fmt: skip
        assert compared is not None, "a file has the layers of its network"
        found += [str(layer) for layer in compared.layers if layer.parts]
    return found


def has_effect(
    network: fx.GraphModule, path: Path, broken: Path, few: Split, model: Classifier
) -> bool:
    """Return whether a fault changes anything: a byte or float of any layer, or a logit."""
    images = model.preprocessing.normalise(few.images[:])
    before, after = (
        FileValues.load(each, network, optimised=False, num_threads=NUM_THREADS).of(images)
        for each in (path, broken)
    )
    return any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def noticed_float(
    network: fx.GraphModule, sound: Path, path: Path, images: Split, model: Classifier
) -> str:
    """Return by what a fault in a float file is noticed; nothing where it is not."""
    try:
        float_parity.check(model, images, path, num_threads=NUM_THREADS)
    except ParityError:
        return "values"
    except Exception as error:
        if "onnxruntime" in type(error).__module__:
            return "runtime"
        raise
    return "" if has_effect(network, sound, path, images, model) else "none"


def planted(path: Path, fault: Callable[[File], None], target: Path) -> Path:
    """Write a copy of a file with a fault."""
    file = File(path)
    fault(file)
    onnx.save(file.proto, target)
    return target


def first(split: Split, rows: NDArray[np.int64]) -> Split:
    """Return some images of a split."""
    return Split(split.images[rows], split.labels[rows], split.classes, split.preprocessing)


def noticed_normalisation(each: Exported, few: Split) -> str:
    """Return by what it is noticed that a file of raw pixels normalises them with 5 % more spread.

    Elsewhere normalisation is no part of a file.
    """
    frame = each.model.preprocessing
    wrong = replace(frame, std=tuple(1.05 * channel for channel in frame.std))
    asked, folded = (
        model_interface.of(one, takes="uint8", answers=model_interface.LOGITS)
        for one in (frame, wrong)
    )
    path = each.int8_path.with_name("raw.onnx")
    before = answers(each.int8_path, few, each.model)
    for interface, found in ((asked, ""), (folded, "values")):
        shutil.copyfile(each.int8_path, path)
        onnx_interface.rewrite(path, interface.frame, answers=interface.answers, metadata={})
        try:
            int8_export.check_interface(asked, path, few, *before, num_threads=NUM_THREADS)
        except ParityError:
            assert found, "rewritten as asked, the file has no fault"
            return found
    return ""


def main(families: list[str], seeds: list[int], *, faults: bool) -> None:
    """Print both tables, again after each network."""
    bounds = params.load("int8_export", Int8ExportParams)
    settings = params.load("data", splitting.DataParams)
    stopped: dict[int, list[str]] = {count: [] for count in DRAWS}
    stopped_float: dict[int, list[str]] = {count: [] for count in DRAWS}
    caught: dict[str, list[str]] = {name: [] for name in [*FAULTS, NORMALISATION]}
    of_float: dict[str, list[str]] = {name: [] for name in OF_FLOAT}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        splits = splitting.prepare(Path("data/raw"), settings, seed=1, scratch=root)
        validation = splits["validation"]
        few = first(validation, np.arange(NUM_IMAGES))
        one_class = first(validation, np.flatnonzero(validation.labels == 0)[:200])
        for seed in seeds:
            for name in families:
                each = export(name, splits, seed, root / f"{name}-{seed}")
                for count, told in sound(each, validation, bounds):
                    stopped[count].append(told)
                for count, told in sound_float(each, validation):
                    stopped_float[count].append(told)
                if faults and seed == 1:
                    plant_all(each, few, one_class, caught, of_float)
                print(f"\n{name}, seed {seed} as well:", flush=True)
                print_tables(stopped, stopped_float, caught, of_float)


def plant_all(
    each: Exported,
    few: Split,
    one_class: Split,
    caught: Mapping[str, list[str]],
    of_float: Mapping[str, list[str]],
) -> None:
    """Plant one fault at a time, and note by what each is noticed."""
    target = each.int8_path.with_name("broken.onnx")
    for fault, plant in FAULTS.items():
        path = planted(each.int8_path, plant, target)
        caught[fault].append(noticed(each, path, few, each.model))
    caught[NORMALISATION].append(noticed_normalisation(each, few))
    network = float_parity.exported(each.model)
    found = noticed_float(network, each.float_path, each.float_path, one_class, each.model)
    assert found == "none", "the file has no fault"
    for fault in OF_FLOAT:
        path = planted(each.float_path, FAULTS[fault], target)
        found = noticed_float(network, each.float_path, path, one_class, each.model)
        of_float[fault].append(found)


def print_tables(
    stopped: Mapping[int, list[str]],
    stopped_float: Mapping[int, list[str]],
    caught: Mapping[str, list[str]],
    of_float: Mapping[str, list[str]],
) -> None:
    """Print what was found so far."""
    print("\n| images | sound int8 files judged | stopped | sound float files judged | stopped |")
    print("|---:|---:|---:|---:|---:|")
    both = {count: (texts, stopped_float[count]) for count, texts in stopped.items()}
    for count, kinds in both.items():
        cells = [f"{len(texts)} | {sum(map(bool, texts))}" for texts in kinds]
        print(f"| {count:,} | {' | '.join(cells)} |")
    for text in sorted({t for kinds in both.values() for texts in kinds for t in texts if t}):
        print(f"- {text}")
    print("\n| fault | int8, by values | by ONNX Runtime | no effect | missed "
          "| float, by values | by ONNX Runtime | no effect | missed |")  # fmt: skip
    print("|---" + 8 * "|---:" + "|")
    for fault, hows in caught.items():
        counts = [count_of(hows), count_of(of_float.get(fault, []))]
        print(f"| {fault} | {' | '.join(counts)} |", flush=True)


def count_of(hows: list[str]) -> str:
    """Return the cells of a table for one kind of file; empty where none was tried."""
    if not hows:
        return " | | | "
    return " | ".join(str(hows.count(how)) for how in ("values", "runtime", "none", ""))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--no-faults", action="store_true", help="sound files alone")
    given = parser.parse_args()
    main(given.families, given.seeds, faults=not given.no_faults)
