"""Shows how far a long copy is: bytes, speed and remaining time in one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from longwriter_edge.render.progress import duration, fraction
from longwriter_edge.render.sanitize import safe_line

#: Seconds between two updates of the line on a terminal, and between two lines elsewhere.
_ON_TERMINAL, _ELSEWHERE = 0.1, 10.0
# Below it a speed is a guess.
_SECONDS_TO_MEASURE = 1.0


class TransferLine:
    """A line that is written over on a terminal, and written anew now and then elsewhere.

    Args:
        stream: Where it goes.
        quiet: Show nothing.
        clock: Seconds that only go forward.
    """

    def __init__(
        self, stream: TextIO, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._quiet = quiet
        self._clock = clock
        self._terminal = stream.isatty()
        self._started = self._shown = clock()
        self._open = False

    def update(self, done: int, total: int, what: str) -> None:
        """Tells that ``done`` of ``total`` bytes are done, and what is being done."""
        seconds = self._clock() - self._started
        self.say(self._line(done, total, what, seconds))

    def say(self, line: str) -> None:
        """Shows a line, if the last one has stood for a while."""
        now = self._clock()
        if self._quiet or now - self._shown < (_ON_TERMINAL if self._terminal else _ELSEWHERE):
            return
        self._shown = now
        line = safe_line(line)
        self._stream.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        self._stream.flush()
        self._open = self._terminal

    def close(self) -> None:
        """Takes the line away."""
        if self._open:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._open = False

    def _line(self, done: int, total: int, what: str, seconds: float) -> str:
        line = f"{done / 1e9:.2f} of {total / 1e9:.2f} GB, {fraction(done, total):.0%}"
        if seconds >= _SECONDS_TO_MEASURE and done:
            speed = done / seconds
            line += f"  {speed / 1e6:,.0f} MB/s  ETA {duration((total - done) / speed)}"
        return f"{line}  {what}"
