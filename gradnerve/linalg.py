"""Linear algebra: all of `numpy.linalg`, whose functions take Tensors as they are.

>>> from gradnerve import Tensor, linalg
>>> x = Tensor([[2.0, 1.0], [0.0, 4.0]], requires_grad=True)
>>> linalg.det(x).backward()
>>> x.grad.round(12)
array([[ 4.,  0.],
       [-1.,  2.]])

Read next: ops/linalg.py, where the derivatives are.
"""

from numpy.linalg import *
