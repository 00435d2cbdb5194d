"""Examples of every message that the source of a module can raise, read with `ast`: no error is raised for it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cached_property, partial
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ERRORS = {"SerError", "AudioError", "ParameterError", "ArtifactError", "HistoryError"}
TEXT, NUMBER = "7", "1,234.5"  # stand in for values; the first for names as well
MOST = 40  # examples of one text
Scope = ast.FunctionDef | None


class Message(NamedTuple):
    """An example of a message, and where it is raised."""

    place: str
    text: str


def reached(*paths: Path) -> set[Path]:
    """Return the files of the package that these files import, also inside functions, and so on; these included."""
    found, waiting = set[Path](), list(paths)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [file for name in _imported(path) if (file := _file(name)) is not None]
    return found


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    files = path.with_suffix(".py"), path / "__init__.py"
    return next((file for file in files if f"{module}.".startswith("ser.") and file.is_file()), None)


class Source:
    """A module's source. Texts are built from what is assigned, returned or yielded in it; values are stood in for."""

    def __init__(self, path: Path) -> None:
        self.path, self._tree = path, ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef)]
        self._functions = {function.name: function for function in functions}
        # Outer functions come first, so that the innermost one wins.
        self._scopes = {inner: function for function in functions for inner in ast.walk(function)}

    def messages(self) -> Iterator[Message]:
        """Yield examples of every message that an error of the package is made with."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and _called(node) in ERRORS and node.args:
                for text in self._texts(node.args[0], self._scopes.get(node), ()):
                    yield Message(f"{self.path}:{node.lineno}", text)

    @cached_property
    def _values(self) -> dict[str, object]:
        """What the module's constants hold."""
        return vars(importlib.import_module(".".join(self.path.relative_to(ROOT).with_suffix("").parts)))

    def _texts(self, node: ast.AST, scope: Scope, open_names: tuple[str, ...]) -> list[str]:
        """Return the texts that an expression may have, at most `MOST`; `open_names` are being looked up."""
        look_up = partial(self._texts, scope=scope, open_names=open_names)
        match node:
            case ast.Constant(value=value):
                texts = [str(value)]
            case ast.JoinedStr(values=parts):
                texts = ["".join(each) for each in islice(product(*map(look_up, parts)), MOST)]
            case ast.FormattedValue(value=value, format_spec=format_spec):
                texts = look_up(value) if format_spec is None else [NUMBER]
            case ast.IfExp(body=body, orelse=other):
                texts = look_up(body) + look_up(other)
            case ast.Name(id=name):
                texts = self._of_name(name, scope, open_names)
            case ast.Call(func=ast.Name()):
                texts = self._of_call(node, scope, open_names)
            case _:
                texts = [TEXT]
        return texts

    def _of_name(self, name: str, scope: Scope, open_names: tuple[str, ...]) -> list[str]:
        if name in open_names:
            return [TEXT]
        inside = [value for node in ast.walk(scope) for value in _assigned(node, name)] if scope else []
        if inside:
            return [text for value in inside for text in self._texts(value, scope, (*open_names, name))][:MOST]
        value = self._values.get(name) if name.isupper() else None
        return [str(value)] if isinstance(value, str | int | float) else [TEXT]

    def _of_call(self, node: ast.Call, scope: Scope, open_names: tuple[str, ...]) -> list[str]:
        """Return the texts that a function of this module returns, or those that `next` may take."""
        name = _called(node)
        if name == "next":
            default = [text for arg in node.args[1:] for text in self._texts(arg, scope, open_names)]
            return self._first_of(node.args[0]) + default
        if name not in self._functions or name in open_names:
            return [TEXT]
        function = self._functions[name]
        returned = [part.value for part in ast.walk(function) if isinstance(part, ast.Return) and part.value]
        return [text for value in returned for text in self._texts(value, function, (*open_names, name))]

    def _first_of(self, items: ast.AST) -> list[str]:
        """Return what a generator of this module yields, or the values of the registries that an expression reads."""
        if _called(items) in self._functions:
            function = self._functions[_called(items)]
            yielded = [part for part in ast.walk(function) if isinstance(part, ast.Yield) and part.value]
            others = [part.value for part in ast.walk(function) if isinstance(part, ast.YieldFrom)]
            own = [text for part in yielded for text in self._texts(part.value, function, ())]
            return own + [
                text for other in others if _called(other) != _called(items) for text in self._first_of(other)
            ]
        names = [part.id for part in ast.walk(items) if isinstance(part, ast.Name)]
        registries = [self._values.get(name) for name in names if name.isupper()]
        return [str(value) for each in registries if isinstance(each, dict) for value in each.values()]


def _called(node: ast.AST) -> str:
    """Return the name of the function that an expression calls, else ""."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _assigned(node: ast.AST, name: str) -> list[ast.AST]:
    """Return what a statement assigns to a name: one value, or its part of a tuple."""
    if isinstance(node, ast.NamedExpr) and node.target.id == name:
        return [node.value]
    if not isinstance(node, ast.Assign):
        return []
    target = node.targets[0]
    if isinstance(target, ast.Name) and target.id == name:
        return [node.value]
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        pairs = zip(target.elts, node.value.elts, strict=True)
        return [value for part, value in pairs if isinstance(part, ast.Name) and part.id == name]
    return []
