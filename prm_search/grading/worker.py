"""The program of a grading process: compares pairs of answers until its input ends.

Started by `prm_search.grading.pool` as a script of its own, so that it holds nothing but
math-verify. Usage: worker.py MAX_SECONDS MAX_MEMORY_MIB. It reads one JSON list [first, second]
per line and writes one word per line. A comparison that takes too long ends the process.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from importlib import import_module
from typing import Any, TextIO

MEBIBYTE = 1 << 20


def compare(first: str, second: str) -> str:
    """Whether math-verify finds two answers equal: "equal", "different" or "unreadable"."""
    math_verify: Any = import_module("math_verify")
    # Without the time limits of math-verify: they need signal.alarm, whose exception can be
    # swallowed on its way.
    parsed: list[list[Any]] = [
        math_verify.parse(f"${answer}$", parsing_timeout=None) for answer in (first, second)
    ]
    # A string in the list is what math-verify could not read.
    expressions: list[list[Any]] = [
        [part for part in parts if not isinstance(part, str)] for parts in parsed
    ]
    if not all(expressions):
        return "unreadable"
    # verify() is not symmetric: only the reference "x = 5" may be unwrapped to 5, and only the
    # reference "1 < x < 2" may be read as an interval. Either answer may be the reference.
    is_readable = True
    for reference, answer in (expressions, reversed(expressions)):
        try:
            if math_verify.verify(reference, answer, timeout_seconds=None, raise_on_error=True):
                return "equal"
        except Exception:
            is_readable = False
    return "different" if is_readable else "unreadable"


def peak_memory() -> int:
    """The most address space that this process ever had, in bytes."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmPeak:"))


def serve(requests: TextIO, replies: TextIO, *, max_seconds: float, max_memory: int) -> None:
    """Answer requests until there are no more, or memory has run short.

    Args:
        max_seconds: CPU time for one comparison; the kernel kills the process after that.
        max_memory: address space in bytes.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("ready", file=replies, flush=True)
    for line in requests:
        signal.setitimer(signal.ITIMER_PROF, max_seconds)
        try:
            verdict = compare(*json.loads(line))
        except MemoryError:
            verdict = "memory"
        except Exception:
            verdict = "unreadable"
        signal.setitimer(signal.ITIMER_PROF, 0)
        # math-verify turns a MemoryError into "different". Numbers grow by doubling, so the
        # one that no longer fitted had a predecessor of at least a quarter of the limit.
        if verdict != "equal" and peak_memory() > max_memory // 4:
            verdict = "memory"
        print(verdict, file=replies, flush=True)
        if verdict == "memory":
            return


def main() -> None:
    """Serve on standard input and output."""
    # Some parsers print: their words must not get between the replies.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    logging.disable(logging.CRITICAL)
    try:
        import_module("math_verify")
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=replies, flush=True)
        return
    serve(
        sys.stdin,
        replies,
        max_seconds=float(sys.argv[1]),
        max_memory=int(sys.argv[2]) * MEBIBYTE,
    )


if __name__ == "__main__":
    main()
