"""The report, opened in a browser as its reader would: it fetches nothing, nothing overflows, charts show the day."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from typer.testing import CliRunner

from edged.cli import app

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FIGURE_BOXES = """() => [...document.querySelectorAll('figure')].map(figure => ({
    caption: figure.querySelector('figcaption').textContent,
    width: figure.getBoundingClientRect().width,
    marks: figure.querySelectorAll('polyline, circle').length,
    inside: [...figure.querySelectorAll('polyline, circle')].every(mark => {
        const box = mark.getBoundingClientRect(), frame = figure.querySelector('svg').getBoundingClientRect();
        return box.left >= frame.left - 2 && box.right <= frame.right + 2
            && box.top >= frame.top - 2 && box.bottom <= frame.bottom + 2;
    }),
}))"""
TOO_WIDE = """() => [...document.querySelectorAll('.wide')].filter(box => box.scrollWidth > box.clientWidth).length
    + (document.documentElement.scrollWidth > window.innerWidth ? 100 : 0)"""


def report(folder: Path) -> Path:
    """A day with a rush that two regular windows cannot take."""
    chance = random.Random(3)
    arrivals = [chance.uniform(0, 40) for _ in range(60)] + [chance.uniform(40, 120) for _ in range(25)]
    lines = [f"{at:.3f},{chance.lognormvariate(1.5, 0.7):.3f},0" for at in arrivals]
    (folder / "day.csv").write_text("\n".join(["t_min,service_min,stype", *lines]) + "\n")
    words = ["backtest", "--trace", folder / "day.csv", "--hall", "2,2,2", "--html", folder / "r.html"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return folder / "r.html"


def figures_and_overflow(page: Page, file: Path, width: int) -> tuple[list[dict[str, Any]], int]:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(file.as_uri())
    return page.evaluate(FIGURE_BOXES), page.evaluate(TOO_WIDE)


def test_a_browser_shows_the_report_whole_and_alone(tmp_path: Path) -> None:
    if CHROMIUM is None and os.environ.get("CI") != "true":
        pytest.skip("Debian's chromium is not installed here")
    file, requests, complaints = report(tmp_path), [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        figures, too_wide = figures_and_overflow(page, file, 1100)
        rows = page.locator("table tbody tr").all_inner_texts()
        narrow, page_too_wide = figures_and_overflow(page, file, 390)
        page.screenshot(path=tmp_path / "report.png", full_page=True)
        browser.close()
    assert set(requests) == {file.as_uri()}
    assert complaints == []
    words = ("people waiting", "windows serving", "told (blue), real", "as told (across)")
    assert [word for word, figure in zip(words, figures, strict=True) if word not in figure["caption"]] == []
    for figure in (*figures, *narrow):
        assert figure["marks"] > 0, figure
        assert figure["inside"], figure
        assert figure["width"] > 300, figure
    assert too_wide == 0
    assert page_too_wide < 100  # on a telephone tables scroll in their box, the page does not
    assert [row.split()[0] for row in rows] == ["pw", "never", "always", "naive10", "band", "clairvoyant"]
    assert (tmp_path / "report.png").stat().st_size > 20_000
