from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.errors import ConfigurationError, EngineError, GradingError
from prm_search.grading import Comparison, GraderSettings, MathGrader
from prm_search.grading.pool import WorkerPool


def worker_ids(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task").glob("*/children")
    found = [int(child) for file in children for child in file.read_text().split()]
    return [
        child
        for child in found
        if "grading/worker.py" in Path(f"/proc/{child}/cmdline").read_text()
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("12", "12.0", True),
        ("1/2", "0.5", True),
        (r"\frac{1}{2}", r"\frac12", True),
        (r"\sqrt{8}", r"2\sqrt{2}", True),
        ("(x+1)^2", "x^2+2x+1", True),
        ("1,234", "1234.0", True),
        (r"\{1, 2\}", r"\{2, 1\}", True),
        ("5", "x = 5", True),
        ("(1, 2)", "1 < x < 2", True),
        (r"5\text{ cm}", "5", True),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\ \frac{4}{2}\end{bmatrix}", True),
        ("12", "13", False),
        ("-5", "5", False),
        ("(1, 2)", "(2, 1)", False),
        (r"\text{east}", r"\text{west}", False),
        ("seat", "east", False),
        ("x = 5", "y = 5", False),
    ],
)
async def test_equivalence_is_mathematical_and_symmetric(
    grader: MathGrader, first: str, second: str, expected: bool
) -> None:
    assert await grader.equivalent(first, second) is expected
    assert await grader.equivalent(second, first) is expected


HOSTILE = [
    ("9^{9^{9^9}}", "5", {Comparison.time, Comparison.memory}),
    (r"2^{10^{10}}", "5", {Comparison.time, Comparison.memory}),
    ("1000000000!", "5", {Comparison.time}),
    ("100!!!!", "5", {Comparison.time, Comparison.memory}),
    (r"\binom{10^9}{10^8}", "5", {Comparison.time, Comparison.memory}),
    (r"\sum_{n=1}^{10^{10}} \frac{1}{n}", "5", {Comparison.time, Comparison.memory}),
    ("{" * 490 + "}" * 490, "5", {Comparison.time, Comparison.unreadable}),
    ("{" * 990, "5", {Comparison.time, Comparison.unreadable}),
    (r"\sqrt{" * 140 + "2" + "}" * 140, "5", {Comparison.time, Comparison.unreadable}),
    ("{" * 2_000_000, "5", {Comparison.too_long}),
    (r"\frac{1}{" * 200_000 + "1" + "}" * 200_000, "5", {Comparison.too_long}),
    ("9" * 1_000_000, "5", {Comparison.too_long}),
    ("", "5", {Comparison.unreadable}),
    (r"\frac{1", "5", {Comparison.unreadable}),
    (r"\frac{0}{0}", "5", {Comparison.unreadable}),
    ("\x00\n\ud800", "5", {Comparison.unreadable}),
]


async def test_hostile_answers_are_not_gradable_and_counted_and_others_go_on() -> None:
    grader = MathGrader(GraderSettings(max_seconds=1.0))
    harmless = [grader.equivalent(f"{number}/2", f"{number / 2}") for number in range(1, 40, 2)]
    attacks = [grader.equivalent(first, second) for first, second, _ in HOSTILE]
    results = await asyncio.gather(*attacks, *harmless, return_exceptions=True)

    for result, (first, _, reasons) in zip(results, HOSTILE, strict=False):
        assert isinstance(result, GradingError), first[:40]
        assert "not gradable" in str(result)
        assert len(str(result)) < 400
        texts = {
            Comparison.time: "seconds",
            Comparison.memory: "memory",
            Comparison.too_long: "characters",
            Comparison.unreadable: "read as mathematics",
        }
        assert any(texts[reason] in str(result) for reason in reasons), (first[:40], result)
    assert results[len(HOSTILE) :] == [True] * len(harmless)
    assert grader.num_ungradable == len(HOSTILE)
    assert grader.ungradable[Comparison.too_long] == 3
    grader.close()


async def test_memory_has_a_limit() -> None:
    grader = MathGrader(GraderSettings(max_seconds=60.0, max_memory_mib=512))
    with pytest.raises(GradingError, match="512 MiB of memory"):
        await grader.equivalent(r"\lfloor 2^{10^9} \rfloor", "7")
    assert grader.ungradable == {Comparison.memory: 1}
    assert await grader.equivalent("1/2", "0.5")
    grader.close()


async def test_equal_strings_start_no_process() -> None:
    before = worker_ids(os.getpid())
    grader = MathGrader()
    assert await grader.equivalent("12", "12")
    assert await grader.equivalent("1,234", r"$1234$.")
    assert await grader.equivalent("}" * 10_000, "}" * 10_000)
    assert worker_ids(os.getpid()) == before
    grader.close()


async def test_results_are_remembered_whatever_the_order() -> None:
    grader = MathGrader(GraderSettings(max_seconds=0.5))
    with pytest.raises(GradingError):
        await grader.equivalent("1000000000!", "5")
    grader_processes = worker_ids(os.getpid())
    with pytest.raises(GradingError):
        await grader.equivalent("5", "1000000000!")
    assert worker_ids(os.getpid()) == grader_processes  # none had to be started for it
    assert grader.num_ungradable == 2
    grader.close()


def test_works_in_threads_with_event_loops_of_their_own(grader: MathGrader) -> None:
    def grade(number: int) -> bool:
        return asyncio.run(grader.equivalent(f"{number}/4", f"{number / 4}"))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(grade, range(1, 80, 2)))


async def test_a_cancelled_caller_does_not_harm_another(grader: MathGrader) -> None:
    first = asyncio.create_task(grader.equivalent("3/1024", "0.0029296875"))
    second = asyncio.create_task(grader.equivalent("3/1024", "0.0029296875"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_killed_process_is_replaced() -> None:
    before = worker_ids(os.getpid())
    grader = MathGrader(GraderSettings(num_processes=1))
    assert await grader.equivalent("1/2", "0.5")
    [worker] = set(worker_ids(os.getpid())) - set(before)
    os.kill(worker, signal.SIGKILL)
    assert await grader.equivalent("1/4", "0.25")
    assert grader.num_ungradable == 0
    grader.close()
    assert worker_ids(os.getpid()) == before


async def test_a_grader_recovers_when_processes_can_be_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grader = MathGrader()
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(EngineError, match="could not start"):
            await grader.equivalent("1/2", "0.5")
    assert await grader.equivalent("1/2", "0.5")
    assert grader.num_ungradable == 0  # the answers were not to blame
    grader.close()


async def test_a_closed_grader_starts_again_when_needed() -> None:
    grader = MathGrader()
    grader.close()
    assert await grader.equivalent("1/2", "0.5")
    grader.close()
    assert await grader.equivalent("1/4", "0.25")
    grader.close()


async def test_a_pickled_grader_keeps_its_settings(grader: MathGrader) -> None:
    await grader.equivalent("1/2", "0.5")
    copy: MathGrader = pickle.loads(pickle.dumps(grader))
    assert copy.settings == grader.settings
    assert await copy.equivalent("1/2", "0.5")
    copy.close()


def _grade_in_fork(grader: MathGrader) -> None:
    is_equal = asyncio.run(grader.equivalent("1/8", "0.125"))
    os._exit(0 if is_equal else 1)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_works_in_a_process_forked_after_its_first_use() -> None:
    grader = MathGrader()
    assert asyncio.run(grader.equivalent("1/2", "0.5"))
    process = multiprocessing.get_context("fork").Process(target=_grade_in_fork, args=(grader,))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert asyncio.run(grader.equivalent("1/4", "0.25"))
    grader.close()


def test_workers_neither_import_the_main_module_nor_outlive_it(tmp_path: Path) -> None:
    # Without the usual guard: multiprocessing would run this script again in each worker.
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import asyncio, os, threading\n"
        "from prm_search.grading import MathGrader\n"
        "print('imported', flush=True)\n"
        "grader = MathGrader()\n"
        "print(asyncio.run(grader.equivalent('1/2', '0.5')), flush=True)\n"
        "async def hang(): await grader.equivalent('1000000000!', '5')\n"
        "threading.Thread(target=lambda: asyncio.run(hang()), daemon=True).start()\n"
        "print(input(), flush=True)\n"
    )
    driver = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
    )
    assert driver.stdout is not None
    assert [driver.stdout.readline().strip() for _ in range(2)] == ["imported", "True"]
    workers = worker_ids(driver.pid)
    assert workers
    driver.kill()
    driver.communicate()
    deadline = time.monotonic() + 20
    while any(_is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "a grading process outlived its driver"
        time.sleep(0.1)


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "field",
    [
        {"num_processes": 0},
        {"max_seconds": 0.0},
        {"max_seconds": float("nan")},
        {"max_characters": 0},
        {"max_memory_mib": 100},
        {"cache_size": -1},
        {"patterns": []},
    ],
)
def test_impossible_settings_are_refused_by_name(field: dict[str, object]) -> None:
    [name] = field
    with pytest.raises(ConfigurationError, match=name):
        GraderSettings(**field)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(num_processes=2, max_seconds=5.0, max_memory_mib=1024)
    yield pool
    pool.close()


numbers = st.fractions(max_denominator=50).map(str)
answers = st.one_of(numbers, st.text(alphabet="xyz123+-^(){}\\frac,=<", max_size=12))


@settings(max_examples=100, deadline=None)
@given(first=answers, second=answers)
def test_equivalence_is_symmetric_and_reflexive(pool: WorkerPool, first: str, second: str) -> None:
    # Below the cache and the shortcut, which would hide a difference.
    one, other = pool.submit(first, second), pool.submit(second, first)
    assert one.result(timeout=60) is other.result(timeout=60)
    assert pool.submit(first, first).result(timeout=60) in (Comparison.equal, Comparison.unreadable)
