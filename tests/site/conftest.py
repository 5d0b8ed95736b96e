"""One empty Debian and one bundle for every machine of these tests, made once for all processes of a run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edged import __version__
from edged.site.bundle import BundlePlan, make
from tests.support.debian import PYTHON, root_image
from tests.support.policies import KEY

ROOT = Path(__file__).parents[2]
ARCHIVE = "edged-x86_64.tar.gz"
FIRST = "heads = [(lane, tickets[queue[0]]) for lane"  # whom this version calls, and whom the next one does
LAST = FIRST.replace("queue[0]", "queue[-1]")


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of an empty Debian."""
    return _once(tmp_path_factory, "debian", root_image)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as on a stick: the archive, signed, and its key; the archive unpacked as ``one``; a version ``two`` that
    calls whoever came last; and ``broken``."""
    return _once(tmp_path_factory, "usb", _stick)


def _once(made: pytest.TempPathFactory, name: str, make_it: Callable[[Path], Path]) -> Path:
    """What ``make_it`` leaves in a folder of the run; a second process waits for it and takes it as it is."""
    base = made.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with (folder.parent / f"{name}.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if found := lock.read():
            return Path(found)
        path = make_it(folder)
        lock.write(str(path))
        return path


def _stick(folder: Path) -> Path:
    private, public = folder / "city.key", folder / "city.pem"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    make(BundlePlan(ROOT, "x86_64", PYTHON, private), folder / ARCHIVE)
    with tarfile.open(folder / ARCHIVE) as packed:
        packed.extractall(folder, filter="data")
    (next(folder.glob("edged-*/"))).rename(folder / "one")
    _spoil(folder, "two", f"{__version__}.1", f"sed -i 's/{FIRST}/{LAST}/' \"$code/core/queue/ordering.py\"")
    _spoil(folder, "broken", f"{__version__}.2", 'echo "raise SystemExit(70)" >"$code/daemon/start.py"')
    return folder


def _spoil(folder: Path, name: str, version: str, command: str) -> None:
    """Another version: as the bundle, but its install program changes the code it places."""
    shutil.copytree(folder / "one", folder / name, copy_function=os.link)
    for changed in ("manifest.json", "install", "SHA256SUMS"):  # the rest shares the disk
        (folder / name / changed).unlink()
        shutil.copy2(folder / "one" / changed, folder / name / changed)
    manifest = json.loads((folder / name / "manifest.json").read_text())
    (folder / name / "manifest.json").write_text(json.dumps(manifest | {"version": version}, indent=2))
    install, line = folder / name / "install", '  run "$target.part/bin/python" -m compileall'
    text = install.read_text()
    assert line in text
    code = f"  code=$target.part/lib/python{PYTHON}/site-packages/edged\n  {command.replace('[', chr(92) + '[')}\n"
    install.write_text(text.replace(line, code + line))
    _sum_again(folder / name)


def _sum_again(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    done = subprocess.run(
        ["sha256sum", *(str(path.relative_to(folder)) for path in files)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    (folder / "SHA256SUMS").write_text(done.stdout)
