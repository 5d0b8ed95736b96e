"""What a hall makes of signed documents, as text to read: ``documents.txt``.

Each document stands after ``>``: the body of a policy, other fields of a policy or an order, the arguments of an order,
a key list, the result of a
rehearsal. Below it stands what the hall reads in it, as `edged policy explain` says it, or why it refuses it, in both
languages. Many come in pairs: the last value that is allowed, and the first that is not. Add a line, rewrite the
answers, read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/central/test_documents_as_read.py``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from edged.central import addressing, key_list, operations, page_words
from edged.central.audience import Audience, HighestVersion, LastOrder, Names, Past, Trusted
from edged.central.envelope import sign
from edged.central.policies import accept, inspect
from edged.central.policy_changes import PlaceNames, changes_from_built_in
from edged.central.refusals import DocumentRefused
from edged.central.rehearsed import Rehearsed, objection, of_report, sentences
from tests.support.core_hall import SiteText
from tests.support.key_lists import NEXT_KEY, ROOT, entry, id_of, keys_of, list_envelope, revoked
from tests.support.key_lists import key_list as key_list_document
from tests.support.policies import KEY, KEYS, NOW_MS, ORDER, document, envelope

WRITTEN = Path(__file__).parent / "documents.txt"
SITE = SiteText().site
AUDIENCE = Audience("demo", "city", Names.of(SITE))
KEYID = next(iter(KEYS))


def policy(changes: dict[str, Any]) -> Iterator[str]:
    verified = accept(envelope(document(**changes)), Trusted(KEYS), AUDIENCE, HighestVersion(), NOW_MS)
    for path, words in changes_from_built_in(verified.policy, PlaceNames(SITE)):
        if path != "hours.week" or verified.policy.hours.week:
            yield f"{path}: {words.en} | {words.zh}"
    if verified.policy.tidal != type(verified.policy.tidal)():
        yield f"the page: {page_words.rule_in_words(verified.policy)}"
        for area in ("tax", "house"):
            yield f"the page, {area}: {page_words.limit_in_words(verified.policy, area)}"
    if verified.depends:
        yield f"here only: unmet {list(verified.unmet)}"
    if (verified.rehearsal_days, verified.max_worse) != (20, None):
        yield f"rehearsed on {verified.rehearsal_days} days, at most {verified.max_worse} % worse"


def order(changes: dict[str, Any]) -> Iterator[str]:
    made = ORDER | changes
    raw = sign(json.dumps(made).encode(), operations.PAYLOAD_TYPE, KEY)
    past = Past(NOW_MS, {KEYID: LastOrder(3, "another")})
    taken = operations.accept(raw, made["operation"][:20], Trusted(KEYS), AUDIENCE, past)
    yield repr(taken.event) if taken.version is None else f"version {taken.version}"
    if taken.event is not None and (resolved := operations.with_ids(taken.event, SITE)) != taken.event:
        yield f"means {resolved!r}"


def keys(changes: dict[str, Any]) -> Iterator[str]:
    made = key_list_document(3) | changes
    marks = {id_of(ROOT): key_list.Mark(2, "")}
    taken = key_list.accept(list_envelope(made), keys_of(ROOT), AUDIENCE, marks, NOW_MS)
    for one in taken.keys:
        yield f"{one.name} {one.keyid} {sorted(one.scopes)} {one.not_before_ms} to {one.not_after_ms}"
    for gone in taken.revoked:
        yield f"revoked {gone.name} {gone.keyid}: {gone.why}"
    yield f"until {taken.expires_ms}, passed over {list(taken.unknown)}"


def long(what: str, count: int) -> Iterator[str]:
    """A document with ``count`` entries or characters of something."""
    words = [f"x{number}" for number in range(count)]
    dates = [f"20{30 + n // 336}-{n // 28 % 12 + 1:02d}-{n % 28 + 1:02d}" for n in range(count)]
    body: dict[str, Any] = {
        "holidays": {"hours": {"week": [{}], "holidays": dates}},
        "classes": {"calling": {"classes": {word: {"label": "x"} for word in words}}},
        "text": {"signage": {"templates": {"open": "x" * count}}},
        "mistakes": {"calling": {"rules": [{"priorities": words}]}},
        "unknown fields": {"hours": dict.fromkeys(words, 1)},
    }
    if what in body:
        return policy({"body": body[what]})
    if what == "halls":
        return policy({"halls": ["demo", *words[1:]], "body": {}})
    if what == "areas":
        return order({"operation": "announce", "body": {"text": "x", "text_en": "x", "areas": words}})
    if what == "reason":
        return order({"body": {"window": "w1", "reason": "x" * count}})
    strange = entry(NEXT_KEY) | {"algorithm": "ml-dsa-65"}
    return keys({"keys": [strange | {"keyid": f"{n:016x}", "name": f"k{n}"} for n in range(count)]})


def signed(changes: dict[str, Any], copies: int = 1) -> Iterator[str]:
    """An envelope of the empty policy with other fields; "…" stands for what was there."""
    made = json.loads(envelope(document(body={})))
    one = made["signatures"][0]
    kept = {"keyid": one["keyid"], "sig": one["sig"]}
    made |= changes
    for at, signature in enumerate(made["signatures"]):
        if isinstance(signature, dict):
            words = {name: kept[name] if word == "…" else word for name, word in signature.items()}
            made["signatures"][at] = words
    if copies != 1:
        made["signatures"] = [one] * copies
    accept(json.dumps(made).encode(), Trusted(KEYS), AUDIENCE, HighestVersion(), NOW_MS)
    yield "the signature is good"


def rehearsal(report: dict[str, Any]) -> Iterator[str]:
    found = of_report(report)
    yield from (f"{english} | {chinese}" for english, chinese in sentences(found))
    for worse in (0, 10):
        why = objection(found, worse)
        yield f"at most {worse} % worse: {None if why is None else f'{why.code} | {why.message} | {why.message_zh}'}"


READERS: dict[str, Callable[[str], Iterator[str]]] = {
    "policy": lambda text: policy({"body": json.loads(text)}),
    "document": lambda text: policy(json.loads(text)),
    "order": lambda text: order(json.loads(text)),
    "arguments": lambda text: order(_named(*text.split(" ", 1))),
    "keys": lambda text: keys(_keys(json.loads(text))),
    "envelope": lambda text: signed(json.loads(text)),
    "signatures": lambda text: signed({}, int(text)),
    "long": lambda text: long(text.rpartition(" ")[0], int(text.rpartition(" ")[2])),
    "rehearsal": lambda text: rehearsal(json.loads(text)),
}


def _named(operation: str, body: str) -> dict[str, Any]:
    return {"operation": operation, "body": json.loads(body)}


def _keys(changes: dict[str, Any]) -> dict[str, Any]:
    """``keys`` and ``revoked`` hold what differs from an entry of the city's next key."""
    own = {"keys": entry(NEXT_KEY), "revoked": revoked(NEXT_KEY)}
    return changes | {name: [own[name] | one for one in changes[name]] for name in own if name in changes}


def answer(line: str) -> Iterator[str]:
    kind, _, text = line.partition(" ")
    try:
        yield from READERS[kind](text)
    except DocumentRefused as refused:
        for one in refused.reasons:
            yield f"{one.code} {one.path} | {one.message} | {one.message_zh}"


def test_what_is_read_in_them_and_what_is_refused() -> None:
    text = WRITTEN.read_text()
    written = []
    for line in text.splitlines():
        if line.startswith("> "):
            written += [line, *(f"  {result}" for result in answer(line[2:]))]
        elif not line.startswith("  "):
            written.append(line)
    found = "\n".join(written) + "\n"
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        WRITTEN.write_text(found)
    assert found == text


def test_documents_that_were_read_and_all_their_parts_are_immutable() -> None:
    """Documents, their parts and what was made of them are values: the core keeps some for days."""
    verified = accept(envelope(), Trusted(KEYS), AUDIENCE, HighestVersion(), NOW_MS)
    listed = key_list_document(3, revoked=[revoked(NEXT_KEY)])
    document_of_keys = key_list.inspect(json.dumps(listed).encode())
    document_of_policy = inspect(json.dumps(document()).encode(), AUDIENCE)
    with pytest.raises(DocumentRefused) as refused:
        inspect(b"{}", AUDIENCE)
    read = [
        *(verified, AUDIENCE, AUDIENCE.names, HighestVersion(), refused.value.reasons[0]),
        *(document_of_policy, document_of_policy.rehearsal),
        *(document_of_keys, document_of_keys.keys[0], document_of_keys.revoked[0]),
        addressing.local(verified.policy, AUDIENCE.names),
        *_rehearsals(),
        *_bodies(),
    ]
    assert {type(one) for one in read} >= set(operations.OPERATIONS.values())
    for one in read:
        field = next(iter(get_type_hints(type(one))))
        with pytest.raises(AttributeError):
            setattr(one, field, getattr(one, field))
        assert not hasattr(one, "__dict__"), "and they have no room for more"


def _inputs(kind: str) -> list[str]:
    start = f"> {kind} "
    return [line.removeprefix(start) for line in WRITTEN.read_text().splitlines() if line.startswith(start)]


def _rehearsals() -> Iterator[Any]:
    for text in _inputs("rehearsal"):
        found = of_report(json.loads(text))
        yield found
        if isinstance(found, Rehearsed):
            yield from filter(None, (found.before, found.after, found.now))


def _bodies() -> Iterator[Any]:
    for operation, _, text in (line.partition(" ") for line in _inputs("arguments")):
        raw = json.dumps(ORDER | {"operation": operation, "body": json.loads(text)}).encode()
        with suppress(DocumentRefused):
            made = operations.inspect(raw)
            yield made
            yield operations.body_of(made)
