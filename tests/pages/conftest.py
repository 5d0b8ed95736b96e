"""A made-up hall and a browser for the tests of the pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.pages.made_hall import MadeHall, made_hall
from tests.support.browsers import chromium


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[MadeHall]:
    async with made_hall(tmp_path) as found:
        yield found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found
