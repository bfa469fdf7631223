"""The documentation agrees with the code."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from prm_search.composition import compose

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_local_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", ["docs/quickstart.md", "docs/extending.md", "docs/comparing.md"])
def test_python_examples_run(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    script = tmp_path / "example.py"
    script.write_text("\n".join(blocks))
    runpy.run_path(str(script))


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_command_lines_compose(page: str) -> None:
    text = (ROOT / page).read_text().replace("\\\n", " ")
    lines = re.findall(r"^prm-search search (.*)", text, re.MULTILINE)
    commands = [shlex.split(line, comments=True) for line in lines if "…" not in line]
    assert commands
    for command in commands:
        settings = [part.split(",")[0] for part in command if not part.startswith("-")]
        if settings:
            compose("search", settings)


def test_every_search_has_its_row() -> None:
    rows = (ROOT / "docs/algorithms.md").read_text()
    names = {path.stem for path in (ROOT / "conf/search").glob("*.yaml")}
    assert {name for name in names if f"| `{name}` |" not in rows} == set()


def test_every_paper_that_the_code_cites_is_indexed() -> None:
    index = (ROOT / "docs/paper_index.md").read_text()
    sources = (ROOT / "prm_search").glob("**/*.py")
    cited = {paper for path in sources for paper in re.findall(r"\d{4}\.\d{5}", path.read_text())}
    assert {paper for paper in cited if f"arxiv.org/abs/{paper}" not in index} == set()
