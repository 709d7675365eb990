"""Words that the commands know without loading torch are those of the rooms."""

import inspect

import pytest

from archpress.cli.compare import compare
from archpress.cli.options import Augmentation, Backend, Effort, ExportForm, PrecisionName, SortKey
from archpress.cli.reproduce import RowName, ScaleName, reproduce
from archpress.comparison import DEFAULT_ARMS
from archpress.compression import EFFORTS
from archpress.evaluation.precision import PRECISION_NAMES
from archpress.evaluation.profiling import BACKENDS
from archpress.evaluation.recipe import AUGMENTATIONS
from archpress.reproduction import METHODS, TABLE_ONE
from archpress.reproduction.scales import SCALES
from archpress.shipping import FORMS
from archpress.store import SORT_KEYS


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (Effort, EFFORTS),
        (Augmentation, AUGMENTATIONS),
        (ExportForm, FORMS),
        (PrecisionName, PRECISION_NAMES),
        (Backend, BACKENDS),
        (SortKey, SORT_KEYS),
        (RowName, TABLE_ONE),
        (ScaleName, SCALES),
    ],
)
def test_an_option_knows_all_words(words, known):
    assert {word.value for word in words} == set(known)


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [(compare, "arms", DEFAULT_ARMS), (reproduce, "methods", METHODS)],
)
def test_the_default_of_a_command_is_that_of_its_function(command, option, names):
    assert inspect.signature(command).parameters[option].default == ",".join(names)
