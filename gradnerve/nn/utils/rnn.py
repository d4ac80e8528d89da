"""Sequences of different lengths: padded to one length, or packed without padding; as `torch.nn.utils.rnn`.

Packed, the rows of all sequences at step 0 come first, then those at step 1, and so on. The sequences are sorted, the longest first, so that
those that are still running at a step are the first ones.

Read next: ../rnn.py, whose layers take both.
"""

from typing import Any, NamedTuple

import numpy as np

from gradnerve.nn.functional.checks import require
from gradnerve.ops.indexing import setitem
from gradnerve.ops.shapes import astype
from gradnerve.ops.values import array_of, of_all_examples

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence", "unpack_sequence",
    "unpad_sequence",
]  # fmt: skip


class Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(Packed):
    """Sequences of different lengths without padding, as `pack_padded_sequence` and `pack_sequence` make it.

    data              (rows, ...): the rows of all sequences, step by step
    batch_sizes       how many sequences each step has
    sorted_indices    which sequence each one of the sorted was, or None if they came sorted; `unsorted_indices` is the way back

    >>> import numpy as np
    >>> pack_sequence([np.array([1.0, 2.0, 3.0]), np.array([4.0])])
    PackedSequence(data=array([1., 4., 2., 3.]), batch_sizes=array([2, 1, 1]), sorted_indices=None, unsorted_indices=None)
    """

    __slots__ = ()

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, dtype):
        """The same in another dtype."""
        return self._replace(data=astype(self.data, dtype))

    def double(self):
        """The same in float64."""
        return self.to(np.float64)

    def float(self):
        """The same in float32."""
        return self.to(np.float32)

    def cpu(self):
        """The same: there is nothing else."""
        return self


def invert_permutation(permutation):
    """The permutation that undoes another one; None for None.

    >>> import numpy as np
    >>> invert_permutation(np.array([2, 0, 1]))
    array([1, 2, 0])
    """
    return None if permutation is None else np.argsort(of_all_examples(permutation))


def numbers(lengths, name):
    """Lengths as an array of whole numbers."""
    lengths = np.asarray(of_all_examples(lengths))
    if lengths.dtype.kind not in "iu":
        raise TypeError(f"{name}: lengths must be whole numbers, not {lengths.dtype}")
    require(lengths.ndim == 1 and lengths.size, f"{name}: lengths must be a number for each of one or more sequences", lengths=lengths)
    return lengths.astype(np.int64)


def places(sizes, order=None):
    """The step and the sequence of each row of a packed sequence."""
    sequences = np.concatenate([np.arange(n) for n in sizes])
    return np.repeat(np.arange(len(sizes)), sizes), sequences if order is None else of_all_examples(order)[sequences]


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Padded sequences without their padding, as `torch.nn.utils.rnn.pack_padded_sequence`.

    input           (T, B, ...), or (B, T, ...) with `batch_first`, where T is the length of the longest of B sequences, or more
    lengths         B whole numbers
    enforce_sorted  the longest sequence comes first, or it is an error; else they are sorted here

    Returns a `PackedSequence`. Raises ShapeError or ValueError for lengths that do not fit.

    >>> import numpy as np
    >>> packed = pack_padded_sequence(np.array([[1, 2, 0], [3, 4, 5]]), [2, 3], batch_first=True, enforce_sorted=False)
    >>> packed.data, packed.batch_sizes
    (array([3, 1, 4, 2, 5]), array([2, 2, 1]))
    """
    name = "pack_padded_sequence"
    input, lengths = array_of(input), numbers(lengths, name)
    require(input.ndim >= 2, f"{name}: input must be (T, B, ...), or (B, T, ...) with batch_first", input=input)
    x = np.swapaxes(input, 0, 1) if batch_first else input
    require(len(lengths) == x.shape[1], f"{name}: {len(lengths)} lengths for {x.shape[1]} sequences", input=input, lengths=lengths)
    if lengths.min() < 1 or lengths.max() > x.shape[0]:
        raise ValueError(f"{name}: lengths must be from 1 to {x.shape[0]}, the length of the input, not {lengths.tolist()}")
    order = None if enforce_sorted else np.argsort(-lengths, kind="stable")
    lengths = lengths if order is None else lengths[order]
    if (lengths[1:] > lengths[:-1]).any():
        raise ValueError(f"{name}: the longest sequence must come first, but the lengths are {lengths.tolist()}; pass enforce_sorted=False")
    sizes = np.add.reduce(lengths > np.arange(lengths[0])[:, None], 1)
    return PackedSequence(x[places(sizes, order)], sizes, order)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """A `PackedSequence` with padding, and the lengths; as `torch.nn.utils.rnn.pad_packed_sequence`.

    total_length  of the result, at least that of the longest sequence, which is the default

    Returns (T, B, ...), or (B, T, ...) with `batch_first`, and an array of B lengths, in the order in which the sequences were packed.

    >>> import numpy as np
    >>> pad_packed_sequence(pack_sequence([np.array([1.0, 2.0, 3.0]), np.array([4.0])]), batch_first=True)
    (array([[1., 2., 3.],
           [4., 0., 0.]]), array([3, 1]))
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"pad_packed_sequence: sequence must be a PackedSequence, not a {type(sequence).__name__}")
    sizes, order = of_all_examples(sequence.batch_sizes), sequence.sorted_indices
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise ValueError(f"pad_packed_sequence: total_length must be at least {len(sizes)}, the length of the longest sequence, not {steps}")
    step, row = places(sizes, order)
    return padded(sequence.data, step, row, steps, sizes[0], batch_first, padding_value), np.bincount(row)


def padded(rows, step, sequence, steps, sequences, batch_first, padding_value):
    """The rows at their steps and sequences, and elsewhere the padding value."""
    shape, where = ((sequences, steps), (sequence, step)) if batch_first else ((steps, sequences), (step, sequence))
    return setitem(np.full((*shape, *rows.shape[1:]), padding_value, rows.dtype), where, rows)


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Sequences (L, ...) of different lengths, padded to the length T of the longest one; as `torch.nn.utils.rnn.pad_sequence`.

    padding_side  'right' or 'left': where the padding is

    Returns (T, B, ...), or (B, T, ...) with `batch_first`. Raises ShapeError where shapes differ in more than the first axis.

    >>> import numpy as np
    >>> pad_sequence([np.array([1.0, 2.0, 3.0]), np.array([4.0])], batch_first=True, padding_side="left")
    array([[1., 2., 3.],
           [0., 0., 4.]])
    """
    sequences, lengths = listed(sequences, "pad_sequence")
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: padding_side must be 'right' or 'left', not {padding_side!r}")
    steps = lengths.max()
    step = np.concatenate([np.arange(n) + (steps - n if padding_side == "left" else 0) for n in lengths])
    return padded(np.concatenate(sequences), step, np.repeat(np.arange(len(lengths)), lengths), steps, len(lengths), batch_first, padding_value)


def listed(sequences, name):
    """The sequences as arrays or Tensors that fit together, and their lengths."""
    sequences = [array_of(x) for x in sequences]
    require(sequences, f"{name}: there must be one or more sequences")
    shown = {f"sequence {k}": x for k, x in enumerate(sequences)}
    fits = all(x.ndim and x.shape[1:] == sequences[0].shape[1:] for x in sequences)
    require(fits, f"{name}: the sequences must be (L, ...), with lengths L of their own and all other axes the same", **shown)
    return sequences, np.array([x.shape[0] for x in sequences])


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """A list of the sequences without their padding, which is behind them; as `torch.nn.utils.rnn.unpad_sequence`.

    >>> import numpy as np
    >>> unpad_sequence(np.array([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]]), [3, 1], batch_first=True)
    [array([1., 2., 3.]), array([4.])]
    """
    x, lengths = array_of(padded_sequences), numbers(lengths, "unpad_sequence")
    require(x.ndim >= 2, "unpad_sequence: padded_sequences must be (T, B, ...), or (B, T, ...) with batch_first", padded_sequences=x)
    by_sequence = x if batch_first else np.swapaxes(x, 0, 1)
    require(len(lengths) == len(by_sequence), f"unpad_sequence: {len(lengths)} lengths for {len(by_sequence)} sequences",
            padded_sequences=x, lengths=lengths)  # fmt: skip
    return [by_sequence[k, :n] for k, n in enumerate(lengths)]


def pack_sequence(sequences, enforce_sorted=True):
    """Sequences (L, ...) of different lengths, packed: `pad_sequence`, then `pack_padded_sequence`.

    >>> import numpy as np
    >>> pack_sequence([np.array([4.0]), np.array([1.0, 2.0, 3.0])], enforce_sorted=False).data
    array([1., 4., 2., 3.])
    """
    sequences, lengths = listed(sequences, "pack_sequence")
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """A list of the sequences in a `PackedSequence`, in the order in which they were packed.

    >>> import numpy as np
    >>> unpack_sequence(pack_sequence([np.array([4.0]), np.array([1.0, 2.0, 3.0])], enforce_sorted=False))
    [array([4.]), array([1., 2., 3.])]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
