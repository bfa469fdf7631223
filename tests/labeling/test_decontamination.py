from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.data import Rows
from prm_search.data.files import read_file
from prm_search.errors import ConfigurationError, DataError
from prm_search.labeling.decontamination import Decontamination, MatchKind

WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen".split()


def write_lines(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def index_of(path: Path, *texts: str, **settings):
    file = write_lines(path / "eval.jsonl", *({"problem": text} for text in texts))
    return Decontamination(files=[file], **settings).load()


def test_exact_matches_ignore_case_and_white_space_alone(tmp_path: Path) -> None:
    index = index_of(tmp_path, "What is $1 + 2$?")
    match = index.find("what is\n$1+2$ ?")
    assert match is not None
    assert (match.kind, match.share, match.found.row) == (MatchKind.exact, 1.0, 1)
    assert index.find("What is $1 - 2$?") is None


def test_long_problems_match_by_the_words_they_share(tmp_path: Path) -> None:
    text = " ".join(WORDS[:10])
    index = index_of(tmp_path, "another problem of quite other words", text, num_words=3)
    assert (
        index.find(f"Somebody said: {text}, and went on to say much more after that.") is not None
    )
    half = " ".join([*WORDS[:6], "x", "y", "z", "u"])  # 4 of 8 runs
    match = index.find(half)
    assert match is not None
    assert (match.kind, match.share, match.found.row) == (MatchKind.overlap, 0.5, 2)
    assert index.find(" ".join([*WORDS[:5], "x", "y", "z", "u", "v"])) is None


def test_short_problems_match_exactly_or_not_at_all(tmp_path: Path) -> None:
    index = index_of(tmp_path, "What is 2+2?")
    assert index.find("What is 2-2?") is None
    assert index.find("What is 2+2?") is not None


def test_the_likest_problem_is_named(tmp_path: Path) -> None:
    near, same = " ".join([*WORDS[:8], "x"]), " ".join(WORDS[:9])
    index = index_of(tmp_path, near, same, num_words=3)
    match = index.find(" ".join(WORDS))
    assert match is not None
    assert (match.found.row, match.share) == (2, 1.0)


@given(st.text(max_size=60), st.text(min_size=1, max_size=60).filter(str.strip))
def test_a_problem_matches_itself_in_any_company(tmp_path_factory, text: str, other: str) -> None:
    index = index_of(tmp_path_factory.getbasetemp(), other, num_words=2)
    assert index.find(other) is not None
    match = index.find(text)
    assert match is None or 0.5 <= match.share <= 1


def test_all_columns_of_a_row_count(tmp_path: Path) -> None:
    row = {"original_question": "First?", "modified_question": "Second?", "idx": "q7", "other": 1}
    index = Decontamination(files=[write_lines(tmp_path / "e.jsonl", row)]).load()
    assert len(index) == 2
    match = index.find("second?")
    assert match is not None
    assert (match.found.column, match.found.row_id) == ("modified_question", "q7")


def test_nothing_is_left_out_in_silence(tmp_path: Path) -> None:
    unknown = write_lines(tmp_path / "a.jsonl", {"text": "Q"})
    with pytest.raises(DataError, match=r"a.jsonl:1: none of the columns .* is among text; set"):
        Decontamination(files=[unknown]).load()
    assert Decontamination(files=[unknown], columns=["text"]).load().find("q") is not None
    broken = tmp_path / "b.jsonl"
    broken.write_text('{"problem": "Q"}\n{"problem":')
    with pytest.raises(DataError, match=r"b.jsonl:2: not JSON"):
        Decontamination(files=[str(broken)]).load()
    with pytest.raises(DataError, match="does not exist"):
        Decontamination(files=[str(tmp_path / "c.jsonl")]).load()


@pytest.mark.parametrize(
    "settings", [{"columns": []}, {"num_words": 0}, {"min_share": 0.0}, {"min_share": 1.1}]
)
def test_impossible_settings_are_refused(settings) -> None:
    [name] = settings
    with pytest.raises(ConfigurationError, match=rf"decontamination\.{name}"):
        Decontamination(**settings)


def texts_of(*files: Path, column: str) -> set[str]:
    rows = [row[1] for file in files for row in read_file(str(file)) if isinstance(row, tuple)]
    return {str(row[column]).strip() for row in rows}


def test_known_contamination_of_real_data(data_dir: Path) -> None:
    math_train = data_dir / "math_train_7500/extracted_problems_and_answers.json"
    prmbench = sorted((data_dir / "prmbench").glob("*.jsonl"))
    bench = {path.stem: path for path in (data_dir / "processbench").glob("*.json")}
    train = texts_of(math_train, column="problem")
    assert len(texts_of(*prmbench, column="original_question") & train) == 310
    # Before they were reworded:
    assert (
        len(
            texts_of(*(file for file in prmbench if "p12" not in file.name), column="question")
            & train
        )
        == 401
    )
    assert len(texts_of(*bench.values(), column="problem") & train) == 1
    gsm8k_test = texts_of(data_dir / "gsm8k/test.jsonl", column="question")
    math500 = texts_of(data_dir / "math500/test.jsonl", column="problem")
    gsm8k_problems = texts_of(bench["gsm8k"], column="problem")
    assert (len(gsm8k_problems & gsm8k_test), len(gsm8k_problems)) == (375, 375)
    math_problems = texts_of(bench["math"], column="problem")
    assert (len(math_problems & math500), len(math_problems)) == (108, 955)


@pytest.mark.parametrize(
    ("name", "num_exact", "num_overlap"), [("prmbench", 403, 37), ("processbench", 2, 56)]
)
def test_removal_from_the_math_training_problems(
    data_dir: Path, name: str, num_exact: int, num_overlap: int
) -> None:
    files = sorted((data_dir / name).glob("*.json*"))
    index = Decontamination(files=[str(file) for file in files]).load()
    train = data_dir / "math_train_7500/extracted_problems_and_answers.json"
    matches = [
        match
        for problem in Rows(path=str(train)).load().problems
        if (match := index.find(problem.prompt)) is not None
    ]
    kinds = [match.kind for match in matches]
    assert (kinds.count(MatchKind.exact), kinds.count(MatchKind.overlap)) == (
        num_exact,
        num_overlap,
    )
