"""Engines in Ray actors, on this machine or on a Ray cluster."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import ray

from actors.engine import Engine
from actors.engine_actor import RayReplica
from actors.placement import Placement
from actors.pool import Pool
from actors.pooled_engines import POOLED_ENGINES, PooledEngine
from prm_search.budget import Role
from prm_search.errors import ConfigurationError, EngineError

_log = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 256 * 2**20
"""Shared memory of a cluster of our own. Requests and answers are small and bypass it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RayCluster:
    """Starts a pool of engines for each role, each engine in a Ray actor of its own.

    Connects on the first launch. Ray's token authentication is left as Ray has it, switched on.

    Example:
        >>> async with RayCluster(policy=Placement(replicas=2)) as cluster:
        ...     generator = await cluster.launch(FakeGenerator, Role.POLICY)
    """

    address: str | None = None
    """Of a running Ray cluster ("auto" finds the one of this machine); null starts one of our
    own on this machine and ends it afterwards."""
    num_cpus: int | None = None
    """Cores that a cluster of our own may use; null means all of this machine."""
    policy: Placement = field(default_factory=Placement)
    """Replicas of the policy."""
    completer: Placement = field(default_factory=Placement)
    """Replicas of the policy that completes prefixes for labels, if it is another one."""
    prm: Placement = field(default_factory=Placement)
    """Replicas of the PRM."""
    judge: Placement = field(default_factory=Placement)
    """Replicas of the judge."""
    teacher: Placement = field(default_factory=Placement)
    """Replicas of the model whose analyses an R-PRM learns from."""
    controller: Placement = field(default_factory=lambda: Placement(num_cpus=0.0))
    """Processes that search or label problems. They mostly wait for the engines, which all of them
    share; several are of use where one cannot keep many engines busy."""
    _launched: dict[Role, PooledEngine] = field(
        default_factory=dict[Role, PooledEngine], init=False, repr=False
    )
    _reserved: list[Placement] = field(default_factory=list[Placement], init=False, repr=False)
    _connections: list[object] = field(default_factory=list[object], init=False, repr=False)

    def __post_init__(self) -> None:
        if self.address is not None and self.num_cpus is not None:
            raise ConfigurationError(
                f"num_cpus={self.num_cpus} is for a cluster of our own; the cluster at "
                f"{self.address} has its own settings. Leave num_cpus or address out"
            )

    async def launch(self, factory: Callable[[], Engine], role: Role) -> PooledEngine:
        """Start all replicas of a role; several roles may be launched at the same time.

        Args:
            factory: makes an engine; is sent to the actors, so it must be picklable.

        Returns:
            A pool with the methods of the engine.

        Raises:
            ConfigurationError: if the cluster has too little for the placement.
            PrmSearchError: if a replica could not be started.
        """
        placement: Placement = getattr(self, role)
        if role is Role.CONTROLLER:
            for shared in self._launched.values():
                shared.num_sharers = placement.replicas
        self._connect()
        self._reserve(role, placement)
        pool = Pool(
            [RayReplica(factory, placement, name=role) for _ in range(placement.replicas)],
            max_queue=placement.max_queue,
            max_imbalance=placement.max_imbalance,
            max_retries=placement.max_retries,
        )
        engine = self._launched[role] = POOLED_ENGINES[role](pool)
        _log.info("starting %d %s engine(s) on Ray", placement.replicas, role)
        await engine.start()
        return engine

    async def close(self) -> None:
        """Close all engines, and Ray if it was started here."""
        await asyncio.gather(*(engine.close() for engine in self._launched.values()))
        self._launched.clear()
        self._reserved.clear()
        while self._connections:
            self._connections.pop()
            ray.shutdown()

    async def __aenter__(self) -> RayCluster:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _connect(self) -> None:
        if ray.is_initialized():
            return  # by our first launch, or by whoever uses this cluster
        # Not in another thread: the kernel ends Ray's processes with the thread that began them.
        try:
            self._connections.append(self._initialize())
        except (ConnectionError, RuntimeError) as error:
            raise EngineError(
                f"cannot use Ray at {self.address or 'this machine'}: {error}"
            ) from error

    def _initialize(self) -> object:
        if self.address is not None:
            return ray.init(self.address, logging_level=logging.ERROR, log_to_driver=False)
        # A cluster that lives as long as one run has nothing to report.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_task_events_report_interval_ms", "0")
        # The engines are the work. Ray would have them yield to every other process.
        os.environ.setdefault("RAY_worker_niceness", "0")
        return ray.init(
            "local",
            num_cpus=self.num_cpus,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )

    def _reserve(self, role: Role, placement: Placement) -> None:
        """Refuse what can never be scheduled: an actor would wait for it in silence."""
        self._reserved.append(placement)
        if self.address is not None:
            return  # a shared cluster may grow, and shows what is pending
        total = ray.cluster_resources()
        for resource, needed in (
            ("CPU", sum(item.num_cpus * item.replicas for item in self._reserved)),
            ("GPU", sum(item.gpus_per_replica * item.replicas for item in self._reserved)),
        ):
            if needed > total.get(resource, 0.0) + 1e-6:
                raise ConfigurationError(
                    f"the engines need {needed:g} {resource}s with those of the {role}, but this "
                    f"machine has {total.get(resource, 0.0):g}; lower replicas or "
                    f"num_{resource.lower()}s of a role under `cluster`"
                )
