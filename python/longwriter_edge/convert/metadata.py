"""Where a model comes from: name, licence, base models, source, and the profile of its prompts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gguf

from longwriter_edge import profiles
from longwriter_edge.convert.architectures import Architecture, KeyValue
from longwriter_edge.convert.checkpoint import Checkpoint
from longwriter_edge.convert.json_file import JsonFile

_LONGEST_TEXT = 1000
_MOST_ITEMS = 50
_HUB = "https://huggingface.co"
# A model on the Hugging Face hub: owner/name.
_HUB_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
# The prompt formats of profiles.py as templates, for other programs. Neither model was trained with the
# template of the model that it was made from.
_GLM_TEMPLATE = (
    "[gMASK]<sop>{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_LONGWRITER_LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}<<SYS>>\n{{ message['content'] }}\n<</SYS>>\n\n"
    "{% elif message['role'] == 'user' %}[INST]{{ message['content'] }}[/INST]"
    "{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)


def model_card(checkpoint: Checkpoint) -> dict[str, Any]:
    """The YAML head of the checkpoint's README.md; empty if there is none or it cannot be read."""
    try:
        card = gguf.Metadata.load_model_card(checkpoint.directory)
    except Exception:
        # The card only describes; whatever is wrong with its YAML must not stop a conversion.
        return {}
    return {key: value for key, value in card.items() if isinstance(key, str)}


def description(
    checkpoint: Checkpoint, card: Mapping[str, Any], parameters: int, name: str | None, source: str | None
) -> dict[str, KeyValue]:
    """The keys ``general.*`` that say what the model is, as llama.cpp's converter names them.

    Args:
        checkpoint: The checkpoint.
        card: Its model card.
        parameters: Number of weights.
        name: The user's name for the model, else the card's, else the directory's.
        source: The user's address of the checkpoint.
    """
    keys: dict[str, KeyValue] = {
        "general.type": "model",
        "general.name": name or _text(card.get("model_name")) or checkpoint.directory.resolve().name,
        "general.size_label": gguf.size_label(parameters, parameters, 0, 0),
    }
    for field, key in (
        ("license", "general.license"),
        ("license_name", "general.license.name"),
        ("license_link", "general.license.link"),
    ):
        if text := _text(card.get(field)):
            keys[key] = text
    for number, base in enumerate(_base_models(card)):
        owner, model = base.split("/")
        keys["general.base_model.count"] = number + 1
        keys[f"general.base_model.{number}.name"] = model
        keys[f"general.base_model.{number}.organization"] = owner
        keys[f"general.base_model.{number}.repo_url"] = f"{_HUB}/{base}"
    for field, key in (("tags", "general.tags"), ("language", "general.languages")):
        if items := _texts(card.get(field)):
            keys[key] = items
    if source:
        keys["general.source.url"] = source
    return keys


def profile_of(
    checkpoint: Checkpoint, card: Mapping[str, Any], architecture: Architecture, name: str | None
) -> str | None:
    """The profile that fits, by the names that the checkpoint, its card and its config give; or ``None``."""
    names = [
        name or "",
        checkpoint.directory.resolve().name,
        _text(card.get("model_name")) or "",
        _text(checkpoint.config.fields.get("_name_or_path")) or "",
        *_base_models(card),
    ]
    if not any("longwriter" in each.lower() for each in names):
        return None
    if architecture.glm:
        return profiles.LONGWRITER_GLM
    return profiles.LONGWRITER_LLAMA if architecture.name == "llama" else None


def chat_template(checkpoint: Checkpoint, architecture: Architecture, profile: str | None) -> str | None:
    """The template for other programs: the format of the model's training, else the checkpoint's own."""
    if profile == profiles.LONGWRITER_LLAMA:
        return _LONGWRITER_LLAMA_TEMPLATE
    if architecture.glm:
        return _GLM_TEMPLATE
    path = checkpoint.directory / "chat_template.jinja"
    if path.is_file() and path.stat().st_size < 1024 * 1024:
        return path.read_text(encoding="utf-8", errors="replace")
    template = JsonFile.read_if_there(checkpoint.directory / "tokenizer_config.json").fields.get(
        "chat_template"
    )
    if isinstance(template, list):
        # Several by name.
        named = [each for each in template if isinstance(each, dict) and each.get("name") == "default"]
        template = named[0].get("template") if named else None
    return template if isinstance(template, str) and template else None


def _base_models(card: Mapping[str, Any]) -> list[str]:
    return [name for name in _texts(card.get("base_model")) if _HUB_NAME.fullmatch(name)]


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for each in values[:_MOST_ITEMS] if (text := _text(each))]


def _text(value: object) -> str | None:
    return value.strip()[:_LONGEST_TEXT] or None if isinstance(value, str) else None
