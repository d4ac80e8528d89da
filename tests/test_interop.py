"""Other libraries with Tensors: SciPy and scikit-learn by the array API, DLPack, pickle, matplotlib and pandas.

What is skipped where a library is missing runs in a process of its own where the library has to be told at import.
"""

import copy
import importlib.util
import os
import pickle
import warnings

import numpy as np
import pytest
from helpers import alone, leaf

import gradnerve as gn
from gradnerve import Tensor

array_api = pytest.importorskip("gradnerve.array_api", exc_type=ImportError)


def weighed(result):
    """A number from all elements."""
    return (result * np.cos(np.arange(result.size)).reshape(result.shape)).sum()


def check(code, start, names):
    """The gradient of a piece of code with x in it, against central differences of fourth order along a random direction."""

    def run(a, track):
        x = Tensor(a, requires_grad=track)
        return weighed(eval(code, names | {"x": x})), x

    y, x = run(start, True)
    assert isinstance(y, Tensor) and y.requires_grad, f"{code}: the result is not tracked"
    y.backward()
    direction = np.random.default_rng(5).standard_normal(start.shape)
    at = lambda h: float(run(start + h * direction, False)[0])
    expected = (8 * (at(1e-4) - at(-1e-4)) - (at(2e-4) - at(-2e-4))) / 12e-4
    assert abs(float((x.grad * direction).sum()) - expected) < 1e-6 * (1 + abs(expected)), code


def needs(library):
    return pytest.mark.skipif(importlib.util.find_spec(library) is None, reason=f"{library} is not installed")


# ---- SciPy and scikit-learn --------------------------------------------------------------------------------------------------------

MATRIX = np.random.default_rng(0).random((4, 3)) + 0.5
ROW = np.random.default_rng(1).random(9) + 0.3

SCIPY = """
    special.logsumexp(x, axis=1)                            special.softmax(x, axis=0)
    special.log_softmax(x, axis=1)                          special.expit(x)
    special.erf(x)                                          special.gammaln(x)
    special.betainc(x, x, x / 3)                            special.xlogy(x, x)
    stats.zscore(x)                                         stats.gmean(x)
    stats.skew(x)                                           stats.kurtosis(x, axis=1)
    stats.entropy(x, x * x)                                 stats.circmean(x)
    stats.trim_mean(x, 0.2)                                 stats.quantile(x, 0.3)
    stats.iqr(x)                                            stats.directional_stats(x).mean_direction
    stats.ttest_ind(x, x * x).statistic                     stats.ttest_ind(x, x * x).pvalue
    stats.f_oneway(x, x * x).pvalue                         stats.bartlett(x[:, 0], x[:, 1]).pvalue
    stats.pearsonr(x[:, 0], x[:, 1] ** 2).statistic         stats.chisquare(x, x * 0 + xp.mean(x, axis=0)).statistic
    signal.fftconvolve(x, x)                                signal.hilbert(x).real
    signal.freqz(x[:, 0], x[:, 1])[1].real                  signal.envelope(x)
    integrate.trapezoid(x)                                  integrate.cumulative_simpson(x)
    integrate.cubature(xp.sin, x[0], x[1] + 1).estimate     integrate.tanhsinh(xp.exp, x, x + 1).integral
    cluster.vq.whiten(x)                                    optimize.rosen(x)
    fft.fft(x).imag                                         fft.irfft(x)
    differentiate.derivative(xp.sin, x).df                  spatial.transform.Rotation.from_rotvec(x).as_matrix()
    interpolate.RBFInterpolator(x * 2, x[:, 0])(x[:1])      spatial.transform.Rotation.from_euler("xyz", x).as_quat()
    """


@needs("scipy")
@alone
def test_scipy():
    """SciPy's own code computes with Tensors, and what it computes is differentiated."""
    os.environ["SCIPY_ARRAY_API"] = "1"
    import scipy

    names = {"xp": array_api, **{name: getattr(scipy, name) for name in set(scipy.__all__) if not name.startswith("_")}}
    warnings.simplefilter("ignore")
    for line in SCIPY.strip().splitlines():
        for code in filter(None, map(str.strip, line.split("   "))):
            check(code, MATRIX, names)


@needs("scipy")
@alone
def test_scipy_that_takes_arrays_only():
    """What would come back as a Tensor without its gradient is refused; what optimisers ask for are values."""
    os.environ["SCIPY_ARRAY_API"] = "1"
    from scipy import ndimage, optimize, signal

    x = leaf(ROW)
    for code in ("signal.savgol_filter(x, 3, 1)", "signal.wiener(x)", "signal.lfilter(x[:2], x, x)", "ndimage.gaussian_filter(x, 1.0)"):
        with pytest.raises(TypeError, match="would turn a tensor that requires grad into an ndarray"):
            eval(code, {"signal": signal, "ndimage": ndimage, "x": x})
        assert isinstance(eval(code.replace("x", "x.detach()"), {"signal": signal, "ndimage": ndimage, "x": x}), Tensor) or "wiener" in code

    def f(w):
        w = leaf(w)
        loss = (w - 3).dot(w - 3)
        loss.backward()
        return loss, w.grad

    assert np.allclose(optimize.minimize(f, np.zeros(2), jac=True).x, 3)


SKLEARN = """
    metrics.mean_squared_error(y, x, multioutput="raw_values")      metrics.r2_score(y, x, multioutput="raw_values")
    metrics.pairwise.euclidean_distances(x, x * x)                  metrics.pairwise.cosine_similarity(x, x * x)
    metrics.pairwise.rbf_kernel(x, x * x)                           metrics.pairwise.laplacian_kernel(x, x * x)
    preprocessing.StandardScaler().fit_transform(x)                 preprocessing.MinMaxScaler().fit_transform(x)
    preprocessing.Normalizer().fit_transform(x)                     preprocessing.PolynomialFeatures(2).fit_transform(x)
    decomposition.PCA(2, svd_solver="full").fit(x).explained_variance_
    decomposition.PCA(2, svd_solver="covariance_eigh").fit_transform(x) ** 2
    decomposition.PCA(2, svd_solver="full", whiten=True).fit(x).score_samples(x)
    linear_model.Ridge(solver="svd").fit(x, y[:, 0]).coef_
    linear_model.RidgeCV().fit(x, y[:, 0]).predict(x)
    discriminant_analysis.LinearDiscriminantAnalysis().fit(x, k).decision_function(x)
    naive_bayes.GaussianNB().fit(x, k).predict_log_proba(x)
    mixture.GaussianMixture(2, init_params="random", random_state=0, max_iter=3).fit(x).means_
    """


@needs("sklearn")
@alone
def test_sklearn():
    """Scikit-learn's estimators are differentiated through: PCA by its data, a ridge regression by its inputs."""
    os.environ["SCIPY_ARRAY_API"] = "1"
    import sklearn
    from sklearn import decomposition, discriminant_analysis, linear_model, metrics, mixture, naive_bayes, preprocessing

    warnings.simplefilter("ignore")
    sklearn.set_config(array_api_dispatch=True)
    modules = (decomposition, discriminant_analysis, linear_model, metrics, mixture, naive_bayes, preprocessing)
    rng = np.random.default_rng(2)
    names = {module.__name__.rpartition(".")[2]: module for module in modules}
    names |= {"y": Tensor(rng.random((6, 3)) + 0.2), "k": Tensor(np.array([0, 1, 1, 0, 1, 0]))}
    for line in SKLEARN.strip().splitlines():
        for code in filter(None, map(str.strip, line.split("   "))):
            check(code, rng.random((6, 3)) + 0.2, names)


# ---- DLPack ------------------------------------------------------------------------------------------------------------------------


def test_dlpack_to_numpy():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    a = np.from_dlpack(x)
    assert np.shares_memory(a, x.data) and x.__dlpack_device__() == (1, 0)
    assert not np.shares_memory(np.from_dlpack(x, copy=True), x.data)
    assert np.from_dlpack(leaf([1.0]) * 2).tolist() == [2.0]  # a tracked one, too: as np.asarray
    with pytest.raises(RuntimeError, match="stream"):
        x.__dlpack__(stream=1)
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(2, 0))


def test_dlpack_between_tensors_keeps_the_gradient():
    x = leaf([1.0, 2.0])
    assert gn.from_dlpack(x) is x and array_api.from_dlpack(x, device="cpu") is x
    y = gn.from_dlpack(x, copy=True)
    (y * y).sum().backward()
    assert x.grad.tolist() == [2, 4]
    with pytest.raises(ValueError, match='lives on the "cpu"'):
        gn.from_dlpack(x, device="gpu")


def test_dlpack_of_ndarrays():
    a = np.arange(3.0)
    t = gn.from_dlpack(a)
    assert type(t) is Tensor and np.shares_memory(t.data, a)
    a[0] = 7
    assert t.data[0] == 7
    a.flags.writeable = False
    assert not gn.from_dlpack(a).data.flags.writeable and not np.from_dlpack(gn.asarray(a)).flags.writeable
    with pytest.raises(BufferError, match="readonly"):
        gn.asarray(a).__dlpack__()


@pytest.mark.parametrize("when", ["before", "after", "of a result"])
def test_dlpack_and_then_written(when):
    """Who takes the memory may write to it at any time: the gradient stays that of the values that were computed with."""
    x = leaf([1.0, 2.0])
    h = x * 1 if when == "of a result" else x
    taken = np.from_dlpack(h) if when == "before" else None
    y = (h * h).sum()
    taken = np.from_dlpack(h) if taken is None else taken
    taken[0] = 100
    y.backward()
    assert x.grad.tolist() == [2, 4] and h.data[0] == 100
    del taken


def test_dlpack_with_torch():
    torch = pytest.importorskip("torch")
    x = leaf([1.0, 2.0])
    taken = torch.from_dlpack(x)
    assert torch.as_tensor(Tensor([1.0])).dtype == torch.float64 and taken.tolist() == [1, 2]
    y = (x * x).sum()
    taken[0] = 100
    y.backward()
    assert x.grad.tolist() == [2, 4] and x.data[0] == 100

    theirs = torch.tensor([3.0, 4.0])
    ours = gn.from_dlpack(theirs, requires_grad=True)
    y = (ours * ours).sum()
    theirs[0] = 100
    y.backward()
    assert ours.data[0] == 100 and ours.grad.tolist() == [6, 8] and ours.dtype == np.float32
    with pytest.raises(BufferError):
        gn.from_dlpack(torch.ones(2, requires_grad=True))


# ---- pickle and copy ---------------------------------------------------------------------------------------------------------------


class Named(Tensor):
    """A class of a user's."""

    def __init__(self, name, data):
        super().__init__(data, requires_grad=True)
        self.name = name


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol):
    for t in (leaf([[1.0, 2.0]]), Tensor([1, 2]), Tensor(np.float32(3)), Tensor(np.ones((2, 3), order="F")), Tensor(1j), Tensor([])):
        again = pickle.loads(pickle.dumps(t, protocol))
        assert type(again) is Tensor and again.dtype == t.dtype and again.requires_grad == t.requires_grad and again.strides == t.strides
        assert np.array_equal(again.data, t.data) and not np.shares_memory(again.data, t.data)
    named = Named("w", [1.0])
    named.parts = [named]
    again = pickle.loads(pickle.dumps(named, protocol))
    assert type(again) is Named and again.name == "w" and again.parts[0] is again and again.is_leaf and again.requires_grad


def test_pickled_memory_is_not_shared():
    """Protocol 5 hands out memory: it is no longer that which the graph has saved."""
    x, buffers = leaf(np.ones(3)), []
    y = (x * x).sum()
    stream = pickle.dumps(x, 5, buffer_callback=buffers.append)
    for buffer in buffers:
        memoryview(buffer)[:] = memoryview(np.full(3, 7.0)).cast("B") if memoryview(buffer).format == "B" else memoryview(np.full(3, 7.0))
    y.backward()
    again = pickle.loads(stream, buffers=buffers)
    again.data[0] = 9
    assert x.grad.tolist() == [2, 2, 2] and x.data.tolist() == [7, 7, 7]


def test_gradients_are_copied_deeply_and_not_pickled():
    """As in PyTorch."""
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    deep = copy.deepcopy(x)
    assert deep.grad.tolist() == [2, 4] and not np.shares_memory(deep.grad, x.grad) and not np.shares_memory(deep.data, x.data)
    assert copy.copy(x).grad.tolist() == pickle.loads(pickle.dumps(x)).grad.tolist() == [0, 0]
    twice = copy.deepcopy([x, {"x": x}])
    assert twice[0] is twice[1]["x"]
    named = Named("w", [1.0])
    named.parts = [1]
    deep, flat = copy.deepcopy(named), copy.copy(named)
    assert type(deep) is type(flat) is Named and deep.parts == [1] and deep.parts is not named.parts and flat.parts is named.parts


def test_results_are_not_copied():
    y = leaf([1.0]) * 2
    for again in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"cannot be pickled or copied; use t.detach\(\)"):
            again(y)


# ---- ndarrays ----------------------------------------------------------------------------------------------------------------------


def test_conversion_to_an_array():
    """`dtype` and `copy` mean what they mean in NumPy 2."""
    for t in Tensor([1.0, 2.0]), leaf([1.0, 2.0]), leaf([1.0, 2.0]) * 1:
        assert np.asarray(t) is t.data and np.asarray(t, copy=False) is t.data
        assert not np.shares_memory(np.array(t), t.data) and not np.shares_memory(t.__array__(copy=True), t.data)
        assert t.__array__(np.float32).dtype == np.float32 and t.__array__(dtype=np.float64) is t.data
        for make in (lambda t=t: t.__array__(np.float32, copy=False), lambda t=t: np.array(t, dtype="f4", copy=False)):
            with pytest.raises(ValueError, match="Unable to avoid copy"):
                make()


ARRAYS_ONLY = ["np.ma.array(x)", "np.ma.masked_invalid(x)", "np.ma.sum(x)", "np.vectorize(lambda v: v * v)(x)", "np.rec.fromarrays([x])"]


@pytest.mark.parametrize("code", ARRAYS_ONLY)
def test_numpy_that_takes_arrays_only(code):
    """It says so, where it would lose a gradient, and takes the values of what has none."""
    with pytest.raises(TypeError, match=r"(?s) would turn a tensor that requires grad into an ndarray.*pass t\.data"):
        eval(code, {"np": np, "x": leaf(ROW)})
    eval(code, {"np": np, "x": Tensor(ROW)})
    with gn.no_grad():
        eval(code, {"np": np, "x": leaf(ROW)})


def test_numpys_own_assertions_take_tensors():
    x = leaf(ROW)
    np.testing.assert_allclose(x, x * 1)
    np.testing.assert_array_equal(x, ROW)
    np.testing.assert_array_less(x, x + 1)
    np.testing.assert_almost_equal(x, ROW)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        np.testing.assert_allclose(x, x + 1)


# ---- pictures and tables -----------------------------------------------------------------------------------------------------------

KINDS = {"plain": Tensor, "leaf": leaf, "result": lambda a: leaf(a) * 1}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


PLOTS = """
    axes.plot(x, y)                         axes.plot(y)
    axes.plot(z)                            axes.plot(x, y, "o--")
    axes.scatter(x, y, c=y, s=x)            axes.hist(y)
    axes.imshow(z)                          axes.bar(x, y)
    axes.errorbar(x, y, yerr=x)             axes.fill_between(x, y, y + 1)
    axes.contourf(z)                        axes.pcolormesh(z)
    axes.quiver(x, y, x, y)                 axes.step(x, y)
    axes.stem(x, y)                         axes.boxplot(z)
    axes.axhline(x[0])                      axes.semilogy(x, y)
    axes.set_xlim(x[0], x[-1])              axes.set_xticks(x[:3])
    axes.text(x[0], y[0], f"{y[0]:.2f}")    axes.plot([1, 2])[0].set_data(x, y)
    """


def test_matplotlib(kind):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = {"x": kind(np.linspace(1, 2, 9)), "y": kind(ROW), "z": kind(MATRIX)}
    for line in PLOTS.strip().splitlines():
        for code in filter(None, map(str.strip, line.split("   "))):
            figure, axes = pyplot.subplots()
            eval(code, names | {"axes": axes})
            figure.canvas.draw()
            pyplot.close(figure)
    figure, axes = pyplot.subplots()
    (line,) = axes.plot(names["x"], names["y"])
    assert np.array_equal(line.get_ydata(), ROW) and type(line.get_ydata()) is np.ndarray
    assert axes.imshow(names["z"]).get_array().data.tolist() == MATRIX.tolist()
    pyplot.close(figure)


def test_pandas(kind):
    pandas = pytest.importorskip("pandas")
    x = kind(ROW)
    frame = pandas.DataFrame({"a": x, "b": np.arange(9)})
    frame["c"] = x
    frame.loc[:, "d"] = x * 2
    frame = frame.assign(e=x)
    assert all(frame[name].dtype == float for name in "acde") and np.array_equal(frame["d"], 2 * ROW)
    assert np.array_equal(pandas.Series(x), ROW) and np.array_equal(pandas.DataFrame(kind(MATRIX)), MATRIX)
    assert np.array_equal(pandas.Series(ROW) + x, 2 * ROW) and pandas.isna(x).sum() == 0 and len(pandas.Index(x)) == 9
