"""How a quantized network becomes a file for a target that `targets` may name."""

from slimline.lazy_registry import Registry
from slimline.targets.exporters import Exporter
from slimline.targets.registry import DEVICE_TARGETS

EXPORTERS: Registry[Exporter] = DEVICE_TARGETS.part("exporter")
