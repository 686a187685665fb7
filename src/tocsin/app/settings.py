"""What the command line decides, and the state database of a data directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tocsin.state.reserve import Reserve
from tocsin.state.sql import Database, sqlite_url
from tocsin.state.upgrade import upgrade


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Flags of `tocsin serve`."""

    config_paths: tuple[Path, ...]
    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8911
    config_optional: bool = False
    """The paths are defaults: a missing file is an empty configuration."""
    log_level: str = "warning"
    log_style: str = "text"

    @property
    def core_socket(self) -> Path:
        return self.data_dir / "core.sock"

    @property
    def state_path(self) -> Path:
        return self.data_dir / "state.db"

    @property
    def store_path(self) -> Path:
        return self.data_dir / "store"

    @property
    def reachable(self) -> str:
        """An address to reach us at from this machine (listening everywhere is reached by loopback)."""
        return self.listen.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")

    @property
    def listen(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def open_state(data_dir: Path) -> Database:
    """The state database, created or migrated as needed; for the one process that may write it."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = data_dir / "state.db"
    if not path.exists():
        path.touch(mode=0o600)
    reserve = Reserve(data_dir)
    db = Database(sqlite_url(path), reserve=reserve)
    reserve.helped(lambda: upgrade(db.engine))
    return db
