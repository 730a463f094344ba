"""Writes down what other readers see in the archives of fuzz/corpus/archive, and makes some of those archives.

    python3 testdata/tar/list.py >testdata/tar/listings.txt

Made with Python's tarfile and GNU tar; a line is `ARCHIVE READER FILES`, each file as `PATH=SIZE`, or `refused`.
"""

import io
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

CORPUS = Path(__file__).parent.parent.parent / "fuzz/corpus/archive"


def block(name, size, kind=b"0", content=b"", change=None):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    if change:
        change(header)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header[:512]) + content + b"\0" * (-len(content) % 512)


def pax(**records):
    text = b""
    for key, value in records.items():
        record = f" {key}={value}\n"
        length = len(record) + 1
        while len(f"{length}{record}") != length:
            length += 1
        text += f"{length}{record}".encode()
    return block("pax", len(text), b"x", text)


def make():
    """Archives that readers may take for different things (CVE-2025-62518, CVE-2026-33055 and their like)."""
    end = b"\0" * 1024
    hidden = block("hidden", 1, content=b"x")
    base256 = lambda header: header.__setitem__(slice(124, 136), b"\x80" + (5).to_bytes(11, "big"))
    archives = {
        "pax-size-0": pax(size=0) + block("outer", len(hidden), content=hidden),
        "pax-size-larger": pax(size=1024) + block("outer", 512, content=hidden),
        "pax-size-fills-in": pax(size=5) + block("a", 0, content=b"12345") + block("b", 1, content=b"2"),
        "pax-path-wins": pax(path="real") + block("fake", 1, content=b"x"),
        "pax-path-twice": pax(path="one") + pax(path="two") + block("three", 1, content=b"x"),
        "base-256": block("a", 0, content=b"12345", change=base256) + block("b", 1, content=b"2"),
        "after-the-end": block("a", 1, content=b"x") + end + block("b", 1, content=b"y"),
        "no-end": block("a", 1, content=b"x"),
        "cut": block("a", 600, content=b"x" * 100),
        "one-zero-block": block("a", 1, content=b"x") + b"\0" * 512,
        "slash-file": block("folder/", 0) + block("folder/f", 1, content=b"x"),
        "old-format": block("a", 1, content=b"x", change=lambda header: header.__setitem__(slice(257, 265), b"\0" * 8)),
    }
    for name, archive in archives.items():
        bare = name in ("no-end", "cut", "one-zero-block")
        (CORPUS / name).write_bytes(archive if bare else archive + end)


def python(data):
    try:
        members = tarfile.open(fileobj=io.BytesIO(data)).getmembers()
        return [(member.name, member.size) for member in members if member.isreg()]
    except (tarfile.TarError, EOFError):
        return None


def gnu(data):
    run = subprocess.run(["tar", "-tvf", "-"], input=data, capture_output=True, env={"LC_ALL": "C.UTF-8", "PATH": "/bin:/usr/bin"})
    if run.returncode:
        return None
    lines = [line.split(None, 5) for line in run.stdout.decode().splitlines()]
    return [(words[5], int(words[2])) for words in lines if words[0].startswith("-")]


def main():
    make()
    version = subprocess.run(["tar", "--version"], capture_output=True).stdout.decode().splitlines()[0]
    print(f"# Python {platform.python_version()}, {version}")
    for path in sorted(CORPUS.iterdir()):
        for reader in (python, gnu):
            files = reader(path.read_bytes())
            listing = "refused" if files is None else " ".join(f"{name.removeprefix('./')}={size}" for name, size in files)
            print(f"{path.name} {reader.__name__} {listing}".rstrip())


main()
