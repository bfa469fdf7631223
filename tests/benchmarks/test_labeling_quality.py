"""The arithmetic behind the figures of label quality, by hand."""

from __future__ import annotations

import pytest

from benchmarks.label_quality import Judged, by_level, figures


def judged(named: int | None, true: int | None, *, is_kept: bool = True, level: int = 1) -> Judged:
    return Judged(level=level, is_kept=is_kept, named=named, true=true)


def test_only_what_is_kept_counts_but_for_retention() -> None:
    found = figures(
        [
            judged(2, 2),
            judged(None, None),
            judged(1, 2),
            judged(None, 3),
            judged(0, None),
            judged(2, 2, is_kept=False),
            judged(None, None, is_kept=False),
            judged(None, 1, is_kept=False),
        ]
    )
    assert found["first_error_accuracy"] == 0.4
    assert found["error_recall"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["error_precision"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["retention"] == 0.625
    assert found["first_error_accuracy.count"] == 5
    assert found["retention.count"] == 8
    low, high = found["first_error_accuracy.ci"]  # type: ignore[misc]
    assert 0 < low < 0.4 < high < 1


def test_figures_of_nothing_are_left_out() -> None:
    found = figures([judged(None, None), judged(None, None, is_kept=False)])
    assert "error_recall" not in found
    assert "error_precision" not in found
    assert found["first_error_accuracy"] == 1.0
    assert figures([]) == {}


def test_levels_are_told_apart() -> None:
    found = by_level([judged(1, 1, level=1), judged(0, 1, level=3)])
    assert found["first_error_accuracy"] == 0.5
    assert found["level_1.first_error_accuracy"] == 1.0
    assert found["level_3.first_error_accuracy"] == 0.0
    assert "level_2.retention" not in found
