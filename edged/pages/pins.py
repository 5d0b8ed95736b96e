"""Stores who may give orders at the duty desk: names and argon2id hashes of their PINs, in a file that ``edged web
pin`` writes.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from edged import strict_json
from edged.whole_file import whole_file

if TYPE_CHECKING:
    from argon2 import PasswordHasher

FILE_BYTES_MAX = 64 * 1024
PEOPLE_MAX = 100
NAME_MAX = 32  # characters; as in hall.toml
PIN_DIGITS = range(6, 13)
# From published lists of common PINs. Repeated pieces (121212) and equal steps (123456) are detected by rule instead.
COMMON = """112233 123321 147258 159357 159753 258369 520131 5201314 654123 789456 456789 741852 789654 110119 147369
13145200 1314520 168168 188888 198888 666888 888666 112358 314159 3141592 31415926 135790 246810"""
PIECE_MAX = 3  # digits of a repeated piece
MODE = 0o640  # the group is that of edged web
# OWASP password storage, 2025: argon2id with 19 MiB and two passes; a twentieth of a second on a mini-PC.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1


class PinsUnusable(ValueError):
    """The PIN file cannot be read or has another form; the text says why."""


def load(file: Path) -> dict[str, str]:
    """The PIN hashes by name; {} if there is no file. Raises ``PinsUnusable`` if the file cannot be read or has another
    form.
    """
    try:
        with file.open("rb") as stream:
            found = strict_json.parse_document(stream.read(FILE_BYTES_MAX + 1), FILE_BYTES_MAX).get("pins")
    except FileNotFoundError:
        return {}
    except (OSError, strict_json.NotStrictJson) as error:
        raise PinsUnusable(f"{file}: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise PinsUnusable(f'{file}: must hold {{"pins": {{name: hash}}}}')
    return found


def keep(file: Path, name: str, pin: str | None) -> None:
    """Store the PIN of ``name``; None: delete it. Raises ``ValueError`` for an unfit PIN or name, ``OSError`` if the
    file cannot be written.
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_MAX:
        raise ValueError(f"a name has 1 to {NAME_MAX} characters")
    people = load(file)
    if pin is None:
        people.pop(name, None)
    else:
        check_form(pin)
        people[name] = _hasher().hash(pin)
    if len(people) > PEOPLE_MAX:
        raise ValueError(f"at most {PEOPLE_MAX} people may act")
    with whole_file(file, MODE) as stream:
        stream.write(json.dumps({"pins": people}, ensure_ascii=False, indent=1).encode())
        with suppress(OSError):  # keep the previous owner, where permitted
            known = file.stat()
            os.fchown(stream.fileno(), known.st_uid, known.st_gid)


def check_form(pin: str) -> None:
    """Raise ``ValueError`` if ``pin`` has a wrong form or is too easy to guess."""
    if not (pin.isascii() and pin.isdecimal() and len(pin) in PIN_DIGITS):
        raise ValueError(f"a PIN has {PIN_DIGITS.start} to {PIN_DIGITS.stop - 1} digits")
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    piece = any(pin == (pin[:size] * len(pin))[: len(pin)] for size in range(1, PIECE_MAX + 1))
    if (len(steps) == 1 and steps <= {0, 1, 9}) or piece or pin in COMMON.split():
        raise ValueError("that PIN is one of the first that anybody tries; choose another")


def is_right(hashes: dict[str, str], name: str, pin: str) -> bool:
    """Whether ``pin`` is that of ``name``. Takes equally long for an unknown name. Blocks: call it in a thread."""
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher = _hasher()
    known = hashes.get(name)
    try:
        right = hasher.verify(known or _nobody(hasher), pin)
    except (VerificationError, InvalidHashError):
        return False
    return right and known is not None


_NOBODY: list[str] = []


def _nobody(hasher: PasswordHasher) -> str:
    if not _NOBODY:
        _NOBODY.append(hasher.hash("not a PIN"))
    return _NOBODY[0]


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
