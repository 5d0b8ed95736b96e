"""What a test needs and a machine may not have: without it a test is skipped, but under CI it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """``what`` is missing here, in words that say how to get it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
