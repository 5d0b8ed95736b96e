"""The shipped Prometheus rules: each alert fires on its fault and nothing beside it, explained in both languages."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edged.core.model.losses import LOSSES
from edged.core.people import alarms
from edged.explain.alarm_words import runbook
from tests.support.needs import lacking

RULES = Path(__file__).parents[2] / "configs" / "prometheus"
ALERTS = re.findall(r"- alert: (\w+)", (RULES / "edged.rules.yml").read_text())
PAGES = ("README.md", "README.zh-CN.md")


def promtool(*arguments: str) -> str:
    """What Prometheus' own tool says; fails where it finds something."""
    tool = shutil.which("promtool") or lacking("promtool is not installed (Debian: prometheus)")
    done = subprocess.run([tool, *arguments], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", "edged.rules.yml")


def test_each_alert_fires_on_its_fault_and_on_nothing_beside_it() -> None:
    assert "SUCCESS" in promtool("test", "rules", "edged.rules.test.yml")
    cases = (RULES / "edged.rules.test.yml").read_text()
    for alert in ALERTS:
        shown = re.findall(rf'alertname="{alert}", alertstate="firing"}}\'\n.*\n +exp_samples:(.*)', cases)
        assert sorted(shown) == ["", " []"], f"{alert}: one case that fires and one that does not"


@pytest.mark.parametrize("page", PAGES)
def test_each_alert_was_seen_in_a_hall_or_is_called_otherwise(page: str) -> None:
    """tests/daemon/test_alert_faults.py injects the faults and holds the rows."""
    text = (RULES / page).read_text()
    rows = re.findall(r"^\| .+? \| `(Edged\w+)`.* \| \d+[mh] \| [\d.]+ \|$", text, re.M)
    assert [one for one in ALERTS if one not in {*rows, "EdgedInboxFilling"}] == []


@pytest.mark.parametrize("page", PAGES)
def test_each_alert_has_a_section(page: str) -> None:
    headings = re.findall(r"^## (\w+)$", (RULES / page).read_text(), re.M)
    assert [one for one in headings if one.startswith("Edged")] == ALERTS


@pytest.mark.parametrize(("page", "lang"), list(zip(PAGES, ("en", "zh"), strict=True)))
def test_each_alarm_and_each_reason_of_a_loss_stands_in_the_runbook_as_the_product_says_it(
    page: str, lang: str
) -> None:
    text, wanted = (RULES / page).read_text(), runbook(lang)
    assert wanted in text, f"edged alarms --all --runbook --lang {lang}"
    assert set(alarms.DO) == set(alarms.TEXT)
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.M)
    assert sorted(rows) == sorted(["alarm", "reason", *alarms.TEXT, *LOSSES])


def test_each_metric_of_rules_and_dashboards_is_one_that_the_controller_has() -> None:
    golden = (Path(__file__).with_name("metrics.golden")).read_text()
    known = set(re.findall(r"^(edged_\w+) ", golden, re.M))
    boards = [board.read_text() for board in (RULES.parent / "grafana").glob("*.json")]
    queries = re.findall(r'"expr": "(.*)"', "\n".join(boards))
    assert len(queries) > 30
    rules = re.sub(r'\\?"[^"]*"', "", "\n".join([(RULES / "edged.rules.yml").read_text(), *queries]))
    used = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\bedged_\w+", rules)}
    assert used <= known
