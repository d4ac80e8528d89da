"""Other people's code: are gradients right through functions that know nothing of gradients?

What one learns: a Tensor goes where an ndarray goes. NumPy's functions take it as it is; functions of SciPy and scikit-learn that
follow the array API standard ask it for the functions to compute with, and get ours. Each line below is code of theirs, with the
slope of its result along a random direction: by one backward pass, and by two calls nearby.

Needs SciPy 1.16 and scikit-learn 1.7, or newer: pip install 'gradnerve[examples]'
Read next: 06_fits.py, a model fitted by SciPy's optimisers.
"""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # SciPy looks at it when it is imported

import numpy as np

import gradnerve as gn

try:
    import sklearn
    from scipy import signal, special, stats
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge
    from sklearn.metrics.pairwise import cosine_similarity
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

sklearn.set_config(array_api_dispatch=True)
rng = np.random.default_rng(0)
data, other = rng.random((12, 3)) + 0.5, gn.Tensor(rng.random((12, 3)))

CODE = {
    "numpy: last coefficient of polyfit": lambda x: np.polyfit(np.arange(12.0), x[:, 0], 3)[-1],
    "numpy: a quantile of the gaps": lambda x: np.quantile(np.diff(np.sort(x, axis=None)), 0.7),
    "numpy: energy above a frequency": lambda x: np.sum(np.abs(np.fft.rfft(x, axis=0))[3:] ** 2),
    "scipy: p-value of a t-test": lambda x: stats.ttest_ind(x[:, 0] - 0.4, other[:, 0]).pvalue,
    "scipy: envelope of a signal": lambda x: np.max(signal.envelope(x[:, 0])[0]),
    "scipy: log of a sum of exponentials": lambda x: special.logsumexp(x * 3),
    "sklearn: variance that PCA explains": lambda x: PCA(1, svd_solver="full").fit(x).explained_variance_[0],
    "sklearn: a ridge regression predicts": lambda x: Ridge(0.1, solver="svd").fit(x[:, :2], x[:, 2]).predict(x[:1, :2])[0],
    "sklearn: mean cosine similarity": lambda x: cosine_similarity(x).mean(),
}

worst = 0.0
direction = rng.standard_normal(data.shape)
print(f"{'':38}{'value':>10}{'slope by backward()':>21}{'by two calls':>15}")
for name, f in CODE.items():
    x = gn.Tensor(data, requires_grad=True)
    y = f(x)
    y.backward()
    slope = np.sum(x.grad * direction)
    ahead, behind = (float(f(gn.Tensor(data + h * direction))) for h in (1e-5, -1e-5))
    nearby = (ahead - behind) / 2e-5
    worst = max(worst, abs(slope - nearby) / abs(nearby))
    print(f"{name:38}{float(y):10.4f}{slope:21.6f}{nearby:15.6f}")
print(f"largest relative difference: {worst:.1e}")
