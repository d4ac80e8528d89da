"""What becomes of each of NumPy's public names when it meets a Tensor.

A name is in `implementations` (define.py), because we wrote it, or in one of the groups below. A test walks through NumPy and
fails on a name in none of them; until it has a group, such a name raises.

Read next: ../tensor.py.
"""

import numpy as np

from gradnerve.ops.define import as_numpys, implementations


def functions(text, module=np):
    """The functions of these names, as far as this NumPy has them."""
    return frozenset(getattr(module, name) for name in text.split() if hasattr(module, name))


# NumPy's own code, run on Tensors (borrowed.py)
BORROWED = functions("""
    append apply_over_axes atleast_1d atleast_2d atleast_3d average block broadcast_arrays column_stack cumulative_prod cumulative_sum delete
    diff dsplit dstack extract geomspace histogram histogram2d histogram_bin_edges histogramdd hsplit hstack insert interp ix_ kron linspace
    logspace matrix_transpose median meshgrid nancumprod nancumsum nanmean nanprod nansum nanvar percentile poly polyadd polyder polydiv polyfit
    polyint polymul polysub polyval quantile resize rollaxis roots sort_complex take_along_axis tensordot trapezoid tril trim_zeros triu vsplit
    vstack
    """)  # fmt: skip
BORROWED |= functions("""
    cond cross diagonal matrix_norm matrix_power matrix_transpose multi_dot outer tensordot tensorinv trace vecdot vector_norm
    """, np.linalg)  # fmt: skip
BORROWED |= functions("fft2 fftn fftshift hfft ifft2 ifftn ifftshift ihfft irfft2 irfftn rfft2 rfftn", np.fft)
BORROWED |= functions("polygrid2d polyval2d", np.polynomial.polynomial)

# no gradient can be asked for: Tensors stand for their values
NO_GRADIENT = functions("""
    all allclose any argmax argmin argpartition argsort argwhere array2string array_equal array_equiv array_repr array_str broadcast_shapes
    can_cast common_type count_nonzero diag_indices_from digitize einsum_path flatnonzero intersect1d isclose iscomplex iscomplexobj isfortran
    isin isneginf isposinf isreal isrealobj lexsort may_share_memory min_scalar_type mintypecode nanargmax nanargmin ndim nonzero packbits
    ravel_multi_index result_type searchsorted setdiff1d setxor1d shape shares_memory size tril_indices_from triu_indices_from typename union1d
    unique unique_all unique_counts unique_inverse unique_values unpackbits unravel_index
    """)  # fmt: skip
NO_GRADIENT |= functions("matrix_rank", np.linalg) | functions("fftfreq rfftfreq", np.fft)
WITHOUT_GRADIENT = {f.__name__ for f in NO_GRADIENT}

# what NumPy does beside computing, and what to do instead
FILES = "it reads or writes files; use it on t.data, or make a Tensor of what it gives (gn.save and gn.load are for state dicts)"
DATES = "dates have no gradient"
SETTINGS = "it is a setting of NumPy's, no computation; call it as np.{}"
OBJECTS = "it works on Python objects or bytes, which have no gradient; write the function with NumPy's"
MATRICES = "np.matrix is on its way out of NumPy; use arrays with two axes"
OUT_OF_SCOPE = {
    FILES: "fromfile fromregex genfromtxt load loadtxt memmap save savetxt savez savez_compressed",
    DATES: "busday_count busday_offset busdaycalendar datetime64 datetime_as_string datetime_data is_busday isnat timedelta64",
    SETTINGS: """geterr geterrcall getbufsize get_include get_printoptions info printoptions set_printoptions setbufsize seterr seterrcall show_config
                 show_runtime test errstate""",
    OBJECTS: "broadcast flatiter frompyfunc fromstring nditer nested_iters recarray record ufunc vectorize",
    MATRICES: "asmatrix bmat matrix",
}  # fmt: skip
OUT_OF_SCOPE = {name: why.format(name) for why, names in OUT_OF_SCOPE.items() for name in names.split()}


# types and constants
PLAIN = """
    False_ ScalarType True_ base_repr binary_repr bool bool_ byte bytes_ c_ cdouble character clongdouble complex128 complex256 complex64
    complexfloating csingle diag_indices double dtype e euler_gamma finfo flexible float128 float16 float32 float64 floating
    format_float_positional format_float_scientific generic half iinfo index_exp inexact inf int16 int32 int64 int8 int_ intc integer intp
    isdtype isscalar issubdtype iterable little_endian long longdouble longlong mask_indices mgrid nan ndarray ndenumerate ndindex newaxis number
    object_ ogrid pi promote_types r_ s_ sctypeDict short signedinteger single str_ tril_indices triu_indices typecodes ubyte uint uint16
    uint32 uint64 uint8 uintc uintp ulong ulonglong unsignedinteger ushort void
    """


def numpys():
    """NumPy's names that gradnerve has, too, and what they are here."""
    hashable = {name: what for name, what in vars(np).items() if getattr(what, "__hash__", None)}
    ours = {name: as_numpys(what, implementations[what]) for name, what in hashable.items() if what in implementations}
    grouped = {f.__name__: f for f in BORROWED | NO_GRADIENT if getattr(np, f.__name__, None) is f}
    ufuncs = {name: what for name, what in vars(np).items() if isinstance(what, np.ufunc) and name not in OUT_OF_SCOPE}
    return ufuncs | grouped | {name: getattr(np, name) for name in PLAIN.split() if hasattr(np, name)} | ours


def why_not(name):
    """What to say of a name that gradnerve does not have."""
    if name in OUT_OF_SCOPE:
        return f": {OUT_OF_SCOPE[name]}"
    return f"; np.{name}(t.data) gives a value without a gradient" if hasattr(np, name) else ""
