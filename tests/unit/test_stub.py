"""The stub of the extension module says what the module has."""

from __future__ import annotations

import ast
from pathlib import Path

from longwriter_edge import _core

STUB = Path(_core.__file__ or "").parent / "_core.pyi"


def members(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Names that a stub's module or class declares."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


def public(thing: object) -> set[str]:
    return {name for name in vars(thing) if not name.startswith("_")}


def test_the_stub_declares_exactly_what_the_module_has() -> None:
    declared = members(ast.parse(STUB.read_text(encoding="utf-8")).body)
    assert {name for name in declared if not name.startswith("_")} == public(_core)


def test_each_class_has_exactly_the_declared_members() -> None:
    pending = [(_core, members(ast.parse(STUB.read_text(encoding="utf-8")).body))]
    checked = 0
    while pending:
        owner, declared = pending.pop()
        for name, node in declared.items():
            if not isinstance(node, ast.ClassDef):
                continue
            thing = getattr(owner, name)
            inside = members(node.body)
            if not issubclass(thing, Exception):
                assert {member for member in inside if not member.startswith("_")} == public(thing), name
            pending.append((thing, inside))
            checked += 1
    assert checked >= 12
