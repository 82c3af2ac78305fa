"""The exceptions of the package: one tree, so that a caller can catch as much or as little as it wants.

Every message says what failed, with which value; ``hint`` says what to try next. The command line
alone turns them into exit codes.
"""

from __future__ import annotations


class LongWriterError(Exception):
    """Base of all errors of this package.

    Attributes:
        hint: What to try next, or ``None``.
        run: The run that it ended and that can be resumed, or ``None``.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.run: str | None = None

    @property
    def explained(self) -> str:
        """The message with the hint behind it, for places that have room for one text."""
        return f"{self} ({self.hint})" if self.hint else str(self)


class InputError(LongWriterError, ValueError):
    """What the caller gave cannot be used: an instruction, a number of words, a plan, a setting."""


class PlanError(InputError):
    """A plan that cannot be used: nothing in it, too many sections, an empty point."""


class DoesNotFitError(InputError):
    """The document does not fit into the model's context.

    Attributes:
        words: Words that would fit with the same plan and prompt, 0 if none.
    """

    def __init__(self, message: str, *, words: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.words = words


class ModelError(LongWriterError):
    """A model that cannot be found, read or used."""


class CheckpointError(LongWriterError):
    """A checkpoint that cannot be converted: damaged, incomplete, contradictory, or of an unknown kind."""


class LibraryError(LongWriterError):
    """llama-cpp-python is missing, outside the tested range, or of another layout than expected."""


class GenerationError(LongWriterError):
    """The evaluation failed while a document was written; what was written is kept."""


class RunInterruptedError(LongWriterError):
    """Somebody asked the writer to stop; what was written is kept, and ``run`` can be resumed."""


class WriterBusyError(LongWriterError):
    """The thread asks a writer for a document while it has not finished reading another one's events."""


class StoreError(LongWriterError):
    """The store cannot be opened, read or written."""


class RunNotFoundError(StoreError):
    """No run with this id, or none to continue."""


class RunLockedError(StoreError):
    """Another process works on this run."""


class OutputError(LongWriterError):
    """The output file cannot be written."""
