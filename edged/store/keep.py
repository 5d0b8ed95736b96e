"""The keep file ``<journal>.keep``: a second copy of what must survive the loss of the database file.

Rules: it holds the epoch, the highest policy version ever applied, the policy applied last and the newest state dump.
It is replaced as a whole (write, fsync, rename) after these were committed to the database, so it is never newer than a
healthy database. Its first line is a hash of the rest; if that is wrong, the whole file is ignored.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.store import codec
from edged.store.database import PolicyRow, Snapshot, sync_directory
from edged.whole_file import whole_file

MAX_BYTES = 64 * 1024 * 1024  # a state dump is well under 1 MiB; a bigger file is not ours and is not read


@dataclass(frozen=True, slots=True)
class Keep:
    """The content of the keep file. ``epoch`` 0: there is no usable file. ``seq``: the last committed step when it was
    written.
    """

    epoch: int = 0
    seq: int = 0
    high_water: int = 0
    policy: PolicyRow | None = None
    snapshot: Snapshot | None = None


def keep_path(journal: Path) -> Path:
    """Path of the keep file of a journal."""
    return journal.with_name(journal.name + ".keep")


def read_keep(journal: Path) -> Keep:
    """Read the keep file; an empty ``Keep`` if it is missing, incomplete, changed or too large. Raises ``OSError`` if
    the disk fails.
    """
    try:
        path = keep_path(journal)
        if path.stat().st_size > MAX_BYTES:
            return Keep()
        sum_, _, body = path.read_bytes().partition(b"\n")
        return _parse(json.loads(body)) if codec.sha256(body).encode() == sum_ else Keep()
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Keep()


def write_keep(journal: Path, keep: Keep) -> None:
    """Replace the keep file; it is on disk when this returns. Raises ``OSError`` if the disk does not take it."""
    body = json.dumps(_fields(keep), separators=(",", ":")).encode()
    path = keep_path(journal)
    with whole_file(path) as stream:
        stream.write(codec.sha256(body).encode() + b"\n" + body)
    sync_directory(path.parent)


def _fields(keep: Keep) -> dict[str, Any]:
    policy, snapshot = keep.policy, keep.snapshot
    return {
        "epoch": keep.epoch,
        "seq": keep.seq,
        "high_water": keep.high_water,
        "policy": policy
        and {
            "version": policy.version,
            "sha256": policy.sha256,
            "envelope": base64.b64encode(policy.envelope).decode(),
            "seq": policy.seq,
            "at_ms": policy.at_ms,
        },
        "snapshot": snapshot
        and {
            "seq": snapshot.seq,
            "at_ms": snapshot.at_ms,
            "sha256": snapshot.sha256,
            "chain": snapshot.chain.hex(),
            "blob": base64.b64encode(snapshot.blob or b"").decode(),
        },
    }


def _parse(fields: dict[str, Any]) -> Keep:
    policy, snapshot = fields["policy"], fields["snapshot"]
    if policy is not None:
        policy = PolicyRow(**{**policy, "envelope": base64.b64decode(policy["envelope"])})
    if snapshot is not None:
        blob, chain = base64.b64decode(snapshot["blob"]), bytes.fromhex(snapshot["chain"])
        snapshot = Snapshot(**{**snapshot, "blob": blob, "chain": chain})
    return Keep(int(fields["epoch"]), int(fields["seq"]), int(fields["high_water"]), policy, snapshot)
