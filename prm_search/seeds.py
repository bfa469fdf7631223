"""Seeds that depend on what is computed, never on when.

A seed is derived from the run's seed, the problem and the path in the search tree. So a result
does not depend on which request finished first, how many replicas there are, or what was
resumed.
"""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *path: str | int) -> int:
    """A seed in [0, 2**31) for the place that `path` names.

    Example:
        >>> derive_seed(0, "problem-7", 0, 2) == derive_seed(0, "problem-7", 0, 2)
        True
    """
    # repr keeps ("1", 2) apart from (1, "2"), and lengths keep ("ab", "c") from ("a", "bc").
    text = "\x1f".join([repr(seed), *(repr(part) for part in path)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 33
