"""The command on runs with fake engines, and the page that it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from prm_search.cli import main

FAKES = str(Path(__file__).parents[1] / "controller/conf")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two multiruns in one folder, over searches with settings of different names."""
    folder = tmp_path_factory.mktemp("compare")
    rows = [
        {
            "id": f"p{number}",
            "problem": f"{number} + 1",
            "answer": str(number + 1),
            "level": number % 2,
        }
        for number in range(30)
    ]
    problems = folder / "problems.jsonl"
    problems.write_text("\n".join(map(json.dumps, rows)))
    common = [
        *("search", "--config-dir", FAKES, "engine=fake", "cluster=inprocess"),
        *("data=rows", f"data.path={problems}", "data.id_column=id"),
        *("data.answer_column=answer", "engine.generator.latency=0"),
        f"run_dir={folder}/sweep",
        "--multirun",
    ]
    searches = ("search=majority,weighted_best_of_n", "search.num_samples=8")
    assert main([*common, *searches, "seed=0,1"]) == 0
    assert main([*common, "search=beam", "search.num_beams=4,8", "seed=0,1"]) == 0
    return folder / "sweep"


@pytest.fixture(scope="module")
def page(sweep: Path) -> str:
    sizes = ["--policy-parameters", "1.5e9", "--prm-parameters", "7e9"]
    assert main(["compare", str(sweep), *sizes]) == 0
    return (sweep / "comparison.html").read_text()


def test_a_sweep_is_one_folder_with_a_run_for_each_combination(sweep: Path) -> None:
    names = {path.parent.name for path in sweep.glob("*/results.jsonl")}
    assert len(names) == 8
    assert {"search=majority,seed=0", "search=beam,search.num_beams=8,seed=1"} <= names


def test_the_table_the_numbers_and_the_page_are_written(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    output = sweep.parent / "elsewhere/page.html"
    arguments = ["compare", str(sweep), "-o", str(output), "--policy-parameters", "1.5e9"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "weighted_best_of_n" in shown
    assert "policy tokens per problem: " in shown
    assert f"Page: {output}" in shown
    numbers = json.loads(output.with_suffix(".json").read_text())
    assert {arm["name"] for arm in numbers["arms"]} == {
        "majority",
        "weighted_best_of_n",
        "beam num_beams=4",
        "beam num_beams=8",
    }
    assert numbers["num_problems"] == 30
    assert all(arm["seeds"] == [0, 1] for arm in numbers["arms"])
    assert len(numbers["pairs"]) == 6
    assert {"intervals", "majority", "curves", "advice"} <= numbers["rules"].keys()


def test_the_page_shows_every_method_in_every_plot(page: str) -> None:
    for title in ("policy tokens", "total FLOPs", "wall time"):
        assert f"<h2>Accuracy by {title}</h2>" in page
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 3
    names = ("majority vote", "weighted_best_of_n", "beam num_beams=4", "beam num_beams=8")
    for plot in plots:
        assert all(f">{name}</text>" in plot for name in names)
    assert "GFLOPs" in page or "TFLOPs" in page


def test_the_page_advises_and_says_where_majority_vote_is_better(page: str) -> None:
    assert "Which algorithm to use when" in page
    assert "Where majority vote is better" in page
    assert "By level" in page
    assert "Each against each" in page


def test_the_page_needs_nothing_else(page: str) -> None:
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|https?://(?!www\.w3\.org)", page)


def test_levels_come_from_the_data(sweep: Path) -> None:
    assert main(["compare", str(sweep), "-o", str(sweep.parent / "page.html")]) == 0
    numbers = json.loads((sweep.parent / "page.json").read_text())
    assert [level["level"] for level in numbers["arms"][0]["levels"]] == ["0", "1"]


def test_no_run_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err


def test_the_number_of_parameters_must_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "somewhere", "--policy-parameters", "0"])
    assert "no number of parameters" in capsys.readouterr().err
