"""Built-in prompt formats, and the choice of one for a model by its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from longwriter_edge.errors import InputError, ModelError
from longwriter_edge.prompt_format import PromptFormat
from longwriter_edge.settings import SamplingSettings
from longwriter_edge.tokens import Ids, Plain, Vocabulary

__all__ = [
    "GENERIC_SAMPLING",
    "LONGWRITER_GLM",
    "LONGWRITER_LLAMA",
    "NAMES",
    "PROFILE_KEY",
    "ChosenProfile",
    "PromptFormat",
    "Vocabulary",
    "choose",
]

#: The key by which a GGUF file names its profile itself.
PROFILE_KEY = "longwriter_edge.profile"

#: Settings of formats that were not trained for long output. Small chat models loop in long prose, so DRY
#: is on, over the whole context (llama.cpp looks back 64 tokens by default). A name of four tokens may
#: repeat freely. The LongWriter formats follow their authors, who used no repetition sampler.
GENERIC_SAMPLING = replace(
    SamplingSettings(), dry_multiplier=0.8, dry_base=1.75, dry_allowed_length=4, dry_window=None
)

LONGWRITER_GLM = "longwriter-glm4-9b"
LONGWRITER_LLAMA = "longwriter-llama3.1-8b"
_GLM = "glm4"
_TEMPLATE = "chat-template"
_PLAIN = "plain"
#: What an override may name.
NAMES = (LONGWRITER_GLM, LONGWRITER_LLAMA, _GLM, _TEMPLATE, _PLAIN)

_GLM_ARCHITECTURES = ("chatglm", "glm4")
# GLM-4's special tokens (tokenizer_config.json of LongWriter-glm4-9b).
_GLM_TOKENS = {
    151329: "<|endoftext|>",
    151331: "[gMASK]",
    151333: "<sop>",
    151336: "<|user|>",
    151337: "<|assistant|>",
    151338: "<|observation|>",
}
# Llama 3.1's; LongWriter-llama3.1-8b ends its answers with the second, not with <|eot_id|>.
_LLAMA_BOS, _LLAMA_END = 128000, 128001
_LLAMA_TOKENS = {_LLAMA_BOS: "<|begin_of_text|>", _LLAMA_END: "<|end_of_text|>"}
_PLAIN_WARNING = (
    "this model has no chat template, so it is probably a base model; it is asked with plain headings "
    "and may not follow the instruction"
)


@dataclass(frozen=True, slots=True)
class ChosenProfile:
    """A format, why it was chosen, and what the user should know about it."""

    format: PromptFormat
    reason: str
    warnings: tuple[str, ...] = ()


def choose(metadata: Mapping[str, str], vocabulary: Vocabulary, override: str | None) -> ChosenProfile:
    """The prompt format for a model.

    In order: ``override``; the file's own key :data:`PROFILE_KEY`; a LongWriter model by its name and
    architecture; a GLM-4 model by its tokens; the file's chat template; plain headings, with a warning.
    What the file says but cannot be used becomes a warning, and the next one is tried.

    Args:
        metadata: Keys of the GGUF file.
        vocabulary: The model's tokens.
        override: A name of :data:`NAMES`, or ``None``.

    Raises:
        InputError: ``override`` is no profile, or the model has no chat template to use.
        ModelError: ``override`` is a profile for another vocabulary, or the template is unusable.
    """
    if override is not None:
        if override not in NAMES:
            raise InputError(f"there is no profile {override!r}", hint=f"use one of {', '.join(NAMES)}")
        return ChosenProfile(_build(override, metadata, vocabulary), "asked for")
    warnings: list[str] = []
    for name, reason in _candidates(metadata, vocabulary):
        if name not in NAMES:
            warnings.append(f"the model asks for the profile {name!r}, which this version does not know")
            continue
        try:
            chosen = _build(name, metadata, vocabulary)
        except ModelError as error:
            warnings.append(f"the profile {name} ({reason}) cannot be used: {error}")
            continue
        if name == _PLAIN:
            warnings.append(_PLAIN_WARNING)
        return ChosenProfile(chosen, reason, tuple(warnings))
    raise AssertionError("the plain format fits every vocabulary")


def _candidates(metadata: Mapping[str, str], vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Profiles worth trying, best first, and why."""
    architecture = metadata.get("general.architecture", "")
    names = (metadata.get("general.name", ""), metadata.get("general.basename", ""))
    is_longwriter = any("longwriter" in name.lower() for name in names)
    candidates = []
    if own := metadata.get(PROFILE_KEY, "").strip():
        candidates.append((own, f"the file's {PROFILE_KEY}"))
    if is_longwriter and architecture in _GLM_ARCHITECTURES:
        candidates.append((LONGWRITER_GLM, f"a LongWriter model of architecture {architecture}"))
    if is_longwriter and architecture == "llama":
        candidates.append((LONGWRITER_LLAMA, "a LongWriter model of architecture llama"))
    # By its tokens rather than its template: templates in published GLM-4 files are often wrong. A GLM model
    # with other tokens is no fault of the file, so that is checked here and gives no warning.
    if architecture in _GLM_ARCHITECTURES and _mismatch(_GLM_TOKENS, vocabulary) is None:
        candidates.append((_GLM, f"architecture {architecture} with GLM-4's tokens"))
    if metadata.get("tokenizer.chat_template", "").strip():
        candidates.append((_TEMPLATE, "the model's chat template"))
    candidates.append((_PLAIN, "no chat template"))
    return candidates


def _build(name: str, metadata: Mapping[str, str], vocabulary: Vocabulary) -> PromptFormat:
    if name == LONGWRITER_GLM:
        return _glm(name, "LongWriter-glm4-9b, by token ids", SamplingSettings(), vocabulary)
    if name == _GLM:
        return _glm(name, "GLM-4 chat models, by token ids", GENERIC_SAMPLING, vocabulary)
    if name == LONGWRITER_LLAMA:
        return _longwriter_llama(vocabulary)
    if name == _TEMPLATE:
        return _from_template(metadata, vocabulary)
    return _plain(vocabulary)


def _glm(name: str, description: str, sampling: SamplingSettings, vocabulary: Vocabulary) -> PromptFormat:
    _check_tokens(name, _GLM_TOKENS, vocabulary)
    return PromptFormat(
        name=name,
        description=description,
        before_user=(Ids((151331, 151333, 151336)), Plain("\n")),
        # The model writes the newline after <|assistant|> itself.
        between=(Ids((151337,)),),
        after_assistant=(Ids((151336,)), Plain("\n")),
        # <|observation|> is no end of generation to llama.cpp, but the models do end answers with it.
        stop_ids=(151329, 151336, 151338),
        markers=(),
        multi_turn=True,
        add_bos=False,
        sampling=sampling,
    )


def _longwriter_llama(vocabulary: Vocabulary) -> PromptFormat:
    _check_tokens(LONGWRITER_LLAMA, _LLAMA_TOKENS, vocabulary)
    return PromptFormat(
        name=LONGWRITER_LLAMA,
        description="LongWriter-llama3.1-8b, [INST] without spaces",
        # The markers are ordinary text here, tokenized together with the query.
        before_user=(Ids((_LLAMA_BOS,)), Plain("[INST]")),
        between=(Plain("[/INST]"),),
        after_assistant=(Ids((_LLAMA_END,)), Plain("[INST]")),
        stop_ids=(_LLAMA_END,),
        markers=("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
        multi_turn=True,
        # By its id above, so that a file with a wrong BOS key gives the right prompt.
        add_bos=False,
        sampling=SamplingSettings(),
    )


def _from_template(metadata: Mapping[str, str], vocabulary: Vocabulary) -> PromptFormat:
    # Imported here because jinja2 is slow to import and the built-in formats do without it.
    from longwriter_edge.chat_template import derive_format

    template = metadata.get("tokenizer.chat_template", "")
    if not template.strip():
        raise InputError("the model has no chat template", hint=f"use --profile {_PLAIN}")
    eos = metadata.get("tokenizer.ggml.eos_token_id", "")
    return derive_format(
        template,
        vocabulary,
        name=_TEMPLATE,
        eos=vocabulary.token_text(int(eos)) if eos.isascii() and eos.isdigit() else None,
        sampling=GENERIC_SAMPLING,
    )


def _plain(vocabulary: Vocabulary) -> PromptFormat:
    return PromptFormat(
        name=_PLAIN,
        description="plain headings, for base models",
        before_user=(Plain("### Instruction\n\n"),),
        between=(Plain("\n\n### Response\n\n"),),
        after_assistant=(),
        stop_ids=(),
        markers=("### Instruction", "### Response"),
        multi_turn=False,
        add_bos=vocabulary.add_bos and vocabulary.bos is not None,
        sampling=GENERIC_SAMPLING,
    )


def _check_tokens(profile: str, expected: Mapping[int, str], vocabulary: Vocabulary) -> None:
    if (problem := _mismatch(expected, vocabulary)) is not None:
        raise ModelError(
            f"the profile {profile} does not fit this model: {problem}",
            hint=f"leave --profile out, or use {_TEMPLATE}",
        )


def _mismatch(expected: Mapping[int, str], vocabulary: Vocabulary) -> str | None:
    for token, text in expected.items():
        found = vocabulary.token_text(token) if token < vocabulary.token_count else None
        if found != text:
            said = "missing" if found is None else repr(found)
            return f"token {token} should be {text!r} and is {said}"
    return None
