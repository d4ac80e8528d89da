"""Eigenvalues and eigenvectors, singular values and vectors, and QR.

The derivative of a vector says how it turns towards the others: what the matrix gains between the two, over the gap of their
values. The vectors of equal values are free to turn, and so is the phase of a complex vector, so only functions that do not
depend on such a choice have a gradient; a phase is refused, a choice among equal values warned of.

Read next: least_squares.py.
"""

import warnings

import numpy as np
from numpy.linalg import LinAlgError
from numpy.linalg._linalg import EighResult, EigResult, QRResult, SVDResult

from gradnerve.ops.borrowed import borrowed
from gradnerve.ops.define import implements, op
from gradnerve.ops.linalg import adjoint, packed, parts, real, self_adjoint, solve, turned
from gradnerve.ops.shapes import concatenate
from gradnerve.ops.shapes import where as select
from gradnerve.ops.values import value


def skew(x):
    """Twice the part of the matrix that is minus its own adjoint."""
    return x - adjoint(x)


def diagonal(x):
    return np.diagonal(x, axis1=-2, axis2=-1)


def on_diagonal(x):
    """The matrix that has the vector on its diagonal."""
    return x[..., None] * np.eye(x.shape[-1], dtype=bool)


# --- what has no derivative ------------------------------------------------------------------------------------------


def largest(x):
    return np.abs(value(x)).max(initial=0)


def refuse_choice(name, choice, *gradients):
    """Raise if the part of the gradients that belongs to an arbitrary choice of vectors is not zero."""
    eps = np.finfo(choice.dtype).eps
    if largest(choice) > max(eps**0.25 * max(map(largest, gradients)), eps):  # gradients of the size of eps may be rounding alone
        raise LinAlgError(f"{name}: the function depends on an arbitrary choice (the phase of complex vectors, or the basis of a null space), "
                          "so it has no derivative; use what does not depend on it: np.abs(v), or v @ v.conj().T")  # fmt: skip


def refuse_phases(name, inner, *gradients):
    """The imaginary diagonal of ``adjoint(v) @ g`` says how a function changes with the phases of complex vectors."""
    if inner.dtype.kind == "c":
        refuse_choice(name, np.imag(diagonal(value(inner))), *gradients)


def first_vectors(name, q, g, k):
    """The first k vectors with their gradient; the others complete them in any way, and follow when they turn."""
    rest, g_rest = q[..., k:], g[..., k:]
    q, g = q[..., :k], g[..., :k]
    if not rest.shape[-1]:
        return q, g
    refuse_choice(name, skew(adjoint(value(rest)) @ value(g_rest)), g_rest)
    return q, g - rest @ (adjoint(g_rest) @ q)


def refuse_defective(name, v):
    """Raise if there are not as many independent eigenvectors as columns."""
    s = np.linalg.svd(value(v), compute_uv=False)
    if s.size and (s[..., -1] <= s.shape[-1] * np.finfo(s.dtype).eps * s[..., 0]).any():
        raise LinAlgError(f"{name}: the matrix is defective (its eigenvectors are linearly dependent), and its eigenvalues have no derivative")


def over_gaps(name, x, w, inner):
    """x_ij / (w_j - w_i), and 0 where the two are equal up to rounding errors.

    The 0 is right for a function of the space that the vectors of equal values span. Of a function that depends on how these
    values part, a derivative line is not told enough: if the gradient, `inner`, is about such vectors, there is a warning.
    """
    gaps, inner = w[..., None, :] - w[..., None], np.abs(value(inner))
    size, eps = np.abs(value(w)).max(-1, initial=0)[..., None, None], np.finfo(w.dtype).eps
    equal = np.abs(value(gaps)) <= 4 * w.shape[-1] * eps * size
    if largest(inner[equal & ~np.eye(w.shape[-1], dtype=bool)]) > eps**0.5 * largest(inner):
        warnings.warn(f"{name}: some values are equal; the gradient through their vectors is right only for functions of the space that they span",
                      RuntimeWarning)  # fmt: skip
    return select(equal, 0, x) / select(equal, 1, gaps)


def divided(x, y):
    """x / y, and 0 where y is 0."""
    zero = value(y) == 0
    return select(zero, 0, x) / select(zero, 1, y)


# --- eigenvalues of hermitian matrices -------------------------------------------------------------------------------


def eigh(x, UPLO="L", any_phase=False):
    return packed(x, *np.linalg.eigh(x, UPLO))


def eigh_x(g, out, x_shape, any_phase):
    """The vectors turn, and the values are what is on the diagonal. `any_phase`: what is made of the vectors does not depend on their phase."""
    n = x_shape[-1]
    (g_w, g_v), (w, v) = parts(g, (n,), (n, n)), parts(out, (n,), (n, n))
    inner = adjoint(v) @ g_v
    if not any_phase:
        refuse_phases("eigh", inner, g_v)
    return self_adjoint(v @ (on_diagonal(real(g_w)) + over_gaps("eigh", inner, real(w), inner)) @ adjoint(v))


def eigvalsh_x(g, x, UPLO):
    """How much of each value's vector is in the elements of the matrix."""
    n = x.shape[-1:]
    v = parts(_eigh(x, UPLO, True), n, n * 2)[1]
    return (v * g[..., None, :]) @ adjoint(v)


_eigh    = op(eigh, analytic=False, x=eigh_x)
eigvalsh = op(lambda x, UPLO="L": np.linalg.eigvalsh(x, UPLO), numpy=np.linalg.eigvalsh, analytic=False, x=eigvalsh_x)


@implements(np.linalg.eigh)
def eigh(x, UPLO="L"):
    """Eigenvalues and eigenvectors of a hermitian matrix, as `np.linalg.eigh`.

    >>> eigh(np.diag([2.0, 1.0])).eigenvalues
    array([1., 2.])
    """
    n = x.shape[-1:]
    w, v = parts(_eigh(x, UPLO), n, n * 2)
    return EighResult(real(w), v)


# --- eigenvalues of other matrices -----------------------------------------------------------------------------------


def eig(x, any_phase=False):
    return packed(x, *np.linalg.eig(x))


def eig_x(g, out, x_shape, any_phase):
    """As for `eigh`; but the vectors are not at right angles, and keep their length."""
    n = x_shape[-1]
    (g_w, g_v), (w, v) = parts(g, (n,), (n, n)), parts(out, (n,), (n, n))
    inner = adjoint(v) @ g_v
    if not any_phase:
        refuse_phases("eig", inner, g_v)
    refuse_defective("eig", v)
    turning = inner - adjoint(v) @ v * real(diagonal(inner))[..., None, :]
    return solve(adjoint(v), (on_diagonal(g_w) + over_gaps("eig", turning, np.conjugate(w), inner)) @ adjoint(v))


def eigvals_x(g, x, out):
    """The product of each value's left and right vector."""
    n = x.shape[-1:]
    w, v = parts(_eig(x, True), n, n * 2)
    refuse_defective("eigvals", v)
    v = turned(np.take_along_axis(v, places(value(out), value(w))[..., None, :], -1))
    return solve(v, g[..., None] * v)


def places(x, y):
    """For each value, the place of the nearest one in y that is left: without vectors, LAPACK finds large matrices' values in another order."""
    far, found = np.abs(x[..., None] - y[..., None, :]), np.empty(x.shape, int)
    for k in range(x.shape[-1]):
        found[..., k] = far[..., k, :].argmin(-1)
        np.put_along_axis(far, found[..., k, None, None], np.inf, -1)
    return found


_eig    = op(eig, analytic=False, x=eig_x)
eigvals = op(lambda x: np.linalg.eigvals(x), numpy=np.linalg.eigvals, x=eigvals_x)


@implements(np.linalg.eig)
def eig(x):
    """Eigenvalues and eigenvectors, as `np.linalg.eig`.

    >>> eig(np.diag([2.0, 1.0])).eigenvalues
    array([2., 1.])
    """
    n = x.shape[-1:]
    return EigResult(*parts(_eig(x), n, n * 2))


# --- singular values -------------------------------------------------------------------------------------------------


def svd_shapes(x_shape, full_matrices):
    m, n = x_shape[-2:]
    k = min(m, n)
    return ((m, m), (k,), (n, n)) if full_matrices else ((m, k), (k,), (k, n))


def svd(x, full_matrices=True, any_phase=False):
    return packed(x, *np.linalg.svd(x, full_matrices))


def svd_x(g, out, x_shape, full_matrices, any_phase):
    """As for `eigh`, with vectors on both sides; what is at a right angle to all of these comes in over the values."""
    shapes = svd_shapes(x_shape, full_matrices)
    (g_u, g_s, g_vh), (u, s, vh) = parts(g, *shapes), parts(out, *shapes)
    s, k = real(s), s.shape[-1]
    u, g_u = first_vectors("svd", u, g_u, k)
    v, g_v = first_vectors("svd", adjoint(vh), adjoint(g_vh), k)
    of_u, of_v = adjoint(u) @ g_u, adjoint(v) @ g_v
    if not any_phase:
        refuse_phases("svd", of_u + of_v, g_u, g_v)
    turning = over_gaps("svd", skew(of_u + of_v), s, abs(of_u) + abs(of_v)) + divided(skew(of_u - of_v), s[..., None, :] + s[..., None])
    line = u @ (on_diagonal(real(g_s)) + turning / 2) @ adjoint(v)
    line = line + divided(g_u - u @ of_u, s[..., None, :]) @ adjoint(v)
    return line + u @ adjoint(divided(g_v - v @ of_v, s[..., None, :]))


def svdvals(x):
    return np.linalg.svd(x, compute_uv=False)


def svdvals_x(g, x, out):
    """The product of each value's vectors; a value of 0 is a kink, and has the derivative 0."""
    u, _, vh = parts(_svd(x, False, True), *svd_shapes(x.shape, False))
    return (u * select(out == 0, 0, g)[..., None, :]) @ vh


_svd    = op(svd, analytic=False, x=svd_x)
svdvals = op(svdvals, numpy=np.linalg.svdvals, analytic=False, x=svdvals_x)


@implements(np.linalg.svd)
def svd(x, full_matrices=True, compute_uv=True, hermitian=False):
    """Singular values and vectors, as `np.linalg.svd`.

    >>> svd(np.diag([1.0, 2.0])).S
    array([2., 1.])
    """
    if hermitian:
        return borrowed(np.linalg.svd)(x, full_matrices, compute_uv, hermitian)
    if not compute_uv:
        return svdvals(x)
    u, s, vh = parts(_svd(x, full_matrices), *svd_shapes(x.shape, full_matrices))
    return SVDResult(u, real(s), vh)


# --- QR --------------------------------------------------------------------------------------------------------------


def qr_shapes(x_shape, mode):
    m, n = x_shape[-2:]
    k = m if mode == "complete" else min(m, n)
    return (m, k), (k, n)


def qr(x, mode):
    return packed(x, *np.linalg.qr(x, mode))


def qr_x(g, out, x_shape, mode):
    """(g_Q + Q Y) R^-H, where Y is the hermitian matrix with the upper triangle of g_R R^H - Q^H g_Q (Walter and Lehmann 2012).

    If there are more columns than rows, those beyond the square are Q times theirs in R.
    """
    (g_q, g_r), (q, r) = parts(g, *qr_shapes(x_shape, mode)), parts(out, *qr_shapes(x_shape, mode))
    k = min(x_shape[-2:])
    q, g_q = first_vectors("qr", q, g_q, k)
    r, g_r, wide, g_wide = r[..., :k, :k], g_r[..., :k, :k], r[..., :k, k:], g_r[..., :k, k:]
    idle = ~np.any(value(g), -1)[..., None, None]  # of a matrix whose gradient is 0 nothing is asked: it may be one that a mask has left out
    if idle.any():
        q, r = select(idle, 0, q), select(idle, np.eye(k), r)
    refuse_deficient(value(r))
    g_q = g_q + q @ wide @ adjoint(g_wide)
    upper = (g_r @ adjoint(r) - adjoint(q) @ g_q) * (np.tri(k).T - np.eye(k) / 2).astype(r.dtype)
    line = g_q + q @ (2 * self_adjoint(upper))
    return concatenate([adjoint(solve(r, adjoint(line))), q @ g_wide], -1)


def refuse_deficient(r):
    """Raise if a column is a combination of those before it: of its length, no step is left on the diagonal, and the next vector of Q is any."""
    if (np.abs(diagonal(r)) <= r.shape[-1] * np.finfo(r.dtype).eps * np.linalg.norm(r, axis=-2)).any():
        raise LinAlgError("qr: the first columns of x, as many as it has rows at most, are linearly dependent: Q and R have no derivative there")


_qr = op(qr, analytic=False, x=qr_x)


@implements(np.linalg.qr)
def qr(x, mode="reduced"):
    """Orthonormal columns times an upper triangle, as `np.linalg.qr`; the mode 'raw', which is LAPACK's own form, has no gradient.

    >>> qr(np.diag([1.0, 2.0])).R
    array([[1., 0.],
           [0., 2.]])
    """
    if mode not in ("reduced", "complete", "r"):
        return unusual_qr(x, mode)
    whole = "reduced" if mode == "r" else mode
    q, r = parts(_qr(x, whole), *qr_shapes(x.shape, whole))
    return r if mode == "r" else QRResult(q, r)


def unusual_qr(x, mode):
    """NumPy's warning or error for a mode of old, and the values of LAPACK's form where no gradient is asked for."""
    if mode in ("f", "full"):
        np.linalg.qr(value(x), mode)
        return qr(x)
    if mode in ("raw", "e", "economic") and x.requires_grad:
        raise TypeError(f"qr: mode {mode!r} gives LAPACK's own form, which has no gradient; use 'reduced', 'complete' or 'r', or pass t.data")
    return np.linalg.qr(value(x), mode)
