"""What is quantized how for the targets that `targets` may name."""

from slimline.lazy_registry import Registry
from slimline.targets.device_registry import DEVICE_TARGETS
from slimline.targets.schemes import SchemeChooser

SCHEMES: Registry[SchemeChooser] = DEVICE_TARGETS.part("scheme")
