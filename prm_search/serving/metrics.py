"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from prm_search.serving.service import RewardService

PATHS = ("/v1/rewards", "/get_reward", "/slime", "/slime/steps", "/health", "/metrics")
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0)


class Metrics:
    """Requests as they are answered, and the state of the service when asked."""

    def __init__(self, service: RewardService) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "prm_search_requests", "Requests answered", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "prm_search_request_seconds",
            "From the first byte of a request to the end of its answer",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._failures = Counter(
            "prm_search_failures",
            "Parts of rewards that could not be obtained",
            ["kind"],
            registry=self._registry,
        )
        self._registry.register(_ServiceState(service))

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request was answered; see `prm_search.serving.guard.Observer`."""
        known = path if path in PATHS else "other"  # clients must not make up label values
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def failed(self, kind: str) -> None:
        """A part of a reward could not be obtained."""
        self._failures.labels(kind).inc()

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _ServiceState(Collector):
    def __init__(self, service: RewardService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        counters = self._service.counters
        for name, text, value in (
            ("rollouts", "Rollouts asked for", counters.num_requests),
            ("rollouts_cached", "Answered from memory", counters.num_cached),
            ("rollouts_shared", "Answered with an equal one under way", counters.num_shared),
            ("rollouts_incomplete", "Rewards in which something failed", counters.num_incomplete),
            ("batches", "Calls of the source", counters.num_batches),
        ):
            yield CounterMetricFamily(f"prm_search_{name}", text, value=value)
        for name, text, value in (
            ("queue", "Rollouts waiting or being rewarded", counters.num_in_queue),
            ("queue_limit", "Rollouts that may be", self._service.max_queue),
        ):
            yield GaugeMetricFamily(f"prm_search_{name}", text, value=value)
        yield from self._engines()
        tokens = CounterMetricFamily(
            "prm_search_tokens", "Tokens that the engines computed", labels=["role", "kind"]
        )
        for role, usage in self._service.ledger.usages.items():
            for kind in ("scored_tokens", "generated_tokens", "cached_tokens"):
                tokens.add_metric([role, kind.removesuffix("_tokens")], getattr(usage, kind))
        yield cast("Metric", tokens)

    def _engines(self) -> Iterator[Metric]:
        states = self._service.engine_states()
        for name, text in (
            ("running", "Replicas that take requests"),
            ("in_flight", "Requests that replicas hold"),
            ("waiting", "Requests that wait for a replica"),
            ("restarts", "Replicas that came back after a crash"),
        ):
            family = GaugeMetricFamily(f"prm_search_engine_{name}", text, labels=["role"])
            for role, state in states.items():
                family.add_metric([role], getattr(state, f"num_{name}"))
            yield family
