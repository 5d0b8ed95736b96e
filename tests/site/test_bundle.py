"""The bundle itself: for another processor, signed, with a list of parts, and refused where something is wrong."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edged.site import bundle
from edged.site.bundle import BundleError, BundlePlan, make
from tests.support.policies import KEY

ROOT = Path(__file__).parents[2]


def test_a_bundle_for_another_processor_is_signed_and_lists_its_parts(tmp_path: Path) -> None:
    private, public = tmp_path / "city.key", tmp_path / "city.pem"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    archive = tmp_path / "edged.tar.gz"
    wheels = make(BundlePlan(ROOT, "aarch64", "3.11", private), archive)
    assert not [one.file for one in wheels if "x86_64" in one.file]
    assert [one.file for one in wheels if "aarch64" in one.file]
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    folder = next(tmp_path.glob("edged-*-aarch64"))
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
    ("order", "said"),
    [
        (BundlePlan(Path("/nowhere"), "x86_64", "3.11"), "not a checkout of edged"),
        (BundlePlan(ROOT, "riscv64", "3.11"), "'riscv64' is not supported"),
        (BundlePlan(ROOT, "x86_64", "3.9"), "Python 3.9 is not supported"),
    ],
)
def test_what_cannot_be_made_is_said_in_words(order: BundlePlan, said: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=said):
        make(order, tmp_path / "edged.tar.gz")
