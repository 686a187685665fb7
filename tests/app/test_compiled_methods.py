"""Dataclasses made with remembered methods are the same as ever; whatever is in the file, a start goes on."""

from __future__ import annotations

import dataclasses
import marshal
import sys
import zlib
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tocsin.compiled import default_file, remembered_methods


def _made() -> Any:
    @dataclasses.dataclass(frozen=True, slots=True, order=True)
    class Place:
        name: str
        floor: int = 0
        tags: list[str] = dataclasses.field(default_factory=list, compare=False)

    return Place


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def _check(place: Any) -> None:
    one = place("roof", 3)
    assert repr(one).endswith("Place(name='roof', floor=3, tags=[])")
    assert one == place("roof", 3) and one < place("roof", 4) and hash(one) == hash(place("roof", 3, ["x"]))
    assert dataclasses.replace(one, floor=1) == place("roof", 1) and not hasattr(one, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "cellar"
    with pytest.raises(TypeError):
        place()


def test_methods_come_from_the_file_the_second_time(tmp_path: Path, writes: None) -> None:
    file = tmp_path / "methods"
    with remembered_methods(file):
        _check(_made())
    kept = {key: _named(code, "kept") for key, code in _codes(file.read_bytes()).items()}
    _write(file, kept)
    made = file.stat().st_mtime_ns
    with remembered_methods(file):
        place = _made()
    _check(place)
    assert place.__init__.__code__.co_filename == place.__eq__.__code__.co_filename == "kept"
    assert file.stat().st_mtime_ns == made, "nothing new: the file is not written again"


def test_what_is_not_used_any_more_leaves_the_file(tmp_path: Path, writes: None) -> None:
    file = tmp_path / "methods"
    with remembered_methods(file):
        _made()
        dataclasses.make_dataclass("Other", ["a"])
    before = len(file.read_bytes())
    with remembered_methods(file):
        _made()
        dataclasses.make_dataclass("Another", ["b"])
    with remembered_methods(file):
        _made()
    assert len(file.read_bytes()) < before


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "another interpreter's", "a folder"])
def test_a_bad_file_costs_time_only_and_is_made_anew(tmp_path: Path, writes: None, damage: str) -> None:
    file = tmp_path / "methods"
    with remembered_methods(file):
        _made()
    good = file.read_bytes()
    match damage:
        case "flipped":
            file.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
        case "cut":
            file.write_bytes(good[: len(good) // 2])
        case "empty":
            file.write_bytes(b"")
        case "another interpreter's":
            file.write_bytes(b"\0\0\0\0" + good[4:])
        case _:
            file.unlink()
            file.mkdir()
    with remembered_methods(file):
        _check(_made())
    assert file.is_dir() or set(_codes(file.read_bytes())) == set(_codes(good))
    assert [path.name for path in tmp_path.iterdir()] == ["methods"]


def test_nothing_is_written_where_python_is_told_not_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with remembered_methods(tmp_path / "methods"):
        _check(_made())
    assert not list(tmp_path.iterdir())


def test_afterwards_dataclasses_compile_as_ever(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), remembered_methods(tmp_path / "methods"):
        raise ZeroDivisionError
    assert "exec" not in vars(dataclasses)
    _check(_made())


def test_the_file_lies_where_python_keeps_its_own() -> None:
    assert default_file().name.endswith(".methods") and sys.implementation.cache_tag in default_file().name


def _named(code: CodeType, name: str) -> CodeType:
    """The same code, said to come from another file."""
    consts = tuple(_named(one, name) if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_filename=name, co_consts=consts)


def _write(file: Path, codes: dict[bytes, CodeType]) -> None:
    payload = marshal.dumps(codes)
    file.write_bytes(file.read_bytes()[:4] + zlib.crc32(payload).to_bytes(4, "big") + payload)


def _codes(data: bytes) -> dict[bytes, CodeType]:
    found: dict[bytes, CodeType] = marshal.loads(data[8:])
    return found
