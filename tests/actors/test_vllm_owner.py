from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("vllm")
pytestmark = pytest.mark.vllm

SCRIPT = """
import asyncio, sys, time
from actors.vllm_engine import VllmEngine, VllmOptions

async def main():
    await VllmEngine.start(
        sys.argv[1], is_pooling=False, dtype="float32", max_model_len=None,
        options=VllmOptions(kv_cache_gib=0.1),
    )
    print("started", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    asyncio.run(main())
"""


def descendants(pid: int) -> set[int]:
    children = {
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    }
    return children.union(*(descendants(child) for child in children))


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_no_engine_process_outlives_a_killed_owner(tiny_model: Path, tmp_path: Path):
    script = tmp_path / "owner.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script), str(tiny_model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "started\n"
        processes = descendants(owner.pid)
        owner.send_signal(signal.SIGKILL)
        owner.wait()

    assert len(processes) >= 2
    deadline = time.monotonic() + 20
    while any(map(is_running, processes)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [pid for pid in processes if is_running(pid)]
