from typing import Any

from numpy.typing import NDArray

# None: declined, the NumPy code of gradnerve/ops/resampling.py is to run.
def along(x: Any, taps: Any, axis: int) -> NDArray[Any] | None: ...
