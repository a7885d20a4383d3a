"""What runs the files of targets that `targets` may name, for the stages that write and score them.

A module for each part, as for all targets: as code, a stage counts the parts whose module it uses.
"""

from slimline.lazy_registry import Registry
from slimline.targets.device_registry import DEVICE_TARGETS
from slimline.targets.runtimes import Runtime

RUNTIMES: Registry[Runtime] = DEVICE_TARGETS.part("runtime")
