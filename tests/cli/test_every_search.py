"""Every search on the command line, in one run on fake engines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from prm_search.cli import main
from prm_search.composition import options

FAKES = str(Path(__file__).parents[1] / "controller/conf")
SEARCHES = options()["search"]
NUM_PROBLEMS = 3


def test_every_search_runs_and_is_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": f"p{number}", "problem": f"{number} + 1", "answer": str(number + 1)}
        for number in range(NUM_PROBLEMS)
    ]
    Path("problems.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = [
        *("search", "--config-dir", FAKES, "engine=fake", "cluster=inprocess"),
        *("data=rows", "data.path=problems.jsonl", "data.id_column=id"),
        *("data.answer_column=answer", "engine.generator.latency=0", "run_dir=run", "~search"),
        *(f"+search@methods.{name}={name}" for name in SEARCHES),
    ]
    assert main(arguments) == 0, capsys.readouterr().err
    records = [json.loads(line) for line in Path("run/results.jsonl").read_text().splitlines()]
    assert {record["method"] for record in records} == set(SEARCHES)
    assert len(records) == NUM_PROBLEMS * len(SEARCHES)
    assert [record["error"] for record in records] == [None] * len(records)
    assert all(any(node["is_chosen"] for node in record["tree"]["nodes"]) for record in records)
    report = Path("run/report.html").read_text()
    assert all(re.search(rf"\b{name}\b", report) for name in SEARCHES)


@pytest.mark.parametrize("name", SEARCHES)
def test_help_names_every_search_and_explains_its_settings(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", f"search={name}", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(search in text for search in SEARCHES)
    settings = re.findall(r"^ *search\.(\w+): .*\n +(\S.*)", text, re.MULTILINE)
    assert settings
    assert all(len(meaning.split()) > 2 for _, meaning in settings)
