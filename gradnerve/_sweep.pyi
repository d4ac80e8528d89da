from typing import Any

from numpy.typing import ArrayLike

from gradnerve._engine import GraphError as GraphError
from gradnerve._engine import ShapeError as ShapeError
from gradnerve._engine import TensorBase
from gradnerve._engine import set_recording as set_recording

class Sweep: ...

def backward(root: TensorBase, gradient: ArrayLike | TensorBase | None, retain_graph: bool) -> None: ...
def gradients(root: TensorBase, targets: list[Any], gradient: ArrayLike | TensorBase | None = None) -> list[Any]: ...
def step(t: TensorBase) -> None: ...
