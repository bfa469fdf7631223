"""What every kind of run does around its work: data, store, engines, resuming, ending."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from prm_search.budget import Role
from prm_search.concurrency import gather_all
from prm_search.data import Loaded
from prm_search.engines import Cluster, Engine
from prm_search.job import MAY_DIFFER
from prm_search.progress import ProgressDisplay
from prm_search.store import RecordKey, RunStore

OK, FAILED, INTERRUPTED = 0, 1, 130
"""Exit codes."""


async def run_session(
    directory: Path,
    work: Callable[[RunStore], Awaitable[int]],
    *,
    keys: Sequence[RecordKey],
    what: str,
    loaded: Loaded,
    seed: int,
    config: Mapping[str, object],
    command: str,
    display: ProgressDisplay,
) -> int:
    """Do the work that a run directory has no records of, and write its results at the end.

    Args:
        work: appends the missing records to the store, and says how many failed in all.
        keys: of all records that there shall be, in the order of the results.
        what: the records are of: "searches", "problems".
        loaded: the data.
        config: what the run was built from, as plain values; recorded in the run directory.
        command: what starts the same run in the same run directory.

    Returns:
        0 if it came to its end, 1 if everything failed, 130 if it was interrupted.

    Raises:
        PrmSearchError: if it cannot be done: no engine, no place to write.
    """
    with RunStore(
        directory, config=config, seed=seed, command=command, may_differ=MAY_DIFFER
    ) as store:
        if loaded.set_aside:
            store.write_set_aside(asdict(row) for row in loaded.set_aside)
            display.say(f"{len(loaded.set_aside)} rows of the data were set aside.")
        num_open = sum(problem.answer is None for problem in loaded.problems)
        if num_open:
            display.say(
                f"{num_open} of {len(loaded.problems)} problems have no answer to grade against."
            )
        num_done = sum(key in store for key in keys)
        if num_done:
            display.say(f"Resuming {directory}: {num_done} of {len(keys)} {what} are done.")
        num_failed = 0
        try:
            if num_done < len(keys):
                num_failed = await work(store)
        finally:
            num_done = sum(key in store for key in keys)
            if 0 < num_done < len(keys):
                display.say(
                    f"{num_done} of {len(keys)} {what} are finished and kept. To resume:\n"
                    f"  {command}"
                )
        if num_done < len(keys):
            return INTERRUPTED
        store.write_results(keys)
    return FAILED if num_failed == len(keys) else OK


@asynccontextmanager
async def running_engines(
    cluster: Cluster, factories: Mapping[Role, Callable[[], Engine]], display: ProgressDisplay
) -> AsyncGenerator[Mapping[Role, Engine], None]:
    """Engines by role, started side by side; at the end the cluster is closed."""
    if factories:
        display.say(f"Starting {' and '.join(factories)} …")
    try:
        engines = await gather_all(
            cluster.launch(factory, role) for role, factory in factories.items()
        )
        # Libraries hold very many objects that stay, and the collector would look through them
        # again and again.
        gc.collect()
        gc.freeze()
        yield dict(zip(factories, engines, strict=True))
    finally:
        gc.unfreeze()
        await cluster.close()
