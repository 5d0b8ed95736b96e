"""Handles programs that a test needs and a machine may lack: the test is skipped, but under CI it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip the running test (under CI: fail it). ``what`` says what is missing and how to get it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
