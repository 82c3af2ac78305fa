"""Options that several commands share, and what is made of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from longwriter_edge.errors import InputError
from longwriter_edge.length import DEFAULT_TOLERANCE, LEAST_TOLERANCE, MOST_TOLERANCE

if TYPE_CHECKING:
    from longwriter_edge.engine_settings import EngineSettings, FlashAttention, KvLayout, KvType
    from longwriter_edge.length import LengthControl
    from longwriter_edge.model import Model
    from longwriter_edge.request import ContextPolicy, Layout, Method
    from longwriter_edge.settings import SamplingSettings

Command = TypeVar("Command", bound=Callable[..., Any])

_SAMPLING_OPTIONS = {
    "temperature": (float, "Sampling temperature; 0 always takes the likeliest token."),
    "top_k": (int, "Keep the K likeliest tokens; 0 keeps all."),
    "top_p": (float, "Keep the likeliest tokens with this share of the probability."),
    "min_p": (float, "Keep tokens with at least this share of the likeliest one's probability."),
    "repeat_penalty": (float, "Classic repetition penalty; 1 is off, which long prose needs."),
    "dry_multiplier": (float, "Strength of the DRY repetition sampler; 0 is off."),
    "xtc_probability": (float, "Chance of the XTC sampler; 0 is off."),
    "xtc_threshold": (float, "Probability from which XTC may leave a token out."),
}


def _all(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def instruction_options() -> Callable[[Command], Command]:
    """What to write, in the user's words."""
    return _all(
        click.argument("instruction", required=False),
        click.option(
            "-f",
            "--file",
            "instruction_file",
            type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
            help="Read the instruction from a file; - is standard input.",
        ),
    )


def document_options() -> Callable[[Command], Command]:
    """What is wanted of a document."""
    return _all(
        click.option(
            "-w", "--words", type=int, help="Total words. Default: what the instruction says, else 2000."
        ),
        click.option("--sections", type=int, help="Exact number of sections to plan."),
        click.option(
            "--prompts",
            type=click.Path(path_type=Path, file_okay=False),
            help="Directory of files that replace the built-in prompts.",
        ),
        click.option("--seed", type=click.IntRange(0, 2**64 - 1), help="Seed of all random draws."),
    )


def method_options() -> Callable[[Command], Command]:
    """How a document is written."""
    return _all(
        click.option(
            "--method",
            type=click.Choice(["agentwrite", "guided", "parallel", "direct"]),
            default="agentwrite",
            show_default=True,
            help="How a document is written: section by section; in one go with set headings; all sections "
            "at the same time; without a plan.",
        ),
        click.option(
            "--layout",
            type=click.Choice(["turns", "paper"]),
            help="How agentwrite shows the text so far. Default: turns where the prompt format has them.",
        ),
        click.option(
            "--context-policy",
            type=click.Choice(["fail", "window"]),
            default="fail",
            show_default=True,
            help="A document that outgrows the context: refuse it, or show the model the end of the text "
            "only.",
        ),
        click.option(
            "--context",
            "context_tokens",
            type=int,
            help="Most tokens of context to use. Default: what the document needs.",
        ),
        click.option(
            "--length-control",
            type=click.Choice(["strict", "soft", "off"]),
            default="strict",
            show_default=True,
            help="How sections are held to their words: within --tolerance; from half to half as much again; "
            "as the model likes.",
        ),
        click.option(
            "--tolerance",
            type=click.FloatRange(LEAST_TOLERANCE, MOST_TOLERANCE),
            default=DEFAULT_TOLERANCE,
            show_default=True,
            help="Share of its words by which a section may miss them with strict.",
        ),
    )


def model_options() -> Callable[[Command], Command]:
    """The model and where it runs."""
    return _all(
        click.option(
            "-m",
            "--model",
            "model_path",
            type=click.Path(path_type=Path),
            help="GGUF file. Default: $LONGWRITER_EDGE_MODEL, else the demo model if it is installed.",
        ),
        click.option("--gpu-layers", type=int, help="Layers on the GPU. Default: all where there is one."),
        click.option("--threads", type=int, help="CPU threads. Default: one a physical core."),
    )


def engine_options() -> Callable[[Command], Command]:
    """How the engine is set up."""
    return _all(
        click.option(
            "--sequences",
            type=int,
            help="Sections or documents written at the same time. Default: what is waiting and fits.",
        ),
        click.option(
            "--kv-layout",
            type=click.Choice(["unified", "split"]),
            help="Whether sequences share the KV cache. Default: split unless sections share a prefix.",
        ),
        click.option(
            "--kv-type",
            type=click.Choice(["f16", "q8_0", "q4_0"]),
            help="Type of the KV cache; the smaller ones save memory. Default: f16.",
        ),
        click.option("--batch", "batch_tokens", type=int, help="Most tokens in one call. Default: 512."),
        click.option(
            "--micro-batch",
            "micro_batch_tokens",
            type=int,
            help="Most tokens in one evaluation. Default: a whole batch.",
        ),
        click.option(
            "--flash-attention",
            type=click.Choice(["auto", "on", "off"]),
            default="auto",
            show_default=True,
            help="llama.cpp's flash attention; a q8_0 or q4_0 KV cache needs it.",
        ),
    )


def format_options() -> Callable[[Command], Command]:
    """The prompt format and the samplers."""
    sampling = [
        click.option(f"--{name.replace('_', '-')}", name, type=kind, help=text)
        for name, (kind, text) in _SAMPLING_OPTIONS.items()
    ]
    return _all(
        click.option("--profile", help="Prompt format. Default: chosen by the model's metadata."),
        *sampling,
    )


def display_options() -> Callable[[Command], Command]:
    """What is shown."""
    return _all(
        click.option(
            "--json", "as_json", is_flag=True, help="One event a line on stdout, nothing else there."
        ),
        click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only."),
        click.option("-v", "--verbose", is_flag=True, help="Also say why the engine is set up as it is."),
    )


def store_option() -> Callable[[Command], Command]:
    """Where runs are kept."""
    return click.option(
        "--store",
        "store_path",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File that keeps the runs. Default: $LONGWRITER_EDGE_STORE, else in the user's data directory.",
    )


class InstructionOptions(TypedDict):
    """The options of :func:`instruction_options` as click passes them."""

    instruction: str | None
    instruction_file: Path | None


class MethodOptions(TypedDict):
    """The options of :func:`method_options` as click passes them."""

    method: Method
    layout: Layout | None
    context_policy: ContextPolicy
    context_tokens: int | None
    length_control: LengthControl
    tolerance: float


class RequestOptions(TypedDict):
    """The options of :func:`document_options` and :func:`format_options` as click passes them."""

    words: int | None
    sections: int | None
    prompts: Path | None
    seed: int | None
    profile: str | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repeat_penalty: float | None
    dry_multiplier: float | None
    xtc_probability: float | None
    xtc_threshold: float | None


class EngineOptions(TypedDict):
    """The options of :func:`engine_options` as click passes them."""

    sequences: int | None
    kv_layout: KvLayout | None
    kv_type: KvType | None
    batch_tokens: int | None
    micro_batch_tokens: int | None
    flash_attention: FlashAttention


class PlanOptions(InstructionOptions, RequestOptions, EngineOptions):
    """The options of a command that makes a request and an engine for it."""


class BatchOptions(RequestOptions, MethodOptions, EngineOptions):
    """The options of a command that writes documents."""


class WriteOptions(PlanOptions, MethodOptions):
    """The options of a command that writes one document."""


def make_engine_settings(options: EngineOptions) -> EngineSettings:
    """The settings that the options describe; other options are left alone.

    Raises:
        InputError: a value is out of range, or two do not go together.
    """
    from longwriter_edge.engine_settings import EngineSettings

    return EngineSettings(
        sequences=options["sequences"],
        kv_layout=options["kv_layout"],
        kv_type=options["kv_type"],
        batch_tokens=options["batch_tokens"],
        micro_batch_tokens=options["micro_batch_tokens"],
        flash_attention=options["flash_attention"],
    )


def read_instruction(instruction: str | None, file: Path | None) -> str:
    """The instruction from the argument, a file or standard input.

    Raises:
        click.UsageError: none or two were given.
        InputError: the file cannot be read, or the instruction is empty.
    """
    if instruction is not None and file is not None:
        raise click.UsageError("Give the instruction as an argument or with --file, not both.")
    if instruction is not None:
        text = instruction
    elif file is not None and str(file) != "-":
        text = read_text(file)
    elif file is not None or not sys.stdin.isatty():
        try:
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"the instruction on standard input is not UTF-8: {error}") from error
    else:
        raise click.UsageError("Say what to write, as an argument, with --file, or on standard input.")
    if not text.strip():
        raise InputError("the instruction is empty", hint="say what to write")
    return text.strip()


def read_text(path: Path) -> str:
    """The text of a file that the user named.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def request_choices(model: Model, options: RequestOptions) -> dict[str, Any]:
    """The attributes of a :class:`WriteRequest` that the options set, by name.

    Raises:
        InputError: a sampling setting is out of range.
    """
    given = {"words": options["words"], "seed": options["seed"]}
    prompts = options["prompts"]
    return {
        **{name: value for name, value in given.items() if value is not None},
        "sections": options["sections"],
        "profile": options["profile"],
        "sampling": sampling_settings(model, options),
        "prompts": None if prompts is None else str(prompts.absolute()),
    }


def method_choices(options: MethodOptions) -> dict[str, Any]:
    """The attributes of a :class:`WriteRequest` that say how it is written, by name."""
    return {name: options[name] for name in MethodOptions.__annotations__}  # type: ignore[literal-required]


def sampling_settings(model: Model, options: RequestOptions) -> SamplingSettings:
    """The profile's settings with those that the user gave.

    Raises:
        InputError: there is no such profile, or a setting is out of range.
    """
    from longwriter_edge import profiles

    given = {name: value for name in _SAMPLING_OPTIONS if (value := options[name]) is not None}  # type: ignore[literal-required]
    chosen = profiles.choose(model.metadata, model.vocabulary, options["profile"])
    return replace(chosen.format.sampling, **given)


def open_model(path: Path | None, gpu_layers: int | None, threads: int | None, *, quiet: bool) -> Model:
    """The model that was named, configured, or the demo model, which is said plainly.

    Raises:
        ModelError: there is none, or it cannot be used.
    """
    from longwriter_edge import models
    from longwriter_edge.model import Model

    found = models.find(path)
    if found.source == "demo" and not quiet:
        click.echo(found.description, err=True)
    return Model.open(found.path, gpu_layers=gpu_layers, threads=threads)
