"""Keys and values of prefixes that a model has read, in pieces that end where a step is scored.

question ── step 1 ─┬─ step 2
└─ step 2'      one piece each: solutions share what they have in common
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor


class PrefixStore:
    """A bounded store; what was not read for longest goes first, and ends before beginnings.

    It may be used from several threads.

    Args:
        max_bytes: of all pieces together; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._pieces: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pieces)

    def beginning(self, keys: Sequence[bytes]) -> list[Tensor]:
        """The pieces of a prefix, from its first to the last before one that is not there.

        Args:
            keys: of the prefixes that end with each piece, shortest first.

        Returns:
            Tensors of [num_layers, 2, num_heads, num_tokens, head_size].
        """
        with self._lock:
            found: list[Tensor] = []
            for key in keys:
                piece = self._pieces.get(key)
                if piece is None:
                    break
                found.append(piece)
            self._touch(keys[: len(found)])
            return found

    def extend(self, keys: Sequence[bytes], pieces: Sequence[Tensor]) -> None:
        """Keep the last pieces of a prefix, as long as there is room.

        Args:
            keys: of the prefixes that end with each piece, shortest first.
            pieces: those of the last keys, tensors of their own and no views.
                [num_layers, 2, num_heads, num_tokens, head_size] each
        """
        with self._lock:
            for key, piece in zip(keys[len(keys) - len(pieces) :], pieces, strict=True):
                if key not in self._pieces:
                    self._pieces[key] = piece
                    self._num_bytes += piece.nbytes
            self._touch([key for key in keys if key in self._pieces])
            while self._num_bytes > self._max_bytes:
                self._num_bytes -= self._pieces.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._pieces.clear()
            self._num_bytes = 0

    def _touch(self, keys: Sequence[bytes]) -> None:
        for key in reversed(keys):  # without its beginning, an end is useless
            self._pieces.move_to_end(key)
