"""LongWriter-llama3.1-8b: from its checkpoint to GGUF files; the recipe is the JSON file beside it."""

from __future__ import annotations

import sys
from pathlib import Path

from recipe import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).with_suffix(".json")))
