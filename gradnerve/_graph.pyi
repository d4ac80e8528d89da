import numpy as np
from numpy.typing import NDArray

NODE_DTYPE: np.dtype[np.void]
EDGE_DTYPE: np.dtype[np.void]

def live_rows() -> tuple[int, int]: ...
def read_tables(root: int) -> tuple[NDArray[np.void], NDArray[np.void]]: ...
