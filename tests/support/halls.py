"""A small correct hall.toml, which tests change to contain mistakes, and the mistakes that are reported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edged.config import ConfigErrors, load

GOOD = """
[hall]
id = "east"
name = "东区大厅"

[[areas]]
id = "tax"
name = "税务"
name_en = "Taxes"
voice = "voice"
lamps = ["relay/1"]

[[services]]
id = "tax-general"
area = "tax"
name = "综合税务"
name_en = "General"
prefix = "A"

[[windows]]
id = "w1"
number = "1"
skills = ["tax-general"]
panel = "panel"

[[windows]]
id = "w2"
number = "2"
tidal = true
skills = ["tax-general"]
lamp = "relay/0"

[[staff]]
id = "chen"
name = "陈敏"
skills = ["tax"]
pager = "pager"

[duty]
pager = "pager-duty"

[[devices]]
id = "relay"
driver = "modbus_relay"
url = "tcp://10.0.0.9"

[[devices]]
id = "panel"
driver = "mqtt_json"

[[devices]]
id = "voice"
driver = "mqtt_json"

[[devices]]
id = "pager"
driver = "mqtt_json"

[[devices]]
id = "pager-duty"
driver = "mqtt_json"
"""


def mistakes(file: Path) -> list[str]:
    """The lines that ``load`` reports for ``file``, without its directory. Fails if the file has no mistake."""
    with pytest.raises(ConfigErrors) as caught:
        load(file)
    return [line.removeprefix(f"{file.parent}{os.sep}") for line in caught.value.lines]
