"""How a quantized network becomes a file for a target that `targets` may name."""

from slimline.lazy_registry import Registry
from slimline.targets.device_registry import DEVICE_TARGETS
from slimline.targets.exporters import Exporter

EXPORTERS: Registry[Exporter] = DEVICE_TARGETS.part("exporter")
