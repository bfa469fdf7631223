"""How generative PRMs are asked, and how what they write is read."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from prm_search.errors import ConfigurationError
from prm_search.prms.generative import (
    GenerativeFamily,
    WrittenVerdict,
    token_at,
    verdict_tokens,
)
from prm_search.prms.genprm import GenPrm
from prm_search.prms.rprm import RPrm
from prm_search.prms.sandbox_rprm import SandboxRPrm
from prm_search.prms.thinkprm import ThinkPrm
from prm_search.resolvers import sandbox_model
from prm_search.types import Failure

QUESTION = "Verification: Is the step correct (Yes/No)?"
RPRM: GenerativeFamily = RPrm()
SANDBOX: GenerativeFamily = SandboxRPrm()
THINK: GenerativeFamily = ThinkPrm()
GEN: GenerativeFamily = GenPrm()
CHAIN = "Step 1: fine, so \\boxed{correct}.\n</think>\nIs the solution correct?"
BOX = "<analyze>\nIt adds 2 and 3.\n</analyze>\n<output>\n**Judgement**: $\\boxed{"


def test_rprm_is_shown_the_problem_the_steps_before_and_the_step() -> None:
    message = RPRM.message("What is 2+3?", ["First.\n\n", "Second.\n\n", "2+3=5"])

    assert message.endswith(
        "Question: What is 2+3?\nPrevious Steps: First.\nSecond.\nNow Step: 2+3=5\n"
        "Analyze carefully whether the Now Step is correct.\nReply:"
    )


def test_rprm_is_told_that_a_first_step_has_none_before_it() -> None:
    message = RPRM.message("What is 2+3?", ["2+3=5"])

    expected = "Since the Now Step is the first step, there are no Previous Steps."
    assert f"Previous Steps: {expected}\nNow Step: 2+3=5\n" in message


def test_thinkprm_is_shown_numbered_steps() -> None:
    message = THINK.message("What is 2+3?", ["First.\n\n", "2+3=5"])

    assert (
        "[Math Problem]\n\nWhat is 2+3?\n\n[Solution]\n\nStep 1: First.\nStep 2: 2+3=5\n" in message
    )


def test_genprm_is_shown_paragraphs_and_how_to_answer() -> None:
    message = GEN.message("What is 2+3?", ["First.\n\n", "2+3=5"])

    assert "Question: What is 2+3?\n\nParagraph 1: First.\n\nParagraph 2: 2+3=5\n" in message
    assert message.endswith("<output>\n**Judgement**: $\\boxed{Yes}$\n</output>")


def test_texts_that_look_like_fields_stay_as_they_are() -> None:
    family = RPrm(template="{problem}|{previous_steps}|{now_step}")

    assert family.message("{now_step}", ["{problem}", "b"]) == "{now_step}|{problem}|b"


def test_a_template_without_a_field_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="previous_steps"):
        RPrm(template="{problem} {now_step}")


def test_the_sandbox_is_shown_the_steps_so_far() -> None:
    message = SANDBOX.message("How many?", ["Ann: 5 is given, so Ann=5.\n\n", "Ben: …"])

    assert message == "How many?\n\nCheck the last:\nAnn: 5 is given, so Ann=5.\n\nBen: …"


@pytest.mark.parametrize(
    ("family", "analysis", "is_right", "before"),
    [
        (RPRM, f"Fine.\n{QUESTION} Yes", True, f"Fine.\n{QUESTION}"),
        (RPRM, f"Bad.\n{QUESTION} No.\n", False, f"Bad.\n{QUESTION}"),
        (SANDBOX, "Ann: 5 is given, got 5. Right", True, "Ann: 5 is given, got 5."),
        (SANDBOX, "This cannot be read. Wrong", False, "This cannot be read."),
        (THINK, f"{CHAIN} No", False, CHAIN),
        (THINK, f"{CHAIN} No. Wait.\n{CHAIN} Yes", True, f"{CHAIN} No. Wait.\n{CHAIN}"),
        (GEN, f"{BOX}Yes}}$\n</output>\n", True, BOX),
        (GEN, f"{BOX}No}}", False, BOX),
    ],
)
def test_a_verdict_at_the_end_is_read(
    family: GenerativeFamily, analysis: str, is_right: bool, before: str
) -> None:
    assert family.read(analysis) == WrittenVerdict(is_right=is_right, start=len(before))


@pytest.mark.parametrize(
    ("family", "analysis"),
    [
        (RPRM, ""),
        (RPRM, "The step is fine. Yes"),
        (RPRM, f"{QUESTION} Maybe"),
        (RPRM, f"{QUESTION} Not sure"),
        (RPRM, f"{QUESTION} Yes\nOn second thoughts, the sum is off."),
        (RPRM, f"{QUESTION} Yes\n{QUESTION} No"),
        (THINK, "Step 1: fine, so \\boxed{correct}."),
        (THINK, f"{CHAIN} Yes, but"),
        (GEN, f"{BOX}Yes"),
        (GEN, f"{BOX}Yes}}$ or $\\boxed{{No}}$"),
        (SANDBOX, "Ann: 5 is given, got 5."),
        (SANDBOX, "Ann: 5 is given, got 5. Right\nBen: 7 is given, got 7. Right"),
    ],
)
def test_an_analysis_without_one_verdict_at_its_end_is_no_verdict(
    family: GenerativeFamily, analysis: str
) -> None:
    assert isinstance(family.read(analysis), Failure)


def test_the_sandbox_has_a_token_for_each_verdict() -> None:
    tokenizer = AutoTokenizer.from_pretrained(sandbox_model("base"))

    wrong, right = verdict_tokens(SANDBOX, tokenizer)

    assert (tokenizer.decode([wrong]), tokenizer.decode([right])) == SANDBOX.verdicts


def test_verdicts_that_begin_alike_are_refused() -> None:
    tokenizer = AutoTokenizer.from_pretrained(sandbox_model("base"))

    with pytest.raises(ConfigurationError, match="' No' and ' Yes'"):
        verdict_tokens(RPRM, tokenizer)  # the sandbox spells both out, space first


def test_a_token_is_found_by_the_character_that_it_begins_at() -> None:
    pieces = ["got", "", " 5", ".", " Right", ""]

    assert [token_at(pieces, start) for start in (0, 3, 4, 5, 6, 12)] == [0, 2, None, 3, 4, None]
