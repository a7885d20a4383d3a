"""The parts of targets that `targets` may name, for the stages that write and score for them."""

from slimline.lazy_registry import Registry
from slimline.targets.registry import DEVICE_TARGETS
from slimline.targets.runtimes import Runtime
from slimline.targets.schemes import SchemeChooser

RUNTIMES: Registry[Runtime] = DEVICE_TARGETS.part("runtime")
SCHEMES: Registry[SchemeChooser] = DEVICE_TARGETS.part("scheme")
