from __future__ import annotations

import json
from pathlib import Path

import pytest

from prm_search.cli import main
from prm_search.data.stepwise import read_stepwise

GOOD = {"id": "a", "problem": "Q", "steps": ["x", "y", "z"], "label": 1}


def write_lines(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_convert_writes_the_rows_and_names_the_others(tmp_path: Path, capsys) -> None:
    source = write_lines(tmp_path / "in.jsonl", GOOD, {"problem": "Q"}, *[{}] * 6)
    out, listed = tmp_path / "out.parquet", tmp_path / "listed.jsonl"
    command = ["convert", "--from", "processbench", "--to", "trl", source, str(out)]
    assert main([*command, "--set-aside", str(listed)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"1 solutions written to {out}.\n"
    assert "7 rows set aside:" in printed.err
    assert f"{source}:2: there is no column 'steps'" in printed.err
    assert len(listed.read_text().splitlines()) == 7
    [row], _ = read_stepwise(out)
    assert (row.labels, row.unlabeled_steps) == ((True, False), ("z",))


def test_problems_of_evaluation_sets_are_left_out_and_named(tmp_path: Path, capsys) -> None:
    source = write_lines(tmp_path / "in.jsonl", GOOD, {**GOOD, "problem": "Another?"})
    held_out = write_lines(tmp_path / "test.jsonl", {"question": "another ?"})
    command = [
        "convert",
        "--from",
        "processbench",
        "--to",
        "trl",
        source,
        str(tmp_path / "o.jsonl"),
    ]
    assert main([*command, "--decontaminate", held_out]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("1 solutions written")
    assert f"{source}:2: the problem is 'question' of {held_out}:1" in printed.err


def test_convert_explains_itself(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["convert", "--help"])
    assert end.value.code == 0
    assert "processbench" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from", "processbench", "--to", "trl", "missing.jsonl", "o.jsonl"], 1, "not exist"),
        (["--from", "processbench", "--to", "trl", "in.jsonl", "o.csv"], 1, "kind '.csv'"),
        (["--from", "trl", "--to", "trl", "in.jsonl", "o.jsonl"], 1, "no row that can be"),
        (["--from", "trl", "--to", "trl", "in.jsonl", "o.jsonl", "--alternatives"], 2, "prm800k"),
    ],
)
def test_what_cannot_be_converted_is_explained(
    tmp_path: Path, monkeypatch, capsys, arguments, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "in.jsonl", GOOD)
    assert main(["convert", *arguments]) == code
    assert message in capsys.readouterr().err


def test_formats_that_are_only_read_are_no_target(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["convert", "--from", "trl", "--to", "prm800k", "a.jsonl", "b.jsonl"])
    assert end.value.code == 2
    assert "choose from" in capsys.readouterr().err
