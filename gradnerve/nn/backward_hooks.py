"""Hooks of a module that see the gradients of its outputs and of its inputs, as PyTorch's "full" backward hooks.

The inputs go through an operation that passes them on, and so do the outputs: backward comes through these with all gradients at once.

Read next: ../own.py, whose `packed` makes such operations.
"""

import numpy as np

from gradnerve import _engine, tree
from gradnerve._engine import TensorBase, wrap
from gradnerve._general import Custom
from gradnerve.ops.values import wanted
from gradnerve.own import packed


class Watch:
    """One call of a module, as far as its hooks want to see gradients.

    inputs   the arguments, as zeros where these can have a gradient and else as None; `places` numbers those that are tracked
    outputs  the gradients of the outputs, when they have come
    """

    def __init__(self, module):
        self.module, self.outputs = module, ()
        self.before, self.hooks = ([hook for hook, _ in module._hooks_of(kind)] for kind in ("backward pre", "backward"))
        self.on = bool(self.before or self.hooks) and _engine.recording()

    def arguments(self, args):
        if not self.on:
            return args
        self.places = [k for k, a in enumerate(args) if wanted(a)]
        self.inputs = tuple(map(zeros, args)) if self.places else (None,) * len(args)
        if not self.hooks or not self.places:
            return args
        args = list(args)
        for k, t in zip(self.places, self.passed([args[k] for k in self.places], self.at_inputs), strict=True):
            args[k] = t
        return tuple(args)

    def result(self, result):
        if not self.on:
            return result
        leaves, rebuild = tree.flatten(result)
        places = [k for k, leaf in enumerate(leaves) if wanted(leaf)]
        if not places:
            return result
        empty = tuple(map(zeros, leaves))
        at_outputs = lambda gradients: self.at_outputs(gradients, places, empty)
        for k, t in zip(places, self.passed([leaves[k] for k in places], at_outputs), strict=True):
            leaves[k] = t
        return rebuild(leaves)

    def passed(self, tensors, seen):
        """The tensors themselves, whose gradients go through `seen`."""
        shares = lambda gradients, results: seen([g if isinstance(g, TensorBase) else wrap(g, owned=False) for g in gradients])
        return packed(Custom(f"hooks of {type(self.module).__name__}"), tuple(tensors), tensors, shares)

    def at_outputs(self, gradients, places, empty):
        self.outputs = spread(gradients, places, empty)
        for hook in self.before:
            self.outputs = replaced(self.outputs, hook(self.module, self.outputs), "register_full_backward_pre_hook")
        if not self.places:
            for hook in self.hooks:
                hook(self.module, self.inputs, self.outputs)
        outputs = self.outputs
        if not self.places or not self.hooks:
            self.outputs = ()
        return [outputs[k] for k in places]

    def at_inputs(self, gradients):
        inputs = spread(gradients, self.places, self.inputs)
        for hook in self.hooks:
            inputs = replaced(inputs, hook(self.module, inputs, self.outputs), "register_full_backward_hook")
        self.outputs = ()  # they may be tracked, and lead back to the operation that holds this
        return [inputs[k] for k in self.places]


def zeros(x):
    """The gradient of what nobody has asked for."""
    return wrap(np.zeros(x.shape, x.dtype), owned=True) if isinstance(x, TensorBase) and x.dtype.kind in "fc" else None


def spread(gradients, places, empty):
    """The gradients at their places, and what is there anyway elsewhere."""
    found = list(empty)
    for k, g in zip(places, gradients, strict=True):
        found[k] = g
    return tuple(found)


def replaced(gradients, changed, name):
    """The gradients, or those that a hook has returned."""
    if changed is None:
        return gradients
    changed = changed if isinstance(changed, tuple) else (changed,)
    if len(changed) != len(gradients):
        raise ValueError(f"{name}: the hook returned {len(changed)} gradients, where {len(gradients)} are expected")
    return changed
