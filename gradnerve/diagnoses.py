"""What numbers prove of a derivative that is wrong: a sentence for each pattern of our derivatives beside numerical ones.

Read next: testing.py, which says a sentence only if it holds at two points.
"""

from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np


@dataclass
class Block:
    """The derivatives of all results by one array: a row for each result.

    ours      all of ours, of shape (rows, *array)
    index     the elements for which there are numerical ones: `numeric` of shape (rows, elements), with `error`
    allowed   how far the two may be apart
    limit     how large an error may be, and `faint`, where it hides all there is
    """

    name: str
    ours: np.ndarray
    index: np.ndarray
    numeric: np.ndarray
    error: np.ndarray
    allowed: np.ndarray
    limit: np.ndarray
    faint: np.ndarray

    @property
    def shape(self):
        return self.ours.shape[1:]

    @property
    def full(self):
        """Whether there are numerical ones for all elements."""
        return self.index.size == np.prod(self.shape)

    @property
    def seen(self):
        """Ours where there are numerical ones."""
        return row_by_row(self.ours)[:, self.index]

    @property
    def apart(self):
        """The difference in units of what is allowed."""
        return in_units(self.seen - self.numeric, self.allowed)

    @property
    def failed(self):
        size = np.maximum(np.abs(self.seen), np.abs(self.numeric))
        hidden = (self.error <= self.faint) & (size <= 3 * self.error)
        return (self.apart > 1) | ~((self.error <= self.limit) | hidden | (size == 0)) | (self.error == np.inf)

    @property
    def nonzero(self):
        return bool(np.any(np.abs(self.numeric) > self.allowed))

    def fits(self, candidate):
        """Whether these derivatives, in place of ours, would agree; where all are 0, that proves nothing."""
        return self.nonzero and bool(np.all(replace(self, ours=candidate).apart <= 1))


def in_units(difference, allowed):
    """How large differences are beside what is allowed; inf for NaN, and 0 for 0."""
    return np.where(difference == 0, 0.0, np.nan_to_num(np.abs(difference) / allowed, nan=np.inf))


def row_by_row(a):
    """All axes but the first as one."""
    return a.reshape(len(a), np.prod(a.shape[1:], dtype=int))


def diagnosed(b, blocks, outputs):
    """The first sentence that the numbers prove of a block, in a list, or none; `outputs`: name and shape of each result."""
    if not blocks[b].index.size or not np.all(np.isfinite(blocks[b].seen)):
        return []
    return [sentence for diagnosis in DIAGNOSES for sentence in [diagnosis(blocks[b], blocks, outputs)] if sentence][:1]


def zero(block, blocks, outputs):
    if not block.nonzero or np.any(block.ours):
        return None
    return (f"The gradient by {block.name} is 0 everywhere: none flows back to it. "
            "It is lost by .data, .detach() and np.asarray, and by a pullback that gives None.")  # fmt: skip


def factor(block, blocks, outputs):
    ratio = np.vdot(block.numeric, block.seen) / (np.vdot(block.numeric, block.numeric) or 1)
    parts = [part if abs(part) > 1e-6 * abs(ratio) else 0.0 for part in (ratio.real, ratio.imag)]
    ratio = complex(*parts) if parts[1] else parts[0]
    if not ratio or not block.fits(block.ours / ratio):
        return None
    return f"The gradient by {block.name} is {ratio:.4g} times the numeric one" + (": the sign is wrong." if abs(ratio + 1) < 1e-4 else ".")


def conjugated(block, blocks, outputs):
    if not np.iscomplexobj(block.ours):
        return None
    if block.fits(block.ours.conj()):
        return f"The gradient by {block.name} is the complex conjugate of the numeric one; here, gradients are dL/d(re) + i dL/d(im)."
    if len(outputs) == 1 and 2 * np.prod(outputs[0][1], dtype=int) == len(block.ours):
        signs = np.resize([1.0, -1.0], len(block.ours)).reshape(-1, *[1] * len(block.shape))  # of the real and the imaginary parts
        if block.fits(signs * block.ours.conj()):
            return f"The pullback to {block.name} multiplies by the derivative where its complex conjugate belongs: g * conj(f'(z)) is the gradient."
    return None


def exchanged(block, blocks, outputs):
    for other in blocks:
        if other is not block and other.shape == block.shape and other.fits(block.ours):
            if block.fits(other.ours):
                return f"The gradients by {' and '.join(sorted([block.name, other.name]))} are exchanged."
            return f"What is given as the gradient by {block.name} is the gradient by {other.name}."
    return None


def transposed(block, blocks, outputs):
    """Our elements are those of the gradient with its axes in another order."""
    n = len(block.shape)
    for axes in permutations(range(n)) if 2 <= n <= 4 else ():
        shape = [block.shape[axis] for axis in axes]
        if block.fits(block.ours.reshape(-1, *shape).transpose(0, *(1 + np.argsort(axes)))):
            how = "transposed" if n == 2 else f"with its axes in the order {axes}"
            return f"The gradient by {block.name} is the numeric one, {how}" + ("." if shape == list(block.shape) else " and reshaped.")
    return None


def transposed_jacobian(block, blocks, outputs):
    if not block.full or len(block.ours) != block.index.size or not block.fits(block.seen.T.reshape(block.ours.shape)):
        return None
    return f"The pullback to {block.name} multiplies by the Jacobian where its transpose belongs: as a matrix, ours is the numeric one, transposed."


def summed(block, blocks, outputs):
    """Ours is the same all along an axis: the sum or the mean of what it should be."""
    for axis, length in enumerate(block.shape, 1) if block.full and block.nonzero else ():
        numeric, allowed = (part.reshape(block.ours.shape) for part in (block.numeric, block.allowed))
        for how, many in (("summed", 1), ("averaged", length)) if length > 1 else ():
            difference = block.ours - numeric.sum(axis=axis, keepdims=True) / many
            if np.all(in_units(difference, allowed.sum(axis=axis, keepdims=True) / many) <= 1):
                return f"The gradient by {block.name} is the numeric one, {how} over axis {axis - 1}: the same in every place along it."
    return None


def one_of_many(block, blocks, outputs):
    """Right for one place along an axis of the result, and 0 for all others: what was broadcast is not added up."""
    if len(outputs) != 1 or np.prod(outputs[0][1]) != len(block.ours):
        return None
    name, shape = outputs[0]
    right, nothing = np.all(block.apart <= 1, axis=1).reshape(shape), ~np.any(block.seen, axis=1).reshape(shape)
    for axis, length in enumerate(shape):
        good, empty = (np.all(part, axis=tuple(i for i in range(len(shape)) if i != axis)) for part in (right, nothing))
        if length > 1 and good.sum() == 1 and np.all(good | empty):
            place = ", ".join([":"] * axis + [str(np.argmax(good))] + [":"] * (len(shape) - axis - 1))
            return (f"The gradient by {block.name} is right for {name}[{place}], and 0 for all else along axis {axis} of {name}: "
                    "the shares of all places there have to be added up.")  # fmt: skip
    return None


def not_added_up(block, blocks, outputs):
    """The gradient by an argument with more places, added up, would be right."""
    for other in blocks:
        shape = (1,) * (len(other.shape) - len(block.shape)) + block.shape
        axes = tuple(i for i, (mine, its) in enumerate(zip(shape, other.shape, strict=False)) if mine == 1 < its)
        if axes and len(shape) == len(other.shape) and all(mine in (1, its) for mine, its in zip(shape, other.shape, strict=True)):
            candidate = other.ours.sum(axis=tuple(1 + i for i in axes), keepdims=True).reshape(block.ours.shape)
            if block.fits(candidate):
                over = f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
                return f"The gradient by {block.name} should be that by {other.name}, summed over {over}: the shares of all places there."
    return None


DIAGNOSES = [zero, factor, conjugated, exchanged, transposed, transposed_jacobian, summed, one_of_many, not_added_up]
