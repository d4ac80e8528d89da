"""Layers that pad: `torch.nn`'s for one, two and three axes. What each mode does is said at `functional.pad`.

Read next: functional/vision.py.
"""

from gradnerve.nn.functional.checks import tuple_of
from gradnerve.nn.functional.vision import pad
from gradnerve.nn.module import Module

__all__ = [f"{kind}Pad{n}d" for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero") for n in (1, 2, 3)]


class Padding(Module):
    """What pads the last `axes` axes.

    padding  a number for all ends, or (before, after) of the last axis, then of the last but one, and so on
    """

    axes, mode, value = None, None, None

    def __init__(self, padding):
        super().__init__()
        self.padding = tuple_of(padding, 2 * self.axes, f"{type(self).__name__}: padding")

    def forward(self, input):
        return pad(input, self.padding, self.mode, self.value)

    def extra_repr(self):
        return f"{self.padding}"


class Constant(Padding):
    mode = "constant"

    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class Zero(Padding):
    mode, value = "constant", 0.0


class Reflection(Padding):
    mode = "reflect"


class Replication(Padding):
    mode = "replicate"


class Circular(Padding):
    mode = "circular"


class ConstantPad1d(Constant):
    """A number at the ends of the last axis: ``ConstantPad1d(padding, value)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ConstantPad1d(1, 7.0)(np.ones((1, 2)))
    array([[7., 1., 1., 7.]])
    """

    axes = 1


class ConstantPad2d(Constant):
    """A number around images: ``ConstantPad2d(padding, value)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ConstantPad2d((0, 1, 1, 0), 7.0)(np.ones((1, 1, 1)))
    array([[[7., 7.],
            [1., 7.]]])
    """

    axes = 2


class ConstantPad3d(Constant):
    """A number around volumes: ``ConstantPad3d(padding, value)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ConstantPad3d(1, 7.0)(np.ones((2, 4, 5, 6))).shape
    (2, 6, 7, 8)
    """

    axes = 3


class ZeroPad1d(Zero):
    """Zeros at the ends of the last axis: ``ZeroPad1d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ZeroPad1d((1, 2))(np.ones((1, 2)))
    array([[0., 1., 1., 0., 0.]])
    """

    axes = 1


class ZeroPad2d(Zero):
    """Zeros around images: ``ZeroPad2d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ZeroPad2d(1)(np.ones((2, 3, 4, 5))).shape
    (2, 3, 6, 7)
    """

    axes = 2


class ZeroPad3d(Zero):
    """Zeros around volumes: ``ZeroPad3d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ZeroPad3d((0, 0, 0, 0, 1, 1))(np.ones((2, 4, 5, 6))).shape
    (2, 6, 5, 6)
    """

    axes = 3


class ReflectionPad1d(Reflection):
    """The last axis, mirrored at its outermost elements: ``ReflectionPad1d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ReflectionPad1d(2)(np.array([[1.0, 2.0, 3.0]]))
    array([[3., 2., 1., 2., 3., 2., 1.]])
    """

    axes = 1


class ReflectionPad2d(Reflection):
    """Images, mirrored at their outermost pixels: ``ReflectionPad2d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ReflectionPad2d((1, 0, 0, 1))(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    array([[[2., 1., 2.],
            [4., 3., 4.],
            [2., 1., 2.]]])
    """

    axes = 2


class ReflectionPad3d(Reflection):
    """Volumes, mirrored at their outermost elements: ``ReflectionPad3d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ReflectionPad3d(1)(np.ones((2, 4, 5, 6))).shape
    (2, 6, 7, 8)
    """

    axes = 3


class ReplicationPad1d(Replication):
    """The outermost elements of the last axis, repeated: ``ReplicationPad1d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ReplicationPad1d((2, 1))(np.array([[1.0, 2.0]]))
    array([[1., 1., 1., 2., 2.]])
    """

    axes = 1


class ReplicationPad2d(Replication):
    """The outermost pixels of images, repeated: ``ReplicationPad2d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ReplicationPad2d((1, 0, 0, 1))(np.array([[[1.0, 2.0]]]))
    array([[[1., 1., 2.],
            [1., 1., 2.]]])
    """

    axes = 2


class ReplicationPad3d(Replication):
    """The outermost elements of volumes, repeated: ``ReplicationPad3d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.ReplicationPad3d(1)(np.ones((2, 4, 5, 6))).shape
    (2, 6, 7, 8)
    """

    axes = 3


class CircularPad1d(Circular):
    """The last axis, which goes on at its other end: ``CircularPad1d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.CircularPad1d(1)(np.array([[1.0, 2.0, 3.0]]))
    array([[3., 1., 2., 3., 1.]])
    """

    axes = 1


class CircularPad2d(Circular):
    """Images that go on at their other sides, as on a torus: ``CircularPad2d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.CircularPad2d((1, 0, 0, 1))(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    array([[[2., 1., 2.],
            [4., 3., 4.],
            [2., 1., 2.]]])
    """

    axes = 2


class CircularPad3d(Circular):
    """Volumes that go on at their other sides: ``CircularPad3d(padding)``.

    >>> import numpy as np, gradnerve as gn
    >>> gn.nn.CircularPad3d(1)(np.ones((2, 4, 5, 6))).shape
    (2, 6, 7, 8)
    """

    axes = 3
