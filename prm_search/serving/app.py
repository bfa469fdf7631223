"""The HTTP interface of a reward service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from prm_search.errors import ConfigurationError, DataError, EngineError, ScoringError
from prm_search.plugins.reading import Reading
from prm_search.rewards.rewarder import Scored
from prm_search.serving.answers import (
    is_passing,
    openrlhf_answer,
    require_numbers,
    rollout_answer,
)
from prm_search.serving.bodies import OpenRlhfBody, RewardsBody, RolloutBody, SlimeBody
from prm_search.serving.guard import App, Guard
from prm_search.serving.metrics import Metrics
from prm_search.serving.service import OverloadedError, RewardService
from prm_search.serving.settings import ServerSettings
from prm_search.types import Problem, Step, StopReason, Trajectory

_LATER = {"Retry-After": "1"}


def make_app(
    service: RewardService,
    *,
    reading: Reading | None = None,
    settings: ServerSettings | None = None,
    key: str | None = None,
) -> App:
    """The server as an ASGI app.

    Args:
        service: what is served.
        reading: how prompts and completions are read.
        settings: what is refused.
        key: what clients have to know; None if nothing.
    """
    settings = settings or ServerSettings()
    metrics = Metrics(service)
    api = _Api(service, reading or Reading(), settings, metrics)
    app = FastAPI(title="prm-search rewards", docs_url="/docs", redoc_url=None)
    app.add_api_route("/v1/rewards", api.rewards, methods=["POST"])
    app.add_api_route("/get_reward", api.openrlhf, methods=["POST"])
    app.add_api_route("/slime", api.slime, methods=["POST"])
    app.add_api_route("/slime/steps", api.slime_steps, methods=["POST"])
    app.add_api_route("/health", api.health, methods=["GET"])
    app.add_api_route("/metrics", api.metrics, methods=["GET"])
    app.add_exception_handler(RequestValidationError, _explain)
    return Guard(
        app,
        key=key,
        max_body_bytes=int(settings.max_body_mib * 2**20),
        observer=metrics,
    )


class _Api:
    def __init__(
        self, service: RewardService, reading: Reading, settings: ServerSettings, metrics: Metrics
    ) -> None:
        self._service = service
        self._reading = reading
        # Our own protocol names the problem as it is, and says what was cut off.
        self._plain_reading = replace(reading, problem_pattern=None, needs_end_token=False)
        self._settings = settings
        self._metrics = metrics

    async def rewards(self, body: RewardsBody) -> JSONResponse:
        """Step scores, outcome, one number and advantages of each rollout."""
        self._check_count("rollouts", len(body.rollouts))
        for index, item in enumerate(body.rollouts):
            place = f"rollouts.{index}"
            self._check_length(f"{place}.problem", item.problem)
            self._check_length(f"{place}.completion", item.completion or "")
            self._check_length(f"{place}.steps", "".join(item.steps or ()))
        rollouts = [
            self._read(f"rollouts.{index}", item) for index, item in enumerate(body.rollouts)
        ]
        scored = await self._ask(rollouts)
        if not self._service.is_healthy and is_passing(scored):
            raise HTTPException(503, "no engine is running", _LATER)
        groups = [
            rollout.problem.id if item.group is None else f"group {item.group}"
            for item, rollout in zip(body.rollouts, rollouts, strict=True)
        ]
        advantages = self._service.advantages(scored, groups)
        answers = [rollout_answer(*both) for both in zip(scored, advantages, strict=True)]
        return JSONResponse({"rollouts": answers})

    async def openrlhf(self, body: OpenRlhfBody) -> JSONResponse:
        """OpenRLHF's protocol for remote reward models."""
        self._check_count("query", len(body.query))
        labels = body.labels or [None] * len(body.query)
        rollouts: list[Trajectory] = []
        for index, (query, prompt, label) in enumerate(
            zip(body.query, body.prompts, labels, strict=True)
        ):
            self._check_length(f"query.{index}", query)
            try:
                completion = self._reading.split(query, prompt)
                rollouts.append(self._reading.rollout(prompt, completion, label))
            except DataError as error:
                raise _unusable(f"query.{index}", str(error)) from error
        scored = await self._ask(rollouts)
        return self._or_failure(scored, lambda: openrlhf_answer(scored))

    async def slime(self, body: SlimeBody) -> JSONResponse:
        """The protocol of slime for remote reward models: the answer is the reward, a number."""
        scored = await self._ask([self._read_slime(body)])
        return self._or_failure(scored, lambda: require_numbers(scored)[0])

    async def slime_steps(self, body: SlimeBody) -> JSONResponse:
        """The same with the step scores: use --reward-key reward."""
        scored = await self._ask([self._read_slime(body)])

        def answer() -> dict[str, object]:
            require_numbers(scored)
            return rollout_answer(scored[0], None)

        return self._or_failure(scored, answer)

    async def health(self) -> JSONResponse:
        """Whether every engine runs."""
        states = {
            role: {"running": state.num_running, "restarts": state.num_restarts}
            for role, state in self._service.engine_states().items()
        }
        is_healthy = self._service.is_healthy
        return JSONResponse(
            {"status": "ok" if is_healthy else "no engine", "engines": states},
            status_code=200 if is_healthy else 503,
        )

    async def metrics(self) -> Response:
        """For Prometheus."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _ask(self, rollouts: Sequence[Trajectory]) -> list[Scored]:
        try:
            async with asyncio.timeout(self._settings.max_seconds):
                scored = await self._service.reward(rollouts)
        except OverloadedError as error:
            raise HTTPException(429, str(error), _LATER) from error
        except TimeoutError as error:
            message = f"it took more than {self._settings.max_seconds:g} s; ask again"
            raise HTTPException(504, message, _LATER) from error
        except EngineError as error:
            raise HTTPException(503, str(error), _LATER) from error
        for one in scored:
            for failure in one.reward.failures:
                self._metrics.failed(failure.kind)
        return scored

    def _or_failure(self, scored: Sequence[Scored], answer: Callable[[], object]) -> JSONResponse:
        """The answer of a protocol that has no place for failures."""
        try:
            return JSONResponse(answer())
        except ScoringError as error:
            if is_passing(scored):
                raise HTTPException(503, str(error), _LATER) from error
            raise HTTPException(422, str(error)) from error
        except ConfigurationError as error:
            raise HTTPException(501, str(error)) from error

    def _read(self, place: str, item: RolloutBody) -> Trajectory:
        try:
            if item.steps is None:
                return self._plain_reading.rollout(
                    item.problem,
                    item.completion or "",
                    item.answer,
                    is_truncated=item.is_truncated,
                )
            problem = self._plain_reading.problem(item.problem, item.answer)
        except DataError as error:
            raise _unusable(place, str(error)) from error
        return _from_steps(problem, item.steps, is_truncated=bool(item.is_truncated))

    def _read_slime(self, body: SlimeBody) -> Trajectory:
        self._check_length("response", body.response)
        prompt = body.prompt
        if isinstance(prompt, str):
            self._check_length("prompt", prompt)
        else:
            self._check_length("prompt", "".join(message.content for message in prompt))
            prompt = [message.model_dump() for message in prompt]
        try:
            return self._reading.rollout(prompt, body.response, body.label)
        except DataError as error:
            raise _unusable("prompt", str(error)) from error

    def _check_count(self, place: str, count: int) -> None:
        limit = min(self._settings.max_rollouts, self._service.max_queue)
        if count > limit:
            raise HTTPException(
                413, f"{place} has {count} items; send at most {limit} in one request"
            )

    def _check_length(self, place: str, text: str) -> None:
        if len(text) > self._settings.max_characters:
            raise HTTPException(
                413,
                f"{place} has {len(text)} characters; at most {self._settings.max_characters} "
                "are taken",
            )


def _from_steps(problem: Problem, steps: Sequence[str], *, is_truncated: bool) -> Trajectory:
    last = StopReason.LENGTH if is_truncated else StopReason.END
    return Trajectory(
        problem=problem,
        steps=tuple(
            Step(text=text, stop_reason=last if index == len(steps) else StopReason.STEP)
            for index, text in enumerate(steps, start=1)
        ),
    )


def _unusable(place: str, message: str) -> HTTPException:
    return HTTPException(422, [{"field": place, "message": message}])


async def _explain(request: Request, error: Exception) -> JSONResponse:
    """Names the fields. What was sent is not sent back: it may be huge, or no JSON at all."""
    assert isinstance(error, RequestValidationError)
    details = [
        {
            "field": ".".join(str(part) for part in item["loc"] if part != "body")[:200],
            "message": str(item["msg"])[:500],
        }
        for item in error.errors()[:20]
    ]
    return JSONResponse({"detail": details}, status_code=422)
