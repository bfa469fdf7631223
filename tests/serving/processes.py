"""`prm-search serve-reward` as a process of its own, on fake engines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from prm_search.serving.settings import KEY_VARIABLE
from tests.serving.clients import KEY

ROOT = Path(__file__).parents[2]
SETTINGS = (
    "serve-reward",
    "--config-dir",
    str(ROOT / "tests/controller/conf"),
    "engine=fake",
    "cluster=inprocess",
    "server.port=0",
)


@dataclass(kw_only=True)
class Server:
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def wait_for(self, pattern: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found.group(1)
        pytest.fail("".join(self.lines))

    def kill(self) -> None:
        """As the kernel kills it that has no memory left."""
        self.process.kill()
        self.process.wait()

    def end(self) -> str:
        """Wait until the process has ended by itself."""
        timer = threading.Timer(60, self.process.kill)
        timer.start()
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)
        self.process.wait()
        timer.cancel()
        return "".join(self.lines)


@contextmanager
def started(*settings: str, key: str | None = KEY) -> Iterator[Server]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    environment.pop(KEY_VARIABLE, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "prm_search", *SETTINGS, *settings],
        env=environment | ({KEY_VARIABLE: key} if key else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Server(process=process)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
