"""The files a configuration is made of, read once: building from them needs no disk, and the last good ones can be kept."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tocsin.errors import ConfigError, Place, Problem
from tocsin.formats.yaml_tree import parse_yaml

_LARGEST_BYTES = 32 * 1024 * 1024
Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """File name -> text: the configuration files in order, and the files that they name."""

    main: tuple[str, ...]
    texts: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return orjson.dumps({"main": self.main, "texts": self.texts})

    @classmethod
    def from_json(cls, data: bytes) -> Sources:
        raw = orjson.loads(data)
        return cls(tuple(raw["main"]), dict(raw["texts"]))


def read_sources(paths: Iterable[Path], *, optional: bool = False) -> Sources:
    """Read the configuration files and the files that they name: rules, dashboards, templates. Raises ConfigError."""
    texts: dict[str, str] = {}
    main = main_files(paths, optional=optional)
    for path in main:
        texts[str(path)] = read_text(path)
        for named in _named_files(texts[str(path)], path):
            if named.exists():  # a missing one is reported with the line that names it
                texts[str(named)] = read_text(named)
        for named in _template_files(texts[str(path)], path):
            with contextlib.suppress(ConfigError):  # said with the pattern that names it; the page is sent all the same
                texts[str(named)] = read_text(named)
    return Sources(tuple(str(path) for path in main), texts)


def _named_files(text: str, path: Path) -> list[Path]:
    """Rule files and dashboards."""
    return _files_under(text, path, ("rule_files", "dashboard_files"))


def _template_files(text: str, path: Path) -> list[Path]:
    """Templates of messages."""
    return [named for named in _files_under(text, path, ("templates",)) if named.exists()]


def _files_under(text: str, path: Path, keys: tuple[str, ...]) -> list[Path]:
    try:
        value = parse_yaml(text, str(path)).value
    except ConfigError:
        return []  # reported when it is built
    lists = [value.get(key) for key in keys] if isinstance(value, dict) else []
    return expand([str(p) for patterns in lists if isinstance(patterns, list) for p in patterns], path.parent)


def main_files(paths: Iterable[Path], *, optional: bool) -> list[Path]:
    """The files behind `--config`: a folder stands for its *.yaml and *.yml in order of name. Raises ConfigError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml") and p.is_file())
        elif path.exists():
            found.append(path)
        elif not optional:
            raise ConfigError(Problem(Place(str(path)), "", "there is no such file; give --config FILE or a folder"))
    return found


def read_text(path: Path) -> str:
    """Raises ConfigError naming the file."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ConfigError(Problem(Place(str(path)), "", f"is larger than {_LARGEST_BYTES // 2**20} MiB; not read"))
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(Problem(Place(str(path)), "", f"cannot be read: {error}")) from None


def expand(patterns: Iterable[str], base: Path) -> list[Path]:
    """Files of `rule_files`-like patterns, relative to the file that names them, in order."""
    out: list[Path] = []
    for pattern in patterns:
        full = pattern if Path(pattern).is_absolute() else str(base / pattern)
        out += [Path(name) for name in sorted(glob.glob(full))] if glob.has_magic(full) else [Path(full)]
    return list(dict.fromkeys(out))


def signature(paths: Iterable[Path]) -> Signature:
    """What tells that a file changed: name, time, size and inode; a missing file has zeros."""
    rows = []
    for path in paths:
        try:
            stat = path.stat()
            rows.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except OSError:
            rows.append((str(path), 0, 0, 0))
    return tuple(rows)
