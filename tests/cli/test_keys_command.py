"""`edged keys`: a list is made, edited, signed and told in words, and a hall takes what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edged.central.audience import Audience
from edged.central.envelope import load_keys
from edged.central.key_list import accept
from edged.central.keyring import KeyList
from edged.cli.keys import app as keys
from edged.cli.policy import app as policy
from edged.clock import wall_ms
from tests.support.policies import AUDIENCE

RUN = CliRunner()


def output_of(*words: str, code: int = 0) -> str:
    """Run ``edged keys``, which has to end with ``code``, and return all that it printed."""
    done = RUN.invoke(keys, words)
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a root key and two keys of the city."""
    monkeypatch.chdir(tmp_path)
    output_of("root", "root")
    for name in ("city-2026", "city-2027"):
        assert RUN.invoke(policy, ["keygen", name]).exit_code == 0
    return tmp_path


def taken() -> KeyList:
    raw = Path("out.json").read_bytes()
    audience = Audience("east", "river-city", AUDIENCE.names)
    return accept(raw, load_keys("root.pub.json"), audience, {}, wall_ms())


def test_keys_are_added_revoked_and_signed_into_growing_versions_of_a_key_list(office: Path) -> None:
    assert (office / "root.key").stat().st_mode & 0o777 == 0o600
    first = ("add", "keys.json", "city-2026.pub.json", "--scope", "policies", "--scope", "operations:open")
    assert "--group" in output_of(*first, code=2)  # for whom?
    output_of(*first, "--group", "river-city")
    assert "version 1" in output_of("sign", "keys.json", "--root", "root.key", "--out", "out.json")
    one = taken()
    assert [(key.name, sorted(key.scopes)) for key in one.keys] == [
        ("city-2026", ["operations:open", "policies"])
    ]
    output_of("add", "keys.json", "city-2027.pub.json", "--scope", "policies")
    assert "revoked" in output_of("revoke", "keys.json", "city-2026", "--reason", "laptop stolen")
    assert "is revoked" in output_of(*first, code=2)
    output_of("sign", "keys.json", "--root", "root.key", "--out", "out.json")
    two = taken()
    assert (two.version, [key.name for key in two.keys], [key.why for key in two.revoked]) == (
        *(2, ["city-2027"]),
        ["laptop stolen"],
    )
    on = ("sign", "keys.json", "--root", "root.key", "--out", "x.json", "--version", "7")
    assert "version 7" in output_of(*on)
    assert json.loads(Path("keys.json").read_text())["version"] == 7
    output = output_of("show", "out.json", "--root", "root.pub.json")
    for words in ("version 2", "策略", "REVOKED / 已吊销：laptop stolen", "剩余 399 天"):
        assert words in output
    output_of("add", "keys.json", "city-2027.pub.json", "--scope", "duty", "--days", "20")
    assert "<- renew / 请续期" in output_of("show", "keys.json", code=1)


def test_what_no_hall_would_take_is_not_signed(office: Path) -> None:
    add = ("add", "keys.json", "city-2026.pub.json", "--group", "river-city")
    assert "no operation" in output_of(*add, "--scope", "operations:opne", code=2)
    assert "not a date" in output_of(*add, "--scope", "duty", "--from", "soon", code=2)
    output_of(*add, "--scope", "everything")
    assert "[bad-value]" in output_of("sign", "keys.json", "--root", "root.key", "--out", "out.json", code=1)
    assert not Path("out.json").exists()
    assert json.loads(Path("keys.json").read_text())["version"] == 0
    output_of(*add, "--scope", "policies")
    assert "signing key" in output_of("sign", "keys.json", "--root", "root.pub.json", "--out", "o", code=2)
    output_of("sign", "keys.json", "--root", "city-2027.key", "--out", "out.json")
    assert "unknown-signer" in output_of("show", "out.json", "--root", "root.pub.json", code=1)
    assert "not a key list" in output_of("revoke", "out.json", "city-2026", "--reason", "x", code=2)
    assert "not signed" in output_of(
        "push", "keys.json", "--broker", "mqtt://127.0.0.1:9", "--hall", "e", code=2
    )
