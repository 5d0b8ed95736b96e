"""hall.toml for editors and for beginners: its JSON Schema, and the file that a few answers make."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from edged.cli import load_command
from edged.config import load
from edged.config.hall_schema import hall_schema
from edged.config.reference import hall_reference
from edged.site.hall_draft import AreaDraft, HallDraft, hall_toml
from tests.support.schemas import faults

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLES = sorted(CONFIGS.glob("hall-*.toml"))


def test_the_shipped_schema_is_the_one_of_the_code() -> None:
    """Regenerate: edged config schema > configs/hall.schema.json"""
    assert json.loads((CONFIGS / "hall.schema.json").read_text("utf-8")) == hall_schema()


@pytest.mark.parametrize("page", ["hall-reference.md", "policy-reference.md"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_references_are_current(page: str, lang: str) -> None:
    """Regenerate: edged config (policy) reference --lang LANG > configs/PAGE (.zh-CN.md for zh)."""
    group = "config" if page.startswith("hall") else "policy"
    file = CONFIGS / (page if lang == "en" else page.replace(".md", ".zh-CN.md"))
    done = CliRunner().invoke(load_command(group), ["reference", "--lang", lang])
    assert done.exit_code == 0, done.output
    assert file.read_text("utf-8") == done.output, (
        f"edged {group} reference --lang {lang} > configs/{file.name}"
    )


def test_every_key_of_the_tables_has_words_in_both_languages() -> None:
    """Options of drivers may do without: their folder's README says more."""
    for lang in ("zh", "en"):
        text = hall_reference(lang).partition("## devices (")[0]
        for row in re.findall(r"^\| `.*$", text, re.M):
            assert not row.endswith("|  |"), f"edged/config/hall_words.py: {row}"


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


def test_the_two_pages_for_technicians_say_the_same_and_name_files_that_are_there() -> None:
    english, chinese = ((CONFIGS / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
    blocks = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
    assert blocks.findall(english) == blocks.findall(chinese)
    assert len(re.findall(r"^## ", english, re.M)) == len(re.findall(r"^## ", chinese, re.M))
    for text in (english, chinese):
        for target in re.findall(r"\]\(([^)]+)\)", text):
            assert (CONFIGS / target).is_file(), target
    tomllib.loads(next(body for kind, body in blocks.findall(english) if kind == "toml"))
    for command in re.findall(r"^edged (.*check .*)$", english, re.M):
        group, *words = command.split()
        done = CliRunner().invoke(
            load_command(group), [one.replace("configs/", f"{CONFIGS}/") for one in words]
        )
        assert done.exit_code == 0, done.output


def test_the_schema_that_a_new_file_names_stands_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "hall.toml"
    done = CliRunner().invoke(load_command("config"), ["new", str(file)], input="\n" * 30)
    assert done.exit_code == 0, done.output
    named = file.read_text("utf-8").splitlines()[0].removeprefix("#:schema ")
    assert json.loads((tmp_path / named).read_text("utf-8")) == hall_schema()
