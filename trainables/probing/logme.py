"""LogME: how well a linear model could predict labels from frozen features, without training one.

The logarithm of the maximum evidence of a Bayesian linear model (You et al. 2021, "LogME: Practical
Assessment of Pre-trained Models for Transfer Learning", ICML, arXiv 2102.11005): with features F
and labels y, y ~ N(F w, 1/beta), w ~ N(0, 1/alpha), where the weights are integrated out, and alpha
and beta make y most likely. Unlike the accuracy of a fitted model it does not rise with the number
of features alone. Pure functions.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_ITERATIONS = 200
TOLERANCE = 1e-9  # the change of the evidence per row at which the iteration stops
MIN_NOISE = 1e-9  # a part of the labels' mean square: the evidence of exact labels is unbounded
TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Features [N, D] by their singular values: left vectors [N, K] and squares [K], K = min(N, D).
    One decomposition serves all labels."""

    left: Floats
    squares: Floats

    @classmethod
    def of(cls, features: npt.NDArray[np.floating]) -> "Spectrum":
        """The spectrum of features [N, D]. Raises ValueError where they are not finite."""
        if features.ndim != 2 or not len(features) or not np.isfinite(features).all():
            raise ValueError(
                f"expected features of finite numbers [N, D]; got shape {features.shape}"
            )
        left, values, _ = np.linalg.svd(features.astype(np.float64), full_matrices=False)
        return cls(left, values**2)


def log_evidence(spectrum: Spectrum, labels: Floats) -> float:
    """The log maximum evidence of labels [N] per row, in nats; higher is better. Raises ValueError
    for labels that are all zero.

    MacKay's fixed point on r = alpha / beta, in the basis of the singular vectors, so that an
    iteration costs K operations (Algorithm 2 of the paper). It starts from the scale of the
    features, so the result does not depend on their scale.
    """
    num_rows, squares = len(spectrum.left), spectrum.squares
    total = float(labels @ labels)
    if not total:
        raise ValueError("labels are all zero: there is nothing to predict")
    without = float(-(np.log(2 * np.pi * total / num_rows) + 1) / 2)  # the limit of zero weights
    if not squares.any():
        return without
    seen = (spectrum.left.T @ labels) ** 2  # the labels' square along each singular vector
    unseen = max(0.0, total - float(seen.sum()))
    ratio, evidence = float(squares.mean()), -np.inf
    for _ in range(MAX_ITERATIONS):
        shrunk = squares + ratio
        residual = float((seen * (ratio / shrunk) ** 2).sum()) + unseen
        residual = max(residual, MIN_NOISE * total)
        weights = max(float((squares * seen / shrunk**2).sum()), TINY)
        # With the best beta for this ratio, the two squares times beta sum to N.
        beta = num_rows / (residual + ratio * weights)
        before, evidence = evidence, _evidence_per_row(beta, ratio, squares, num_rows)
        if abs(evidence - before) < TOLERANCE:
            break
        effective = float(
            (squares / shrunk).sum()
        )  # gamma: the number of weights that the labels determine
        ratio = effective / weights * residual / max(num_rows - effective, TINY)
        ratio = float(np.clip(ratio, squares.max() * 1e-15, squares.max() * 1e15))
    return max(evidence, without)


def _evidence_per_row(beta: float, ratio: float, squares: Floats, num_rows: int) -> float:
    fit = np.log(beta / (2 * np.pi)) - 1
    return float(fit - np.log1p(squares / ratio).sum() / num_rows) / 2


def logme(features: npt.NDArray[np.floating], classes: npt.NDArray[np.integer]) -> float:
    """LogME of class labels [N]: the mean over classes of the evidence for "is it this class?"."""
    spectrum = Spectrum.of(features)
    names = np.unique(classes)
    return float(np.mean([log_evidence(spectrum, (classes == c).astype(float)) for c in names]))


def evidence_gain(features: npt.NDArray[np.floating], classes: npt.NDArray[np.integer]) -> float:
    """The gain of evidence that features [N, D] give for class labels [N] over the class shares
    alone, in nats per row.

    LogME compares encoders on one data set. Between data sets it mostly shows the number of classes
    and how even they are. Here the labels of each class are standardised (mean zero, variance one),
    features are centred, and the evidence without features, then equal for all classes, is
    subtracted. 0 means that the encoder knows nothing about the task. Raises ValueError for a
    single class.
    """
    names = np.unique(classes)
    if len(names) < 2:
        raise ValueError("all labels are of one class; expected two classes or more")
    spectrum = Spectrum.of(features - features.mean(axis=0, dtype=np.float64))
    without = -(np.log(2 * np.pi) + 1) / 2
    gains = []
    for c in names:
        labels = (classes == c).astype(np.float64)
        labels = (labels - labels.mean()) / labels.std()
        gains.append(log_evidence(spectrum, labels) - without)
    return float(np.mean(gains))
