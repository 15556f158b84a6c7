"""What needs no GPU: how many operations a token takes, and rows as long as NLI's."""

import numpy as np
import pytest
import torch

from benchmarks.gpu_throughput import LARGE, TINY, drawn_features, flops_a_token, matmul_peak


def test_a_token_of_xlmr_large_takes_six_operations_a_weight() -> None:
    weights = 24 * 12 * 1024**2  # four projections, and a feed-forward of four times the width
    assert flops_a_token(LARGE, 0.0) == 6 * weights
    assert flops_a_token(LARGE, 40.0) == pytest.approx(6 * weights, rel=0.01)


def test_rows_are_as_long_as_nli_is() -> None:
    lengths = drawn_features(2000, TINY.vocabulary).input_ids.lengths
    assert np.median(lengths) == pytest.approx(38, abs=2)
    assert np.quantile(lengths, 0.9) == pytest.approx(70, abs=5)
    assert lengths.max() <= 128


def test_a_product_takes_some_time() -> None:
    assert 0 < matmul_peak(torch.device("cpu"), 16) < 1e15
