"""How percentages and differences are written."""

import math

import pytest

from gfm_utils.figures.numbers import difference, million, percentage


@pytest.mark.parametrize(
    ("share", "digits", "text"), [(0.125, 1, "12.5\u00a0%"), (-0.0004, 1, "0.0\u00a0%"), (0.416, 0, "42\u00a0%")]
)
def test_a_percentage_stays_in_one_line_and_no_zero_is_negative(share: float, digits: int, text: str) -> None:
    assert percentage(share, digits) == text


@pytest.mark.parametrize(
    ("tokens", "text"), [(64_000, "64,000"), (1e5, "0.1 million"), (16_384_000, "16.4 million")]
)
def test_many_tokens_are_millions(tokens: float, text: str) -> None:
    assert million(tokens) == text


@pytest.mark.parametrize(
    ("numbers", "percent", "text"),
    [
        ((0.1234, 0.1, 0.15), False, "+0.123 [+0.100, +0.150]"),
        ((-0.1234, -0.15, -0.00001), True, "-12.3 [-15.0, +0.0] points"),
        ((0.5, math.nan, math.nan), False, "+0.500"),
    ],
)
def test_a_difference_has_a_sign_and_an_interval(
    numbers: tuple[float, float, float], percent: bool, text: str
) -> None:
    assert difference(*numbers, percent) == text
