from __future__ import annotations

from pathlib import Path

import pytest

from prm_search.rewards.toy import CREDITS, Toy

pytest.importorskip("matplotlib")

from prm_search.reporting.reward_plot import plot_rewards

TOY = Toy(num_updates=40)


def test_a_plot_shows_where_hacking_set_in(tmp_path: Path) -> None:
    history = TOY.train(CREDITS["sum + outcome"])
    hacking = plot_rewards(history, tmp_path / "plots" / "sum.svg")
    assert hacking is not None
    assert hacking.onset < hacking.update < 40
    assert "<svg" in (tmp_path / "plots" / "sum.svg").read_text()


def test_updates_without_a_metric_are_gaps(tmp_path: Path) -> None:
    history = TOY.train(CREDITS["sum + outcome"])
    gapped = [{"steps_per_response": 1.0}, *history]
    plain = plot_rewards(history, tmp_path / "plain.png")
    shifted = plot_rewards(gapped, tmp_path / "gapped.png")
    assert plain is not None
    assert shifted is not None
    assert (shifted.onset, shifted.update) == (plain.onset + 1, plain.update + 1)


def test_a_training_that_goes_well_has_no_mark(tmp_path: Path) -> None:
    assert plot_rewards(TOY.train(CREDITS["outcome"])[:12], tmp_path / "plot.png") is None
