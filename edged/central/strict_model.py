"""How every shape of the centre is read: unknown keys and near misses of a type are errors, and nothing changes later.

Built by the first document that is pushed, not by every start: a third of the start and 4 MiB for what comes rarely.
"""

from __future__ import annotations

from pydantic import ConfigDict

MODEL = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
