"""hall.toml for editors and for beginners: its JSON Schema, and the file that a few answers make."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from edged.config import load
from edged.config.hall_schema import hall_schema
from edged.site.hall_draft import AreaDraft, HallDraft, hall_toml
from tests.support.schemas import faults

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLES = sorted(CONFIGS.glob("hall-*.toml"))


def test_the_shipped_schema_is_the_one_of_the_code() -> None:
    """Regenerate: edged config schema > configs/hall.schema.json"""
    assert json.loads((CONFIGS / "hall.schema.json").read_text("utf-8")) == hall_schema()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_name_the_schema_and_fit_it(example: Path) -> None:
    text = example.read_text("utf-8")
    assert text.startswith("#:schema ./hall.schema.json\n")
    schema = hall_schema()
    assert faults(tomllib.loads(text), schema, schema) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("keep_days = 90", "keep_days = 1"),
        ('kind = "dispenser"', 'kind = "dispense"'),
        ("number =", "numero ="),
        ('driver = "onbon_bx"', 'driver = "onbon"'),
    ],
)
def test_what_check_refuses_in_one_table_the_schema_refuses(before: str, after: str) -> None:
    text = (CONFIGS / "hall-example.toml").read_text("utf-8")
    assert before in text
    schema = hall_schema()
    assert faults(tomllib.loads(text.replace(before, after, 1)), schema, schema) != []


@pytest.mark.parametrize("areas", [1, 3, 20])
def test_a_few_answers_make_a_file_that_check_takes(areas: int, tmp_path: Path) -> None:
    drafts = [AreaDraft(f"area{n}", f"专区{n}", f"Area {n}", 2, n % 3) for n in range(1, areas + 1)]
    file = tmp_path / "hall.toml"
    file.write_text(
        hall_toml(HallDraft("east", "东区政务", "127.0.0.1", 1883, drafts, ("/dev/ttyS0",))), "utf-8"
    )
    hall = load(file)
    assert len(hall.site.areas) == areas
    assert sum(window.tidal for window in hall.site.windows) == sum(draft.tidal for draft in drafts)
    schema = hall_schema()
    assert faults(tomllib.loads(file.read_text("utf-8")), schema, schema) == []
