"""Makes the Debian package for one architecture; it contains all libraries and installs without a network (``apt
install ./….deb``).

It installs the same files as the archive of ``edged site bundle``, to the same paths, except that the systemd units are
in ``/usr/lib/systemd/system``; ``/opt/edged/venv`` is a link to ``versions/VERSION``. The udev rules and the list of
kernel modules for the serial ports are conffiles: dpkg keeps local changes. Wheels are unpacked and not run, so that
one machine can make the packages of both architectures.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from edged.site.bundle import (
    HELP_FILES,
    PLATFORMS,
    BundleError,
    BundlePlan,
    Wheel,
    about,
    run_pip,
    unpacked,
)

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NEXT = {"3.11": "3.12", "3.12": "3.13", "3.13": "3.14"}
CONFFILES = ("/etc/modules-load.d/edged.conf", "/etc/udev/rules.d/71-edged.rules")
SCRIPTS = Path(__file__).parent / "debian"  # preinst, postinst, prerm, postrm

CONTROL = """\
Package: edged
Version: {version}
Architecture: {architecture}
Maintainer: edged <edged@localhost>
Installed-Size: {kib}
Depends: python{python}, python3 (>= {python}), python3 (<< {next}~), systemd, libc6 (>= 2.34)
Recommends: mosquitto
Section: misc
Priority: optional
Description: edge controller of a government service hall
 Keeps the queue, calls visitors, drives lamps, panels and displays and runs
 the tidal "+1" windows, with or without a network.
"""


def make_package(
    plan: BundlePlan, out: Path, print_line: Callable[[str], None] = lambda _line: None
) -> list[Wheel]:
    """Write the package to ``out``; returns its wheels. Raises ``BundleError`` if the plan cannot be carried out or
    dpkg-deb fails.
    """
    _dpkg_deb()
    if plan.interpreter is not None:
        raise BundleError("a package uses Debian's own Python; --python DIR is for the archive")
    with TemporaryDirectory() as scratch:
        wheels = unpacked(plan, Path(scratch) / "bundle", print_line)
        package_of(Path(scratch) / "bundle", plan, out, print_line)
    return wheels


def package_of(
    bundle: Path, plan: BundlePlan, out: Path, print_line: Callable[[str], None] = lambda _line: None
) -> None:
    """Make the package from the unpacked bundle of ``plan``. Raises ``BundleError`` if dpkg-deb fails."""
    with TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        version = about(plan.source)["version"]
        print_line("laying out the package")
        _program(plan, bundle, root / "opt" / "edged" / "versions" / version)
        (root / "opt" / "edged" / "venv").symlink_to(f"versions/{version}")
        _system(bundle, root)
        _control(plan, version, root)
        print_line(f"packing {out.name}")
        words = ("--root-owner-group", "-Zxz", "-z3", "--build", str(root), str(out))
        done = subprocess.run([_dpkg_deb(), *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BundleError(f"dpkg-deb failed: {done.stderr.strip()}")


def _dpkg_deb() -> str:
    tool = shutil.which("dpkg-deb")
    if tool is None:
        raise BundleError("dpkg-deb is not installed: make the package on Debian")
    return tool


def _program(plan: BundlePlan, bundle: Path, place: Path) -> None:
    """Write a virtual environment like that of Python's ``venv``, without running the target's Python."""
    there = f"/opt/edged/versions/{place.name}"
    site = place / "lib" / f"python{plan.python}" / "site-packages"
    tags = [word for tag in PLATFORMS[plan.platform] for word in ("--platform", tag)]
    target = (*tags, "--python-version", plan.python, "--implementation", "cp", "--only-binary", ":all:")
    run_pip(
        *("install", "--isolated", "--no-index", "--no-deps", "--no-compile", "--require-hashes"),
        *("--target", str(site), *target),
        *("--find-links", str(bundle / "wheels"), "-r", str(bundle / "requirements.txt")),
    )
    # scripts of libraries, made for the Python of the building machine
    shutil.rmtree(site / "bin", ignore_errors=True)
    programs = place / "bin"
    programs.mkdir()
    for name in ("python", "python3", f"python{plan.python}"):
        (programs / name).symlink_to(f"/usr/bin/python{plan.python}")
    (place / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {plan.python}\n"
    )
    program = programs / "edged"
    program.write_text(
        f"#!{there}/bin/python\nimport sys\n\nfrom edged.__main__ import main\n\nsys.exit(main())\n"
    )
    program.chmod(0o755)


def _system(bundle: Path, root: Path) -> None:
    """Write units, users, rules and examples to their paths under Debian."""
    places = {
        ".service": "usr/lib/systemd/system/{name}",
        ".socket": "usr/lib/systemd/system/{name}",
        ".timer": "usr/lib/systemd/system/{name}",
        ".sysusers": "usr/lib/sysusers.d/{stem}.conf",
        ".tmpfiles": "usr/lib/tmpfiles.d/{stem}.conf",
        ".modules-load": "etc/modules-load.d/{stem}.conf",
        ".rules": "etc/udev/rules.d/{name}",
    }
    for file in sorted((bundle / "systemd").iterdir()):
        if file.suffix in places:
            place = root / places[file.suffix].format(name=file.name, stem=file.stem)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    shares = root / "usr" / "share"
    for name in HELP_FILES:
        place = shares / name.replace("zsh/site-functions", "zsh/vendor-completions")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle / "share" / name, place)
        if name.startswith("man/"):  # Debian policy 12.1
            place.with_name(place.name + ".gz").write_bytes(gzip.compress(place.read_bytes(), 9, mtime=0))
            place.unlink()
    (root / "usr" / "bin").mkdir()
    (root / "usr" / "bin" / "edged").symlink_to("/opt/edged/venv/bin/edged")
    documents = shares / "doc" / "edged"
    shutil.copytree(bundle / "configs", documents / "examples")
    for name in ("README.md", "README.zh-CN.md"):
        shutil.copyfile(bundle / "systemd" / name, documents / name)
    shutil.copyfile(bundle / "sbom.cdx.json", documents / "sbom.cdx.json")
    (documents / "copyright").write_text((bundle / "LICENSE").read_text())


def _control(plan: BundlePlan, version: str, root: Path) -> None:
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    kib = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir()) // 1024
    control = root / "DEBIAN"
    control.mkdir()
    fields = {
        "architecture": ARCHITECTURES[plan.platform],
        "python": plan.python,
        "next": NEXT[plan.python],
    }
    (control / "control").write_text(CONTROL.format(version=version, kib=kib, **fields))
    (control / "conffiles").write_text("\n".join(CONFFILES) + "\n")
    for script in sorted(SCRIPTS.iterdir()):
        shutil.copyfile(script, control / script.name)
        (control / script.name).chmod(0o755)
    manifest = {"version": version, "platform": plan.platform, "python": plan.python}
    (root / "opt" / "edged" / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
