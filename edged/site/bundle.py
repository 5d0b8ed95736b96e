"""Makes the archive for an installation without a network: wheels, systemd units, install program, list of parts.

Layout of the archive, one folder ``edged-VERSION-PLATFORM/``::

    install               the install program (POSIX shell); install, upgrade, rollback, uninstall, status
    wheels/*.whl          the program, its libraries and pip, for one platform and one Python
    python/               an interpreter, where the machine's own is too old
    requirements.txt      what is installed, every wheel with its SHA-256
    systemd/ configs/     units, rules, examples
    share/                manual pages and shell completion, made by the commands themselves
    sbom.cdx.json         list of parts, CycloneDX 1.6
    manifest.json         version, platform, Python
    SHA256SUMS            of every other file; SHA256SUMS.sig signs it (Ed25519, ``openssl pkeyutl`` verifies it)

The versions and hashes are those of ``requirements.lock``; a wheel that differs is an error, not a warning.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

PLATFORMS = {  # name for people: tags that pip may choose from, newest C library first
    "x86_64": (
        "manylinux_2_34_x86_64",
        "manylinux_2_28_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
    ),
    "aarch64": (
        "manylinux_2_34_aarch64",
        "manylinux_2_28_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ),
}
PYTHONS = ("3.11", "3.12", "3.13")
# Debian's own pip may be missing (python3-venv); this one installs the rest and is not installed itself
PIP = "pip==26.3"
SHIPPED = ("systemd", "configs")
EXTRAS = "web,bridge"  # the pages and the bridge to a queue system, beside the daemon
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}  # ``e_machine`` (elf.h)
MUST_BRING = "import bz2, ctypes, hashlib, lzma, ssl, venv, zlib, sys; print('%d.%d' % sys.version_info[:2])"
CHUNK_BYTES = 1 << 20
HELP_FILES = {  # path below share/: arguments of ``edged`` that print this file
    "man/man1/edged.1": ("manual",),
    "man/zh_CN/man1/edged.1": ("manual", "--lang", "zh"),
    "bash-completion/completions/edged": ("completion", "bash"),
    "zsh/site-functions/_edged": ("completion", "zsh"),
    "fish/vendor_completions.d/edged.fish": ("completion", "fish"),
}


class BundleError(Exception):
    """The bundle cannot be made; the text says why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """What to bundle. ``source``: a checkout. ``key``: a private key file (PEM) that signs the bundle, or None.

    ``interpreter``: the folder of a Python to include (``bin/python3`` and its library), of version ``python``. ``gm``:
    include the library for SM2 keys (国密).
    """

    source: Path
    platform: str
    python: str
    key: Path | None = None
    interpreter: Path | None = None
    gm: bool = False


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel (a built Python package) in the bundle."""

    name: str
    version: str
    file: str
    sha256: str


def make(plan: BundlePlan, out: Path, print_line: Callable[[str], None] = lambda _line: None) -> list[Wheel]:
    """Write the bundle to ``out`` (``.tar.zst`` or ``.tar.gz``); returns its wheels. Raises ``BundleError`` if the plan
    cannot be carried out or ``out`` cannot be written.
    """
    name = f"edged-{about(plan.source)['version']}-{plan.platform}"
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        wheels = unpacked(plan, folder, print_line)
        print_line(f"packing {out.name}")
        try:
            _pack(folder, out)
        except OSError as error:
            raise BundleError(f"{out} cannot be written: {error.strerror}") from None
    return wheels


def unpacked(
    plan: BundlePlan, folder: Path, print_line: Callable[[str], None] = lambda _line: None
) -> list[Wheel]:
    """Write the bundle as a folder, which must not exist yet; returns its wheels. Raises ``BundleError`` if the plan
    cannot be carried out: an unsupported platform or Python, a wheel that is missing or not the locked one, an unusable
    key.
    """
    project = about(plan.source)
    if plan.platform not in PLATFORMS:
        raise BundleError(
            f"platform {plan.platform!r} is not supported; choose one of {', '.join(PLATFORMS)}"
        )
    if plan.python not in PYTHONS:
        raise BundleError(f"Python {plan.python} is not supported; choose one of {', '.join(PYTHONS)}")
    if plan.gm and plan.platform != "x86_64":
        raise BundleError(
            f"the library for SM2 keys has no wheel for {plan.platform}; leave --gm out, and sign with Ed25519 keys"
        )
    wheels = _wheels(plan, folder / "wheels", print_line)
    if plan.interpreter is not None:
        print_line(f"carrying the interpreter of {plan.interpreter}")
        _carry(plan.interpreter, folder / "python")
    _texts(plan, folder, project, wheels)
    _sums(folder, plan.key)
    return wheels


def about(source: Path) -> dict[str, str]:
    """The [project] table of a checkout's pyproject.toml. Raises ``BundleError`` if ``source`` is no checkout."""
    try:
        project: dict[str, str] = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise BundleError(
            f"{source}: not a checkout of edged ({error}); run it there or name it by --source"
        ) from None
    return project


def carried_version(interpreter: Path) -> str:
    """The version of the included interpreter; checks that it also runs from another folder. Raises ``BundleError`` if
    it does not.
    """
    with TemporaryDirectory() as scratch:
        there = Path(scratch) / "python"
        _carry(interpreter, there)
        ran = subprocess.run(
            [there / "bin" / "python3", "-I", "-c", MUST_BRING],
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
            check=False,
        )
    if ran.returncode != 0:
        why = (ran.stderr.strip().splitlines() or ["it does not run"])[-1]
        raise BundleError(
            f"{interpreter}: cannot be carried to another machine: {why}; build it without --enable-shared,"
            " with ssl, lzma, bz2 and ctypes"
        )
    return ran.stdout.strip()


def _carry(interpreter: Path, there: Path) -> None:
    if not (interpreter / "bin" / "python3").exists():
        raise BundleError(f"{interpreter}: no bin/python3 there")
    leave = shutil.ignore_patterns("__pycache__", "site-packages", "dist-packages", "test", "idlelib", "*.a")
    (there / "bin").mkdir(parents=True)
    shutil.copy2((interpreter / "bin" / "python3").resolve(), there / "bin" / "python3")
    shutil.copytree(interpreter / "lib", there / "lib", ignore=leave)


def foreign_parts(wheels: Path, platform: str) -> list[str]:
    """ELF files inside wheels that are for another processor than that of ``platform``."""
    found = []
    for file in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(file) as wheel:
            for name in wheel.namelist():
                with wheel.open(name) as part:
                    head = part.read(20)
                native = head[:4] == b"\x7fELF"
                if native and int.from_bytes(head[18:20], "little") != ELF_MACHINES[platform]:
                    found.append(f"{file.name}: {name}")
    return found


def _wheels(plan: BundlePlan, folder: Path, print_line: Callable[[str], None]) -> list[Wheel]:
    """Build our own wheel, fetch the others for the platform, and compare each one's hash with the lock."""
    folder.mkdir(parents=True)
    print_line("building the wheel of edged")
    with (plan.source / "pyproject.toml").open(
        "rb"
    ) as lock:  # two builds at once would write into one folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(plan.source))
    ours = next(folder.glob("edged-*.whl"))
    pins, hashes = _locked(plan.source / "requirements.lock")
    constraints = folder.parent / "constraints.txt"
    constraints.write_text("\n".join(pins))
    tags = [word for tag in PLATFORMS[plan.platform] for word in ("--platform", tag)]
    target = (*tags, "--python-version", plan.python, "--implementation", "cp", "--only-binary", ":all:")
    print_line(f"fetching libraries for {plan.platform}, Python {plan.python}")
    wanted = f"{ours}[{EXTRAS},gm]" if plan.gm else f"{ours}[{EXTRAS}]"
    run_pip("download", *target, "--constraint", str(constraints), "--dest", str(folder), wanted)
    run_pip("download", *target, "--no-deps", "--dest", str(folder), PIP)
    constraints.unlink()
    wheels = sorted((_wheel(file) for file in folder.glob("*.whl")), key=lambda one: one.name)
    foreign = [one.file for one in wheels if one.name not in ("edged", "pip") and one.sha256 not in hashes]
    if foreign:
        raise BundleError(f"not in requirements.lock with this hash: {', '.join(foreign)}")
    if elsewhere := foreign_parts(folder, plan.platform):
        raise BundleError(f"not for {plan.platform}: {', '.join(elsewhere)}")
    return wheels


def run_pip(*words: str) -> None:
    """Run pip quietly and without its configuration. Raises ``BundleError`` with its output if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BundleError(f"pip {words[0]} failed: {done.stderr.strip()[-1500:]}")


def _locked(lock: Path) -> tuple[list[str], frozenset[str]]:
    """The requirements in the lock file, and all hashes in it."""
    text = lock.read_text()
    return re.findall(r"^[A-Za-z0-9._-]+==[^ \\;]+", text, re.M), frozenset(
        re.findall(r"sha256:([0-9a-f]{64})", text)
    )


def _wheel(file: Path) -> Wheel:
    name, version = file.name.split("-")[:2]
    return Wheel(re.sub(r"[-_.]+", "-", name).lower(), version, file.name, _sha256(file))


def _texts(plan: BundlePlan, folder: Path, project: dict[str, str], wheels: list[Wheel]) -> None:
    """Write every file of the bundle that is neither a wheel nor a checksum."""
    for shipped in SHIPPED:
        shutil.copytree(
            plan.source / shipped, folder / shipped, ignore=shutil.ignore_patterns("__pycache__", "*.py")
        )
    shutil.copy(plan.source / "LICENSE", folder / "LICENSE")
    shutil.copy(plan.source / "systemd" / "install", folder / "install")
    (folder / "install").chmod(0o755)
    (folder / "systemd" / "install").unlink()
    _write_help_files(plan.source, folder / "share")
    lines = [f"{one.name}=={one.version} --hash=sha256:{one.sha256}" for one in wheels if one.name != "pip"]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n")
    manifest = {"version": project["version"], "platform": plan.platform, "python": plan.python}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (folder / "sbom.cdx.json").write_text(_parts(project["version"], wheels))


def _write_help_files(source: Path, share: Path) -> None:
    """Write manual pages and shell completion as the commands of ``source`` print them. Raises ``BundleError`` if such
    a command fails.
    """
    for place, words in HELP_FILES.items():
        done = subprocess.run(
            [sys.executable, "-m", "edged", *words], cwd=source, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BundleError(f"edged {' '.join(words)} failed: {done.stderr.strip()[-500:]}")
        file = share / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(done.stdout, encoding="utf-8")


def _parts(version: str, wheels: Iterable[Wheel]) -> str:
    """The list of parts in CycloneDX format (JSON)."""
    try:
        from cyclonedx.model import HashAlgorithm, HashType
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output.json import JsonV1Dot6
        from packageurl import PackageURL
    except ImportError:
        raise BundleError("the extra [bundle] is not installed: pip install 'edged[bundle]'") from None
    bom = Bom()
    whole = Component(type=ComponentType.APPLICATION, name="edged", version=version, bom_ref="edged")
    bom.metadata.component = whole
    libraries = [
        Component(
            type=ComponentType.LIBRARY,
            name=one.name,
            version=one.version,
            bom_ref=one.file,
            purl=PackageURL("pypi", None, one.name, one.version),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one.sha256)],
        )
        for one in wheels
    ]
    for library in libraries:
        bom.components.add(library)
    bom.register_dependency(whole, libraries)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _sums(folder: Path, key: Path | None) -> None:
    """Write SHA256SUMS of every file in the format of ``sha256sum -c``, and with ``key`` its signature."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(f"{_sha256(path)}  {path.relative_to(folder)}\n" for path in files))
    if key is not None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            private = load_pem_private_key(key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise BundleError(f"{key}: no private key that can be used ({error})") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise BundleError(f"{key}: not an Ed25519 key; make one by `edged policy keygen`")
        (folder / "SHA256SUMS.sig").write_bytes(private.sign(sums.read_bytes()))


def _pack(folder: Path, out: Path) -> None:
    """Pack one archive, reproducibly: the same files give the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder.parent), recursive=False, filter=_anonymous)
    if out.suffix == ".zst":
        try:
            import zstandard
        except ImportError:
            raise BundleError("the extra [bundle] is not installed: pip install 'edged[bundle]'") from None
        out.write_bytes(zstandard.ZstdCompressor(level=10).compress(packed.getvalue()))
    elif out.suffix == ".gz":
        import gzip

        out.write_bytes(gzip.compress(packed.getvalue(), 6, mtime=0))
    else:
        raise BundleError(f"{out}: the name must end in .tar.zst or .tar.gz (where the machine has no zstd)")


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    return entry


def _sha256(file: Path) -> str:
    made = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            made.update(chunk)
    return made.hexdigest()
