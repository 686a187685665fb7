"""The disk, as a port: what the store asks of files. Tests give one that is full, forgets, or refuses to sync."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """The machine's own files. Every method raises OSError."""

    def create(self, path: Path) -> int:
        """A new file, open for appending; its name is durable after `sync_folder`."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, data: bytes) -> None:
        """All of `data`, or an exception."""
        view = memoryview(data)
        while len(view):
            view = view[os.write(fd, view) :]

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        os.fsync(fd)

    def sync_folder(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        source.rename(target)

    def replace(self, path: Path, data: bytes) -> None:
        """Put `data` in the place of a file: what stands there after a crash is the old content or the new one."""
        temporary = path.with_name(f"{path.name}.tmp")
        temporary.unlink(missing_ok=True)
        fd = self.create(temporary)
        try:
            self.write(fd, data)
            self.sync(fd)
        finally:
            os.close(fd)
        self.rename(temporary, path)
        self.sync_folder(path.parent)

    def free_bytes(self, path: Path) -> int:
        stat = os.statvfs(path)
        return stat.f_bavail * stat.f_frsize


SYSTEM_DISK = Disk()


def numbered(folder: Path, suffix: str) -> list[tuple[int, Path]]:
    """Files named by a number, ascending: `00000007.wal`."""
    if not folder.is_dir():
        return []
    found = [(int(path.stem), path) for path in folder.iterdir() if path.suffix == suffix and path.stem.isdigit()]
    return sorted(found)


def file_name(number: int, suffix: str) -> str:
    return f"{number:08d}{suffix}"
