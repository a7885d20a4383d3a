"""Settings of all that quantizes. Free of torch."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from slimline.params import Params
from slimline.parity.settings import ParityBounds
from slimline.quantization.calibrators import Calibrator
from slimline.targets.onnxruntime.releases import (
    NEWEST_IR_VERSION,
    NEWEST_OPSET,
    OLDEST_OPSET,
    oldest_ir_version,
)
from slimline.targets.schemes import ActivationType, Scheme, WeightScales
from slimline.training.settings import DistilledRecipe

_ANY_DROP = 100
"""Percentage points: more cannot be lost."""


class MixedParams(Params):
    """Which layers stay float in an int8 model. A layer stays float for any one of the reasons."""

    float_layers: list[str]
    """Patterns of layer names, as `conv1.*`; each must fit a layer."""

    max_drop: Annotated[float, Field(ge=0, le=100)]
    """Percentage points of validation accuracy (of mean recall, where training selects by that)
    that a layer may cost, alone in int8 in the float network, by the scan of stage
    `int8_sensitivity`; 100 allows any."""

    only_faster: bool
    """Leave float what int8 does not make faster, by data/int8_times.json."""

    @property
    def is_idle(self) -> bool:
        """Whether every layer runs in int8."""
        return not (self.float_layers or self.goes_by_scan or self.only_faster)

    @property
    def goes_by_scan(self) -> bool:
        """Whether accuracy may keep a layer in float."""
        return self.max_drop < _ANY_DROP

    def names(self, layer: str) -> bool:
        """Return whether a pattern fits the name of a layer."""
        return any(fnmatchcase(layer, pattern) for pattern in self.float_layers)


ALL_INT8 = MixedParams(float_layers=[], max_drop=_ANY_DROP, only_faster=False)
"""No layer stays float."""


class QuantizerParams(Params):
    """What int8 means, in training and in both static quantizers."""

    activation_type: ActivationType
    """uint8 is what x86 multiplies with int8 weights; int8 suits Arm. On x86 ONNX Runtime leaves
    convolutions of int8 in float, unless its session option session.qdqisint8allowed is 1. Of
    int8_symmetric the zero point is 0 everywhere, which TensorRT and some microcontrollers ask for;
    behind a ReLU half of the bytes are not used."""

    weight_bits: Literal[7, 8]
    """7 leaves the sums of uint8 x int8 products room: x86 CPUs without VNNI add pairs of them in
    16 bits and saturate, which costs published 8-bit models 4 to 8 points there. 8 is finer."""

    weights: WeightScales
    """One scale per output channel, or one for all of a layer, for runtimes that want it; that cost
    EfficientNet-Lite0 8 points where channels cost 0.2."""

    equalise: bool
    """Let channels between two layers reach as far before quantization, the same in float to the
    bit (`slimline.quantization.equalisation`); of our own quantizer alone."""

    mixed: MixedParams
    """Layers that stay float."""

    @property
    def scheme(self) -> Scheme:
        """What a quantizer is told."""
        return Scheme(self.weight_bits, self.activation_type, self.weights)


class QuantizationParams(QuantizerParams):
    """Section `quantization`, which `qat_finetune` and `int8_ptq` share."""

    calibrator: Calibrator
    """How the ranges of activations are first chosen on the calibration split: everything (minmax),
    all but one value in 10,000 (percentile), or what loses the least information (entropy) or the
    least by squared error (mse)."""


class QatFinetuneParams(QuantizationParams):
    """Section `qat_finetune`; training begins with the ranges that the calibrator finds."""

    observe: Annotated[float, Field(gt=0, le=1)]
    """Share of the run after which the ranges of activations are frozen."""

    recipe: DistilledRecipe
    """Fine-tuning with fake-quant; the teacher is the float model it starts from."""


class Int8SensitivityParams(Params):
    """Section `int8_sensitivity`: what `mixed.max_drop` rests on; off unless asked for."""

    scan: bool
    """Whether each layer is measured."""

    images: Annotated[int, Field(ge=0)]
    """Validation images per measurement, the first of the split; 0: all."""


class Int8ExportParams(ParityBounds):
    """Section `int8_export`: the product, and how far it may differ from what was trained."""

    input: Literal["float32", "uint8", "uint8_nhwc"]
    """What the .onnx takes: normalised images, or raw pixels, [batch, channels, height, width], or
    with channels last, as images lie in memory. The bytes that are computed with are the same."""

    answer: Literal["logits", "probabilities"]
    """What the .onnx answers: logits, or their softmax."""

    quantized_logits: bool
    """Whether a quantize and a dequantize node stand behind the logits, in front of a softmax:
    compilers as Qualcomm's QNN leave the layer that answers to the CPU without. The answer stays
    float32, in 255 steps of the range that logits have on the calibration images, and is rounded by
    up to half a step."""

    form: Literal["fastest", "portable"]
    """How the .onnx is spelled: as ONNX Runtime is fastest, with bytes that are moved as they are;
    or every operator between a quantize and a dequantize node, each byte with one meaning, as other
    readers want it. The answers are the same, bit for bit."""

    pad_channels: bool
    """Of form fastest alone: pad depthwise convolutions to multiples of 16 channels, and colour
    images to 4, with zeros: the same answers, faster in ONNX Runtime on x86, with more
    multiplications."""

    opset: Annotated[int, Field(ge=OLDEST_OPSET, le=NEWEST_OPSET)]
    """Version of the operators in the file; an older one is read by older runtimes."""

    ir_version: Annotated[int, Field(ge=oldest_ir_version(OLDEST_OPSET), le=NEWEST_IR_VERSION)]
    """Version of the file's own format, not older than the opset."""

    @field_validator("ir_version")
    @classmethod
    def _is_not_older_than_opset(cls, version: int, known: ValidationInfo) -> int:
        opset = known.data.get("opset", OLDEST_OPSET)
        oldest = oldest_ir_version(opset)
        if version < oldest:
            raise ValueError(f"must be {oldest} to {NEWEST_IR_VERSION} with opset {opset}")
        return version


class Int8PtqParams(QuantizerParams):
    """Section `int8_ptq`: quantization of the pruned model without training."""

    quantizer: Literal["onnxruntime", "slimline"]
    """Whose: ONNX Runtime's own static quantization, as its users know it, or ours untrained."""

    calibrator: Literal[Calibrator, "auto"]
    """How ranges of activations are found on the calibration split, as in `qat_finetune`; auto
    tries all that the quantizer has, and takes what is best on the validation split by
    `training.select_by`."""

    @property
    def calibrators(self) -> tuple[Calibrator, ...]:
        """Those to try."""
        return PTQ_CALIBRATORS[self.quantizer] if self.calibrator == "auto" else (self.calibrator,)

    @field_validator("calibrator")
    @classmethod
    def _quantizer_has_it(cls, calibrator: str, known: ValidationInfo) -> str:
        quantizer = known.data.get("quantizer", "slimline")
        if calibrator not in {*PTQ_CALIBRATORS[quantizer], "auto"}:
            names = ", ".join(PTQ_CALIBRATORS[quantizer])
            raise ValueError(
                f"must be {names} or auto with int8_ptq.quantizer {quantizer}; int8_ptq may have a "
                "calibrator of its own"
            )
        return calibrator


PTQ_CALIBRATORS: dict[str, tuple[Calibrator, ...]] = {
    "onnxruntime": ("minmax", "percentile", "entropy"),
    "slimline": get_args(Calibrator),
}
