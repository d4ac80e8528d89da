"""What the names are called here that people know from PyTorch: for the errors about names that are missing.

Each line has an expression of PyTorch's and what does the same here; a test runs both. It is imported when a name is missing, not before.

Read next: tensor.py, whose `__getattr__` asks.
"""

import re

import numpy as np

import gradnerve
from gradnerve.tensor import Tensor

METHODS = """
    t.clone()                          t.copy()
    t.contiguous()                     t
    t.dim()                            t.ndim
    t.ndimension()                     t.ndim
    t.numel()                          t.size
    t.nelement()                       t.size
    t.element_size()                   t.itemsize
    t.is_floating_point()              t.dtype.kind == "f"
    t.is_complex()                     t.dtype.kind == "c"
    t.is_contiguous()                  t.flags.c_contiguous
    t.detach_()                        t = t.detach()

    t.to(dtype)                        t.astype(dtype)
    t.to(device)                       t
    t.cpu()                            t
    t.cuda()                           t
    t.type(dtype)                      t.astype(dtype)
    t.type_as(other)                   t.astype(other.dtype)
    t.double()                         t.astype(np.float64)
    t.float()                          t.astype(np.float32)
    t.half()                           t.astype(np.float16)
    t.long()                           t.astype(np.int64)
    t.int()                            t.astype(np.int32)
    t.short()                          t.astype(np.int16)
    t.char()                           t.astype(np.int8)
    t.byte()                           t.astype(np.uint8)
    t.bool()                           t.astype(bool)
    t.cfloat()                         t.astype(np.complex64)
    t.cdouble()                        t.astype(np.complex128)

    t.unsqueeze(axis)                  np.expand_dims(t, axis)
    t.permute(1, 0)                    t.transpose(1, 0)
    t.t()                              t.T
    t.H                                np.conj(t.T)
    t.mH                               np.conj(t.mT)
    t.adjoint()                        np.conj(t.mT)
    t.movedim(0, 1)                    np.moveaxis(t, 0, 1)
    t.swapdims(0, 1)                   np.swapaxes(t, 0, 1)
    t.expand(shape)                    np.broadcast_to(t, shape)
    t.expand_as(other)                 np.broadcast_to(t, other.shape)
    t.view_as(other)                   t.reshape(other.shape)
    t.reshape_as(other)                t.reshape(other.shape)
    t.unflatten(0, (2, -1))            t.reshape(2, -1, *t.shape[1:])
    t.unfold(axis, size, 1)            np.lib.stride_tricks.sliding_window_view(t, size, axis)
    t.chunk(n, axis)                   np.split(t, n, axis)
    t.tensor_split(n, axis)            np.array_split(t, n, axis)
    t.split(size, axis)                np.split(t, range(size, t.shape[axis], size), axis)
    t.unbind(axis)                     list(np.moveaxis(t, axis, 0))
    t.select(axis, n)                  np.take(t, n, axis)
    t.narrow(axis, start, n)           np.take(t, range(start, start + n), axis)
    t.repeat_interleave(n, axis)       np.repeat(t, n, axis)
    t.diag_embed()                     t[..., None] * np.eye(t.shape[-1])

    t.index_select(axis, index)        np.take(t, index, axis)
    t.gather(axis, indices)            np.take_along_axis(t, indices, axis)
    t.take_along_dim(indices, axis)    np.take_along_axis(t, indices, axis)
    t.masked_select(mask)              t[mask]
    t.masked_fill(mask, value)         np.where(mask, value, t)
    t.where(mask, other)               np.where(mask, t, other)
    t.index_add(0, index, rows)        u = t.copy(); np.add.at(u, index, rows)
    t.index_copy(0, index, rows)       u = t.copy(); u[index] = rows
    t.index_fill(0, index, value)      u = t.copy(); u[index] = value
    t.scatter(axis, indices, other)    u = t.copy(); np.put_along_axis(u, indices, other, axis)
    t.scatter_add(0, indices, other)   u = t.copy(); np.add.at(u, (indices, np.arange(t.shape[1])), other)
    t.scatter_add(1, indices, other)   u = t.copy(); np.add.at(u, (np.arange(len(t))[:, None], indices), other)

    t.add(other, alpha=value)          t + value * other
    t.sub(other, alpha=value)          t - value * other
    t.mul(other)                       t * other
    t.div(other)                       t / other
    t.neg()                            -t
    t.pow(n)                           t ** n
    t.eq(other)                        t == other
    t.ne(other)                        t != other
    t.lt(other)                        t < other
    t.le(other)                        t <= other
    t.gt(other)                        t > other
    t.ge(other)                        t >= other
    t.equal(other)                     np.array_equal(t, other)
    t.matmul(other)                    t @ other
    t.mm(other)                        t @ other
    t.bmm(other)                       t @ other
    t.mv(v)                            t @ v
    t.ger(v)                           np.outer(t, v)
    t.addmm(a, b)                      t + a @ b
    t.baddbmm(a, b)                    t + a @ b
    t.addcmul(a, b, value=value)       t + value * a * b
    t.addcdiv(a, b, value=value)       t + value * a / b
    t.lerp(other, value)               t + value * (other - t)
    t.clamp(low, high)                 np.clip(t, low, high)
    t.clamp_min(low)                   np.maximum(t, low)
    t.clamp_max(high)                  np.minimum(t, high)
    t.rsqrt()                          1 / np.sqrt(t)
    t.frac()                           t - np.trunc(t)
    t.sgn()                            np.sign(t)

    t.norm()                           np.linalg.norm(t)
    t.norm(2, axis)                    np.linalg.norm(t, 2, axis)
    t.dist(other)                      np.linalg.norm(t - other)
    t.logsumexp(axis)                  gn.logsumexp(t, axis)
    t.logcumsumexp(axis)               np.logaddexp.accumulate(t, axis)
    t.aminmax()                        t.min(), t.max()
    t.median()                         np.quantile(t, 0.5, method="lower")
    t.nanmedian()                      np.nanquantile(t, 0.5, method="lower")
    t.kthvalue(n).values               np.sort(t)[..., n - 1]
    t.topk(n).values                   -np.sort(-t)[..., :n]
    t.topk(n).indices                  np.argsort(-t)[..., :n]
    t.msort()                          np.sort(t, 0)
    t.cummax(axis).values              np.maximum.accumulate(t, axis)
    t.cummin(axis).values              np.minimum.accumulate(t, axis)
    t.bernoulli()                      gn.random.binomial(1, t.data)

    t.det()                            np.linalg.det(t)
    t.logdet()                         np.linalg.slogdet(t)[1]
    t.slogdet()                        np.linalg.slogdet(t)
    t.inverse()                        np.linalg.inv(t)
    t.pinverse()                       np.linalg.pinv(t)
    t.cholesky()                       np.linalg.cholesky(t)
    t.qr()                             np.linalg.qr(t)
    t.svd().S                          np.linalg.svd(t)[1]
    t.matrix_power(n)                  np.linalg.matrix_power(t, n)
    t.erf()                            gn.special.erf(t)
    t.erfc()                           gn.special.erfc(t)
    t.erfinv()                         gn.special.erfinv(t)
    t.lgamma()                         gn.special.gammaln(t)
    t.digamma()                        gn.special.digamma(t)
    t.polygamma(n)                     gn.special.polygamma(n, t)
    t.logit()                          gn.special.logit(t)
    t.xlogy(other)                     gn.special.xlogy(t, other)
    t.hardshrink()                     gn.nn.functional.hardshrink(t)

    t.new_zeros(shape)                 gn.zeros(shape, t.dtype)
    t.new_ones(shape)                  gn.ones(shape, t.dtype)
    t.new_empty(shape)                 gn.empty(shape, t.dtype)
    t.new_full(shape, value)           gn.full(shape, value, t.dtype)
    t.new_tensor(array)                gn.Tensor(array, dtype=t.dtype)

    t.add_(other, alpha=value)         t += value * other
    t.sub_(other, alpha=value)         t -= value * other
    t.mul_(other)                      t *= other
    t.div_(other)                      t /= other
    t.zero_()                          t[...] = 0
    t.fill_(value)                     t[...] = value
    t.copy_(other)                     t[...] = other
    t.fill_diagonal_(value)            np.fill_diagonal(t, value)
    t.masked_fill_(mask, value)        t[mask] = value
    t.index_fill_(0, index, value)     t[index] = value
    t.index_copy_(0, index, rows)      t[index] = rows
    t.index_put_([index], rows)        t[index] = rows
    t.index_add_(0, index, rows)       np.add.at(t, index, rows)
    t.scatter_(axis, indices, other)   np.put_along_axis(t, indices, other, axis)
    t.scatter_add_(0, indices, other)  np.add.at(t, (indices, np.arange(t.shape[1])), other)
    t.scatter_add_(1, indices, other)  np.add.at(t, (np.arange(len(t))[:, None], indices), other)
    t.bernoulli_(value)                t[...] = gn.random.binomial(1, value, t.shape)
    t.uniform_(low, high)              gn.nn.init.uniform_(t, low, high)
    t.normal_(mean, std)               gn.nn.init.normal_(t, mean, std)
    t.t_()                             t = t.T
    t.transpose_(0, 1)                 t = np.swapaxes(t, 0, 1)
    t.swapaxes_(0, 1)                  t = np.swapaxes(t, 0, 1)
    t.swapdims_(0, 1)                  t = np.swapaxes(t, 0, 1)
    t.squeeze_()                       t = np.squeeze(t)
    t.unsqueeze_(axis)                 t = np.expand_dims(t, axis)
    t.put_(index, v[:2])               t.put(index, v[:2])
    """

FUNCTIONS = """
    torch.as_tensor(array)             gn.asarray(array)
    torch.from_numpy(array)            gn.asarray(array)
    torch.is_tensor(t)                 isinstance(t, gn.Tensor)
    torch.cat([a, b], axis)            np.concatenate([a, b], axis)
    torch.flatten(t, 1)                t.reshape(len(t), -1)
    torch.broadcast_tensors(a, v)      np.broadcast_arrays(a, v)
    torch.bucketize(t, v)              np.searchsorted(v, t)
    torch.trapz(t)                     np.trapezoid(t)
    torch.complex(a, b)                a + 1j * b
    torch.rand(2, 3)                   gn.random.random((2, 3), np.float32)
    torch.rand_like(t)                 gn.random.random(t.shape, t.dtype)
    torch.randn(2, 3)                  gn.random.standard_normal((2, 3), np.float32)
    torch.randn_like(t)                gn.random.standard_normal(t.shape, t.dtype)
    torch.randint(0, n, (2, 3))        gn.random.integers(0, n, (2, 3))
    torch.randperm(n)                  gn.random.permutation(n)
    torch.multinomial(v, n)            gn.random.choice(len(v), n, replace=False, p=(v / v.sum()).data)
    torch.normal(mean, std, (2, 3))    gn.random.normal(mean, std, (2, 3)).astype(np.float32)
    torch.Generator()                  np.random.default_rng()
    torch.Size(shape)                  tuple(shape)
    torch.FloatTensor(array)           gn.Tensor(array, dtype=np.float32)
    torch.DoubleTensor(array)          gn.Tensor(array, dtype=np.float64)
    torch.LongTensor(array)            gn.Tensor(array, dtype=np.int64)
    torch.IntTensor(array)             gn.Tensor(array, dtype=np.int32)
    torch.BoolTensor(array)            gn.Tensor(array, dtype=bool)
    torch.float                        np.float32
    torch.int                          np.int32
    torch.cfloat                       np.complex64
    torch.inference_mode()             gn.no_grad()
    torch.set_grad_enabled(flag)       gn.enable_grad() if flag else gn.no_grad()
    torch.get_default_dtype()          gn.nn.get_default_dtype()
    torch.set_default_dtype(dtype)     gn.nn.set_default_dtype(dtype)
    """

CPU = "everything is on the CPU, so what is about devices can be left out"
AS_IT_IS = "code runs as it is, so this can be left out"
KEPT = "backward leaves a gradient in every tensor that it passes, so this can be left out"
TENSORS = {CPU: "get_device is_cpu is_cuda is_mps is_pinned is_shared is_xpu pin_memory share_memory_ xpu", KEPT: "retain_grad retains_grad",
           "t.max(axis), t.min(axis), np.sort(t, axis) are the values, t.argmax(axis), t.argmin(axis), t.argsort(axis) the indices": "indices values",
           "gn.graph(t) is a table of what t was made from; t.is_leaf says whether it was made from anything": "grad_fn",
           "t.resize(shape) does it, with zeros where elements are missing, if t is no parameter": "resize_"}  # fmt: skip
LAYERS = {CPU: "cuda ipu share_memory to_empty xpu", AS_IT_IS: "compile",
          "parameters are float32 or float64: net.float(), net.double()": "bfloat16 half"}  # fmt: skip
MODULES = {CPU: "accelerator amp autocast backends cuda device get_default_device mps set_default_device xpu", AS_IT_IS: "compile compiler fx jit",
           "gn.data is torch.utils.data, gn.checkpoint is torch.utils.checkpoint.checkpoint": "utils",
           "gn.grad(f)(x) differentiates the function f; gn.Function is torch.autograd.Function": "autograd",
           "gn.grad, gn.vjp, gn.jvp, gn.jacobian, gn.hessian and gn.vmap are torch.func's": "func",
           "gn.random draws from distributions, with gradients": "distributions",
           "the variable GRADNERVE_THREADS sets how many threads there are, before gradnerve is imported": "get_num_threads set_num_threads",
           }  # fmt: skip
FUNCTIONALS = """adaptive_avg_pool1d alpha_dropout avg_pool1d batch_norm bilinear binary_cross_entropy_with_logits celu channel_shuffle conv1d
    conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d cosine_embedding_loss cosine_similarity ctc_loss dropout embedding
    embedding_bag feature_alpha_dropout group_norm hinge_embedding_loss instance_norm kl_div layer_norm margin_ranking_loss max_pool1d max_pool2d
    max_pool3d pairwise_distance pdist pixel_shuffle pixel_unshuffle poisson_nll_loss prelu rms_norm rrelu selu threshold
    triplet_margin_loss""".split()


def pairs(table):
    """What a table says of each name: pairs of what PyTorch has and what is here."""
    found = {}
    for theirs, ours in (re.split("  +", line.strip()) for line in table.split("\n") if line.strip()):
        found.setdefault(re.match(r"\w+\.(\w+)", theirs)[1], []).append((theirs, ours))
    return found


METHODS, FUNCTIONS = pairs(METHODS), pairs(FUNCTIONS)
TENSORS, LAYERS, MODULES = ({name: why for why, names in notes.items() for name in names.split()} for notes in (TENSORS, LAYERS, MODULES))


def value_of(name):
    """What has the value of a method of PyTorch's that is no method here, or None."""
    if name in METHODS:
        return METHODS[name][0][1]
    function = vars(gradnerve).get(name)
    if not callable(function) or isinstance(function, type) or not hasattr(np, name):
        return None
    return f"np.{name}(t)" if getattr(function, "nin", 2) == 1 else f"np.{name}(t, ...)"


def in_place(name):
    """What a method with a _ at its end does, unless it has a line of its own; or None."""
    base = name[:-1] if name.endswith("_") else ""
    value = f"t.{base}(...)" if base and hasattr(Tensor, base) else value_of(base)
    return f"t[...] = {value}" if value else None


def said(rows):
    """The rows of a table as the end of a sentence."""
    return "".join(f"; PyTorch's {theirs} " + ("can be left out" if ours == "t" else f"is {ours} here") for theirs, ours in rows)


def of_tensor(name):
    """What to say of a name that Tensor does not have; "" if nobody knows it."""
    if name in TENSORS:
        return f": {TENSORS[name]}"
    here = value_of(name) or in_place(name)
    if not here:
        return ""
    writes = name.endswith("_") and not here.startswith("t = ")
    return (said(METHODS[name]) if name in METHODS else f"; here it is {here}") + ("; of a parameter, in `with gn.no_grad():`" if writes else "")


def of_layer(name):
    """What to say of a name that nn.Module does not have."""
    return f": {LAYERS[name]}" if name in LAYERS else ""


def of_module(name):
    """What to say of a name that gradnerve does not have."""
    if name in MODULES:
        return f": {MODULES[name]}"
    if name in FUNCTIONS:
        return said(FUNCTIONS[name])
    if name in FUNCTIONALS:
        return f"; here it is gn.nn.functional.{name}"
    return f"; it is a method: t.{name}" if hasattr(Tensor, name) else of_tensor(name)
