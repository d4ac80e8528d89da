from typing import Any

from numpy.typing import ArrayLike

from gradnerve._engine import GraphError as GraphError
from gradnerve._engine import ShapeError as ShapeError
from gradnerve._engine import TensorBase
from gradnerve._engine import set_recording as set_recording

class Sweep: ...

def backward(root: TensorBase, gradient: ArrayLike | TensorBase | None, retain_graph: bool) -> None: ...
def gradients(
    roots: list[Any],
    targets: list[Any],
    seeds: list[Any],
    *,
    retain_graph: bool = False,
    recorded: bool | None = None,
    ends: bool = False,
) -> list[Any]: ...
def leads_beyond(roots: list[Any], targets: list[Any]) -> bool: ...
def depends(t: TensorBase, other: TensorBase) -> bool: ...
def step(t: TensorBase) -> None: ...
