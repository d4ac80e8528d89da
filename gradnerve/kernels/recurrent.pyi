from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

def matrix(rows: int, columns: int, double_precision: bool) -> NDArray[Any]: ...
def give_back(arrays: list[Any]) -> None: ...
def forward(
    kind: str,
    reverse: bool,
    sizes: NDArray[Any],
    w: NDArray[Any],
    bias: NDArray[Any],
    project: NDArray[Any] | None,
    h: NDArray[Any],
    c: NDArray[Any] | None,
    y: NDArray[Any],
    scratch: NDArray[Any],
    kept: Sequence[NDArray[Any] | None],
) -> bool: ...
def back(
    kind: str,
    reverse: bool,
    sizes: NDArray[Any],
    w: NDArray[Any],
    project: NDArray[Any] | None,
    dh: NDArray[Any],
    dc: NDArray[Any] | None,
    dy: NDArray[Any],
    kept: Sequence[NDArray[Any] | None],
    scratch: NDArray[Any],
    d_gates: NDArray[Any],
    d_inner: NDArray[Any] | None,
    d_projected: NDArray[Any] | None,
) -> bool: ...
