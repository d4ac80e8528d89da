from typing import Any

from numpy.typing import NDArray

RULES: tuple[str, ...]

def step(
    rule: str,
    parameters: list[NDArray[Any]],
    gradients: list[NDArray[Any]],
    states: list[dict[str, Any]],
    names: tuple[str | None, ...],
    numbers: list[tuple[float, ...]],
) -> bool: ...
