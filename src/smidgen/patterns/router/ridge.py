"""Kernel ridge regression on one-of-several targets, with what each example would be without itself, in closed form.

Of few examples it makes more than nearest means, logistic regression or discriminant analysis do (docs/router.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Kernel = NDArray[np.floating]

PENALTY = 0.05
"""Added to the kernel's diagonal."""


class Ridge:
    """weights: (examples, classes); a text's scores are its kernel with the examples times these. left_out: (examples,
    classes): each example's scores by all the others."""

    def __init__(self, kernel: Kernel, labels: Labels, classes: int) -> None:
        targets = one_of(labels, classes)
        inverse = np.linalg.inv(_penalised(kernel))
        weights = inverse @ targets
        self.left_out: Array = targets - weights / np.diag(inverse)[:, None]
        self.weights = weights.astype(np.float32)


def solved(kernel: Kernel, labels: Labels, classes: int) -> NDArray[np.float32]:
    """The weights alone, in half the time."""
    return np.linalg.solve(_penalised(kernel), one_of(labels, classes)).astype(np.float32)


def one_of(labels: Labels, classes: int) -> Array:
    """(examples, classes): 1 where an example is of a class, else 0."""
    targets = np.zeros((len(labels), classes))
    targets[np.arange(len(labels)), labels] = 1.0
    return targets


def _penalised(kernel: Kernel) -> Array:
    return kernel.astype(np.float64) + PENALTY * np.eye(len(kernel))
