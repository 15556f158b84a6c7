"""LogME: how well a linear model could read labels off frozen features, without training one.

The logarithm of the maximum evidence of a Bayesian linear model (You et al., 2021, "LogME:
Practical Assessment of Pre-trained Models for Transfer Learning", ICML, arXiv 2102.11005): with
features F and labels y, y ~ N(F w, 1/beta), w ~ N(0, 1/alpha), the weights integrated out, and
alpha and beta those that make y most likely. Unlike the accuracy of a fitted model it does not rise
with the number of features alone. Pure.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_ITERATIONS = 200
TOLERANCE = 1e-9  # of the evidence of a row, between two iterations
MIN_NOISE = 1e-9  # of the labels' mean square: of exact labels the evidence has no bound
TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Features [N, D] by their singular values: left vectors [N, K] and squares [K], K = min(N, D).
    One decomposition serves every label."""

    left: Floats
    squares: Floats

    @classmethod
    def of(cls, features: npt.NDArray[np.floating]) -> "Spectrum":
        if features.ndim != 2 or not len(features) or not np.isfinite(features).all():
            raise ValueError(f"features are finite numbers [N, D]; got shape {features.shape}")
        left, values, _ = np.linalg.svd(features.astype(np.float64), full_matrices=False)
        return cls(left, values**2)


def log_evidence(spectrum: Spectrum, labels: Floats) -> float:
    """The log maximum evidence of labels [N], a row: in nats, higher is better.

    MacKay's fixed point on r = alpha / beta, in the basis of the singular vectors, so that an
    iteration costs K operations (Algorithm 2 of the paper). It starts from the features' own scale,
    and so does not depend on it.
    """
    num_rows, squares = len(spectrum.left), spectrum.squares
    total = float(labels @ labels)
    if not total:
        raise ValueError("labels are all zero: there is nothing to read off the features")
    without = float(-(np.log(2 * np.pi * total / num_rows) + 1) / 2)  # the limit of no weights
    if not squares.any():
        return without
    seen = (spectrum.left.T @ labels) ** 2  # of the labels' square, by singular vector
    unseen = max(0.0, total - float(seen.sum()))
    ratio, evidence = float(squares.mean()), -np.inf
    for _ in range(MAX_ITERATIONS):
        shrunk = squares + ratio
        residual = float((seen * (ratio / shrunk) ** 2).sum()) + unseen
        residual = max(residual, MIN_NOISE * total)
        weights = max(float((squares * seen / shrunk**2).sum()), TINY)
        # With beta at its best for this ratio, the two squares make up N together.
        beta = num_rows / (residual + ratio * weights)
        before, evidence = evidence, _a_row(beta, ratio, squares, num_rows)
        if abs(evidence - before) < TOLERANCE:
            break
        effective = float((squares / shrunk).sum())  # gamma: weights that the labels decide
        ratio = effective / weights * residual / max(num_rows - effective, TINY)
        ratio = float(np.clip(ratio, squares.max() * 1e-15, squares.max() * 1e15))
    return max(evidence, without)


def _a_row(beta: float, ratio: float, squares: Floats, num_rows: int) -> float:
    fit = np.log(beta / (2 * np.pi)) - 1
    return float(fit - np.log1p(squares / ratio).sum() / num_rows) / 2


def logme(features: npt.NDArray[np.floating], classes: npt.NDArray[np.integer]) -> float:
    """LogME of class labels [N]: the mean over classes of the evidence of "is it this one?"."""
    spectrum = Spectrum.of(features)
    found = np.unique(classes)
    return float(np.mean([log_evidence(spectrum, (classes == c).astype(float)) for c in found]))


def evidence_gain(features: npt.NDArray[np.floating], classes: npt.NDArray[np.integer]) -> float:
    """What the features add to the evidence of class labels [N], a row, over the classes' shares.

    LogME compares encoders on one data set. Between data sets it says first of all how many classes
    there are and how even they are; here each class's labels are brought to mean zero and variance
    one, features to mean zero, and the evidence without features (the same for all, then) is taken
    off: 0 says that the encoder knows nothing of the task. Raises ValueError for a single class.
    """
    found = np.unique(classes)
    if len(found) < 2:
        raise ValueError("labels are all of one class: there is nothing to tell apart")
    spectrum = Spectrum.of(features - features.mean(axis=0, dtype=np.float64))
    without = -(np.log(2 * np.pi) + 1) / 2
    gains = []
    for c in found:
        labels = (classes == c).astype(np.float64)
        labels = (labels - labels.mean()) / labels.std()
        gains.append(log_evidence(spectrum, labels) - without)
    return float(np.mean(gains))
