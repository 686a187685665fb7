"""A series that left and came back has two ids: where both stand in one matrix, it has the samples of both."""

from __future__ import annotations

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.series import absent, is_absent
from tocsin.tsdb.assemble import assemble
from tocsin.tsdb.piece import GridPiece

BACK, OTHER = Labels({"__name__": "x", "job": "back"}), Labels({"__name__": "x", "job": "other"})
NAMES = {3: BACK, 5: OTHER, 9: BACK}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("order", [(3, 5, 9), (9, 3, 5)])
def test_samples_of_both_ids_are_there(order: tuple[int, ...], later: bool) -> None:
    values = absent((3, 6))
    rows = dict(zip(order, values, strict=True))
    rows[3][:2], rows[5][:], rows[9][4:] = 1, 7, 2
    pieces = [GridPiece(1000, 0, 0, np.array(order), values)]
    if later:
        pieces.append(GridPiece(1000, 0, 4, np.array([5]), np.array([[8.0, 8.0]])))
    found = assemble(pieces, [], lambda ids: ([NAMES[one] for one in ids.tolist()], False))
    (group,) = found.groups
    got = dict(zip(group.labels, group.values, strict=True))
    assert group.t_ms.tolist() == [0, 1000, 2000, 3000, 4000, 5000]
    assert got[BACK][[0, 1, 4, 5]].tolist() == [1, 1, 2, 2]
    assert is_absent(got[BACK]).tolist() == [False, False, True, True, False, False]
    assert got[OTHER].tolist() == [7, 7, 7, 7, *([8, 8] if later else [7, 7])]
