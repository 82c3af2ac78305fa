"""The output: Markdown that grows in a file, which gets its name when it is whole, or on a stream."""

from longwriter_edge.output.document import DocumentOutput
from longwriter_edge.output.markdown import render_markdown
from longwriter_edge.output.order import SectionOrder

__all__ = ["DocumentOutput", "SectionOrder", "render_markdown"]
