"""Who can tell the truth about a step, where somebody can.

The data names the one to ask in `metadata["oracle"]` of a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from prm_search.errors import ConfigurationError
from prm_search.sandbox.oracle import check_steps

Annotate: TypeAlias = Callable[[str, Sequence[str]], Sequence[str | None]]
"""(prompt, steps) -> the kind of error of each step, None where it is right. [num_steps]

Raises a ValueError if it cannot tell.
"""

ANNOTATORS: dict[str, Annotate] = {"sandbox": check_steps}


def annotator(name: str) -> Annotate:
    """The annotator of this name.

    Raises:
        ConfigurationError: if there is none.
    """
    if name not in ANNOTATORS:
        known = ", ".join(sorted(ANNOTATORS))
        raise ConfigurationError(f"the oracle {name!r} is not known; there is: {known}")
    return ANNOTATORS[name]
