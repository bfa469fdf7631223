"""Processes that only seem to run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Ended:
    """A process that ends with a code when it is looked at a second time."""

    code: int
    num_looks: int = 0
    signals: list[int] = field(default_factory=list)

    def poll(self) -> int | None:
        self.num_looks += 1
        if self.num_looks == 1:
            return None
        return self.code

    def send_signal(self, sig: int, /) -> None:
        self.signals.append(sig)
