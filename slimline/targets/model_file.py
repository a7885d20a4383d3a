"""What a model file holds and costs, whatever the target. Free of torch."""

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True)
class ModelFile:
    """Raw counts of a file."""

    num_bytes: int
    num_bytes_deflated: int
    params: int
    """Entries of the weights and biases; scales and zero points do not count."""
    weights: int
    """Entries of the weights of convolutions and linear layers."""
    zeros: int
    """How many of these stand for exactly 0."""
    macs: int
    """Multiply-accumulates of convolutions and linear layers, for one image."""
    int8_macs: int
    """Those that the runtime executes in int8, after its own optimisation of the graph."""

    @property
    def size_kib(self) -> float:
        """Size of the file."""
        return self.num_bytes / KIB

    @property
    def size_zip_kib(self) -> float:
        """Size of the same file, deflated: what is sent over a network."""
        return self.num_bytes_deflated / KIB

    @property
    def sparsity(self) -> float:
        """Percent of the weights that are exactly 0."""
        return 100 * self.zeros / self.weights

    @property
    def macs_m(self) -> float:
        """Multiply-accumulates of one image, millions."""
        return self.macs / 1e6

    @property
    def int8_share(self) -> float:
        """Percent of the multiply-accumulates that are executed in int8."""
        return 100 * self.int8_macs / self.macs
