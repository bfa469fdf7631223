from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from prm_search.data import Gsm8k, Loaded, Math500, Rows
from prm_search.errors import ConfigurationError, DataError


def write_rows(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def reasons(loaded: Loaded) -> dict[int, str]:
    return {row.row: row.reason for row in loaded.set_aside}


ROWS = [
    {"key": f"p{i}", "problem": f"{i} + 1?", "answer": str(i + 1), "level": i} for i in range(9)
]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".json", ".parquet"])
def test_reads_named_columns_of_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"some{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    elif suffix == ".json":
        path.write_text(json.dumps(ROWS))
    else:
        write_rows(path, *ROWS)
    loaded = Rows(path=str(path), id_column="key", answer_column="answer").load()
    assert [problem.id for problem in loaded.problems] == [f"p{i}" for i in range(9)]
    assert loaded.problems[4].prompt == "4 + 1?"
    assert loaded.problems[4].answer == "5"
    assert loaded.problems[4].metadata == {"level": 4}
    assert loaded.set_aside == ()


def test_reads_a_data_set_through_the_datasets_library(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.jsonl", *ROWS)
    loaded = Rows(name=str(tmp_path), id_column="key", answer_column="answer").load()
    assert [problem.answer for problem in loaded.problems] == [str(i + 1) for i in range(9)]
    with pytest.raises(DataError, match="split 'nonsense'"):
        Rows(name=str(tmp_path), split="nonsense").load()


def test_malformed_rows_are_named_and_the_others_kept(tmp_path: Path) -> None:
    good = b'{"key": "good%d", "problem": "1 + 1?", "answer": 2}'
    lines = [
        good % 1,
        b'{"key": "cut", "problem": "1 +',
        b"[1, 2]",
        b"",
        b'{"key": "latin", "problem": "\xe9", "answer": 2}',
        b'{"key": "no answer column", "problem": "1 + 1?"}',
        b'{"key": "number", "problem": 5, "answer": 2}',
        b'{"key": "empty", "problem": " ", "answer": 2}',
        b'{"key": "list", "problem": "1 + 1?", "answer": [2]}',
        b'{"key": "truth", "problem": "1 + 1?", "answer": true}',
        b'{"key": "nan", "problem": "1 + 1?", "answer": NaN}',
        b'{"key": "good1", "problem": "1 + 1?", "answer": 2}',
        b'{"key": null, "problem": "1 + 1?", "answer": 2}',
        b'{"key": "surrogate", "problem": "\\ud800", "answer": 2}',
        b'{"key": "huge", "problem": "1 + 1?", "answer": ' + b"1" * 5000 + b"}",
        b'{"key": "deep", "problem": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        good % 2,
    ]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))  # with a byte order mark
    loaded = Rows(path=str(path), id_column="key", answer_column="answer").load()
    assert [(problem.id, problem.answer) for problem in loaded.problems] == [
        ("good1", "2"),
        ("good2", "2"),
    ]
    expected = {
        2: "not JSON",
        3: "must be an object, not a list",
        5: "not UTF-8",
        6: "no column 'answer'; the columns are key, problem",
        7: "'problem' must be a text, not int 5",
        8: "'problem' is empty",
        9: "'answer' must be a text or a number, not list",
        10: "not bool",
        11: "not float nan",
        12: "the id 'good1' was already used",
        13: "'key' is empty",
        14: "half a character",
        15: "not JSON that can be read",
        16: "not JSON that can be read",
    }
    assert reasons(loaded).keys() == expected.keys()
    for row, reason in expected.items():
        assert reason in reasons(loaded)[row]
    assert str(loaded.set_aside[0]).startswith(f"{path}:2: not JSON")


def test_answers_are_optional_unless_required(tmp_path: Path) -> None:
    rows = [{"problem": "1?", "answer": "1"}, {"problem": "2?", "answer": None}]
    path = write_rows(tmp_path / "rows.jsonl", *rows)
    assert [p.answer for p in Rows(path=path).load().problems] == [None, None]
    assert [p.answer for p in Rows(path=path, answer_column="answer").load().problems] == [
        "1",
        None,
    ]
    required = Rows(path=path, answer_column="answer", require_answers=True).load()
    assert [p.answer for p in required.problems] == ["1"]
    assert reasons(required) == {2: "'answer' is empty; a reference answer is needed"}
    with pytest.raises(DataError, match=r"set data.answer_column to one of .* answer, problem"):
        Rows(path=path, require_answers=True).load()


@pytest.mark.parametrize("column", ["id_column", "prompt_column", "answer_column"])
def test_a_column_that_no_row_has_is_an_error(tmp_path: Path, column: str) -> None:
    path = write_rows(tmp_path / "rows.jsonl", *ROWS)
    settings: dict[str, Any] = {column: "problen"}
    with pytest.raises(DataError) as caught:
        Rows(path=path, **settings).load()
    message = str(caught.value)
    assert "there is no column 'problen'" in message
    assert "the columns are answer, key, level, problem; did you mean 'problem'?" in message
    assert f"data.{column}" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "there are no rows"),
        (b"\n\n", "there are no rows"),
        (b"{\n{\n", "none of 2 rows can be used; the first: .*:1: not JSON"),
        (b'{"problem": ""}', "none of 1 rows can be used; the first: .*:1: 'problem' is empty"),
    ],
)
def test_a_file_without_a_good_row_is_an_error(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        Rows(path=str(path)).load()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.json", b'[{"problem": 1,]', ":1: not JSON"),
        ("rows.json", b'{"problem": "a"}\n{"problem": "b"}', "name it .jsonl"),
        ("rows.json", b'{"problem": "a"}', "must hold a list of rows, not a dict"),
        ("rows.json", b'["\xff"]', "not UTF-8"),
        ("rows.json", b"[" * 100_000, "not JSON that can be read"),
        ("rows.parquet", b"PAR1 no", "not a Parquet file"),
        ("rows.csv", b"a,b", "kind '.csv' cannot be read; use one of .jsonl"),
    ],
)
def test_a_broken_file_is_an_error(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        Rows(path=str(tmp_path / name)).load()


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data/train.jsonl", *ROWS)
    with pytest.raises(DataError, match=r"nearest names in .*/data are: train.jsonl"):
        Rows(path=str(tmp_path / "data/trian.jsonl")).load()
    with pytest.raises(DataError, match=r"are: data$"):
        Rows(path=str(tmp_path / "dta/deep/train.jsonl")).load()
    with pytest.raises(DataError, match=r"is a folder; .* train.jsonl"):
        Rows(path=str(tmp_path / "data")).load()


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'prm-search\[data\]'"):
        Math500().load()
    (tmp_path / "rows.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"pip install 'prm-search\[data\]'"):
        Rows(path=str(tmp_path / "rows.parquet")).load()


@given(
    offset=st.integers(0, 8),
    limit=st.one_of(st.none(), st.integers(1, 20)),
    shuffle_seed=st.one_of(st.none(), st.integers(0, 2**32)),
)
def test_offset_and_limit_cut_a_stable_order(
    tmp_path_factory: pytest.TempPathFactory,
    offset: int,
    limit: int | None,
    shuffle_seed: int | None,
) -> None:
    path = write_rows(tmp_path_factory.getbasetemp() / "order.jsonl", *ROWS)
    whole = Rows(path=path, shuffle_seed=shuffle_seed).load().problems
    part = Rows(path=path, shuffle_seed=shuffle_seed, offset=offset, limit=limit).load().problems
    assert part == whole[offset:][:limit]
    assert sorted(p.id for p in whole) == [f"order-{i}" for i in range(1, 10)]


def test_impossible_settings_are_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", *ROWS)
    with pytest.raises(ConfigurationError, match=r"data.path and data.name"):
        Rows()
    with pytest.raises(ConfigurationError, match=r"data.limit is 0"):
        Gsm8k(limit=0)
    with pytest.raises(ConfigurationError, match=r"data.offset is -1"):
        Gsm8k(offset=-1)
    with pytest.raises(DataError, match="leaves none of 9 problems"):
        Rows(path=path, offset=9).load()


def test_gsm8k_takes_the_answer_from_its_solution(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "test.jsonl",
        {"question": "6 * 12?", "answer": "6 * 12 = <<6*12=72>>72\n#### 72"},
        {"question": "6 * 12?", "answer": "It is 72."},
    )
    loaded = Gsm8k(path=path).load()
    [problem] = loaded.problems
    assert (problem.id, problem.prompt, problem.answer) == ("test-1", "6 * 12?", "72")
    assert problem.metadata == {"solution": "6 * 12 = <<6*12=72>>72\n#### 72"}
    assert "#### answer" in reasons(loaded)[2]
