"""What is quantized how for runtimes that have no activations of uint8. Free of torch."""

from dataclasses import replace

from slimline.targets.schemes import Scheme


def choose(wanted: Scheme) -> Scheme:
    """Return what is wanted with int8 activations.

    A range of uint8 means the same in both: its zero point is 128 lower in int8.
    """
    if wanted.activation_type == "uint8":
        return replace(wanted, activation_type="int8")
    return wanted
