from collections.abc import Callable
from typing import Any

from gradnerve._engine import Operation
from gradnerve._program import Program

class Line:
    def __init__(self, function: Callable[..., Any], zero: bool, conjugates: bool, slots: dict[str, int]) -> None: ...
    @property
    def function(self) -> Callable[..., Any]: ...
    @property
    def zero(self) -> bool: ...
    def compiled(self, typenums: list[int]) -> Program | None: ...

class Elementwise(Operation):
    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        nin: int,
        lines: dict[str, Callable[..., Any]],
        zero: Callable[..., None],
        analytic: bool = True,
    ) -> None: ...
    @property
    def nin(self) -> int: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
