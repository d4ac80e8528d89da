from collections.abc import Callable
from typing import Any

from gradnerve._engine import GraphError as GraphError
from gradnerve._engine import Operation, TensorBase
from gradnerve._engine import ShapeError as ShapeError

MISSING: object

class Reader:
    def __init__(self, line: Callable[..., Any] | None) -> None: ...
    @property
    def line(self) -> Callable[..., Any] | None: ...

class General(Operation):
    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        fast: Callable[..., Any] | None,
        names: tuple[str, ...],
        n_positional: int,
        defaults: dict[str, Any],
        variadic: bool,
        lines: dict[str, Callable[..., Any]],
        zero: Callable[..., None],
        analytic: bool,
        adds: dict[str, Callable[..., None]],
        numpys: Callable[..., Any] | None,
    ) -> None: ...
    def reader(self, line: Callable[..., Any], zero: Callable[..., None]) -> Reader: ...
    def meaning(self, name: str) -> tuple[int, int, str]: ...
    @property
    def fast(self) -> Callable[..., Any] | None: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def variadic(self) -> bool: ...
    @property
    def numpys(self) -> Callable[..., Any] | None: ...
    @property
    def n_positional(self) -> int: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

class HandMade(Operation):
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

class Custom(Operation):
    def __init__(self, function: Callable[..., Any]) -> None: ...
    def __call__(self, *args: Any) -> Any: ...

def make_by_hand(t: TensorBase, parents: tuple[TensorBase, ...], function: Callable[[], object] | None) -> None: ...
