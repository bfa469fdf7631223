"""Each generative family on random weights, against its way of scoring written down straight.

Random weights write nothing that can be read. So what is written is given: the engine computes what
a model thinks of the verdicts while it writes that, and so does the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from actors.completion import Completion, Sampling  # noqa: E402
from actors.generative_scorer import GenerativeScorer  # noqa: E402
from prm_search.prms.generative import GenerativeFamily  # noqa: E402
from prm_search.prms.generative_prm import GenerativePrm  # noqa: E402
from prm_search.prms.genprm import GenPrm  # noqa: E402
from prm_search.prms.rprm import RPrm  # noqa: E402
from prm_search.prms.thinkprm import ThinkPrm  # noqa: E402
from prm_search.types import Problem, Step, StepScores, StopReason, Trajectory  # noqa: E402
from tests.prms.families.checkpoints import QWEN_TEMPLATE, SHAPE  # noqa: E402
from trainers.tokenizer import train_tokenizer  # noqa: E402

PROBLEM = "Janet's ducks lay 16 eggs per day. How many is $16 - 3$, doubled?"
STEPS = ("Janet's ducks lay 16 eggs.", "16 - 3 = 13 eggs are left.", "The answer is 26.")
CORPUS = [f"{PROBLEM} {' '.join(STEPS)} Is it? Yes\nNo\nYes No", "Yes\nNo Yes No", "(Yes) [No]"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A family, what it has to be shown, and what models of it write."""

    family: GenerativeFamily
    messages: tuple[str, ...]
    """[num_steps]"""
    before: str
    """What is written up to the verdict."""
    after: str
    verdicts: tuple[str, str]
    """How "wrong" and "right" are spelled there."""


CASES = {
    "rprm": Case(
        family=RPrm(template="Question: {problem}\nBefore: {previous_steps}\nNow: {now_step}\n"),
        messages=(
            f"Question: {PROBLEM}\nBefore: Since the Now Step is the first step, there are no "
            f"Previous Steps.\nNow: {STEPS[0]}\n",
            f"Question: {PROBLEM}\nBefore: {STEPS[0]}\nNow: {STEPS[1]}\n",
            f"Question: {PROBLEM}\nBefore: {STEPS[0]}\n{STEPS[1]}\nNow: {STEPS[2]}\n",
        ),
        before="**Now Step Analysis**: 16 eggs.\nVerification: Is the step correct (Yes/No)?",
        after="",
        verdicts=(" No", " Yes"),
    ),
    "thinkprm": Case(
        family=ThinkPrm(template="[Math Problem]\n{problem}\n[Solution]\n{steps}"),
        messages=tuple(
            f"[Math Problem]\n{PROBLEM}\n[Solution]\n"
            + "\n".join(f"Step {place + 1}: {STEPS[place]}" for place in range(size))
            for size in (1, 2, 3)
        ),
        before="Step 1: it is \\boxed{correct}.\n\nIs the solution correct?",
        after="",
        verdicts=(" No", " Yes"),
    ),
    "genprm": Case(
        family=GenPrm(template="Question: {problem}\n\n{steps}"),
        messages=tuple(
            f"Question: {PROBLEM}\n\n"
            + "\n\n".join(f"Paragraph {place + 1}: {STEPS[place]}" for place in range(size))
            for size in (1, 2, 3)
        ),
        before="<analyze>\n16 eggs.\n</analyze>\n<output>\n**Judgement**: $\\boxed{",
        after="}$\n</output>",
        verdicts=("No", "Yes"),
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of random weights, as R-PRM, ThinkPRM and GenPRM build on."""
    folder = tmp_path_factory.mktemp("qwen2")
    tokenizer = train_tokenizer(CORPUS * 30, vocab_size=420)
    tokenizer.chat_template = QWEN_TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = transformers.Qwen2Config(vocab_size=len(tokenizer), **SHAPE)
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


class DictatedEngine:
    """Writes what it is told, each sample with the next verdict in turn."""

    def __init__(self, folder: Path, case: Case) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.case = case
        self.num_written = 0

    async def complete(self, prompt: tuple[int, ...], sampling: Sampling) -> Completion:
        verdict = self.case.verdicts[self.num_written % 2]
        self.num_written += 1
        parts = (self.case.before, verdict, self.case.after)
        written = [token for part in parts for token in self.tokenizer.encode(part)]
        with torch.no_grad():
            logits = self.model(torch.tensor([[*prompt, *written]])).logits[0]
        chances = logits.log_softmax(-1)[len(prompt) - 1 : -1, list(sampling.watch)]
        return Completion(
            token_ids=tuple(written),
            logprobs=(),
            stop_reason=StopReason.END,
            num_prompt_tokens=len(prompt),
            num_cached_tokens=0,
            watched=tuple(map(tuple, chances.tolist())),
        )

    async def reset_cache(self) -> None: ...

    async def load_weights(self, folder: str) -> None: ...

    async def close(self) -> None: ...


class DictatedScorer(GenerativeScorer):
    def __init__(self, prm: GenerativePrm, engine: DictatedEngine) -> None:
        super().__init__(prm)
        self.engine = engine

    async def _start_engine(self) -> DictatedEngine:
        return self.engine


def reference(folder: Path, case: Case) -> list[float]:
    """P(Yes) among Yes and No, where the verdict is written. [num_steps]"""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    pair: Mapping[str, int] = {text: tokenizer.encode(text)[0] for text in case.verdicts}
    scores: list[float] = []
    for message in case.messages:
        turns = [{"role": "user", "content": message}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids = torch.tensor([tokenizer.encode(text) + tokenizer.encode(case.before)])
        with torch.no_grad():
            logits = model(ids).logits[0, -1, list(pair.values())]
        scores.append(logits.softmax(-1)[1].item())
    return scores


@pytest.mark.parametrize("name", CASES)
async def test_scores_are_those_of_the_verdicts_where_they_are_written(
    folder: Path, name: str
) -> None:
    case = CASES[name]
    prm = GenerativePrm(
        model=str(folder), family=case.family, num_samples=2, temperature=1.0, max_tokens=200
    )
    scorer = DictatedScorer(prm, DictatedEngine(folder, case))
    await scorer.start()
    steps = tuple(Step(text=f"{step}\n\n") for step in STEPS)
    problem = Problem(id="p", prompt=PROBLEM)
    scoring = await scorer.score([Trajectory(problem=problem, steps=steps)])
    await scorer.close()
    [scores] = scoring.scores
    assert isinstance(scores, StepScores), scores
    assert scores.values == pytest.approx(reference(folder, case), abs=1e-5)
    assert len({round(value, 4) for value in scores.values}) == len(STEPS)
    assert scorer.num_unreadable == 0
