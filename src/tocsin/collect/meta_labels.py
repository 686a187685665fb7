"""Names of discovery's labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_OTHER = re.compile(r"[^a-zA-Z0-9_]")


@lru_cache(maxsize=4096)
def label_name(text: str) -> str:
    """`app.kubernetes.io/name` -> `app_kubernetes_io_name`: what is not allowed in a label's name becomes `_`."""
    return _OTHER.sub("_", text)


def described(prefix: str, metadata: Mapping[str, object]) -> dict[str, str]:
    """Labels and annotations of a Kubernetes object: `<prefix>label_x` with its value and `<prefix>labelpresent_x` = true."""
    out: dict[str, str] = {}
    for kind, field in (("label", "labels"), ("annotation", "annotations")):
        values = metadata.get(field)
        for name, value in values.items() if isinstance(values, Mapping) else ():
            out[f"{prefix}{kind}_{label_name(name)}"] = str(value)
            out[f"{prefix}{kind}present_{label_name(name)}"] = "true"
    return out
