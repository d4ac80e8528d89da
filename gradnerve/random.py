"""Random numbers as Tensors, with gradients by the parameters of their distribution: NumPy's `Generator`.

A draw is a function of its parameters and of noise that has none: ``loc + scale * noise``, and where there is no such formula,
implicitly. So a gradient flows from the draws to loc, scale, low, shape, cov... if these are Tensors that require grad, and
the values are those that NumPy's generator in the same state gives. (Where the C compiler fuses a multiplication with an addition,
as on ARM, those of ``loc + scale * noise`` may differ in the last bit.)

Read next: ops/implicit.py.
"""

from functools import partial, wraps

import numpy as np
from numpy.random import MT19937, PCG64, PCG64DXSM, SFC64, BitGenerator, Philox, SeedSequence  # noqa: F401  they are NumPy's

from gradnerve._engine import TensorBase, wrap
from gradnerve.dispatch import written
from gradnerve.ops import implicit
from gradnerve.ops.shapes import numbered, reshape, take
from gradnerve.ops.values import array_of, holds_tensors, tracked, value, values
from gradnerve.tensor import asarray

# what gives whole numbers, which have no derivative by their parameters
DISCRETE = {"binomial": "n p", "geometric": "p", "hypergeometric": "ngood nbad nsample", "integers": "low high", "logseries": "p",
            "multinomial": "n pvals", "multivariate_hypergeometric": "colors nsample", "negative_binomial": "n p", "poisson": "lam",
            "zipf": "a"}  # fmt: skip
STANDARD = {"normal": "standard_normal", "uniform": "random", "exponential": "standard_exponential"}
LEGACY = {"rand": "random", "randint": "integers", "randn": "standard_normal", "random_integers": "integers", "random_sample": "random",
          "ranf": "random", "sample": "random", "tomaxint": "integers", "RandomState": "default_rng", "get_state": "default_rng",
          "set_state": "default_rng"}  # fmt: skip


def parameter(x):
    """A Tensor, also of Tensors in nested lists; anything else as it is."""
    return array_of(x) if holds_tensors(x) else x


def refuse_out(name, out, *parameters):
    """Raise if a gradient would be lost in an ndarray."""
    if out is not None and tracked(*parameters):
        raise TypeError(f"{name}: out is an ndarray, and the result's gradient would be lost; leave out away, or pass a Tensor")


def drawn(numbers):
    """A Tensor of what NumPy's generator gave."""
    return wrap(np.asarray(numbers), owned=True)


class Generator:
    """Draws Tensors from a `numpy.random.Generator`, with its methods; `default_rng` makes one.

    Parameters are numbers, arrays or Tensors, and broadcast; those of any precision give float64, as with NumPy. Where NumPy gives a
    number, there is a Tensor without axes. Whole numbers (`integers`, `poisson`...) come in NumPy's arrays, and have no gradient.
    Derivatives can be differentiated again.

    Raises what NumPy raises, and TypeError where a gradient would be lost.

    The mean of a normal distribution that is nearest to 3, by stochastic gradients:

    >>> from gradnerve import Tensor
    >>> rng, mean = default_rng(0), Tensor(0.0, requires_grad=True)
    >>> for step in range(200):
    ...     ((rng.normal(mean, 1.0, size=50) - 3) ** 2).mean().backward()
    ...     mean.data -= 0.05 * mean.grad
    ...     mean.zero_grad()
    >>> abs(float(mean) - 3) < 0.2
    True
    """

    __slots__ = ("_numpy",)

    def __init__(self, generator):
        self._numpy = generator if isinstance(generator, np.random.Generator) else np.random.Generator(generator)

    def __repr__(self):
        return f"gradnerve.random.{self._numpy}"

    def __reduce__(self):
        return type(self), (self._numpy,)

    @property
    def bit_generator(self):
        """NumPy's bit generator, which holds the state."""
        return self._numpy.bit_generator

    def spawn(self, n_children):
        """Generators that are independent of this one and of each other, as `numpy.random.Generator.spawn`.

        >>> len(default_rng(0).spawn(2))
        2
        """
        return [Generator(child) for child in self._numpy.spawn(n_children)]

    # ------------------------------------------------------------------------------------------ ways to draw

    def _located(self, name, loc, scale, size):
        """loc + scale * noise, or scale * noise without loc."""
        loc, scale = parameter(loc), parameter(scale)
        given = (scale,) if loc is None else (loc, scale)
        if not tracked(*given):
            return drawn(getattr(self._numpy, name)(*map(value, given), size=size))
        noise = self._of_no_parameters(name, *given, size=size)
        loc, scale = (None if x is None else implicit.doubles(x)[0] for x in (loc, scale))
        return scale * noise if loc is None else loc + scale * noise

    def _of_no_parameters(self, name, *parameters, size):
        """Draws for the default parameters, as many as these would give; raises what NumPy raises for these, and draws nothing then."""
        shape = np.broadcast_shapes(*map(np.shape, parameters)) if size is None else np.broadcast_to(0, size).shape
        getattr(self._numpy, name)(*map(value, parameters), size=(0, *shape))
        return drawn(getattr(self._numpy, STANDARD.get(name, name))(size=shape))

    def _implicit(self, name, *parameters, **options):
        """A draw of NumPy's, which has derivative lines in ops/implicit.py."""
        parameters = [parameter(x) for x in parameters]
        draw = partial(getattr(self._numpy, name), **options)
        return getattr(implicit, name)(draw, *parameters) if tracked(*parameters) else drawn(draw(*map(value, parameters)))

    def _noise(self, name, out, **options):
        """A draw without parameters, in `out` if that is given."""
        draw = getattr(self._numpy, name)
        if isinstance(out, TensorBase):
            return written(out, drawn(draw(out=np.empty_like(out._array), **options)), name)
        return drawn(draw(**options)) if out is None else draw(out=out, **options)

    # ------------------------------------------------------------------------------------------ location and scale

    def random(self, size=None, dtype=np.float64, out=None):
        """From 0 to 1, uniformly.

        >>> default_rng(0).random((2, 3)).shape
        (2, 3)
        """
        return self._noise("random", out, size=size, dtype=dtype)

    def uniform(self, low=0.0, high=1.0, size=None):
        """From `low` to `high`, uniformly; differentiable by both.

        >>> from gradnerve import Tensor
        >>> low, high = Tensor(0.0, requires_grad=True), Tensor(2.0, requires_grad=True)
        >>> x = default_rng(0).uniform(low, high)
        >>> x.backward()
        >>> bool(np.isclose(high.grad, x.data / 2)), bool(np.isclose(low.grad + high.grad, 1))
        (True, True)
        """
        low, high = parameter(low), parameter(high)
        if not tracked(low, high):
            return drawn(self._numpy.uniform(value(low), value(high), size))
        noise = self._of_no_parameters("uniform", low, high, size=size)
        low, high = implicit.doubles(low, high)
        return low + (high - low) * noise

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        """Normal, with mean 0 and standard deviation 1."""
        return self._noise("standard_normal", out, size=size, dtype=dtype)

    def normal(self, loc=0.0, scale=1.0, size=None):
        """Normal, with mean `loc` and standard deviation `scale`; differentiable by both.

        >>> from gradnerve import Tensor
        >>> loc = Tensor([1.0, 2.0], requires_grad=True)
        >>> default_rng(0).normal(loc, 0.1, size=(5, 2)).sum().backward()
        >>> loc.grad
        array([5., 5.])
        """
        return self._located("normal", loc, scale, size)

    def standard_exponential(self, size=None, dtype=np.float64, method="zig", out=None):
        """Exponential, with mean 1."""
        return self._noise("standard_exponential", out, size=size, dtype=dtype, method=method)

    def exponential(self, scale=1.0, size=None):
        """Exponential, with mean `scale`; differentiable by it."""
        return self._located("exponential", None, scale, size)

    def laplace(self, loc=0.0, scale=1.0, size=None):
        """Laplace's, or double exponential; differentiable by both parameters."""
        return self._located("laplace", loc, scale, size)

    def logistic(self, loc=0.0, scale=1.0, size=None):
        """Logistic; differentiable by both parameters."""
        return self._located("logistic", loc, scale, size)

    def gumbel(self, loc=0.0, scale=1.0, size=None):
        """Gumbel's, of the largest of many numbers; differentiable by both parameters."""
        return self._located("gumbel", loc, scale, size)

    def rayleigh(self, scale=1.0, size=None):
        """Rayleigh's, of the length of a vector in the plane; differentiable by its parameter."""
        return self._located("rayleigh", None, scale, size)

    def standard_cauchy(self, size=None):
        """Cauchy's: the ratio of two normal draws."""
        return drawn(self._numpy.standard_cauchy(size))

    def multivariate_normal(self, mean, cov, size=None, check_valid="warn", tol=1e-8, *, method="svd"):
        """Normal vectors, in the last axis; differentiable by mean and covariance.

        method  how NumPy factors `cov`. The derivative goes through the factor of 'cholesky'; those of 'svd' and 'eigh' have none where
                values are equal, and a draw x moves with cov by half of ``dcov inv(cov) (x - mean)``, which gives the same distribution.

        >>> from gradnerve import Tensor
        >>> cov = Tensor(np.eye(2), requires_grad=True)
        >>> x = default_rng(0).multivariate_normal([0.0, 0.0], cov, size=5)
        >>> (x * x).sum().backward()
        >>> bool(np.allclose(cov.grad, x.data.T @ x.data))
        True
        """
        mean, cov = parameter(mean), parameter(cov)
        draw = partial(self._numpy.multivariate_normal, size=size, check_valid=check_valid, tol=tol, method=method)
        if not tracked(mean, cov):
            return drawn(draw(value(mean), value(cov)))
        if method != "cholesky" or not tracked(cov):
            return implicit.multivariate_normal(draw, mean, cov)
        partial(draw, size=0)(value(mean), value(cov))  # or NumPy's error
        noise = drawn(draw(np.zeros(np.shape(mean)), np.eye(cov.shape[0])))
        factor = np.linalg.cholesky(implicit.doubles(cov)[0])
        return mean + reshape(reshape(noise, (-1, cov.shape[0])) @ factor.T, noise.shape)

    # ------------------------------------------------------------------------------------------ implicit

    def lognormal(self, mean=0.0, sigma=1.0, size=None):
        """The exponential of a normal draw; differentiable by both parameters."""
        return self._implicit("lognormal", mean, sigma, size=size)

    def weibull(self, a, size=None):
        """Weibull's; differentiable by its shape `a`."""
        return self._implicit("weibull", a, size=size)

    def pareto(self, a, size=None):
        """Pareto's second kind, or Lomax's; differentiable by its shape `a`."""
        return self._implicit("pareto", a, size=size)

    def power(self, a, size=None):
        """From 0 to 1, with the density ``a x**(a-1)``; differentiable by `a`."""
        return self._implicit("power", a, size=size)

    def triangular(self, left, mode, right, size=None):
        """From `left` to `right`, most often near `mode`; differentiable by all three."""
        return self._implicit("triangular", left, mode, right, size=size)

    def wald(self, mean, scale, size=None):
        """Wald's, or inverse Gaussian; differentiable by both parameters."""
        return self._implicit("wald", mean, scale, size=size)

    def standard_gamma(self, shape, size=None, dtype=np.float64, out=None):
        """Gamma; differentiable by its shape.

        >>> from gradnerve import Tensor
        >>> shape = Tensor(np.full(1000, 4.0), requires_grad=True)
        >>> default_rng(0).standard_gamma(shape).sum().backward()
        >>> bool(abs(shape.grad.mean() - 1) < 0.1)  # the mean of the draws is the shape
        True
        """
        shape = parameter(shape)
        if out is None:
            return self._implicit("standard_gamma", shape, size=size, dtype=dtype)
        if isinstance(out, TensorBase):
            return written(out, self.standard_gamma(shape, out.shape if size is None else size, dtype), "standard_gamma")
        refuse_out("standard_gamma", out, shape)
        return self._numpy.standard_gamma(value(shape), size, dtype, out)

    def gamma(self, shape, scale=1.0, size=None):
        """Gamma; differentiable by shape and scale."""
        shape, scale = parameter(shape), parameter(scale)
        if not tracked(shape, scale):
            return drawn(self._numpy.gamma(value(shape), value(scale), size))
        self._numpy.gamma(value(shape), value(scale), (0, *np.broadcast_shapes(np.shape(shape), np.shape(scale))))  # or NumPy's error
        ones = np.ones(np.shape(scale))
        return implicit.doubles(scale)[0] * implicit.standard_gamma(lambda shape: self._numpy.gamma(shape, ones, size), shape)

    def chisquare(self, df, size=None):
        """The sum of `df` squares of normal draws; differentiable by `df`."""
        df = parameter(df)
        if not tracked(df):
            return drawn(self._numpy.chisquare(value(df), size))
        self._numpy.chisquare(value(df), (0, *np.shape(df)))  # or NumPy's error
        return 2.0 * implicit.standard_gamma(partial(self._numpy.standard_gamma, size=size), implicit.doubles(df)[0] / 2.0)

    def noncentral_chisquare(self, df, nonc, size=None):
        """The sum of `df` squares of normal draws, whose squared means sum up to `nonc`; differentiable by both.

        The time for a derivative grows with the square root of `nonc`.
        """
        return self._implicit("noncentral_chisquare", df, nonc, size=size)

    def f(self, dfnum, dfden, size=None):
        """Fisher's F, the ratio of two means of squares; differentiable by both degrees of freedom."""
        return self._implicit("f", dfnum, dfden, size=size)

    def noncentral_f(self, dfnum, dfden, nonc, size=None):
        """The same with `noncentral_chisquare` in the numerator; differentiable by all three."""
        return self._implicit("noncentral_f", dfnum, dfden, nonc, size=size)

    def standard_t(self, df, size=None):
        """Student's t; differentiable by its degrees of freedom."""
        return self._implicit("standard_t", df, size=size)

    def beta(self, a, b, size=None):
        """Beta, from 0 to 1; differentiable by both parameters."""
        return self._implicit("beta", a, b, size=size)

    def dirichlet(self, alpha, size=None):
        """Dirichlet's, of positive numbers whose sum is 1, in the last axis; differentiable by `alpha`."""
        return self._implicit("dirichlet", alpha, size=size)

    def vonmises(self, mu, kappa, size=None):
        """Von Mises', of angles around `mu`; differentiable by both parameters."""
        return self._implicit("vonmises", mu, kappa, size=size)

    # ------------------------------------------------------------------------------------------ elements in other places

    def bytes(self, length):
        """Random bytes."""
        return self._numpy.bytes(length)

    def choice(self, a, size=None, replace=True, p=None, axis=0, shuffle=True):
        """Some of the slices of `a`; those of a Tensor carry its gradient. Not differentiable by the probabilities `p`.

        >>> default_rng(0).choice(asarray(np.arange(5.0)), 3).shape
        (3,)
        """
        a, p = parameter(a), parameter(p)
        refuse("choice", p=p)
        if not isinstance(a, TensorBase) or not a.ndim:
            return self._numpy.choice(value(a), size, replace, value(p), axis, shuffle)
        return take(a, self._numpy.choice(np.arange(a.shape[axis]), size, replace, value(p), 0, shuffle), axis)

    def permutation(self, x, axis=0):
        """The slices of `x` in another order; those of a Tensor carry its gradient."""
        x = parameter(x)
        if not isinstance(x, TensorBase) or not x.ndim:
            return self._numpy.permutation(value(x), axis)
        return take(x, self._numpy.permutation(np.arange(x.shape[axis])), axis)

    def permuted(self, x, *, axis=None, out=None):
        """Every line along an axis in an order of its own; the elements of a Tensor carry its gradient."""
        x = parameter(x)
        if isinstance(out, TensorBase):
            return written(out, self.permuted(asarray(x), axis=axis), "permuted")
        if not isinstance(x, TensorBase) or out is not None:
            refuse_out("permuted", out, x)
            return self._numpy.permuted(value(x), axis=axis, out=out)
        return take(reshape(x, -1), self._numpy.permuted(numbered(x), axis=axis))

    def shuffle(self, x, axis=0):
        """Put the slices of `x` into another order, in place; what was computed from a Tensor before keeps its gradient."""
        if not isinstance(x, TensorBase):
            return self._numpy.shuffle(x, axis)
        places = np.arange(x.shape[axis]) if x.ndim else value(x)
        self._numpy.shuffle(places)
        written(x, take(x, places, axis), "shuffle")
        return None


# --- whole numbers ---------------------------------------------------------------------------------------------------


def refuse(name, **parameters):
    """Raise if one of the parameters is tracked."""
    for key, x in parameters.items():
        if tracked(parameter(x)):
            raise TypeError(f"{name}: what is drawn has no derivative by {key}, which requires grad.\n"
                            f"  to draw without it:              pass {key}.data\n"
                            f"  for the gradient of an average:  use the score function (each result times the logarithm of its probability),\n"
                            f"                                   or draw from a continuous distribution instead (gumbel_softmax)")  # fmt: skip


def discrete(name, parameters):
    """NumPy's method, which gives arrays of whole numbers."""

    @wraps(getattr(np.random.Generator, name))
    def draw(self, *args, **kwargs):
        refuse(name, **dict(zip(parameters, args, strict=False)), **kwargs)
        return getattr(self._numpy, name)(*map(values, args), **{key: values(x) for key, x in kwargs.items()})

    draw.__doc__ = f"As `numpy.random.Generator.{name}`: whole numbers, in NumPy's arrays; no gradient can be asked for."
    return draw


for _name, _parameters in DISCRETE.items():
    setattr(Generator, _name, discrete(_name, _parameters.split()))


# --- a generator for everybody ---------------------------------------------------------------------------------------


def default_rng(seed=None):
    """A generator, from all that `numpy.random.default_rng` takes; from a generator of NumPy's, one that shares its state.

    >>> float(default_rng(3).normal()) == np.random.default_rng(3).normal()
    True
    """
    return seed if isinstance(seed, Generator) else Generator(np.random.default_rng(value(seed)))


_default = default_rng()
METHODS = [name for name, what in vars(Generator).items() if callable(what) and not name.startswith("_")]
globals().update({name: getattr(_default, name) for name in METHODS})


def seed(seed=None):
    """Start the generator behind the functions of this module from a seed, as `numpy.random.default_rng` takes it.

    >>> seed(7)
    >>> x = normal()
    >>> seed(7)
    >>> bool(x == normal())
    True
    """
    _default._numpy = np.random.default_rng(value(seed))


manual_seed = seed


def generator_of(generator=None):
    """The `numpy.random.Generator` that a function is to draw from: that behind `manual_seed` unless one is given, NumPy's or ours.

    >>> generator_of(np.random.default_rng(3)).random() == generator_of(default_rng(3)).random()
    True
    """
    if isinstance(generator, np.random.Generator):
        return generator
    if generator is None or isinstance(generator, Generator):
        return (_default if generator is None else generator)._numpy
    seed = generator if isinstance(generator, int) else 0
    raise TypeError(f"generator must be None, a numpy.random.Generator or a gradnerve.random.Generator, not {generator!r}; "
                    f"pass np.random.default_rng({seed})")  # fmt: skip


def __getattr__(name):
    """Say what is there in place of a function of NumPy's old interface."""
    raise AttributeError(f"gradnerve.random has no {name}" + (f"; use {LEGACY[name]}" if name in LEGACY else ""))
