"""The HTML report: what it shows, what it leaves out, and that nothing in a run can break it."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from prm_search.errors import ConfigurationError
from prm_search.reporting import read_run, write_report
from prm_search.reporting.trees import choose_problems
from prm_search.sandbox.problems import Split, draw_problems
from prm_search.sandbox.solutions import write_solution
from prm_search.sandbox.wording import read_problem
from prm_search.tree import Node, SearchTree
from tests.reporting.written_runs import record, tree, write_run

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\u2028"
PRM = {"prompt_tokens": 100, "cached_tokens": 60, "scored_tokens": 40, "num_calls": 3}


class Page(HTMLParser):
    """The elements, scripts and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    @property
    def payload(self) -> dict[str, Any]:
        return json.loads(self.scripts[0])

    def ids(self) -> list[str | None]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def page_of(directory: Path, **options: Any) -> Page:
    return Page(write_report(directory, **options).read_text())


def verdicts_of(payload: dict[str, Any]) -> list[str | None]:
    places = payload["trees"][0]["verdicts"]
    return [None if place is None else payload["verdicts"][place] for place in places]


def test_the_report_holds_numbers_configuration_and_versions(tmp_path: Path):
    records = [
        record("p1", prm=PRM, metadata={"level": 1}),
        record("p2", prm=PRM, is_correct=False, metadata={"level": 2}),
    ]
    page = page_of(write_run(tmp_path / "my-run", records))
    assert "my-run" in page.text
    assert "unfinished" not in page.text
    assert "2 problems" in page.text
    assert "some/policy" in page.text
    assert "here/prm" in page.text
    assert "Gsm8k" in page.text
    assert "prm-search search" in page.text
    assert "python" in page.text
    assert re.search(r"50\.0\s+9\.5 – 90\.5", page.text)
    assert "40 %" in page.text  # of recompute: 80 of 200
    assert "Accuracy by level" in page.text
    assert "viewer" in page.ids()


def test_no_text_of_a_run_becomes_markup(tmp_path: Path):
    records = [
        record(
            HOSTILE,
            method=HOSTILE,
            prompt=HOSTILE,
            metadata={"level": HOSTILE},
            search_tree=tree(HOSTILE, "{{ 7 * 7 }}{% raw %}"),
        ),
        record("p2", error=HOSTILE),
    ]
    config = {"policy": {"model": HOSTILE}, HOSTILE: HOSTILE}
    page = page_of(write_run(tmp_path, records, config=config))
    assert len(page.scripts) == 2
    assert "img" not in [tag for tag, _ in page.elements]
    payload = page.payload
    assert HOSTILE.strip() in payload["texts"]
    assert "{{ 7 * 7 }}{% raw %}" in payload["texts"]
    assert HOSTILE in [problem["prompt"] for problem in payload["problems"]]


def test_a_lone_surrogate_does_not_stop_the_report(tmp_path: Path):
    write_run(tmp_path, [record("p1")])
    path = tmp_path / "records.jsonl"
    path.write_text(path.read_text().replace("How many?", "\\ud800"))
    assert page_of(tmp_path).payload["problems"][0]["prompt"] == "\ud800"


def test_only_the_script_of_the_report_may_run_and_nothing_is_fetched(tmp_path: Path):
    path = write_report(write_run(tmp_path, [record("p1")]))
    page = Page(path.read_text())
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    (policy,) = [
        attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes
    ]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert not any({"src", "href"} & attributes.keys() for _, attributes in page.elements)


def test_an_unfinished_run_says_so(tmp_path: Path):
    write_run(tmp_path, [record("p1"), record("p2")], is_finished=False)
    path = tmp_path / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    page = page_of(tmp_path)
    assert "unfinished" in page.text
    assert "1 problem " in page.text


def test_a_run_without_a_prm_has_no_prm_numbers(tmp_path: Path):
    plain = tree("one", "two", score=None)
    page = page_of(write_run(tmp_path, [record("p1", search_tree=plain)]))
    assert set(page.payload["trees"][0]["scores"]) == {None}
    assert "recompute" in page.text
    assert "%.0f" not in page.text


def test_an_empty_run_has_a_report(tmp_path: Path):
    page = page_of(write_run(tmp_path, [], is_finished=False))
    assert "No problem has been finished yet" in page.text
    assert "viewer" not in page.ids()


def test_a_run_of_failures_alone_has_a_report(tmp_path: Path):
    page = page_of(write_run(tmp_path, [record("p1", error="the engine died")]))
    assert "plot" not in [attributes.get("class") for _, attributes in page.elements]
    (found,) = page.payload["trees"]
    assert found["error"] == "EngineError: the engine died"
    assert "parents" not in found


def test_the_viewer_gets_the_tree_by_columns(tmp_path: Path):
    grown = SearchTree(
        nodes=(
            Node(id=0, parent=None),
            Node(id=1, parent=0, text=" A \n\n", num_tokens=4, score=0.12345, is_kept=False),
            Node(id=2, parent=0, text="B", num_tokens=5, score=None, failure="NaN", is_chosen=True),
        )
    )
    payload = page_of(write_run(tmp_path, [record("p1", search_tree=grown)])).payload
    (found,) = payload["trees"]
    assert found["parents"] == [-1, 0, 0]
    assert [payload["texts"][place] for place in found["texts"]] == ["", "A", "B"]
    assert found["scores"] == [None, 0.123, None]
    assert found["tokens"] == [0, 4, 5]
    assert found["states"] == [1, 0, 3]
    assert found["failures"] == {"2": "NaN"}
    assert found["correct"] is True


def test_without_an_oracle_there_are_no_verdicts(tmp_path: Path):
    payload = page_of(write_run(tmp_path, [record("p1")])).payload
    assert payload["verdicts"] == []
    assert set(payload["trees"][0]["verdicts"]) == {None}


def test_the_sandbox_is_annotated_by_its_oracle(tmp_path: Path):
    (problem,) = draw_problems(Split.test, 1, [2], 0)
    steps = write_solution(read_problem(problem.prompt), random.Random(0))
    grown = tree(*[f"{step}\n\n" for step in steps], pruned=["Nonsense."])
    item = record(problem.id, prompt=problem.prompt, metadata=problem.metadata, search_tree=grown)
    payload = page_of(write_run(tmp_path, [item])).payload
    assert verdicts_of(payload) == [None, "unreadable", *["right"] * len(steps)]


def test_an_annotator_of_ones_own_is_asked_about_whole_paths(tmp_path: Path):
    asked: list[tuple[str, tuple[str, ...]]] = []

    def annotate(prompt: str, steps: Sequence[str]) -> list[str | None]:
        asked.append((prompt, tuple(steps)))
        return [None if step == "One." else "bad" for step in steps]

    records = [record("p1"), record("p1", method="again")]
    payload = page_of(write_run(tmp_path, records), annotate=annotate).payload
    verdicts = [
        None if v is None else payload["verdicts"][v] for v in payload["trees"][0]["verdicts"]
    ]
    assert verdicts == [None, "bad", "right", "bad"]
    # The second method has the same paths, and nothing is asked twice.
    assert asked == [("How many?", ("Two.",)), ("How many?", ("One.", "\\boxed{2}"))]


def test_an_annotator_that_cannot_tell_gives_no_verdict(tmp_path: Path):
    item = record("p1", metadata={"oracle": "sandbox"}, prompt="not a sandbox problem")
    payload = page_of(write_run(tmp_path, [item])).payload
    assert payload["verdicts"] == []


def test_an_unknown_oracle_is_named(tmp_path: Path):
    run = write_run(tmp_path, [record("p1", metadata={"oracle": "delphi"})])
    with pytest.raises(ConfigurationError, match=r"'delphi' is not known.*sandbox"):
        write_report(run)


def test_trees_are_chosen_evenly_over_levels_and_are_the_same_for_all_methods(tmp_path: Path):
    records = [
        record(f"p{index}", method=method, metadata={"level": index % 5})
        for method in ("a", "b")
        for index in range(50)
    ]
    run = read_run(write_run(tmp_path, records))
    chosen = choose_problems(run.outcomes, 10)
    assert sorted(int(name[1:]) % 5 for name in chosen) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    payload = page_of(tmp_path, max_trees=10).payload
    assert [problem["id"] for problem in payload["problems"]] == chosen
    assert len(payload["trees"]) == 20


def test_a_big_run_shows_fewer_trees(tmp_path: Path):
    records = [
        record(f"p{index}", search_tree=tree("x" * 5_000 + str(index))) for index in range(60)
    ]
    write_run(tmp_path, records)
    path = write_report(tmp_path, max_bytes=100_000)
    num_problems = len(Page(path.read_text()).payload["problems"])
    assert 10 <= num_problems < 20
    assert path.stat().st_size < 160_000


def test_the_same_run_gives_the_same_report(tmp_path: Path):
    write_run(tmp_path, [record("p1", prm=PRM), record("p2", prm=PRM)])
    assert write_report(tmp_path).read_bytes() == write_report(tmp_path).read_bytes()
