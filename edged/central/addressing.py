"""Adapts a policy written for halls with different areas, services and windows to this hall.

A policy may name an area, service or window as ``if-present:NAME``: it is left out in halls that do not have it.
``kind:NAME`` stands for all areas of the hall with this ``kind`` (``[[areas]] kind`` in hall.toml), possibly none.
Rules:

* For an area that the policy names itself, nothing is taken from entries for its kind.
* An entry (a session, a peak, a calling rule) all of whose names are left out is left out too: without names it would
  be for everybody. So is a journey with fewer than two stages.
* The core receives, stores and replays the adapted policy, which has only names of this hall.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple, cast, get_args, get_origin, get_type_hints

from edged.central.audience import Names
from edged.central.refusals import Reason, contradiction
from edged.core.model.policy import Journey, Policy
from edged.core.model.policy.parameter import split_hint

KIND, IF_PRESENT = "kind:", "if-present:"
NAMED = ("area", "service", "window")
STAGES_MIN = 2  # of a journey


class Unmet(NamedTuple):
    """A name in the policy that matches nothing in this hall: its path in the document, and the name as written."""

    path: str
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Local:
    """A policy adapted to one hall. ``unmet``: names in the document that match nothing in this hall.

    Because entries are left out or moved to other keys, a value's path in ``policy`` (``body.calling.rules[0]``) may
    differ from its path in the signed document. ``places`` maps the paths that differ. ``depends``: the result depends
    on the hall, so that the policy must be adapted again when hall.toml changes.
    """

    policy: Policy
    unmet: tuple[Unmet, ...] = ()
    places: Mapping[str, str] = dataclasses.field(default_factory=dict)
    depends: bool = False

    def place(self, path: str) -> str:
        """Convert a path in ``policy`` to the path of the same value in the signed document."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.places and path[end : end + 1] in ("", ".", "["):
                return self.places[path[:end]] + path[end:]
        return path


def plain(name: str) -> str:
    """The name without the prefix ``kind:`` or ``if-present:``."""
    return name.removeprefix(KIND).removeprefix(IF_PRESENT)


def depends(name: str) -> bool:
    """Whether the meaning of ``name`` depends on the hall: it has one of the two prefixes."""
    return name.startswith((KIND, IF_PRESENT))


def local(policy: Policy, here: Names) -> Local:
    """Adapt a policy to the hall with the names ``here``."""
    walk = _Walk(here)
    made = walk.fields(policy, "body", "body")
    return Local(cast(Policy, made), tuple(walk.unmet), walk.places, walk.depends)


def named_twice(found: Iterator[tuple[str, str, str]]) -> Iterator[Reason]:
    """Yield a refusal for each area or service for which one part of the policy has two entries, ``NAME`` and
    ``if-present:NAME``.

    ``found``: every name in the policy as (kind, path in the document, name), from ``policy_model.names``.
    """
    seen = dict[tuple[str, str], str]()
    for _, path, name in found:
        if not path.endswith(f".{name}") or name.startswith(KIND):
            continue
        key = path.removesuffix(name), plain(name)
        other = seen.setdefault(key, name)
        if other != name:
            yield contradiction(path, f'"{other}" has an entry here, too', f"与“{other}”重复")


class _Walk:
    """One pass over a policy, which collects what ``Local`` holds.

    Methods take two paths of a value: ``path`` in the adapted policy, ``document_path`` in the signed document.
    """

    def __init__(self, here: Names) -> None:
        self._here = here
        self.unmet = list[Unmet]()
        self.places = dict[str, str]()
        self.depends = False

    def fields(self, value: Any, path: str, document_path: str) -> Any:
        """Return a copy of a dataclass with the hall's own ids in place of the names in it; the same object if there is
        nothing to replace.
        """
        changed = {}
        kind: type = type(value)
        for name, hint in _naming(kind):
            was = getattr(value, name)
            becomes = self._part(hint, was, f"{path}.{name}", f"{document_path}.{name}")
            if becomes != was:
                changed[name] = becomes
        return dataclasses.replace(value, **changed) if changed else value

    def _part(self, hint: Any, value: Any, path: str, document_path: str) -> Any:
        if dataclasses.is_dataclass(value):
            return self.fields(value, path, document_path)
        if isinstance(value, Mapping):
            return self._mapping(get_args(hint), value, path, document_path)
        if isinstance(value, tuple):
            return self._listed(get_args(hint)[0], value, path, document_path)
        return value

    def _mapping(
        self, hints: tuple[Any, ...], value: Mapping[str, Any], path: str, document_path: str
    ) -> dict[str, Any]:
        key_hint, hint = hints
        found: dict[str, Any] = {}
        for key in sorted(
            value, key=lambda one: not one.startswith(KIND)
        ):  # the area's own name comes last and wins
            for id_ in self._ids(key_hint, key, f"{document_path}.{key}"):
                part = self._part(hint, value[key], f"{path}.{id_}", f"{document_path}.{key}")
                found.pop(id_, None)
                if not _gutted(value[key], part):
                    found[id_] = part
                    self._moved(f"{path}.{id_}", f"{document_path}.{key}")
        return {key: found[key] for key in value if key in found} | found

    def _listed(self, hint: Any, value: tuple[Any, ...], path: str, document_path: str) -> tuple[Any, ...]:
        found = list[Any]()
        for number, one in enumerate(value):
            was = f"{document_path}[{number}]"
            parts = self._ids(hint, one, was) if isinstance(one, str) else (one,)
            for part in parts:
                becomes = self._part(hint, part, f"{path}[{len(found)}]", was)
                if _gutted(part, becomes) or (isinstance(one, str) and depends(one) and becomes in found):
                    continue
                self._moved(f"{path}[{len(found)}]", was)
                found.append(becomes)
        return tuple(found)

    def _moved(self, path: str, document_path: str) -> None:
        self.places.pop(path, None)
        if path != document_path:
            self.places[path] = document_path

    def _ids(self, hint: Any, name: str, document_path: str) -> tuple[str, ...]:
        """Return the hall's own ids for which ``name`` stands. If there are none, record that in ``unmet``. ``hint``:
        the type of the field that contains the name.
        """
        what = _named(hint)
        if what is None or not depends(name):
            return (name,)
        self.depends = True
        if name.startswith(KIND):
            found = tuple(
                area for area in sorted(self._here.areas) if self._here.kinds.get(area) == plain(name)
            )
        else:
            ours: frozenset[str] = getattr(self._here, f"{what}s")
            found = (plain(name),) if plain(name) in ours else ()
        if not found:
            self.unmet.append(Unmet(document_path, name))
        return found


def _gutted(was: Any, becomes: Any) -> bool:
    """Whether adapting an entry (``was`` to ``becomes``) removed all the names of one of its fields, or left a journey
    with fewer than two stages. Such an entry is left out.
    """
    if not dataclasses.is_dataclass(was) or was == becomes:
        return False
    if isinstance(becomes, Journey) and len(becomes.stages) < STAGES_MIN:
        return True
    kind: type = type(was)
    return any(
        isinstance(named := getattr(was, name), tuple) and bool(named) and not getattr(becomes, name)
        for name, _ in _naming(kind)
    )


@cache
def _naming(kind: type) -> tuple[tuple[str, Any], ...]:
    """The fields of a dataclass in which areas, services or windows may be named, and their types."""
    hints = get_type_hints(kind, include_extras=True)
    plain_hints = ((field.name, split_hint(hints[field.name])[0]) for field in dataclasses.fields(kind))
    return tuple((name, hint) for name, hint in plain_hints if _has_names(hint))


def _has_names(hint: Any) -> bool:
    if _named(hint) is not None:
        return True
    if dataclasses.is_dataclass(hint):
        return bool(_naming(cast(type, hint)))
    return any(_has_names(one) for one in get_args(hint))


def _named(hint: Any) -> str | None:
    """Return ``area``, ``service`` or ``window`` if the type ``hint`` is annotated as the id of one; else None."""
    if get_origin(hint) is not Annotated:
        return None
    return next((one for one in get_args(hint)[1:] if one in NAMED), None)
