"""Methods of dataclasses, compiled once and kept beside the .pyc files.

A dataclass writes its methods as text and compiles them whenever its module is imported: six a class, 3,000 at a start, 0.3 s
of CPU. Python keeps what it compiled of modules, but not of these. Here the code of a text is looked up by the text's hash:

    __pycache__/compiled.cpython-311.methods     magic number of the interpreter | crc32 | marshal {hash of text: code}

A file that is missing, damaged or of another interpreter costs the time that it would have saved, and is written anew where
the folder can be written, as Python does with its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import marshal
import os
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

_MAGIC = importlib.util.MAGIC_NUMBER
_HEAD = len(_MAGIC) + 4


def default_file() -> Path:
    """Where Python would keep the code of this module (PYTHONPYCACHEPREFIX and -O count)."""
    return Path(importlib.util.cache_from_source(__file__)).with_suffix(".methods")


@contextlib.contextmanager
def remembered_methods(file: Path | None = None) -> Iterator[None]:
    """Import within this: dataclasses take the code of their methods from the file. Afterwards they compile as ever."""
    file = file or default_file()
    known = _read(file)
    used: dict[bytes, CodeType] = {}

    def run(text: str, globals: dict[str, Any], locals: dict[str, Any]) -> None:
        key = hashlib.blake2b(text.encode(), digest_size=16).digest()
        code = used.get(key) or known.get(key) or compile(text, "<string>", "exec", dont_inherit=True)
        used[key] = code
        exec(code, globals, locals)

    # A name of the module comes before the builtin one, in that module alone.
    vars(dataclasses)["exec"] = run
    try:
        yield
    finally:
        vars(dataclasses).pop("exec", None)
    if used.keys() != known.keys() and not sys.dont_write_bytecode:
        _write(file, used)


def _read(file: Path) -> Mapping[bytes, CodeType]:
    """Empty when there is no good one."""
    with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
        data = file.read_bytes()
        if data[: len(_MAGIC)] == _MAGIC and zlib.crc32(data[_HEAD:]) == int.from_bytes(data[len(_MAGIC) : _HEAD], "big"):
            found: Mapping[bytes, CodeType] = marshal.loads(data[_HEAD:])
            return found
    return {}


def _write(file: Path, methods: Mapping[bytes, CodeType]) -> None:
    """Whole or not at all; a folder that cannot be written is left alone."""
    payload = marshal.dumps(dict(methods))
    temporary = file.with_suffix(f".{os.getpid()}")
    try:
        temporary.write_bytes(_MAGIC + zlib.crc32(payload).to_bytes(4, "big") + payload)
        temporary.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
