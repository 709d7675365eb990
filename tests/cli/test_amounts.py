"""What a user types after a limit, and what is meant by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archpress.architecture import Architecture, Layer, named, with_classes
from archpress.cli.amounts import BYTES, COUNTS, MILLISECONDS, Amount, TypedLimits, read_amount
from archpress.cli.arguments import read_limits
from archpress.errors import ArchpressError, SpaceError
from archpress.space import Limits, with_joins_of_two


@pytest.mark.parametrize(
    ("text", "units", "meant"),
    [
        ("93000", COUNTS, 93_000),
        ("5e6", COUNTS, 5_000_000),
        (" 93K ", COUNTS, 93_000),
        ("1.2m", COUNTS, 1_200_000),
        ("2 G", COUNTS, 2e9),
        (".5k", COUNTS, 500),
        ("64KB", BYTES, 64_000),
        ("64kib", BYTES, 65_536),
        ("20MB", BYTES, 20e6),
        ("20M", BYTES, 20e6),
        ("100 b", BYTES, 100),
        ("2.5", MILLISECONDS, 2.5),
        ("2.5ms", MILLISECONDS, 2.5),
        ("0.5s", MILLISECONDS, 500),
    ],
)
def test_numbers_have_the_units_of_the_limit(text, units, meant):
    assert read_amount(text, "--option", units) == Amount(meant)


@pytest.mark.parametrize("text", ["50%", "50 %", "5e1%"])
def test_a_percent_sign_makes_a_share(text):
    assert read_amount(text, "--option", MILLISECONDS).of(708_458) == 354_229


@pytest.mark.parametrize("text", ["", "%", "half", "5kk", "5%%", "0x10", "1 000", "64KB"])
def test_anything_else_is_one_sentence(text):
    with pytest.raises(ArchpressError, match="--max-macs must be a number such as") as refused:
        read_amount(text, "--max-macs", COUNTS)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize("text", ["1e999", "1e30", "-2e18", "1e12G"])
def test_numbers_that_no_store_can_be_asked_for_are_refused(text):
    with pytest.raises(ArchpressError, match=r"--max-macs must be at most 1e\+18, not"):
        read_amount(text, "--max-macs", COUNTS)


def test_shares_are_those_of_the_source_with_the_classes_of_the_images():
    source = with_classes(named("conv7"), 7)
    typed = read_limits(max_parameters="50%", max_macs="10%", max_peak_memory="64KB")
    assert typed.of(source) == Limits(
        source.parameters // 2, source.macs // 10, 64_000, min_accuracy=None
    )


@given(st.integers(1, 99), st.integers(1, 10**9))
def test_whole_percents_of_whole_numbers_are_exact(percent, whole):
    share = Amount(float(percent), is_share=True)
    assert int(share.of(whole) + 1e-6) == percent * whole // 100


def test_a_share_below_one_is_refused():
    with pytest.raises(SpaceError, match="at least 1"):
        TypedLimits({"max_parameters": Amount(1e-6, is_share=True)}).of(named("tiny"))


def test_the_memory_is_that_of_the_source_as_it_is_measured():
    layers = [Layer("conv", 3, 4, 1, 1), *(Layer("conv", 3, 4, 1, 1) for _ in range(2))]
    joined = Layer("add", inputs=(1, 2, 3))
    net = Architecture((3, 8, 8), (*layers, joined, Layer("linear", channels=2)))
    limits = read_limits(max_peak_memory="100%").of(net)
    assert limits.max_peak_memory == with_joins_of_two(net).peak_memory
