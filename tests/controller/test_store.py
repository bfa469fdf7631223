from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from prm_search.errors import StoreError
from prm_search.store import Record, RecordKey, RunStore

CONFIG = {"seed": 0, "search": {"num_beams": 4}, "cluster": {"replicas": 1}}


def record(problem: str, *, method: str = "beam", **more: object) -> dict[str, object]:
    return {
        "method": method,
        "problem": problem,
        "seed": 0,
        "is_correct": True,
        "tree": {"nodes": []},
        "timing": {"wall": 0.5},
        **more,
    }


def key(problem: str) -> RecordKey:
    return RecordKey("beam", problem, 0)


def lines(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_is_a_directory_that_says_how_it_was_made(tmp_path: Path) -> None:
    with RunStore(tmp_path / "run", config=CONFIG, seed=3, command="prm-search search seed=3"):
        pass
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert manifest["seed"] == 3
    assert manifest["sessions"][0]["command"] == "prm-search search seed=3"
    assert "python" in manifest["sessions"][0]["versions"]
    assert (tmp_path / "run/config.yaml").read_text().startswith("seed: 0")


def test_records_are_kept_when_the_run_is_opened_again(tmp_path: Path) -> None:
    with RunStore(tmp_path, config=CONFIG) as store:
        store.append(record("a"))
        store.append(record("b", is_correct=None))
    with RunStore(tmp_path, config=CONFIG) as store:
        assert store.session == 1
        assert key("a") in store
        assert key("c") not in store
        store.append(record("c"))
        assert [head["problem"] for head in store.heads("beam", 0)] == ["a", "b", "c"]
    assert [row["problem"] for row in lines(tmp_path / "records.jsonl")] == ["a", "b", "c"]


def test_heads_leave_large_fields_on_disk(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.append(record("a"))
        assert [head.keys() & {"tree", "is_correct"} for head in store.heads("beam", 0)] == [
            {"is_correct"}
        ]


def test_a_second_record_of_a_problem_is_refused(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.append(record("a"))
        with pytest.raises(StoreError, match="already a record"):
            store.append(record("a"))


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_torn_last_line_is_removed_and_its_problem_done_again(tmp_path: Path, cut: int) -> None:
    with RunStore(tmp_path) as store:
        store.append(record("a"))
        store.append(record("b"))
    path = tmp_path / "records.jsonl"
    os.truncate(path, path.stat().st_size - cut)
    with RunStore(tmp_path) as store:
        assert key("a") in store
        assert key("b") not in store
        store.append(record("b"))
    assert [row["problem"] for row in lines(path)] == ["a", "b"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.append(record("a"))
        store.append(record("b"))
    path = tmp_path / "records.jsonl"
    path.write_text("{not json\n" + path.read_text())
    with pytest.raises(StoreError, match=r"records\.jsonl, line 1: not a record"):
        RunStore(tmp_path)


def test_a_transient_failure_is_done_again_and_a_lasting_one_is_not(tmp_path: Path) -> None:
    def failed(problem: str, *, is_transient: bool) -> dict[str, object]:
        error = {"kind": "EngineError", "message": "gone", "is_transient": is_transient}
        return record(problem, error=error)

    with RunStore(tmp_path) as store:
        store.append(failed("a", is_transient=True))
        store.append(failed("b", is_transient=False))
        store.append(record("c"))
    with RunStore(tmp_path) as store:
        assert [head["problem"] for head in store.heads("beam", 0)] == ["b", "c"]
        store.append(record("a"))
        store.write_results([key("a"), key("b"), key("c")])
    assert [row["problem"] for row in lines(tmp_path / "records.jsonl")] == ["b", "c", "a"]
    assert [row["problem"] for row in lines(tmp_path / "results.jsonl")] == ["a", "b", "c"]


def test_results_are_in_the_given_order_and_without_timing(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        store.append(record("b"))
        store.append(record("a"))
        store.write_results([key("a"), key("missing"), key("b")])
    rows = lines(tmp_path / "results.jsonl")
    assert [row["problem"] for row in rows] == ["a", "b"]
    assert all("timing" not in row and "tree" in row for row in rows)


def test_another_configuration_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    with RunStore(tmp_path, config=CONFIG) as store:
        store.append(record("a"))
    other = {**CONFIG, "search": {"num_beams": 8, "num_expansions": 2}}
    with pytest.raises(StoreError) as error:
        RunStore(tmp_path, config=other)
    assert "search.num_beams: 4 -> 8" in str(error.value)
    assert "search.num_expansions: (absent) -> 2" in str(error.value)


def test_a_run_without_records_takes_another_configuration(tmp_path: Path) -> None:
    with RunStore(tmp_path, config=CONFIG):
        pass  # say, the model could not be loaded
    with RunStore(tmp_path, config={"seed": 1}):
        assert (tmp_path / "config.yaml").read_text() == "seed: 1\n"


def test_settings_that_results_do_not_depend_on_may_differ(tmp_path: Path) -> None:
    with RunStore(tmp_path, config=CONFIG) as store:
        store.append(record("a"))
    other = {**CONFIG, "cluster": {"replicas": 2}}
    with RunStore(tmp_path, config=other, may_differ=["cluster"]):
        pass


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    with (
        RunStore(tmp_path),
        pytest.raises(StoreError, match=rf"in use by another process \(pid {os.getpid()}\)"),
    ):
        RunStore(tmp_path)
    with RunStore(tmp_path):  # free again
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from prm_search.store import RunStore\n"
        "store = RunStore(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with RunStore(tmp_path) as store:
        assert store.session == 1


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write the run to .*file/run"):
        RunStore(tmp_path / "file/run")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_a_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(StoreError, match=r"Permission denied; .*another run_dir"):
            RunStore(tmp_path)
    finally:
        tmp_path.chmod(stat.S_IRWXU)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with (
        RunStore(tmp_path) as store,
        pytest.raises(StoreError, match="No space left on device; free some space"),
    ):
        store.append_metrics({"method": "beam"})


def test_values_that_are_not_json_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        with pytest.raises(StoreError, match="JSON"):
            store.append(record("a", score=float("nan")))
        assert key("a") not in store
    assert (tmp_path / "records.jsonl").read_text() == ""
