"""The process that calls llama_model_quantize: takes an order in JSON, gives llama.cpp's log line by line.

The call cannot be stopped, and llama.cpp ends the whole process where a check of its own fails. In a process
of its own both cost nothing. It ends with the process that started it, whose pipe then breaks.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from typing import Any

# Rows in memory at a time; llama.cpp's default is 8 GiB.
BUFFER_BYTES = 512 * 1024 * 1024


def main() -> int:
    """Reads the order from standard input and carries it out."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from longwriter_edge import library

    api = library.load()

    def show(level: int, text: bytes, _: object) -> None:
        sys.stdout.write(json.dumps([level, text.decode("utf-8", errors="replace")]) + "\n")
        sys.stdout.flush()

    callback = api.llama_log_callback(show)
    api.llama_log_set(callback, None)
    parameters, kept = _parameters(api, order)
    failed = api.llama_model_quantize(
        os.fsencode(order["source"]), os.fsencode(order["target"]), ctypes.byref(parameters)
    )
    del kept
    return 1 if failed else 0


def _end_with_parent() -> None:
    # Nothing is written there after the order: what comes is the end of the other process.
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _parameters(api: Any, order: dict[str, Any]) -> tuple[Any, list[object]]:
    """llama.cpp's parameters, and what they point to."""
    parameters = api.llama_model_quantize_default_params()
    parameters.max_buf_size = BUFFER_BYTES
    parameters.nthread = order["threads"]
    parameters.ftype = order["file_type"]
    parameters.keep_split = order["keep_split"]
    parameters.dry_run = order["dry_run"]
    parameters.pure = order["pure"]
    parameters.allow_requantize = order["requantize"]
    if order["output_type"] is not None:
        parameters.output_tensor_type = order["output_type"]
    if order["embedding_type"] is not None:
        parameters.token_embedding_type = order["embedding_type"]
    kept: list[object] = []
    if order["tensor_types"]:
        # Both lists end with an entry without a name.
        overrides = (api.llama_model_tensor_override * (len(order["tensor_types"]) + 1))()
        for entry, (pattern, tensor_type) in zip(overrides, order["tensor_types"], strict=False):
            entry.pattern, entry.type = pattern.encode(), tensor_type
        parameters.tt_overrides = overrides
        kept.append(overrides)
    if order["imatrix"] is not None:
        from longwriter_edge.convert.imatrix import read

        importance = read(order["imatrix"])
        entries = (api.llama_model_imatrix_data * (len(importance) + 1))()
        for entry, (name, values) in zip(entries, importance.items(), strict=False):
            entry.name, entry.size = name.encode(), values.size
            entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        parameters.imatrix = entries
        kept += [importance, entries]
    return parameters, kept


if __name__ == "__main__":
    sys.exit(main())
