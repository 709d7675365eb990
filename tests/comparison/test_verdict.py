import math

import numpy as np
import pytest
from scipy.stats import ttest_rel
from scipy.stats import wilcoxon as signed_ranks

from archpress.comparison.verdict import paired, tell

OURS = {0: 0.90, 1: 0.92, 2: 0.91, 3: 0.90, 4: 0.93}
WORSE = {0: 0.88, 1: 0.89, 2: 0.89, 3: 0.875, 4: 0.90}


def test_differences_are_taken_seed_by_seed_over_the_seeds_that_both_have():
    pair = paired("evolution", {0: 0.9, 1: 0.8, 5: 0.1}, {1: 0.79, 0: 0.87, 7: 0.5})
    assert pair.n == 2
    assert pair.mean == pytest.approx(0.02)  # of 0.03 and 0.01
    assert pair.standard_error == pytest.approx(0.01)
    assert paired("evolution", {0: 0.9}, {1: 0.8}) is None


def test_the_p_value_is_that_of_the_paired_t_test():
    pair = paired("evolution", OURS, WORSE)
    assert pair.t_test == pytest.approx(ttest_rel(list(OURS.values()), list(WORSE.values())).pvalue)
    assert pair.wilcoxon is None


def test_six_pairs_get_a_signed_rank_test():
    differences = [0.01, 0.022, -0.004, 0.03, 0.017, 0.005]
    ours = {seed: 0.5 + one for seed, one in enumerate(differences)}
    pair = paired("evolution", ours, dict.fromkeys(range(6), 0.5))
    assert pair.wilcoxon == pytest.approx(signed_ranks(differences).pvalue)


def test_ties_are_ties_whatever_rounding_makes_of_them():
    others = [0.5, 0.61, 0.72, 0.83, 0.54, 0.65, 0.76, 0.87]
    p_values = set()
    for worse in range(8):
        ours = {seed: one + 0.001 for seed, one in enumerate(others)}
        ours[worse] = others[worse] - 0.001
        p_values.add(paired("random", ours, dict(enumerate(others))).wilcoxon)
    assert len(p_values) == 1


def test_equal_differences_have_no_p_value():
    pair = paired("evolution", dict.fromkeys(range(7), 0.5), dict.fromkeys(range(7), 0.5))
    assert (pair.mean, pair.standard_error, pair.t_test, pair.wilcoxon) == (0, 0, None, None)
    said = tell(pair, 1, "accuracy", "test")
    assert said.startswith("default is not above evolution: it is as good (paired difference over")


def test_a_clear_win_is_told_with_its_error():
    pair = paired("evolution", OURS, WORSE)
    error = 100 * np.std([0.02, 0.03, 0.02, 0.025, 0.03], ddof=1) / math.sqrt(5)
    assert tell(pair, 6, "accuracy", "test") == (
        "default is 2.50 points of test accuracy above evolution, the best of 6 others (paired "
        f"difference over 5 seeds, standard error {error:.2f}): a difference of more than two "
        "standard errors."
    )


def test_a_loss_is_told_as_plainly():
    said = tell(paired("evolution", WORSE, OURS), 6, "accuracy", "test")
    assert said.startswith(
        "default is not above evolution, the best of 6 others: it is 2.50 points of test accuracy "
        "below (paired difference over 5 seeds, standard error 0.22), more than two standard errors"
    )


def test_a_difference_within_two_standard_errors_is_not_called_clear():
    pair = paired("tpe", {0: 0.9, 1: 0.8}, {0: 0.88, 1: 0.815})
    said = tell(pair, 1, "accuracy", "validation")
    assert said.startswith("default is 0.25 points of validation accuracy above tpe (")
    assert said.endswith("a difference of no more than two standard errors.")


def test_one_seed_is_too_few_for_a_spread():
    pair = paired("tpe", {0: 0.9}, {0: 0.88})
    assert (pair.standard_error, pair.t_test, pair.wilcoxon) == (None, None, None)
    assert tell(pair, 3, "accuracy", "test") == (
        "default is 2.00 points of test accuracy above tpe, the best of 3 others on one seed, "
        "which says nothing of the spread."
    )


def test_compression_is_told_in_times():
    pair = paired("tpe", {0: 6.0, 1: 6.2}, {0: 5.0, 1: 5.1})
    assert tell(pair, 2, "compression", "test").startswith(
        "default is 1.05 times in compression above tpe, the best of 2 others (paired"
    )
