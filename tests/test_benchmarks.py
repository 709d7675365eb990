"""What the benchmarks name is there; they themselves take hours and run elsewhere."""

import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FAULTS = runpy.run_path(str(BENCHMARKS / "faults.py"))["FAULTS"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_injected_by_a_test_that_exists(fault):
    file, _, name = FAULTS[fault].partition("::")
    assert f"def {name}(" in (BENCHMARKS.parent / file).read_text(encoding="utf-8")
