from typing import Any

from numpy.typing import NDArray

_Array = NDArray[Any]
_Form = tuple[int, int, int, int]

def normalized(x: _Array, weight: _Array | None, bias: _Array | None, stats: _Array, eps: float, form: _Form, over_batch: bool,
               centered: bool, given: bool) -> _Array | None: ...
def input_share(g: _Array, x: _Array, weight: _Array | None, stats: _Array, eps: float, form: _Form, over_batch: bool,
                centered: bool, given: bool) -> _Array | None: ...
def weight_share(g: _Array, x: _Array, stats: _Array, eps: float, form: _Form, over_batch: bool, centered: bool,
                 given: bool) -> _Array | None: ...
def bias_share(g: _Array, form: _Form, over_batch: bool) -> _Array | None: ...
