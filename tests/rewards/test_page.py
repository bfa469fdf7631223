"""The page on rewards agrees with the code."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from prm_search.rewards.credit import GroupCredit
from prm_search.rewards.toy import CREDITS, Toy

PAGE = (Path(__file__).parents[2] / "docs/rewards.md").read_text()


def test_the_example_runs(tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)))
    runpy.run_path(str(script))


def test_every_rule_and_credit_has_its_row() -> None:
    rules = {
        type(credit.process).__name__
        for credit in CREDITS.values()
        if isinstance(credit, GroupCredit) and credit.process is not None
    }
    assert {rule for rule in rules if f"| `{rule}`" not in PAGE} == set()
    names = {name.removesuffix(" (default)") for name in CREDITS}
    plain = PAGE.replace("**", "")
    assert {name for name in names if f"| {name} " not in plain} == set()


def test_the_table_is_what_the_toy_gives() -> None:
    history = Toy().train(CREDITS["min + outcome (default)"])[-20:]
    right = sum(metrics["outcome"] for metrics in history) / 20
    steps = sum(metrics["steps_per_response"] for metrics in history) / 20
    assert f"(default) | {right:.2f} | {steps:.1f} |" in PAGE
