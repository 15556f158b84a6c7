"""LogME against a direct maximisation of the evidence, and what must hold of any such measure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from trainables.probing.logme import Spectrum, evidence_gain, log_evidence, logme


def made(seed: int, num_rows: int, width: int, *, signal: float = 1.0):
    """Features, and labels that lean on them as much as `signal` says."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(num_rows, width))
    score = signal * features @ rng.normal(size=width) + rng.normal(size=num_rows)
    return features, (score > 0).astype(int)


def direct(features: np.ndarray, labels: np.ndarray) -> float:
    """log N(y; 0, I / beta + F F^T / alpha) a row, at the best alpha and beta of a search."""
    gram, unit = features @ features.T, np.eye(len(labels))

    def loss(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = unit / beta + gram / alpha
        return -multivariate_normal(cov=covariance, allow_singular=True).logpdf(labels)

    starts = [(0.0, 0.0), (2.0, 2.0), (4.0, 1.0)]
    result = min(minimize(loss, start, method="Nelder-Mead").fun for start in starts)
    return -result / len(labels)


@pytest.mark.parametrize(("num_rows", "width"), [(40, 5), (30, 30), (20, 60)])
def test_it_is_the_maximum_of_the_evidence(num_rows: int, width: int) -> None:
    """More rows than features, as many, and fewer."""
    features, classes = made(1, num_rows, width)
    labels = classes.astype(float)
    assert log_evidence(Spectrum.of(features), labels) == pytest.approx(
        direct(features, labels), abs=1e-4
    )


def test_logme_is_the_mean_over_classes() -> None:
    features, _ = made(2, 45, 4)
    classes = np.arange(45) % 3
    each = [direct(features, (classes == c).astype(float)) for c in range(3)]
    assert logme(features, classes) == pytest.approx(np.mean(each), abs=1e-4)


@given(st.integers(0, 10_000), st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_neither_scale_nor_turning_nor_shift_matters(seed: int, scale: float) -> None:
    features, classes = made(seed, 40, 6)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))[0]
    assert logme(features * scale @ turn, classes) == pytest.approx(logme(features, classes))
    assert evidence_gain(features * scale + 5 * scale, classes) == pytest.approx(
        evidence_gain(features, classes), abs=1e-6
    )


@pytest.mark.parametrize("measure", [logme, evidence_gain])
def test_better_features_score_higher(measure) -> None:
    result = []
    for signal in (0.0, 0.5, 2.0, 8.0):
        values = [measure(*made(seed, 200, 8, signal=signal)) for seed in range(5)]
        result.append(np.mean(values))
    assert result == sorted(result)
    assert result[-1] > result[0] + 0.1


def test_more_features_that_say_nothing_do_not_help() -> None:
    features, classes = made(3, 120, 6)
    noise = np.random.default_rng(9).normal(size=(120, 60))
    assert evidence_gain(np.hstack([features, noise]), classes) < evidence_gain(features, classes)


def test_features_that_know_nothing_gain_nothing() -> None:
    """However many classes there are, and however uneven they are: so tasks compare."""
    rng = np.random.default_rng(4)
    for classes in (rng.integers(0, 2, 300), rng.integers(0, 9, 300), (np.arange(300) < 6) * 1):
        gain = evidence_gain(rng.normal(size=(300, 8)), classes)
        assert 0 <= gain + 1e-12 < 0.02
    even, uneven = np.arange(300) % 2, (np.arange(300) < 6) * 1
    plain = rng.normal(size=(300, 8))
    assert logme(plain, uneven) > logme(plain, even) + 0.5, "the paper's measure tells them apart"


def test_labels_that_the_features_spell_out_have_a_finite_evidence() -> None:
    features = np.eye(3)[np.arange(60) % 3]
    assert np.isfinite(logme(features, np.arange(60) % 3))
    assert evidence_gain(features, np.arange(60) % 3) > 5


def test_features_without_any_difference() -> None:
    same = np.ones((30, 4))
    assert evidence_gain(same, np.arange(30) % 2) == pytest.approx(0, abs=1e-9)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="one class"):
        evidence_gain(np.ones((3, 2)), np.zeros(3, int))
    with pytest.raises(ValueError, match="finite"):
        logme(np.array([[np.nan]]), np.array([1]))
    with pytest.raises(ValueError, match="all zero"):
        log_evidence(Spectrum.of(np.ones((3, 2))), np.zeros(3))
