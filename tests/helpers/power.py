"""A disk that forgets what was not synced: what a power cut leaves of a process's writing.

The system calls of a real process are recorded by strace and carried out once more on a model of a
disk. At any of them the power may fail: content that was not synced is gone, or all of it but the
last write's second half is there; names that a folder's sync has not made last are gone, or are
there with nothing behind them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

CALLS = (
    *("openat", "write", "pwrite64", "lseek", "ftruncate", "fsync", "fdatasync", "rename"),
    *("renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "link", "linkat"),
)
CUTS = ("nothing unsynced", "the last write torn", "names without content")

_LINE = re.compile(r"^(\d+) +(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)(.*)$", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HANDLE = re.compile(r"(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")


@dataclass(frozen=True)
class Step:
    """One system call that succeeded: its name, its paths, what was written, and its numbers."""

    name: str
    paths: tuple[str, ...]
    handle: int
    content: bytes
    numbers: tuple[int, ...]
    flags: str


def can_record() -> bool:
    """Whether strace is here and may watch a process."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return done.returncode == 0


def record(command: Sequence[str], log: Path, **options: object) -> list[Step]:
    """Run a command to its end and return what it did to files."""
    traced = ["strace", "-f", "-y", "-xx", "-s", "4000000", "-e", f"trace={','.join(CALLS)}"]
    done = subprocess.run(
        [*traced, "-o", str(log), *command],
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return list(_steps(log))


def _steps(log: Path) -> Iterator[Step]:
    begun: dict[str, str] = {}
    with log.open(encoding="ascii") as file:
        for line in file:
            found = _LINE.match(line.rstrip("\n"))
            assert found is not None, line[:200]
            thread, text = found.groups()
            if text.endswith("<unfinished ...>"):
                begun[thread] = text.removesuffix("<unfinished ...>")
                continue
            if text.startswith("<... "):
                text = begun.pop(thread) + text.partition(" resumed>")[2]
            call = _CALL.match(text)
            if call is not None and int(call[3]) >= 0:
                yield _step(call[1], call[2], int(call[3]), call[4])


def _step(name: str, arguments: str, result: int, rest: str) -> Step:
    handles = [(n, _bytes(path).decode()) for n, path in _HANDLE.findall(arguments)]
    texts = [_bytes(text) for text in _TEXT.findall(arguments)]
    plain = _TEXT.sub("", _HANDLE.sub("", arguments))
    numbers = tuple(int(n) for n in re.findall(r"(?<![\w.])-?\d+(?![\w.])", plain))
    if name in ("write", "pwrite64", "lseek", "ftruncate", "fsync", "fdatasync"):
        number, path = handles[0]
        content = texts[0][:result] if texts else b""
        if name == "lseek":
            numbers = (result,)
        return Step(name, (path,), int(number), content, numbers, plain)
    if name == "openat":
        opened = _HANDLE.search(f"{result}{rest}")
        path = _bytes(opened[2]).decode() if opened else ""
        return Step(name, (path,), result, b"", (), plain)
    start = handles[0][1] if handles else "/"
    paths = tuple(str(PurePosixPath(start) / text.decode()) for text in texts)
    return Step(name, paths, -1, b"", numbers, plain)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class File:
    """What a file holds for the process, what of it lasts, and what came since."""

    held: bytearray = field(default_factory=bytearray)
    lasting: bytes = b""
    since: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, at: int, content: bytes) -> None:
        self.since.append((at, content))
        _put(self.held, at, content)

    def cut(self, size: int) -> None:
        del self.held[size:]
        self.held.extend(bytes(size - len(self.held)))
        self.since.append((-1, b""))

    def sync(self) -> None:
        self.lasting = bytes(self.held)
        self.since.clear()

    def torn(self) -> bytes:
        """All that came since but half of the last write."""
        if not self.since or self.since[-1][0] < 0 or any(at < 0 for at, _ in self.since):
            return bytes(self.held) if self.since else self.lasting
        found = bytearray(self.lasting)
        for at, content in self.since[:-1]:
            _put(found, at, content)
        at, content = self.since[-1]
        _put(found, at, content[: len(content) // 2])
        return bytes(found)


def _put(held: bytearray, at: int, content: bytes) -> None:
    held.extend(bytes(max(0, at - len(held))))
    held[at : at + len(content)] = content


def write(left: Mapping[str, bytes | None], target: Path) -> None:
    """Write what a power cut has left into a folder."""
    for name, content in left.items():  # a folder comes before what lies in it
        if content is None:
            (target / name).mkdir()
        else:
            (target / name).write_bytes(content)


class ForgetfulDisk:
    """Files under one folder, which was there before and lasts.

    Parameters
    ----------
    root : Path
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.names: dict[str, File | None] = {}
        self.lasting: dict[str, File | None] = {}
        self._at: dict[int, int] = {}

    def do(self, step: Step) -> bool:
        """Carry a step out; return whether it concerned this disk."""
        if not any(path.startswith(f"{self.root}/") for path in step.paths):
            return step.paths[:1] == (self.root,) and self._sync_folder(step)
        path = step.paths[0]
        match step.name:
            case "openat":
                self._open(step, path)
            case "lseek":
                self._at[step.handle] = step.numbers[0]
            case "write":
                at = self._at.get(step.handle, 0)
                self._file(path).write(at, step.content)
                self._at[step.handle] = at + len(step.content)
            case "pwrite64":
                self._file(path).write(step.numbers[-1], step.content)
            case "ftruncate":
                self._file(path).cut(step.numbers[-1])
            case "fsync" | "fdatasync":
                file = self.names.get(path)
                if file is None:
                    return self._sync_folder(step)
                file.sync()
            case "rename" | "renameat" | "renameat2":
                self.names[step.paths[1]] = self.names.pop(path)
            case "link" | "linkat":
                self.names[step.paths[1]] = self.names[path]
            case "unlink" | "unlinkat":
                self.names.pop(path, None)
            case "mkdir" | "mkdirat":
                self.names[path] = None
        return step.name != "lseek"

    def after_a_cut(self, how: str) -> dict[str, bytes | None]:
        """Return what is left when the power fails now: files, and folders as None, by name."""
        left: dict[str, bytes | None] = {}
        names = self.names if how == "names without content" else self.lasting
        for path in sorted(names):
            parents = [str(parent) for parent in PurePosixPath(path).parents]
            if not all(p in names for p in parents if p.startswith(f"{self.root}/")):
                continue  # it lies in a folder that is gone
            file, name = names[path], path.removeprefix(f"{self.root}/")
            if file is None:
                left[name] = None
            else:
                left[name] = file.torn() if how == "the last write torn" else file.lasting
        return left

    def _open(self, step: Step, path: str) -> None:
        self._at[step.handle] = 0
        if "O_DIRECTORY" in step.flags or (path in self.names and self.names[path] is None):
            return
        if path not in self.names and "O_CREAT" in step.flags:
            self.names[path] = File()
        file = self.names.get(path)
        if file is not None and "O_TRUNC" in step.flags:
            file.cut(0)
        if file is not None and "O_APPEND" in step.flags:
            self._at[step.handle] = len(file.held)

    def _sync_folder(self, step: Step) -> bool:
        if step.name not in ("fsync", "fdatasync"):
            return False
        inside = step.paths[0]
        for names in (self.lasting, self.names):
            for path in [p for p in names if str(PurePosixPath(p).parent) == inside]:
                if path in self.names:
                    self.lasting[path] = self.names[path]
                else:
                    del self.lasting[path]
        return True

    def _file(self, path: str) -> File:
        file = self.names[path]
        assert file is not None, path
        return file
