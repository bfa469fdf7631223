"""The command `prm-search serve-reward`, beside what all commands have in common."""

from __future__ import annotations

import asyncio

from omegaconf import DictConfig
from rich.console import Console

from prm_search.command_help import Description
from prm_search.errors import EngineError
from prm_search.serving.job import serve_job

SERVE_REWARD = Description(
    command="serve-reward",
    summary="serve rewards to RL frameworks over HTTP",
    text=(
        "Starts a PRM, a judge or neither, and answers requests of all frameworks at once: "
        "POST /v1/rewards (step scores with spans, outcome, advantages), /get_reward "
        "(OpenRLHF) and /slime. Requests are batched across clients; a full queue answers 429. "
        "What could not be rewarded is said so and is never a score. Clients send the key of "
        "$PRM_SEARCH_API_KEY, or the one that is printed, as `Authorization: Bearer KEY` or "
        "within the URL: http://:KEY@127.0.0.1:8421/get_reward. GET /health says how the engines "
        "are doing, GET /metrics is for Prometheus. Ctrl-C or SIGTERM ends it once every request "
        "in flight is answered."
    ),
    examples=(
        ("the sandbox's PRM and its verifier, on a CPU", "prm-search serve-reward prm=sandbox"),
        (
            "a PRM on two GPUs, for a whole cluster",
            "PRM_SEARCH_API_KEY=… prm-search serve-reward prm.model=Qwen/Qwen2.5-Math-PRM-7B "
            "cluster.prm.replicas=2 cluster.prm.num_gpus=1 server.host=0.0.0.0",
        ),
        ("verifier alone: no engine", "prm-search serve-reward reward=answer credit=outcome"),
        (
            "a judge and the verifier",
            "prm-search serve-reward reward=judge_and_answer judge.model=Qwen/Qwen2.5-72B-Instruct",
        ),
        (
            "prompts that come as rendered chats (OpenRLHF)",
            "prm-search serve-reward … "
            "\"reading.problem_pattern='<\\|im_start\\|>user\\n(.*?)<\\|im_end\\|>'\"",
        ),
        ("the settings of another credit", "prm-search serve-reward credit=pure_outcome --help"),
    ),
)


def serve_with(config: DictConfig, console: Console) -> int:
    """Run the server that a composed configuration describes.

    Raises:
        EngineError: if what it needs is not installed.
    """
    job = serve_job(config)
    try:
        from prm_search.serving.server import run_server  # needs the extra
    except ImportError as error:
        raise EngineError(
            f"serve-reward needs FastAPI, uvicorn and prometheus-client ({error}): "
            "pip install 'prm-search[serve]'"
        ) from error
    return asyncio.run(run_server(job, console=console))
