"""A model for tests: deterministic, without weights, in milliseconds.

For tests of this package and of scripts that use it. Its tokens are bytes, its vocabulary has three
control strings, ``<end>``, ``<user>`` and ``<assistant>``, and it answers as it is told.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from longwriter_edge import _core
from longwriter_edge.engine_size import Capacity, EngineSize
from longwriter_edge.model_engine import ModelEngine

_CONTROL = {"<end>": 256, "<user>": 257, "<assistant>": 258}
_BATCH_TOKENS = 64
_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<{{ message['role'] }}>{{ message['content'] }}{% if message['role'] == 'assistant' %}<end>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


class FakeVocabulary:
    """Bytes and three control tokens."""

    token_count = 259
    bos: int | None = None
    add_bos = False
    sentencepiece = False
    end_ids = (256,)
    control_ids = (257, 258)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """The bytes of ``text``; with ``special`` its control strings become control tokens."""
        parts = re.split("(<end>|<user>|<assistant>)", text) if special else [text]
        tokens: list[int] = []
        for part in parts:
            if special and part in _CONTROL:
                tokens.append(_CONTROL[part])
            else:
                tokens.extend(part.encode("utf-8", errors="replace"))
        return tokens

    def token_text(self, token: int) -> str | None:
        """The control string or the byte's character."""
        if 0 <= token < 256:
            return chr(token)
        return next((text for text, control in _CONTROL.items() if control == token), None)


class FakeModel:
    """A model that answers as it is told; see :meth:`longwriter_edge._core.Engine.fake`.

    Args:
        answers: Needle and answer: a turn is answered by the pair whose needle stands last in the user's
            text, and with made-up prose where none does.
        faults: Number of the evaluation and name of what goes wrong there.
        trained_context: Tokens that it claims to have been trained on.
        step_seconds: How long each evaluation takes.
        metadata: Keys of the GGUF file beside those of every fake model.
    """

    def __init__(
        self,
        answers: Sequence[tuple[str, str]] = (),
        *,
        faults: Sequence[tuple[int, str]] = (),
        trained_context: int = 65_536,
        step_seconds: float = 0.0,
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.path = Path("fake.gguf")
        self.name = "fake"
        self.device = "nowhere"
        self.fingerprint = "fake"
        self.trained_context = trained_context
        self.vocabulary = FakeVocabulary()
        self.metadata = {
            "general.architecture": "fake",
            "tokenizer.chat_template": _CHAT_TEMPLATE,
            **(metadata or {}),
        }
        self._answers = list(answers)
        self._faults = list(faults)
        self._step_seconds = step_seconds
        self._engines: list[ModelEngine] = []

    @property
    def capacity(self) -> Capacity:
        """A small machine whose memory is unknown, so that it sets no bound."""
        return Capacity(
            trained_context=self.trained_context,
            kv_bytes_per_token=None,
            model_bytes=0,
            memory_bytes=None,
            on_gpu=False,
            threads=1,
        )

    def engine(self, size: EngineSize, *, stop: Sequence[int], suppressed: Sequence[int]) -> ModelEngine:
        """An engine on the fake backend; it stops at ``<end>`` and follows no grammar."""
        core = _core.Engine.fake(
            answers=self._answers,
            faults=self._faults,
            # A prompt takes several evaluations, as on a real model.
            batch_tokens=min(size.batch_tokens, max(_BATCH_TOKENS, size.sequences)),
            sequences=size.sequences,
            cells=size.cells,
            cells_per_sequence=size.cells_per_sequence,
            shared_cells=size.unified,
            step_seconds=self._step_seconds,
        )
        numbers = itertools.count(1)
        engine = ModelEngine(core, lambda spec: (next(numbers), 0))
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        """Closes the engines. Idempotent."""
        for engine in self._engines:
            engine.close()

    def __enter__(self) -> FakeModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
