"""Puts sections that are written at the same time into the order of the document."""

from __future__ import annotations

from collections.abc import Iterable

from longwriter_edge.events import Event, SectionEnded, SectionRewound, SectionStarted, SectionText
from longwriter_edge.output.document import DocumentOutput


class SectionOrder:
    """Hands the text of a run's events to an output, section by section.

    The text of a section is passed on as it comes once all sections before it have ended; until then it
    is held, and so is the end of a text as long as it may be taken back: a reader cannot forget it.

    Args:
        output: Where the document goes. Its errors pass through.
    """

    def __init__(self, output: DocumentOutput) -> None:
        self._output = output
        #: The section whose text is passed on.
        self._open = 0
        self._begun = False
        self._titles: dict[int, str] = {}
        self._held: dict[int, str] = {}
        #: Characters of the open section that were passed on.
        self._passed = 0
        #: Characters of each section that cannot be taken back.
        self._settled: dict[int, int] = {}
        self._ended: set[int] = set()

    def begin(self, title: str, restored: Iterable[Event]) -> None:
        """Begins the document with what an earlier process finished of it.

        Args:
            title: The document's title.
            restored: The events of the finished sections, in order.
        """
        texts = {event.section: event for event in restored if isinstance(event, SectionStarted)}
        whole = []
        while (event := texts.pop(self._open, None)) is not None:
            whole.append((event.title, event.written))
            self._open += 1
        self._output.begin(title, whole)
        for number, event in texts.items():
            self._titles[number], self._held[number] = event.title, event.written
            self._ended.add(number)

    def take(self, event: Event) -> None:
        """Takes an event of the run."""
        match event:
            case SectionStarted():
                self._titles[event.section] = event.title
                self._settled[event.section] = event.settled
                self._add(event.section, event.written)
            case SectionText():
                self._settled[event.section] = event.settled
                self._add(event.section, event.text)
            case SectionRewound():
                self._take_back(event)
            case SectionEnded():
                self._ended.add(event.section)
                self._go_on()
            case _:
                pass

    def _add(self, section: int, text: str) -> None:
        self._held[section] = self._held.get(section, "") + text
        if section == self._open:
            self._release()

    def _take_back(self, event: SectionRewound) -> None:
        passed = self._passed if event.section == self._open else 0
        self._held[event.section] = self._held.get(event.section, "")[: max(event.kept - passed, 0)]

    def _go_on(self) -> None:
        """Passes on the sections whose turn has come."""
        while self._open in self._ended:
            self._release()
            self._ended.discard(self._open)
            self._open += 1
            self._begun = False
            self._passed = 0
        if self._open in self._titles:
            self._release()

    def _release(self) -> None:
        number = self._open
        if not self._begun and number in self._titles:
            self._output.begin_section(self._titles.pop(number))
            self._begun = True
        held = self._held.pop(number, "")
        settled = -1 if number in self._ended else self._settled.get(number, -1)
        sure = len(held) if settled < 0 else min(max(settled - self._passed, 0), len(held))
        self._output.write(held[:sure])
        self._passed += sure
        if sure < len(held):
            self._held[number] = held[sure:]
