from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from prm_search.composition import options

PAGE = (Path(__file__).parents[2] / "docs/serving.md").read_text()


def test_the_examples_run(tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)))
    runpy.run_path(str(script))


@pytest.mark.parametrize("group", ["reward", "credit"])
def test_every_option_has_its_place(group: str) -> None:
    assert {name for name in options()[group] if f"`{name}`" not in PAGE} == set()
