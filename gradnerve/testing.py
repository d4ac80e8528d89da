"""`check_gradients`: our derivatives beside numerical ones.

The arguments are taken apart into arrays (`Subject`). For each of them there is a `Block` of derivatives of all results: ours, by pulling
back, and numerical ones.

Read next: differences.py, for the numerical derivatives; diagnoses.py, for what is said of wrong ones.
"""

import inspect
from dataclasses import dataclass

import numpy as np

from gradnerve import tree
from gradnerve._engine import GraphError, TensorBase, trade_places
from gradnerve.diagnoses import Block, diagnosed, in_units, row_by_row
from gradnerve.differences import Numbers, drawn, in_double_precision, reals, sizes, unrolled, wandering
from gradnerve.functional import jvp, numbers_of, vjp
from gradnerve.ops.values import value
from gradnerve.tensor import Tensor, no_grad

__all__ = ["GradientError", "GradientReport", "check_gradients"]

LIMIT = 2000  # numbers in the arguments, up to which there is a difference for each
ENTRIES = 1_000_000  # derivatives, up to which all of them are compared; of more, those of three sums of the results with random weights
LINES = 8
TOLERANCES = {2: 3e-2, 4: 1e-3, 8: 1e-6}  # by the bytes of the least precise number


class GradientError(AssertionError):
    """A derivative of ours differs from the numerical one, or nothing can be said about it.

    largest  the largest difference, in units of what was allowed; infinite if it has none
    """

    def __init__(self, message, largest=np.inf):
        super().__init__(message)
        self.largest = largest


@dataclass
class GradientReport:
    """How many derivatives agreed, the largest difference in units of what was allowed, and whether forward mode was compared."""

    title: str
    derivatives: int
    largest: float
    forward: bool

    def __repr__(self):
        modes = "in reverse and forward mode" if self.forward else "in reverse mode"
        return f"<{self.title}: {self.derivatives} derivatives agree with numerical ones, {modes}; at most {self.largest:.0e} of what may differ>"


def check_gradients(f, *args, argnums=None, order=1, rtol=None, atol=None, seed=0, **kwargs):
    """Compare the derivatives of ``f(*args, **kwargs)`` with numerical ones: raise GradientError where they differ, and say why if the numbers do.

    f        takes Tensors, objects with `parameters()`, or containers of these, and returns the like
    argnums  the number of the argument to differentiate by, or a tuple of numbers; by default, all with floats in them
    order    2 to compare the gradient of the gradient too, and so on
    rtol     relative tolerance; by default 1e-6, for float32 1e-3
    atol     absolute tolerance; by default a tenth of rtol, of the largest derivative by the same array
    seed     of random weights and directions; other keyword arguments are passed on to f

    Reverse mode is compared element by element: with complex steps, ``f(x + 1e-20j).imag / 1e-20``, where these agree with differences, and
    elsewhere with central differences, extrapolated to step 0; both in double precision, if f takes that. Of more than 2000 numbers, large
    arrays are compared along random directions, and element by element where these find an error. Forward mode (`jvp`) is compared with
    reverse mode, if all operations can be differentiated twice.

    Returns a report, which is true and says how much was compared: ``assert check_gradients(...)`` works. Raises TypeError and ValueError if
    there is nothing to compare: no floats, a result that is no number or not finite, an argument that f writes into.

    >>> check_gradients(lambda x, y: np.sin(x) @ y, np.ones(3), np.arange(3.0))
    <f: 6 derivatives agree with numerical ones, in reverse and forward mode; at most ... of what may differ>
    >>> from gradnerve import custom_gradient
    >>> square = custom_gradient(lambda x: (x * x, lambda g: g * x))
    >>> check_gradients(lambda x: square(x), np.array([1.0, 3.0]))
    Traceback (most recent call last):
    gradnerve.testing.GradientError: f: 2 of 4 derivatives differ from numerical ones
    <BLANKLINE>
      of    by    ours  numeric  ours/numeric
      f[0]  x[0]  1     2        0.5
      f[1]  x[1]  3     6        0.5
    <BLANKLINE>
      The gradient by x is 0.5 times the numeric one.
    """
    rng, reports = np.random.default_rng(seed), []
    with np.errstate(all="ignore"):
        subject = Subject.of_function(f, args, kwargs, argnums)
        for _ in range(order):
            subject.examine()
            reports.append(Check(subject, rng, rtol, atol).run())
            subject = subject.derivative(rng)
    return GradientReport(reports[0].title, sum(r.derivatives for r in reports), max(r.largest for r in reports), all(r.forward for r in reports))


# --- what is checked -------------------------------------------------------------------------------------------------


class Subject:
    """A function of tensors, and the point where it is checked.

    call    from a list of tensors to the results that have derivatives, by their names
    points  arrays, and `names` of them
    others  constant arrays among the arguments, by their names
    """

    def __init__(self, title, call, names, points, others):
        self.title, self.call, self.names, self.points, self.others = title, call, names, points, others

    @classmethod
    def of_function(cls, f, args, kwargs, argnums):
        """The subject for a function of anything; an object with parameters stands for these, which trade places with ours."""
        leaves, rebuild = tree.flatten(args)
        names = [name + path for name, arg in zip(argument_names(f, args), args, strict=True) for path in tree.paths(arg)]
        title, chosen = title_of(f), chosen_leaves(title_of(f), args, names, leaves, argnums)
        plain = [k for k in chosen if has_gradient(leaves[k])]
        owned = {names[k] + name: t for k in chosen if k not in plain for name, t in parameters_of(leaves[k])}

        def call(tensors):
            put = dict(zip(plain, tensors, strict=False))
            pairs = list(zip(owned.values(), tensors[len(plain) :], strict=True))
            trade(pairs)
            try:
                found = f(*rebuild([put.get(k, leaf) for k, leaf in enumerate(leaves)]), **kwargs)
            finally:
                trade(pairs)
            return results_of(title, found)

        points = [np.array(value(t)) for t in [*(leaves[k] for k in plain), *owned.values()]]
        others = {names[k]: leaf for k, leaf in enumerate(leaves) if k not in chosen and isinstance(leaf, (np.ndarray, TensorBase))}
        return cls(title, call, [*(names[k] for k in plain), *owned], points, others)

    def results(self, points):
        """The results as arrays."""
        with no_grad():
            return [np.array(value(part)) for part in self.call([Tensor(p) for p in points]).values()]

    def pulled(self, points):
        """A function from weights of the results, real numbers in a row, to a list of gradients."""
        out, pullback = vjp(lambda *xs: self.call(xs), *points)
        return lambda weights: pullback(dict(zip(out, unrolled(weights, out.values()), strict=True)))

    def derivative(self, rng):
        """The gradients of the results with random weights, as a function of the same arguments."""
        weights = drawn(rng, sum(reals(part).size for part in self.results(self.points)))
        names = [f"d{self.title}/d{name}" for name in self.names]
        call = lambda tensors: dict(zip(names, self.pulled(tensors)(weights), strict=True))
        return Subject(f"d{self.title}", call, self.names, self.points, self.others)

    def examine(self):
        """Call the function twice, to see whether its values can be compared, and whether it leaves its arguments as they are."""
        tensors, before = [Tensor(p) for p in self.points], {name: np.array(value(a)) for name, a in self.others.items()}
        with no_grad():
            first = {name: np.array(value(part)) for name, part in self.call(tensors).items()}
        pairs = [*zip(self.names, self.points, tensors, strict=True), *((name, before[name], self.others[name]) for name in before)]
        for name, old, new in pairs:
            if old.tobytes() != np.asarray(value(new)).tobytes():
                raise ValueError(f"check_gradients: {self.title} writes into its argument {name} ({tree.described(old)}); let it take a copy: "
                                 f"{name} = {name}.copy()")  # fmt: skip
        for (name, one), two in zip(first.items(), self.results(self.points), strict=True):
            for k in np.flatnonzero(~np.isfinite(one))[:1]:
                raise ValueError(f"check_gradients: {entry(name, one.shape, k)} is {one.flat[k]} at these arguments, where differences mean nothing")
            if one.shape != two.shape or np.any(np.abs(one - two) > 1e3 * np.finfo(one.dtype).eps * np.abs(one)):
                apart = f"{np.abs(one - two).max():.3g}" if one.shape == two.shape else f"their shapes, {one.shape} and {two.shape}"
                raise GradientError(f"{name} is not deterministic: two calls with the same arguments differ by {apart}; differences mean nothing.\n"
                                    "  if it draws random numbers, seed the generator inside of it: rng = np.random.default_rng(0)")  # fmt: skip


def title_of(f):
    name = getattr(f, "__name__", "f")
    return name if name.isidentifier() else "f"


def argument_names(f, args):
    """The names of the parameters, or numbers."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # of a function in C
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [names[k] if k < len(names) else f"argument {k}" for k in range(len(args))]


def chosen_leaves(title, args, names, leaves, argnums):
    """The numbers of the leaves to differentiate by."""
    wanted = range(len(args)) if argnums is None else [k % len(args) for k in numbers_of("check_gradients", argnums, args)]
    owners = [k for k, arg in enumerate(args) for _ in tree.paths(arg)]
    chosen = [k for k, leaf in enumerate(leaves) if owners[k] in wanted and (has_gradient(leaf) or hasattr(leaf, "parameters"))]
    for k in wanted if argnums is not None else ():
        if k not in [owners[place] for place in chosen]:
            raise TypeError(f"check_gradients: argument {k} is {tree.described(args[k])}, by which nothing can be differentiated; pass floats")
    if not chosen:
        had = ", ".join(f"{name} is {tree.described(leaf)}" for name, leaf in zip(names, leaves, strict=True))
        raise TypeError(f"check_gradients: {title} has no argument with floats to differentiate by: {had or 'it has none at all'}")
    return chosen


def has_gradient(x):
    return x.dtype.kind in "fc" if hasattr(x, "dtype") else type(x) in (float, complex)


def parameters_of(x):
    """Names and tensors of an object's parameters."""
    named = x.named_parameters() if hasattr(x, "named_parameters") else enumerate(x.parameters())
    return [(f".{name}" if isinstance(name, str) else f".parameters()[{name}]", t) for name, t in named]


def trade(pairs):
    for own, ours in pairs:
        trade_places(own, ours)


def results_of(title, found):
    """The floats among the leaves of what a function returned, by their names."""
    leaves, paths = tree.flatten(found)[0], tree.paths(found)
    for leaf in leaves:
        if np.asarray(value(leaf)).dtype.kind not in "biufc":
            raise TypeError(f"check_gradients: {title} returns {tree.described(leaf)}, which is no array of numbers")
    kept = {title + path: leaf for path, leaf in zip(paths, leaves, strict=True) if has_gradient(leaf)}
    if not kept:
        raise TypeError(f"check_gradients: {title} returns {tree.described(found)}, in which nothing has a derivative")
    return kept


def entry(name, shape, k):
    """How to write an element of an array."""
    return name + (f"[{', '.join(str(i) for i in np.unravel_index(k, shape))}]" if shape else "")


# --- the comparison --------------------------------------------------------------------------------------------------


class Check:
    """The comparison of one subject."""

    def __init__(self, subject, rng, rtol, atol):
        self.subject, self.rng, self.atol = subject, rng, atol
        with no_grad():
            results = {name: np.asarray(value(part)) for name, part in subject.call([Tensor(p) for p in subject.points]).items()}
        arrays = [*subject.points, *results.values()]
        self.rtol = TOLERANCES.get(min(a.real.dtype.itemsize for a in arrays), 1e-6) if rtol is None else rtol
        self.eps = max(np.finfo(a.dtype).eps for a in arrays)
        self.count, n = (sum(reals(a).size for a in several) for several in (results.values(), subject.points))
        self.outputs = [(name, part.shape) for name, part in results.items()]
        self.rows = [part + entry(name, a.shape, k) for name, a in results.items() for k in range(a.size)
                     for part in (("re ", "im ") if a.dtype.kind == "c" else ("",))]  # fmt: skip
        self.weights = None
        if self.count * n > ENTRIES:
            self.weights, self.rows = drawn(rng, 3 * self.count).reshape(3, -1), [f"{subject.title}, random weights {k}" for k in range(3)]
        self.small = [n <= LIMIT or p.size <= 100 for p in subject.points]

    def run(self):
        ours, numbers = self.ours(self.subject.points), self.numbers(self.subject.points)
        along = [[] if small else [self.along(ours[k], numbers, k) for _ in range(3)] for k, small in enumerate(self.small)]
        known = [np.arange(p.size) if small else self.suspects(ours[k], numbers, k, along[k])
                 for k, (p, small) in enumerate(zip(self.subject.points, self.small, strict=True))]  # fmt: skip
        blocks = self.blocks(ours, numbers, known)
        compared = [*(block.apart for block in blocks), *(apart for found in along for *_, apart in found)]
        largest = max(a.max(initial=0.0) for a in compared)
        if any(np.any(block.failed) for block in blocks) or any(np.any(apart > 1) for apart in compared):
            raise GradientError(self.message(blocks, numbers, along), largest)
        count = sum(a.size for a in compared)
        return GradientReport(self.subject.title, count, largest, self.forward(ours, numbers))

    def ours(self, points):
        """Our derivatives by each array, a row for each result, in double precision."""
        pull = self.subject.pulled(points)
        rows = [pull(weights) for weights in (np.eye(self.count) if self.weights is None else self.weights)]
        return [np.array([in_double_precision(row[k].data) for row in rows]).reshape(len(rows), *p.shape) for k, p in enumerate(points)]

    def numbers(self, points):
        return Numbers(self.subject.results, points, self.weights, self.rng)

    def blocks(self, ours, numbers, known):
        """Both kinds of derivatives, with tolerances."""
        found = [self.numeric(numbers, k, index) for k, index in enumerate(known)]
        largest = [np.abs(numeric).max(axis=1, initial=0.0, keepdims=True) for numeric, _ in found]
        by_all, (_, unit), blocks = np.max(largest, axis=0), numbers.weighted(numbers.base, numbers.largest), []
        for k, ((numeric, error), by_this, index) in enumerate(zip(found, largest, known, strict=True)):
            units = unit[:, None] / sizes(numbers.points[k]).flat[index]  # result / argument: what rounding is measured in
            rounding = self.eps * (100 * by_all + 10 * by_all.max(initial=0.0) + 10 * units)
            atol = self.rtol / 10 * by_this + rounding if self.atol is None else self.atol
            allowed, limit = atol + self.rtol * np.abs(numeric) + 4 * error, atol + 1e-2 * by_all + 1e-4 * by_all.max(initial=0.0)
            blocks.append(Block(self.subject.names[k], ours[k], index, numeric, error, allowed, limit, 1e4 * numbers.eps * units))
        return blocks

    def numeric(self, numbers, k, index):
        """The numerical derivatives of all results by these elements of the array number k, and their errors."""
        found = [numbers.derivative(k, place) for place in index]
        return [np.array([both[i] for both in found]).T.reshape(len(self.rows), index.size) for i in (0, 1)]

    # --- large arrays

    def along(self, ours, numbers, k, mask=1.0):
        """Ours and numeric along a random direction of one array, and their difference in units of what is allowed."""
        direction = wandering(self.rng, numbers.points[k]) * mask
        shares = row_by_row(np.real(np.conj(ours) * direction))
        found, (numeric, error) = shares.sum(axis=1), numbers.along(numbers.only(k, direction))
        rounding = 10 * self.eps * numbers.weighted(numbers.base, numbers.largest)[1]
        atol = self.rtol / 10 * np.linalg.norm(shares, axis=1) + rounding if self.atol is None else self.atol * np.linalg.norm(direction)
        return found, numeric, in_units(found - numeric, atol + self.rtol * np.abs(numeric) + 4 * error)

    def suspects(self, ours, numbers, k, along):
        """The elements to look at: none if the directions agree, or else the worst, found by halving, the largest of ours, and others."""
        if not any(np.any(apart > 1) for *_, apart in along):
            return np.arange(0)
        row, among = max(along, key=lambda found: found[-1].max())[-1].argmax(), np.arange(numbers.points[k].size)
        while among.size > 1:
            differences, halves = [], np.array_split(among, 2)
            for half in halves:
                mask = np.zeros(numbers.points[k].shape)
                mask.flat[half] = 1
                found, numeric, _ = self.along(ours, numbers, k, mask)
                differences.append(np.nan_to_num(abs(found[row] - numeric[row]), nan=np.inf))
            among = halves[np.argmax(differences)]
        largest = np.argsort(-np.nan_to_num(np.abs(ours[row].ravel())))[:20]
        return np.unique([*among, *largest, *self.rng.choice(numbers.points[k].size, 80)])

    # --- forward mode

    def forward(self, ours, numbers):
        """Compare `jvp` with reverse mode, which agrees with the numbers; False if an operation can be differentiated only once."""
        points = self.subject.points
        tangents = [wandering(self.rng, p).astype(p.dtype) for p in points]
        try:
            _, moved = jvp(lambda *xs: self.subject.call(xs), tuple(points), tuple(tangents))
        except GraphError:
            return False
        found, unit = numbers.weighted(np.concatenate([reals(part.data) for part in moved.values()]), numbers.largest)
        shares = np.concatenate([row_by_row(np.real(np.conj(o) * t)) for o, t in zip(ours, tangents, strict=True)], axis=1)
        size = np.abs(shares).sum(axis=1)
        allowed = self.rtol * size + 100 * self.eps * (unit + size.max(initial=0.0)) + (self.atol or 0)
        wrong = in_units(found - shares.sum(axis=1), allowed) > 1
        if np.any(wrong):
            lines = [[self.rows[k], f"{found[k]:.6g}", f"{shares[k].sum():.6g}"] for k in np.flatnonzero(wrong)[:LINES]]
            raise GradientError(f"{self.subject.title}: forward mode (jvp) differs from reverse mode, which agrees with numerical derivatives; "
                                f"along a random direction\n\n{table(['of', 'forward', 'reverse'], lines)}")  # fmt: skip
        return True

    # --- what is said

    def message(self, blocks, numbers, along):
        failed = sorted((-float(f"{block.apart[row, k]:.0e}"), b, row, k) for b, block in enumerate(blocks) for row, k in np.argwhere(block.failed))
        differ, total = (sum(int(np.sum(part)) for part in parts) for parts in ([b.apart > 1 for b in blocks], [b.numeric.size for b in blocks]))
        head = f"{differ} of {total} derivatives differ from numerical ones"
        if failed and not differ:
            head = f"{len(failed)} of {total} derivatives cannot be compared: the numerical ones are not exact enough"
        lines = [self.line(blocks[b], row, k) for _, b, row, k in failed[:LINES]]
        for name, directions in zip(self.subject.names, along, strict=True):
            for ours, numeric, apart in directions if not failed else ():
                lines += [[self.rows[k], f"{name}, along a direction", *compared(ours[k], numeric[k])] for k in np.flatnonzero(apart > 1)]
        elements = {(b, k): row for _, b, row, k in reversed(failed[:LINES])}
        said = [sentence for (b, k), row in elements.items() for sentence in self.local(blocks[b], numbers, b, row, k)] + self.patterns(blocks)
        parts = [f"{self.subject.title}: {head}", table(["of", "by", "ours", "numeric", "ours/numeric"], lines)]
        return "\n\n".join([*parts, *(["\n".join(f"  {sentence}" for sentence in said)] if said else [])])

    def line(self, block, row, k):
        return [self.rows[row], entry(block.name, block.shape, block.index[k]),
                *compared(block.seen[row, k], block.numeric[row, k], block.error[row, k])]  # fmt: skip

    def local(self, block, numbers, b, row, k):
        """What can be said of one derivative: ours is not finite, f has a kink there, the numerical one is not exact."""
        of, by = self.rows[row], entry(block.name, block.shape, block.index[k])
        ours, numeric, error = (part[row, k] for part in (block.seen, block.numeric, block.error))
        if not np.isfinite(error):
            yield f"Differences of {of} by {by} do not settle as the steps shrink: it jumps there, is infinitely steep, or not finite beside it."
        elif error > np.broadcast_to(block.limit, block.error.shape)[row, k]:
            yield f"The numerical derivative of {of} by {by} is known to {error:.1g} only: it is not smooth enough there, or not exact enough."
        elif not np.isfinite(ours):
            yield f"Ours is {ours:.4g} for {of} by {by}, where the numerical derivative is {numeric:.4g}."
        elif not np.iscomplexobj(block.numeric):
            left, right, error = (part[row] for part in numbers.sides(b, block.index[k]))
            if abs(left - right) > 10 * error + 1e-4 * max(abs(left), abs(right)):
                between = min(left, right) <= ours <= max(left, right)
                where = "between these: there is no derivative to compare with" if between else "not between these"
                yield f"{of} has a kink at {by}: left {left:.4g}, right {right:.4g}, ours {ours:.4g}, {where}."

    def patterns(self, blocks):
        """The sentences that hold for blocks that differ, here and at another point."""
        differ = [b for b, block in enumerate(blocks) if np.any(block.apart > 1)]
        here = [sentence for b in differ for sentence in diagnosed(b, blocks, self.outputs)]
        for far in (0.1, 0.01) if here else ():
            points = [(p + far * wandering(self.rng, p)).astype(p.dtype) for p in self.subject.points]
            try:
                others = self.blocks(self.ours(points), self.numbers(points), [block.index for block in blocks])
            except Exception:  # the function does not work there
                continue
            there = [sentence for b in differ for sentence in diagnosed(b, others, self.outputs)]
            return [sentence for sentence in dict.fromkeys(here) if sentence in there]
        return []


def compared(ours, numeric, error=0.0):
    """Two numbers and their ratio, as a table shows them."""
    doubt = f" ± {error:.1g}" if error > 1e-3 * abs(numeric) and error > 1e-12 else ""
    return [f"{ours:.6g}", f"{numeric:.6g}{doubt}", f"{ours / numeric:.4g}" if abs(numeric) > error else ""]


def table(head, lines):
    """Columns of text."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    return "\n".join("  " + "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in [head, *lines])
