"""The bundle itself: for another processor, signed, with a list of parts, and refused where something is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edged.site import bundle
from edged.site.bundle import BundleError, BundlePlan, carried_version, foreign_parts, make, unpacked
from tests.support.needs import lacking
from tests.support.policies import KEY

ROOT = Path(__file__).parents[2]


def test_a_bundle_for_another_processor_is_signed_and_lists_its_parts(tmp_path: Path) -> None:
    private, public = tmp_path / "city.key", tmp_path / "city.pem"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    archive = tmp_path / "edged.tar.gz"
    wheels = make(BundlePlan(ROOT, "aarch64", "3.11", private), archive)
    for one in wheels:
        *_, python, abi, platform = one.file.removesuffix(".whl").split("-")
        assert platform == "any" or platform.endswith("aarch64"), one.file
        assert abi in ("none", "abi3", "cp311"), one.file
        assert set(python.split(".")) & {"py3", "cp311", "cp39", "cp38", "cp310"} or abi == "abi3", one.file
    assert [one.file for one in wheels if one.file.endswith("aarch64.whl")]
    assert {"edged", "starlette", "uvicorn", "pip"} <= {one.name for one in wheels}
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    folder = next(tmp_path.glob("edged-*-aarch64"))
    assert foreign_parts(folder / "wheels", "aarch64") == []
    assert foreign_parts(folder / "wheels", "x86_64") != [], "native parts are looked at"
    words = ("-rawin", "-in", "SHA256SUMS", "-sigfile", "SHA256SUMS.sig")
    signed = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), *words],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert signed.returncode == 0, signed.stderr
    summed = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=False)
    assert summed.returncode == 0
    share = folder / "share"
    assert all((share / place).stat().st_size > 150 for place in bundle.HELP_FILES)
    parts = json.loads((folder / "sbom.cdx.json").read_text())
    assert parts["bomFormat"] == "CycloneDX"
    assert {part["name"] for part in parts["components"]} == {one.name for one in wheels}


def test_a_library_that_the_lock_does_not_know_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_locked", lambda _lock: ([], frozenset({"0" * 64})))
    with pytest.raises(BundleError, match=r"not in requirements\.lock with this hash"):
        make(BundlePlan(ROOT, "x86_64", "3.11"), tmp_path / "edged.tar.gz")


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (BundlePlan(Path("/nowhere"), "x86_64", "3.11"), "not a checkout of edged"),
        (BundlePlan(ROOT, "riscv64", "3.11"), "'riscv64' is not supported"),
        (BundlePlan(ROOT, "x86_64", "3.9"), "Python 3.9 is not supported"),
        (BundlePlan(ROOT, "aarch64", "3.11", gm=True), "SM2 keys has no wheel for aarch64"),
    ],
)
def test_what_cannot_be_made_is_said_in_words(order: BundlePlan, expected: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=expected):
        make(order, tmp_path / "edged.tar.gz")


def test_an_interpreter_that_another_machine_cannot_run_is_not_carried(tmp_path: Path) -> None:
    """It has to run from wherever it is put, with all that we use of its library."""
    with pytest.raises(BundleError, match="no bin/python3 there"):
        carried_version(tmp_path)
    poor = tmp_path / "poor"
    (poor / "bin").mkdir(parents=True)
    (poor / "lib").mkdir()
    (poor / "bin" / "python3").write_text("#!/bin/sh\necho 'ImportError: no ssl' >&2\nexit 1\n")
    (poor / "bin" / "python3").chmod(0o755)
    with pytest.raises(BundleError, match="cannot be carried to another machine: ImportError: no ssl"):
        carried_version(poor)


def debians_python(folder: Path) -> Path:
    """Debian's own interpreter, taken out of its place: no shared libpython, finds its library beside it."""
    if not Path("/usr/bin/python3.11").exists():
        lacking("Debian's python3.11 is not installed")
    (folder / "bin").mkdir(parents=True)
    shutil.copy("/usr/bin/python3.11", folder / "bin" / "python3")
    leave = shutil.ignore_patterns("__pycache__", "dist-packages", "test", "config-*")
    shutil.copytree("/usr/lib/python3.11", folder / "lib" / "python3.11", ignore=leave)
    return folder


def test_an_interpreter_is_carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheels, which the other bundles bring."""
    monkeypatch.setattr(bundle, "_wheels", lambda _order, folder, _say: [folder.mkdir(parents=True)][1:])
    interpreter = debians_python(tmp_path / "python")
    assert carried_version(interpreter) == "3.11"
    folder = tmp_path / "bundle"
    unpacked(BundlePlan(ROOT, "x86_64", "3.11", None, interpreter), folder)
    done = subprocess.run(
        [folder / "python" / "bin" / "python3", "-c", "import sys; print(sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(folder / "python")
    assert "python/bin/python3" in (folder / "SHA256SUMS").read_text()
