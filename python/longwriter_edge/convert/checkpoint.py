"""A checkpoint directory: its config and its tensors, or the reason why it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from longwriter_edge.convert.json_file import JsonFile
from longwriter_edge.convert.safetensors import StoredTensor, read_tensors
from longwriter_edge.errors import CheckpointError

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint directory holds; no weight has been read.

    Attributes:
        directory: The directory.
        config: Its config.json.
        tensors: All its tensors by name.
    """

    directory: Path
    config: JsonFile
    tensors: dict[str, StoredTensor]

    @classmethod
    def open(cls, directory: Path) -> Checkpoint:
        """Reads config.json and the headers of the weights.

        Raises:
            CheckpointError: the directory holds no checkpoint that can be converted.
        """
        if not directory.is_dir():
            raise CheckpointError(
                f"{directory} is not a directory" if directory.exists() else f"{directory} does not exist",
                hint="give the directory with config.json and the .safetensors files",
            )
        files = _weight_files(directory)
        config_path = directory / "config.json"
        if not config_path.is_file():
            raise CheckpointError(
                f"{directory} has no config.json", hint="get the whole checkpoint, not the weights alone"
            )
        config = JsonFile.read(config_path)
        if "quantization_config" in config:
            method = str(config.child("quantization_config").fields.get("quant_method", "unknown"))[:20]
            raise CheckpointError(
                f"{directory} is quantized already ({method})",
                hint="convert the original checkpoint in BF16, F16 or F32",
            )
        return cls(directory, config, _tensors(directory, files))

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.size for tensor in self.tensors.values())


def _weight_files(directory: Path) -> dict[str, set[str] | None]:
    """The names of the files with weights, and which tensors each should have if an index tells."""
    if (directory / _INDEX).is_file():
        return dict(_indexed(directory / _INDEX))
    if (directory / _SINGLE).is_file():
        return {_SINGLE: None}
    found = sorted(path.name for path in directory.glob("*.safetensors"))
    if "adapter_model.safetensors" in found or (directory / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{directory} holds only a LoRA adapter, no model",
            hint="merge it into its base model first: peft's merge_and_unload(), then save_pretrained()",
        )
    if len(found) == 1:
        return {found[0]: None}
    if found:
        raise CheckpointError(
            f"{directory} has {len(found)} .safetensors files and no {_INDEX}", hint="get the index file too"
        )
    for pattern in _PICKLES:
        for path in sorted(directory.glob(pattern)):
            raise CheckpointError(
                f"{path} is a pickle file, which can run any code when it is opened; it is never opened here",
                hint="get the checkpoint as .safetensors, or load it where you trust it and save it with "
                "save_pretrained(..., safe_serialization=True)",
            )
    raise CheckpointError(
        f"{directory} has no .safetensors files", hint="give the directory of the checkpoint's files"
    )


def _indexed(index: Path) -> dict[str, set[str]]:
    files: dict[str, set[str]] = {}
    for tensor, name in JsonFile.read(index).child("weight_map").fields.items():
        # The index is untrusted: only files beside it are opened.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(
                f"{index} names {str(name)[:80]!r}, which is no .safetensors file beside it"
            )
        files.setdefault(name, set()).add(tensor)
    if not files:
        raise CheckpointError(f"{index} names no tensors", hint="copy or download the checkpoint again")
    missing = sorted(name for name in files if not (index.parent / name).is_file())
    if missing:
        raise CheckpointError(
            f"{len(missing)} of {len(files)} files with weights are missing: {', '.join(missing[:4])}",
            hint="download them too",
        )
    return files


def _tensors(directory: Path, files: dict[str, set[str] | None]) -> dict[str, StoredTensor]:
    tensors: dict[str, StoredTensor] = {}
    for name in sorted(files):
        stored = read_tensors(directory / name)
        expected = files[name]
        if expected is not None and expected != set(stored):
            differing = sorted(expected ^ set(stored))
            raise CheckpointError(
                f"{directory / name} and {_INDEX} do not agree on {len(differing)} tensors, such as "
                f"{differing[0]}",
                hint="the files are of different versions: download the checkpoint again",
            )
        if both := sorted(set(stored) & set(tensors)):
            raise CheckpointError(f"{both[0]} is in {name} and in {tensors[both[0]].path.name}")
        tensors.update(stored)
    return tensors
