"""An engine with what lives as long as it: its context and the sampler chains that are added to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from longwriter_edge.errors import ModelError
from longwriter_edge.samplers import SamplerChain

if TYPE_CHECKING:
    from longwriter_edge._core import Engine


class ModelEngine:
    """A living engine of a model, or of a fake.

    Args:
        core: Writes documents.
        build: Makes a chain: addresses of the chain and of its grammar sampler, 0 for none.
        free: Frees what the engine used, after its worker has ended.
    """

    def __init__(
        self,
        core: Engine,
        build: Callable[[SamplerChain], tuple[int, int]],
        free: Callable[[], object] | None = None,
    ) -> None:
        self.core = core
        self._build: Callable[[SamplerChain], tuple[int, int]] | None = build
        self._free = free
        self._chains: dict[SamplerChain, int] = {}

    def chain(self, spec: SamplerChain) -> int:
        """The number of a sampler chain for documents; an equal chain has the same number.

        Raises:
            GrammarError: its grammar was refused; the engine goes on without the chain.
            ModelError: the engine has been closed.
        """
        if self._build is None:
            raise ModelError("the engine has been closed")
        if spec not in self._chains:
            self._chains[spec] = self.core.add_chain(*self._build(spec))
        return self._chains[spec]

    def close(self) -> None:
        """Ends the worker and frees the context. Idempotent."""
        self.core.close()
        self._build = None
        if self._free is not None:
            self._free()
            self._free = None
