"""From logits to shares, in float64; a package's predict.py, which ships alone, has its own."""

import numpy as np
from numpy.typing import NDArray


def log_shares(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logarithm of each class's share, [count, classes], for logits of that shape."""
    exact = logits.astype(np.float64)
    shifted = exact - exact.max(1, keepdims=True)
    shares: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return shares


def largest_share(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the share of the most likely class of each image, [count], 0 to 1."""
    shares: NDArray[np.float64] = np.exp(log_shares(logits).max(1))
    return shares
