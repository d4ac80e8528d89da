"""Linear algebra: all of `numpy.linalg`, whose functions take Tensors as they are.

Read next: ops/linalg.py, where the derivatives are.
"""

from numpy.linalg import *
