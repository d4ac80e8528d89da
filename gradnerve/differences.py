"""Numerical derivatives that know their own error: complex steps, and differences over shrinking steps, extrapolated.

Read next: testing.py, which compares our derivatives with these; diagnoses.py.
"""

import warnings

import numpy as np

STEP = 2.0**-17  # of the differences that complex steps are compared with

# --- arrays as real numbers in a row ---------------------------------------------------------------------------------


def reals(a):
    """The real numbers of an array in a row; of a complex number, two."""
    row = np.ravel(a)
    return row.view(row.real.dtype).astype(float)


def unrolled(row, like):
    """Arrays of the shapes and dtypes of others, with the real numbers of a row."""
    arrays = []
    for part in like:
        wide = np.result_type(part.dtype, np.float64)
        count = part.size * (2 if wide.kind == "c" else 1)
        arrays.append(row[:count].astype(wide.type(0).real.dtype).view(wide).reshape(part.shape).astype(part.dtype))
        row = row[count:]
    return arrays


def in_double_precision(a):
    """An array of floats of lower precision in double precision; anything else as it is."""
    return a.astype(np.result_type(a, np.float64)) if isinstance(a, np.ndarray) and a.dtype.kind in "fc" else a


def drawn(rng, n):
    """Random numbers of sizes from 1/2 to 1, with few bits, so that steps along them are exact."""
    return rng.choice([-1.0, 1.0], n) * rng.integers(4, 9, n) / 8


def sizes(x):
    """How far each element can go: a power of two near its absolute value; near the largest for zeros, and not below a thousandth of that."""
    size = np.where(np.isfinite(x), np.abs(x), 0.0).astype(float)
    largest = size.max(initial=0.0) or 1.0
    return 2.0 ** np.floor(np.log2(np.where(size > 0, np.maximum(size, largest / 1000), largest)))


def wandering(rng, x):
    """A random direction for an array, in which each element goes as far as it can."""
    return unrolled(drawn(rng, reals(x).size), [x])[0] * sizes(x)


def last_bit(a):
    """How exact each real number of an array can be; what is tiny beside the largest number is what is left of such numbers."""
    eps, size = np.finfo(a.dtype).eps, np.abs(a)
    largest = size.max(initial=0.0)
    return np.repeat(eps * np.where(size > 1e3 * eps * largest, size, largest), 2 if a.dtype.kind == "c" else 1)


# --- curves ----------------------------------------------------------------------------------------------------------


def slope(curve, noise, side=0, levels=24):
    """The derivative of ``curve(t)`` at 0, an array, with an estimate of its error.

    noise  how exact the values are, for each element
    side   0 for central differences, 1 and -1 for one-sided ones

    The error is inf where the values are not finite, or the differences grow without bound.
    """
    start, t, table, first = curve(0.0), 2.0**-4, [], []
    best, error = np.full(start.shape, np.nan), np.full(start.shape, np.inf)
    noise = (10 if side else 2) * noise  # what extrapolation makes of it
    for _ in range(levels):
        row = [(curve(t) - curve(-t)) / (2 * t) if side == 0 else (curve(side * t) - start) / (side * t)]
        for k, last in enumerate(table[:8], 1):  # Ridders: the error of a difference is a series in t**2, one-sided in t
            row.append(row[-1] + (row[-1] - last) / (2.0 ** (k if side else 2 * k) - 1))
            estimate = np.maximum(np.abs(row[-1] - row[-2]), np.abs(row[-1] - last)) + noise / t
            better = estimate < error
            best[better], error[better] = row[-1][better], estimate[better]
        first, table = first or row, row
        if np.all(error <= np.maximum(1e-11 * np.abs(best), 2 * noise / t)):
            break
        t /= 2
    diverges = np.abs(row[0] - best) > np.abs(first[0] - best) + error + 100 * noise / t
    return best, np.where(diverges, np.inf, error)


def noise_of(curve):
    """How far the values of a curve scatter: its differences of order 6, in which all that is smooth has vanished (Moré and Wild's ECnoise).

    Of two scales the quieter, for a curve may bend within the longer; on one side of 0, for it may have a kink there. What is more than
    1e-5 of the values is no noise but a curve of its own.
    """
    found = []
    for step in (2.0**-13, 2.0**-20):
        values = np.array([curve(k * step) for k in range(9)])
        found.append(np.sqrt(np.mean(np.diff(values, 6, axis=0) ** 2, axis=0) / 924))  # 924 = 12! / 6! / 6!
    noise = np.fmin(*found)
    return np.where(noise < 1e-5 * np.max(np.abs(values), axis=0), noise, 0.0)


# --- functions of arrays ---------------------------------------------------------------------------------------------


class Numbers:
    """Numerical derivatives of all results of a function at a point, in double precision if the function takes that.

    results   gives a list of arrays for a list of arrays
    weights   rows of numbers for the results: what is differentiated are these weighted sums; None for each result by itself
    rounding  the last bit of the results; `noise`, how exact they are altogether; `largest`, the largest number in the same array
    analytic  whether complex steps agree with differences
    """

    def __init__(self, results, points, weights, rng):
        self.results, self.weights, self.points = results, weights, [in_double_precision(p) for p in points]
        try:
            parts = results(self.points)
        except Exception:
            self.points, parts = points, results(points)
        self.base = np.concatenate([reals(part) for part in parts])
        self.rounding = np.concatenate([last_bit(part) for part in parts])
        self.largest = np.concatenate([np.full(reals(part).shape, np.abs(part).max(initial=0.0)) for part in parts])
        self.eps = max(np.finfo(part.dtype).eps for part in parts)
        everywhere = [wandering(rng, p) for p in self.points]
        self.noise = np.fmax(self.rounding, noise_of(self.curve(everywhere)))
        self.analytic = all(a.dtype.kind == "f" for a in [*self.points, *parts]) and bool(np.any(self.complex_step(everywhere)[1]))

    # --- along a direction: a list with an array for each array, or None where nothing moves

    def moved(self, direction, t):
        return [p if d is None else p + t * d for p, d in zip(self.points, direction, strict=True)]

    def curve(self, direction):
        """The results in a row, as a function of the number of steps."""
        return lambda t: np.concatenate([reals(part) for part in self.results(self.moved(direction, t))])

    def complex_step(self, direction):
        """The derivative, exact to rounding where the function is holomorphic, and whether it is: where a difference says the same."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the one of an imaginary part that is lost
                found = np.concatenate([np.ravel(part.imag) for part in self.results(self.moved(direction, 1e-20j))]) / 1e-20
        except Exception:  # it takes no complex numbers
            found = np.zeros(0)
        if found.shape != self.base.shape:
            return self.base, np.zeros(self.base.shape, bool)
        curve = self.curve(direction)
        difference = (curve(STEP) - curve(-STEP)) / (2 * STEP)
        return found, np.abs(found - difference) <= 1e-7 * np.abs(found) + np.minimum(4 * self.noise / STEP, 1e-3 * np.abs(found))

    def along(self, direction):
        """The derivatives of the results along a direction, and their errors."""
        found, holds = self.complex_step(direction) if self.analytic else (self.base, np.zeros(self.base.shape, bool))
        exact = self.rounding + 1e-15 * np.abs(found) + np.where(found == 0, 4 * self.noise / STEP, 0.0)
        if np.all(holds):
            return self.weighted(found, exact)
        best, error = slope(self.curve(direction), self.noise)
        for side in (1, -1) if np.any(np.isnan(best)) else ():  # at the border of where the function is finite
            sided, its = slope(self.curve(direction), self.noise, side)
            best, error = np.where(np.isnan(best), sided, best), np.where(np.isnan(best), its, error)
        return self.weighted(np.where(holds, found, best), np.where(holds, exact, error))

    def weighted(self, found, error):
        """Derivatives and errors of the weighted sums, from those of the results."""
        return (found, error) if self.weights is None else (self.weights @ found, np.abs(self.weights) @ error)

    # --- by an element

    def only(self, k, array):
        """The direction that moves the array number k along this."""
        return [array if i == k else None for i in range(len(self.points))]

    def element(self, k, place, unit=1, alone=False):
        """The direction of one element, and how far it goes; `alone`, whatever the others' size."""
        array, size = np.zeros_like(self.points[k]), sizes(self.points[k].flat[place] if alone else self.points[k])
        size = size if alone else size.flat[place]
        array.flat[place] = size * unit
        return self.only(k, array), size

    def derivative(self, k, place):
        """The derivatives by one element, and their errors."""
        found, errors = 0.0, 0.0
        for unit in (1, 1j) if self.points[k].dtype.kind == "c" else (1,):
            direction, size = self.element(k, place, unit)
            slopes, error = self.along(direction)
            if not np.all(np.isfinite(error)):
                direction, size = self.element(k, place, unit, alone=True)
                slopes, error = self.along(direction)
            found, errors = found + unit * slopes / size, errors + error / size
        return found, errors

    def sides(self, k, place):
        """The derivatives by one element from the left and from the right, and the error of their difference."""
        direction, size = self.element(k, place)
        (left, one), (right, two) = (self.weighted(*slope(self.curve(direction), self.noise, side)) for side in (-1, 1))
        return left / size, right / size, (one + two) / size
