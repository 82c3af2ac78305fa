"""The store: one SQLite file that is the truth about runs, their plans and what was written of them."""

from longwriter_edge.store.records import EventRecord, RunRecord, RunStatus, RunSummary, SectionRecord
from longwriter_edge.store.runs import Store, default_path
from longwriter_edge.store.texts import FLUSH_SECONDS, SectionKeeper

__all__ = [
    "FLUSH_SECONDS",
    "EventRecord",
    "RunRecord",
    "RunStatus",
    "RunSummary",
    "SectionKeeper",
    "SectionRecord",
    "Store",
    "default_path",
]
