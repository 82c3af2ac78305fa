"""Prompt formats: how a conversation looks to a model, when its answer ends, how it is sampled.

The LongWriter checkpoints have built-in profiles, since templates found in published files of them are wrong;
any other model's format comes from its own chat template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from longwriter_edge import chat_template
from longwriter_edge.errors import InputError, ModelError
from longwriter_edge.settings import SamplingSettings
from longwriter_edge.tokens import Control, Ids, Piece, Plain, Vocabulary

#: Key of a GGUF file that names its profile.
PROFILE_KEY = "longwriter_edge.profile"
GLM4, LLAMA, TEMPLATE, PLAIN = "longwriter-glm4-9b", "longwriter-llama3.1-8b", "template", "plain"
NAMES = (GLM4, LLAMA, TEMPLATE, PLAIN)

#: For models that were not trained on long texts: they loop in long prose without DRY. LongWriter's models keep
#: their authors' settings, which have no such sampler.
GENERIC_SAMPLING = SamplingSettings(dry_multiplier=0.8, dry_base=1.75, dry_allowed_length=4)


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """One prompt format.

    Attributes:
        name: The profile.
        before_user: Opens the conversation, up to the first user's text.
        between: From a user's text to the answer.
        after_assistant: From an answer to the next user's text.
        stop_ids: Tokens that end an answer, beside those of the vocabulary.
        markers: Strings of the format that are plain text to the tokenizer.
        multi_turn: Whether there is more than one turn.
        sampling: Default settings.
    """

    name: str
    before_user: tuple[Piece, ...]
    between: tuple[Piece, ...]
    after_assistant: tuple[Piece, ...] = ()
    stop_ids: tuple[int, ...] = ()
    markers: tuple[str, ...] = ()
    multi_turn: bool = True
    sampling: SamplingSettings = SamplingSettings()


@dataclass(frozen=True, slots=True)
class ChosenProfile:
    """A format, why it was chosen, and what the user should know about it."""

    format: PromptFormat
    reason: str
    warnings: tuple[str, ...] = ()


def choose(
    metadata: Mapping[str, str], vocabulary: Vocabulary, override: str | None = None
) -> ChosenProfile:
    """The format for a model, by its metadata, or the one that was asked for.

    Raises:
        InputError: there is no profile of this name, or the model cannot use it.
    """
    if override is not None:
        if override not in NAMES:
            raise InputError(f"there is no profile {override!r}", hint=f"use one of {', '.join(NAMES)}")
        return ChosenProfile(_asked_for(override, metadata, vocabulary), "as given")
    named = metadata.get(PROFILE_KEY)
    if named in (GLM4, LLAMA):
        return _built_in(named, vocabulary, "named by the file")
    architecture = metadata.get("general.architecture", "")
    names = " ".join(metadata.get(f"general.{key}", "") for key in ("name", "basename", "finetune")).lower()
    if architecture in ("chatglm", "glm4"):
        problem = _glm_problem(vocabulary)
        if problem is None:
            return ChosenProfile(_glm(), f"the architecture is {architecture}")
    if architecture == "llama" and "longwriter" in names:
        return _built_in(LLAMA, vocabulary, "the file is named LongWriter")
    return _from_template(metadata, vocabulary)


def _asked_for(name: str, metadata: Mapping[str, str], vocabulary: Vocabulary) -> PromptFormat:
    if name == PLAIN:
        return _plain(vocabulary)
    try:
        if name == TEMPLATE:
            return _template(metadata, vocabulary)
        return _built_in(name, vocabulary, "").format
    except ModelError as error:
        raise InputError(
            f"the model cannot use the profile {name}: {error}", hint="leave --profile out"
        ) from error


def _built_in(name: str, vocabulary: Vocabulary, reason: str) -> ChosenProfile:
    if name == LLAMA:
        return ChosenProfile(_llama(vocabulary), reason)
    problem = _glm_problem(vocabulary)
    if problem is not None:
        raise ModelError(f"its vocabulary is not GLM-4's: {problem}", hint="choose another --profile")
    return ChosenProfile(_glm(), reason)


#: Control tokens of GLM-4 (tokenization_chatglm.py of the checkpoint).
_GLM_TOKENS = {
    151329: "<|endoftext|>",
    151331: "[gMASK]",
    151333: "<sop>",
    151336: "<|user|>",
    151337: "<|assistant|>",
    151338: "<|observation|>",
}


def _glm() -> PromptFormat:
    """``[gMASK]<sop><|user|>\\n{query}<|assistant|>``, by ids; the model itself writes the line end."""
    return PromptFormat(
        name=GLM4,
        before_user=(Ids((151331, 151333, 151336)), Plain("\n")),
        between=(Ids((151337,)),),
        after_assistant=(Ids((151336,)), Plain("\n")),
        # llama.cpp does not take <|observation|> for an end on this architecture.
        stop_ids=(151329, 151336, 151338),
    )


def _glm_problem(vocabulary: Vocabulary) -> str | None:
    for token, text in _GLM_TOKENS.items():
        found = vocabulary.token_text(token)
        if found != text:
            return f"token {token} is {found!r}, not {text!r}"
    return None


def _llama(vocabulary: Vocabulary) -> PromptFormat:
    """``<|begin_of_text|>[INST]{query}[/INST]``, the marks being plain text without spaces.

    llama.cpp's own llama2 template adds spaces, which the model was not trained on. After an answer comes
    ``<|end_of_text|>``.
    """
    bos = () if vocabulary.bos is None else (Ids((vocabulary.bos,)),)
    return PromptFormat(
        name=LLAMA,
        before_user=(*bos, Plain("[INST]")),
        between=(Plain("[/INST]"),),
        after_assistant=(Control("<|end_of_text|>"), *bos, Plain("[INST]")),
        stop_ids=tuple(vocabulary.tokenize("<|end_of_text|>", special=True)[:1]),
        markers=("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    )


def _from_template(metadata: Mapping[str, str], vocabulary: Vocabulary) -> ChosenProfile:
    if "tokenizer.chat_template" not in metadata:
        warning = "the model has no chat template, so it may be a base model; using a plain format"
        return ChosenProfile(_plain(vocabulary), "the model has no chat template", (warning,))
    try:
        return ChosenProfile(_template(metadata, vocabulary), "the model's own chat template")
    except ModelError as error:
        warning = f"{error}; using a plain format"
        return ChosenProfile(_plain(vocabulary), "its chat template cannot be used", (warning,))


def _template(metadata: Mapping[str, str], vocabulary: Vocabulary) -> PromptFormat:
    template = metadata.get("tokenizer.chat_template")
    if template is None:
        raise ModelError("it has no chat template")
    bos = vocabulary.bos
    bos_text = "" if bos is None else vocabulary.token_text(bos) or ""
    frame = chat_template.derive(template, bos=bos_text)
    # Rendered templates write the BOS token themselves where they want one; llama.cpp adds it where the
    # vocabulary says so.
    begins = (Ids((bos,)),) if bos is not None and vocabulary.add_bos else ()
    format = PromptFormat(
        name=TEMPLATE,
        before_user=(*begins, Control(frame.before_user)),
        between=(Control(frame.between),),
        sampling=GENERIC_SAMPLING,
    )
    if frame.after_assistant is None:
        return replace(format, multi_turn=False)
    return replace(format, after_assistant=(Control(frame.after_assistant),))


def _plain(vocabulary: Vocabulary) -> PromptFormat:
    """Task and text under headings, for models that only continue text."""
    bos = vocabulary.bos
    begins = (Ids((bos,)),) if bos is not None and vocabulary.add_bos else ()
    return PromptFormat(
        name=PLAIN,
        before_user=(*begins, Plain("### Task\n\n")),
        between=(Plain("\n\n### Text\n\n"),),
        after_assistant=(Plain("\n\n### Task\n\n"),),
        markers=("### Task", "### Text"),
        sampling=GENERIC_SAMPLING,
    )
