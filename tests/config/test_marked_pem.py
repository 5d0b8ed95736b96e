"""A certificate or key that Windows' editor saved with a byte order mark is as good as without."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.config import load
from edged.config.broker import spoilt_secrets
from edged.config.certificates import broker_name, expiries
from tests.links.test_mqtt_tls import certificate

ROOT = Path(__file__).parents[2]
TLS = '\n[mqtt.tls]\nca_file = "{ca}"\ncert_file = "{cert}"\nkey_file = "{key}"\n\n[store]'


@pytest.mark.parametrize("which", ["ca", "cert", "key"])
def test_a_byte_order_mark_costs_nothing(tmp_path: Path, which: str) -> None:
    cert, key = certificate(tmp_path, "edged")
    files = {"ca": tmp_path / "ca.pem", "cert": cert, "key": key}
    files["ca"].write_bytes(cert.read_bytes())
    text = (ROOT / "configs/hall-small.toml").read_text().replace("\n[store]", TLS.format(**files), 1)
    hall = tmp_path / "hall.toml"
    hall.write_text(text)
    files[which].write_bytes(b"\xef\xbb\xbf" + files[which].read_bytes())
    config = load(hall)
    assert spoilt_secrets(config) == {}
    assert expiries(config.mqtt)
    assert broker_name(config) == "edged"
