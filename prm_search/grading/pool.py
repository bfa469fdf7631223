"""Processes that compare answers, and are replaced when a comparison kills them.

The workers are started as programs of their own (`subprocess`), not by `multiprocessing`: that
one would fork a process which holds threads of Ray, vLLM or torch, or else import the caller's
main module, with all that it imports, into each new worker. The time limit is kept by the
kernel inside the worker, so that it holds in any C code and even if this process is gone.
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import subprocess
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path

from prm_search.errors import EngineError


class Comparison(StrEnum):
    """What came of comparing two answers."""

    equal = "equal"
    different = "different"
    unreadable = "unreadable"
    """math-verify reads no mathematics in one of them."""
    too_long = "too_long"
    """One of them has too many characters; not even tried."""
    time = "time"
    """The time limit was reached."""
    memory = "memory"
    """The memory limit was reached."""
    crash = "crash"
    """The process died, twice."""


class Worker:
    """One grading process. Used by one thread at a time."""

    def __init__(self, *, max_seconds: float, max_memory_mib: int) -> None:
        """Start the process and wait until it is ready.

        Raises:
            EngineError: if it cannot be started.
        """
        program = str(Path(__file__).with_name("worker.py"))
        # -P: its own folder must not shadow installed modules. A process group of its own:
        # Ctrl-C is for the run, which decides what becomes of the grading in flight.
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", program, str(max_seconds), str(max_memory_mib)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        except OSError as error:
            raise EngineError(f"the grading process could not start: {error}") from error
        greeting = self._read_line()
        if greeting != "ready":
            self.close()
            raise EngineError(
                f"the grading process could not start: {greeting or 'it died at once'}; "
                "check that math-verify[antlr4_9_3] is installed"
            )

    def compare(self, first: str, second: str) -> Comparison:
        """Compare two answers. The process may be dead afterwards."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([first, second]).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return Comparison.crash
        reply = self._read_line()
        if reply:
            return Comparison(reply)
        is_timeout = self._process.wait() == -signal.SIGPROF
        return Comparison.time if is_timeout else Comparison.crash

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # a request that was never read
                pipe.close()

    def _read_line(self) -> str:
        """The next line of the process, or "" if it has ended."""
        assert self._process.stdout is not None
        # End of file alone is not relied upon: a process that was forked elsewhere at the wrong
        # moment keeps the pipe open. Not select(): it fails above 1024 open files.
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        while not poll.poll(1000):
            if self._process.poll() is not None and not poll.poll(0):
                return ""
        return self._process.stdout.readline().decode().rstrip("\n")


class WorkerPool:
    """A bounded number of workers. Each is started when it is first needed."""

    def __init__(self, *, num_processes: int, max_seconds: float, max_memory_mib: int) -> None:
        self._max_seconds = max_seconds
        self._max_memory_mib = max_memory_mib
        self._idle: deque[Worker] = deque()
        self._executor = ThreadPoolExecutor(num_processes, thread_name_prefix="grading")

    def submit(self, first: str, second: str) -> Future[Comparison]:
        """Compare two answers in one of the processes."""
        return self._executor.submit(self._compare, first, second)

    def close(self) -> None:
        """Finish the comparisons under way, drop those not begun, and end the processes."""
        self._executor.shutdown(cancel_futures=True)
        while self._idle:
            self._idle.pop().close()

    def _compare(self, first: str, second: str) -> Comparison:
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = self._start_worker()
        result = worker.compare(first, second)
        if result in (Comparison.crash, Comparison.memory):
            # Earlier comparisons, or somebody outside, may be to blame.
            worker.close()
            worker = self._start_worker()
            result = worker.compare(first, second)
        if result in (Comparison.crash, Comparison.memory, Comparison.time):
            worker.close()
        else:
            self._idle.append(worker)
        return result

    def _start_worker(self) -> Worker:
        return Worker(max_seconds=self._max_seconds, max_memory_mib=self._max_memory_mib)
