r"""Sandbox text: problems and solution steps, written and read.

Problem:  Some friends count coins. Ann gets 12. Ben gets 7 more than Ann. How many coins does
          Ben have?
Steps:    Ann: 12 is given, so Ann=12.
          Ben: Ann=12 and 12+7=19, so Ben=19.
          The answer is \boxed{19}.

Each sentence form is defined once as a template, and its pattern is derived from the template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from prm_search.sandbox.world import ITEMS, Kind, Quantity, World

STEP_SEPARATOR = "\n\n"
GIVEN = "given"

_SENTENCES = {
    Kind.GIVEN: "{name} gets {constant}",
    Kind.MORE: "{name} gets {constant} more than {first}",
    Kind.FEWER: "{name} gets {constant} fewer than {first}",
    Kind.TIMES: "{name} gets {constant} times as many as {first}",
    Kind.SUM: "{name} gets as many as {first} and {second} together",
    Kind.LARGER: "{name} gets the larger of {first} and {second}",
    Kind.SMALLER: "{name} gets the smaller of {first} and {second}",
    Kind.REMAINDER: "{name} gets the rest of {first} in groups of {constant}",
    Kind.TRAP_MORE: "{first} got {constant} more than {name}",
    Kind.TRAP_FEWER: "{first} got {constant} fewer than {name}",
}


def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    for field in ("name", "first", "second"):
        pattern = pattern.replace("{" + field + "}", rf"(?P<{field}>[A-Z][a-z]+)")
    return re.compile(pattern.replace("{constant}", r"(?P<constant>\d{1,2})"))


_SENTENCE_PATTERNS = {kind: _pattern(template) for kind, template in _SENTENCES.items()}
_OPENING = re.compile(r"Some friends count (?P<item>[a-z]+)\. ")
_QUESTION = re.compile(r"How many (?P<item>[a-z]+) does (?P<asked>[A-Z][a-z]+) have\?\s*$")


def write_problem(world: World) -> str:
    """The problem as a user reads it."""
    sentences: list[str] = []
    for quantity in world.quantities:
        first, second = (*quantity.operands, "", "")[:2]
        sentences.append(
            _SENTENCES[quantity.kind].format(
                name=quantity.name, first=first, second=second, constant=quantity.constant
            )
        )
    facts = " ".join(f"{sentence}." for sentence in sentences)
    return (
        f"Some friends count {world.item}. {facts} How many {world.item} does {world.asked} have?"
    )


def read_problem(prompt: str) -> World:
    """The world behind a problem text.

    Raises:
        ValueError: if the text is not a sandbox problem; names the sentence that cannot be read.
    """
    opening, question = _OPENING.match(prompt), _QUESTION.search(prompt)
    if opening is None or question is None or opening["item"] not in ITEMS:
        raise ValueError(f"not a sandbox problem: {prompt[:80]!r}")
    body = prompt[opening.end() : question.start()].strip()
    quantities = [_read_sentence(sentence) for sentence in body.rstrip(".").split(". ")]
    return World(item=opening["item"], quantities=tuple(quantities), asked=question["asked"])


def _read_sentence(sentence: str) -> Quantity:
    for kind, pattern in _SENTENCE_PATTERNS.items():
        if match := pattern.fullmatch(sentence):
            found = match.groupdict()
            return Quantity(
                name=found["name"],
                kind=kind,
                operands=tuple(found[key] for key in ("first", "second") if key in found),
                constant=int(found["constant"]) if "constant" in found else None,
            )
    raise ValueError(f"not a sandbox sentence: {sentence!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What one solution step claims."""

    name: str
    """The quantity that the step works out."""
    operands: tuple[tuple[str, int], ...] = ()
    """Name and claimed value of each quantity that it uses; none if it says "given"."""
    symbol: str = GIVEN
    """The operation carried out: `GIVEN` or one of the values of `SYMBOLS`."""
    numbers: tuple[int, ...] = ()
    """The two numbers that it is carried out on; none if it says "given"."""
    result: int
    """The claimed result."""
    conclusion: int
    """The value that the step ends on."""


_NUMBER = r"-?\d{1,4}"
_OPERAND = rf"([A-Z][a-z]+)=({_NUMBER})"
_GIVEN_STEP = re.compile(
    rf"(?P<name>[A-Z][a-z]+): (?P<result>{_NUMBER}) is given, "
    rf"so (?P<again>[A-Z][a-z]+)=(?P<conclusion>{_NUMBER})\."
)
_STEP = re.compile(
    rf"(?P<name>[A-Z][a-z]+): (?P<operands>{_OPERAND}(?:, {_OPERAND})?) and "
    rf"(?:(?P<left>{_NUMBER})(?P<symbol>[-+*%])(?P<right>{_NUMBER})="
    r"|the (?P<word>larger|smaller) is )"
    rf"(?P<result>{_NUMBER}), so (?P<again>[A-Z][a-z]+)=(?P<conclusion>{_NUMBER})\."
)
_ANSWER = re.compile(rf"The answer is \\boxed\{{(?P<answer>{_NUMBER})\}}\.")


def write_step(claim: Claim) -> str:
    """The step that makes the claim, without separator."""
    ending = f"so {claim.name}={claim.conclusion}."
    if claim.symbol == GIVEN:
        return f"{claim.name}: {claim.result} is given, {ending}"
    operands = ", ".join(f"{name}={value}" for name, value in claim.operands)
    left, right = claim.numbers
    working = (
        f"{left}{claim.symbol}{right}={claim.result}"
        if claim.symbol in "+-*%"
        else f"the {claim.symbol} is {claim.result}"
    )
    return f"{claim.name}: {operands} and {working}, {ending}"


def read_step(text: str) -> Claim | None:
    """The claim that a step makes, or None if it cannot be read."""
    if match := _GIVEN_STEP.fullmatch(text.strip()):
        if match["again"] != match["name"]:
            return None
        return Claim(
            name=match["name"], result=int(match["result"]), conclusion=int(match["conclusion"])
        )
    match = _STEP.fullmatch(text.strip())
    if match is None or match["again"] != match["name"]:
        return None
    operands = tuple((name, int(value)) for name, value in re.findall(_OPERAND, match["operands"]))
    if match["word"] is not None:
        if len(operands) != 2:
            return None
        numbers = (operands[0][1], operands[1][1])
    else:
        numbers = (int(match["left"]), int(match["right"]))
    return Claim(
        name=match["name"],
        operands=operands,
        symbol=match["word"] or match["symbol"],
        numbers=numbers,
        result=int(match["result"]),
        conclusion=int(match["conclusion"]),
    )


def write_answer(answer: int) -> str:
    """The last step of a solution."""
    return rf"The answer is \boxed{{{answer}}}."


def read_answer(text: str) -> int | None:
    """The final answer that a step gives, or None if it is no answer step."""
    match = _ANSWER.fullmatch(text.strip())
    return int(match["answer"]) if match else None
