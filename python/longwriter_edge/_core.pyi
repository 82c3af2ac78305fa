"""The Rust engine: configuration in, events out. Use :class:`longwriter_edge.Writer` instead."""

from collections.abc import Sequence
from typing import final

__version__: str

def required_functions() -> list[tuple[str, list[str], str]]:
    """Name, argument kinds and result kind of each llama.cpp function that the engine calls.

    Kinds are ``"pointer"``, ``"i32"``, ``"bool"``, ``"void"`` or ``"struct NAME"``.
    """

def log_callback_address() -> int:
    """Address of a native ``ggml_log_callback`` that keeps the last lines without taking the GIL."""

def take_log() -> list[tuple[int, str]]:
    """Level and text of the log lines kept since the last call.

    Levels are those of ggml_log_level: 1 debug, 2 info, 3 warning, 4 error.
    """

@final
class Words:
    """Counts of a text: ``reader`` (CJK characters plus words) and ``benchmark`` (LongBench-Write's)."""

    reader: int
    benchmark: int

def count_words(text: str) -> Words: ...

@final
class PlanSection:
    """One section of a plan; ``words`` is ``None`` where the text named no number."""

    def __new__(cls, title: str, point: str, words: int | None = None) -> PlanSection: ...
    title: str
    point: str
    words: int | None
    repeats: int | None

@final
class Plan:
    """A parsed plan: the document's title, which may be empty, and 1 to 200 sections."""

    def __new__(cls, title: str, sections: Sequence[PlanSection]) -> Plan: ...
    title: str
    sections: list[PlanSection]
    notes: list[str]
    @staticmethod
    def parse(text: str) -> Plan:
        """A plan from LongWriter's line format, Markdown lists and headings, outlines, or our own format.

        Raises:
            ValueError: with the reason, if no usable plan is in ``text``.
        """
    def rescaled(self, total: int) -> Plan:
        """The same sections with targets that sum to ``total``; sections without a number share evenly."""
    def to_markdown(self) -> str:
        """Our own format, which :meth:`parse` reads back unchanged."""
    def outline_lines(self, language: str) -> list[str]:
        """One short line a section for prompts: number, title, point, words; ``"en"`` or ``"zh"``."""
    def step_lines(self, language: str) -> list[str]:
        """One line a section in LongWriter's format, for prompts; ``language`` is ``"en"`` or ``"zh"``."""

def plan_grammar(fewest: int, most: int, language: str) -> str:
    """GBNF of a generated plan: a title line, then ``fewest`` to ``most`` lines for :meth:`Plan.parse`."""

@final
class Step:
    """One section to write.

    ``open`` is read before the section, ``open_first`` where it directly follows the document's prefix
    (``open`` if empty). End-of-turn tokens are banned while the section has fewer than ``floor_words``
    words (the reader's count). From ``target_words`` on (0 for none) it ends with the next paragraph, or
    soon with the next sentence; at ``max_tokens`` sampled tokens it is cut. Above ``ceiling_words`` (0 for
    none) it is cut back to its last whole sentence; with a ceiling, other ways to end below the floor, such
    as "The End", are taken back, and a section below its floor may have more than ``max_tokens`` where
    earlier ones have left room. ``written`` are tokens that an earlier process sampled for it, ``finished``
    whether it had ended with them.
    """

    def __new__(
        cls,
        *,
        open: Sequence[int],
        title: str,
        floor_words: int,
        max_tokens: int,
        open_first: Sequence[int] = (),
        target_words: int = 0,
        ceiling_words: int = 0,
        written: Sequence[int] = (),
        finished: bool = False,
    ) -> Step: ...

@final
class Document:
    """A document to write.

    ``layout`` is ``"turns"``, ``"paper"`` (``separators``: what stands between two sections in the text so
    far), ``"guided"`` (what stands before a heading, after text that ends with no, one, or more line
    ends) or ``"parallel"``. ``window`` is the most KV cells that the document may use: once its text
    outgrows them, the model sees the prefix and the end of the text. ``echoes`` are texts (the
    instruction, the plan's lines) that a section must not begin with. ``chain`` is the number of the
    sampler chain. ``stream`` keys the random draws
    together with ``seed``. With ``rebalance`` later sections make up for the words that earlier ones have
    too many or too few.

    Raises:
        ValueError: there is no such layout, or it has another number of separators.
    """

    def __new__(
        cls,
        *,
        prefix: Sequence[int],
        steps: Sequence[Step],
        layout: str,
        echoes: Sequence[str],
        chain: int,
        seed: int,
        stream: int,
        separators: Sequence[Sequence[int]] = (),
        window: int | None = None,
        attempt: int = 0,
        filter_text: bool = True,
        rebalance: bool = False,
    ) -> Document: ...
    @property
    def reserve(self) -> int:
        """KV cells that the document's first sequence needs at most."""
    @property
    def least_window(self) -> int:
        """The smallest ``window`` that it can be written in: the prompts and a little text."""

@final
class Usage:
    tokens_read: int
    tokens_reread: int
    tokens_reused: int
    tokens_written: int
    prefill_seconds: float
    decode_seconds: float
    sampling_seconds: float
    other_seconds: float

@final
class Load:
    """What an engine has done since it was made, over all documents.

    ``steps`` and ``rows`` count evaluations and the tokens in them; ``step_seconds`` is the time of all
    steps, ``sequence_seconds`` the time of each step times the sequences that were in use in it.
    """

    steps: int
    rows: int
    step_seconds: float
    sequence_seconds: float

class Event:
    """What the engine reports. Sections and documents are numbered from 0."""

    @final
    class Prefill(Event):
        document: int
        section: int
        done: int
        total: int

    @final
    class SectionStarted(Event):
        document: int
        section: int
        text: str
        words: int
        settled: int

    @final
    class Text(Event):
        """More text, and the tokens sampled since the last event (text may lag behind tokens).

        The first ``settled`` characters of the section's text cannot be taken back any more.
        """

        document: int
        section: int
        text: str
        tokens: list[int]
        words: int
        settled: int

    @final
    class Rewound(Event):
        """The end of a section's text was taken back: its first ``text_kept`` characters stay.

        ``cause`` is ``"early_heading"``, ``"early_end"``, ``"ceiling"`` or ``"token_limit"``; ``tokens`` were
        sampled since the last event. No token that was told before goes: a section goes on with all of them.
        """

        document: int
        section: int
        cause: str
        text_kept: int
        tokens: list[int]
        words: int

    @final
    class Compacted(Event):
        """The text outgrew its window: of its tokens the model still sees ``kept``, ``dropped`` no more."""

        document: int
        section: int
        kept: int
        dropped: int

    @final
    class SectionEnded(Event):
        """``text`` is what was still held back; ``kept`` the section's tokens that stay, from the first."""

        document: int
        section: int
        text: str
        tokens: list[int]
        kept: list[int]
        reason: str
        words: int
        unfinished: bool

    @final
    class DocumentEnded(Event):
        """``fault`` is ``None`` for a whole document, else a name, with ``message``."""

        document: int
        fault: str | None
        message: str
        usage: Usage

    @final
    class EngineFailed(Event):
        """The worker panicked; nothing more will come."""

        message: str

class EngineClosed(Exception):
    """The engine was closed, or its worker has ended."""

class LibraryMismatch(Exception):
    """The loaded llama.cpp does not have the functions or layouts that this module was built for."""

@final
class Engine:
    """A worker thread that writes documents on one context."""

    @staticmethod
    def llama(
        *,
        functions: dict[str, tuple[int, list[str], str]],
        layouts: dict[str, tuple[int, list[tuple[str, int, int]]]],
        context: int,
        vocabulary: int,
        batch_tokens: int,
        prompt_chunk: int,
        sequences: int,
        cells: int,
        cells_per_sequence: int,
        shared_cells: bool,
        stop: Sequence[int],
        suppressed: Sequence[int],
        owner: object,
    ) -> Engine:
        """An engine on an existing llama.cpp context.

        Args:
            functions: For each of :func:`required_functions`: address, argument kinds, result kind.
            layouts: Of ``llama_batch``, ``llama_token_data`` and ``llama_token_data_array``: the size,
                and name, offset and size of each field.
            context: Address of the ``llama_context``.
            vocabulary: Address of the ``llama_vocab``.
            batch_tokens: The context's n_batch.
            prompt_chunk: Most prompt tokens in an evaluation that also holds sampled tokens.
            sequences: The context's n_seq_max.
            cells: KV cells of the context.
            cells_per_sequence: KV cells that one sequence can hold.
            shared_cells: Whether the KV cache is unified, so that sequences can hold cells in common.
            stop: Tokens that end a section.
            suppressed: Tokens that are never sampled (control tokens).
            owner: Kept alive until the worker has ended.

        Raises:
            LibraryMismatch: a function or layout differs from what is expected.
        """
    @staticmethod
    def fake(
        *,
        answers: Sequence[tuple[str, str]] = (),
        faults: Sequence[tuple[int, str]] = (),
        batch_tokens: int = 64,
        prompt_chunk: int = 64,
        sequences: int = 4,
        cells: int = 65536,
        cells_per_sequence: int = 65536,
        shared_cells: bool = True,
        step_seconds: float = 0.0,
    ) -> Engine:
        """An engine on the fake backend, for tests (see :mod:`longwriter_edge.testing`).

        Its tokens are bytes, and 256 (end of turn), 257 (user) and 258 (assistant).

        Args:
            answers: Needle and answer; the needle that stands last in the user's turn decides. Without
                one, made-up prose.
            faults: Number of the evaluation and name: "no_room", "aborted", "invalid_batch", "failed",
                "nan" or "panic".
            batch_tokens: Most rows of an evaluation.
            prompt_chunk: Most prompt tokens in an evaluation that also holds sampled tokens.
            sequences: Sequences of its KV cache.
            cells: Cells of its KV cache.
            cells_per_sequence: Cells that one sequence can hold.
            shared_cells: Whether sequences can hold cells in common.
            step_seconds: How long each evaluation takes.
        """
    def add(self, document: Document) -> int:
        """Queues a document and returns its number.

        Raises:
            ValueError: the document can never fit, or its sampler chain is not known.
            EngineClosed: the worker has ended.
        """
    def add_chain(self, chain: int, grammar: int) -> int:
        """Makes a sampler chain known and returns its number for documents.

        Args:
            chain: Address of the sampler chain; cloned for each section, never changed, and kept by the
                owner. The fake backend takes any number but 0.
            grammar: Address of a grammar sampler, 0 for none.

        Raises:
            ValueError: ``chain`` is 0.
            EngineClosed: the worker has ended.
        """
    def cancel(self, document: int) -> None: ...
    def load(self) -> Load:
        """What was done so far; keeps its last value after :meth:`close`."""
    def events(self, timeout: float) -> list[Event]:
        """Events that are there, waiting up to ``timeout`` seconds for the first, detached from Python."""
    def close(self) -> None:
        """Stops the worker and waits for it. Events that were not taken are dropped. Idempotent."""
