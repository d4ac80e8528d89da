"""The states of NumPy's random generators, which go into a file as dicts, and are looked at before a generator gets them.

NumPy's bit generators believe the state that they are given: a position beyond their buffer would be read from.

Read next: trees.py.
"""

import numpy as np

from gradnerve.storage.failures import LoadError

__all__ = ["generator_of", "state_of"]

NAMES = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
LARGEST = {"has_uint32": 1, "uinteger": 2**32 - 1, "pos": 624, "buffer_pos": 4, "state": 2**128 - 1, "inc": 2**128 - 1}


def state_of(generator):
    """The state of a generator as a dict, or None if its bit generator is not one of NumPy's."""
    bits = generator.bit_generator
    return bits.state if any(type(bits) is getattr(np.random, name) for name in NAMES) else None


def generator_of(state):
    """A generator in this state, or a LoadError."""
    if type(state) is not dict or state.get("bit_generator") not in NAMES:
        raise LoadError(f"the state of a random generator must be a dict that names one of {', '.join(NAMES)}")
    bits = getattr(np.random, state["bit_generator"])(0)
    compare(state, bits.state)
    bits.state = state
    return np.random.Generator(bits)


def compare(state, sample, name="state"):
    """Raise LoadError unless the state is made like the sample, with numbers in their ranges."""
    right = type(state) is type(sample)
    if right and type(state) is dict:
        right = state.keys() == sample.keys()
        for key in sample if right else ():
            compare(state[key], sample[key], key)
    elif right and type(state) is np.ndarray:
        right = (state.dtype, state.shape) == (sample.dtype, sample.shape)
    elif right and type(state) is int:
        right = 0 <= state <= LARGEST[name]
    if not right:
        raise LoadError(f"{name!r} of a random generator is not what it must be")
