"""The hostile cases: which test holds each of them (ROWS), and those of them that no other file has.

A hostile program must get the right result or a clear error, never a crash, a hang, a leak or a silently wrong number. What could kill the
process (`alone`) runs in one of its own, with limits of time and memory. Read next: test_hostile_data.py, test_hostile_calls.py,
test_mutation.py, test_backward.py and test_process.py.
"""

import ast
import copy
import ctypes
import functools
import gc
import importlib
import os
import pickle
import signal
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
from helpers import HERE, NAMES, alone, chain, leaf, needs_fork, pages, process, settled_rows, sized, works
from test_mutation import check_write
from test_process import needs_proc

import gradnerve as gn
from gradnerve import _graph, _memory

# ---- writing between forward and backward ----------------------------------------------------------------------------------

MORE_WRITES = """
np.from_dlpack(t)[...] = 9
np.from_dlpack(t.data)[...] = 9
np.from_dlpack(t.detach())[...] = 9
np.negative.at(t.data, (0, 0))
np.add.at(t.detach(), (0, 0), 9)
np.copyto(t.detach(), 9)
np.cumsum(t.data, axis=0, out=t.data)
np.dot(t.data + 1, t.data + 1, out=t.data)
np.take(t.data + 9, [[0, 1], [2, 3]], out=t.data, mode="clip")
np.einsum("ij->ji", t.data + 9, out=t.data)
np.multiply.outer([9.0, 8.0], [7.0, 6.0], out=t.data)
np.concatenate([np.ones((1, 2)), np.zeros((1, 2))], out=t.data)
np.round(t.data + 8, out=t.data)
np.ma.masked_array(t.data, copy=False)[...] = 9
np.broadcast_arrays(t.data, np.zeros((2, 2)))[0][...] = 9
np.array(t.data, copy=False, subok=True)[...] = 9
np.nan_to_num(np.add(t.data, np.nan, out=t.data), nan=9, copy=False)
io.BytesIO(bytes(32)).readinto(t.data)
struct.pack_into("d", t.data, 8, 9.0)
t.data.__setstate__(np.full((2, 2), 9.0).__reduce__()[2])
t.data[np.array([0, 1]), [1, 0]] = 9
t.data[t.data > 0] = 9
t.data.resize((1, 4), refcheck=False)
t.detach().fill(9)
t.detach().sort(0)
t.detach().put([0, 3], 9)
t.detach().flat[:] = 9
with gn.no_grad(): t.fill(9)
with gn.no_grad(): t.flat[0] = 9
with gn.no_grad(): np.copyto(t, 9)
with gn.no_grad(): np.put(t, [0, 1], 9)
with gn.no_grad(): np.add.at(t, (0, 0), 9)
with gn.no_grad(): np.exp(t, out=t)
with gn.no_grad(): np.sum(np.ones((3, 2, 2)), axis=0, out=t)
with gn.no_grad(): t[[0, 1], [1, 0]] = 9
with gn.no_grad(): t.real = 9
with gn.no_grad(): t.data = np.full((2, 2), 9.0)
""".strip().splitlines()


@pytest.mark.parametrize("write", MORE_WRITES)
def test_mutate_in_place(write, monkeypatch):
    """The ways that test_mutation.py does not know: other functions of NumPy, other libraries, methods of tensors; each hits all four tensors."""
    for name in "io", "struct":
        monkeypatch.setitem(NAMES, name, importlib.import_module(name))
    for name in "xhev":
        check_write(name, write)


# ---- the process -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@alone
def test_keyboard_interrupt_in_gradients():
    """A SIGINT that arrives before the first of many nodes: the sweep ends long before the last of them, without any Python code to see it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    reached, bell = [], functools.partial(ctypes.CDLL(None)["raise"], int(signal.SIGINT))

    def calling(parent, function):
        out = gn.Tensor(np.zeros(parent.shape), _prev=(parent,))
        out._backward = function
        return parent + out

    def f(x, first):
        return calling(chain(calling(x, functools.partial(reached.append, 1)), 10000), first).sum()

    for differentiate in gn.grad(f), lambda x, first: gn.vjp(lambda x: f(x, first), x)[1](1.0), gn.jacobian(f):
        differentiate(np.ones(3), dict)  # the derivatives are traced, which is Python code
        assert reached == [1]
        reached.clear()
        with pytest.raises(KeyboardInterrupt):
            differentiate(np.ones(3), bell)
        assert not reached
    works()


@needs_fork
@alone
def test_fork():
    """A graph that was built before differentiates in the child and in the parent, also where threads share its loops."""
    x = leaf(np.linspace(0, 1, 100_000))
    y = (np.tanh(x) * x).sum()
    expected = np.tanh(x.data) + x.data * (1 - np.tanh(x.data) ** 2)
    child = os.fork()
    if child == 0:
        try:
            y.backward()
            os._exit(0 if np.allclose(x.grad, expected, rtol=1e-12) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    y.backward()
    assert np.allclose(x.grad, expected, rtol=1e-12)
    works()


IN_ANOTHER = """
try:
    import gradnerve as gn
    x = gn.Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
except ImportError as error:
    assert "gradnerve" in str(error) or "numpy" in str(error)
"""


@alone
def test_subinterpreter():
    """The import says that it cannot be, or all works; and the main interpreter works on."""
    testing = pytest.importorskip("_testcapi")
    warnings.simplefilter("ignore")
    for _ in range(2):
        assert testing.run_in_subinterp("import warnings\nwarnings.simplefilter('ignore')" + IN_ANOTHER) == 0
        works()


@pytest.mark.parametrize("again", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_copies_mid_graph(again):
    """At the end of 20,000 nodes: an error that says how to get the value, no recursion, and the graph still differentiates."""
    x = leaf([1.0, 2.0])
    y = chain(x, 20_000)
    for what in y, [y], {"y": y}:
        with pytest.raises(TypeError, match=r"t\.detach\(\)"):
            again(what) if what is y or again is not copy.copy else again(y)
    made = copy.deepcopy(y.detach())
    y.backward(np.ones(2))
    assert np.allclose(x.grad, 1.0000001**20_000) and np.array_equal(made.data, y.data)


def test_deepcopy_leaf():
    """Writing to one of the two never shows in the other, and both differentiate, also where a graph has saved the value."""
    x = leaf([1.0, 2.0])
    x.grad = [1.0, 1.0]
    y = (x * x).sum()
    made = copy.deepcopy(x)
    assert (made.data.tolist(), made.grad.tolist()) == ([1.0, 2.0], [1.0, 1.0])
    made.data[...] = 7
    made.grad[...] = 5
    y.backward()
    (made * made).sum().backward()
    assert (x.data.tolist(), x.grad.tolist()) == ([1.0, 2.0], [3.0, 5.0])
    assert (made.data.tolist(), made.grad.tolist()) == ([7.0, 7.0], [19.0, 19.0])
    x.data[...] = 3
    x.grad[...] = 3
    assert made.data.tolist() == [7.0, 7.0] and made.grad.tolist() == [19.0, 19.0]


# ---- memory ----------------------------------------------------------------------------------------------------------------


class Named(gn.Tensor):
    """With attributes, as any class of Python's."""


def test_cycle_attribute():
    """A plain tensor refuses attributes; that of a class of one's own, which refers to itself, is collected, as is a list with a tensor in it."""
    with pytest.raises(AttributeError):
        leaf(1.0).me = 1
    rows, gone = settled_rows(), []
    for _ in range(300):
        x = Named(np.ones(131_072), requires_grad=True)
        x.me = [x, {"x": x, "twice": x * 2}]
        ring = [leaf(np.ones(131_072))]
        ring += [ring, ring[0] * 2]
        gone += [weakref.ref(x), weakref.ref(ring[0]), weakref.ref(ring[2])]
        if len(gone) % 90 == 0:
            del x, ring
            gc.collect()
            assert all(ref() is None for ref in gone)
    assert _graph.live_rows() == rows


def test_memory_freed_after_backward():
    """Of 60 results: backward gives them back while their end is still held, and on its way needs little more than there is."""
    x, size = leaf(np.ones(10**5)), 8 * 10**5
    with _memory.Count() as count:
        y = x
        for _ in range(60):
            y = np.tanh(y)
        built = count.live
        y.backward(np.ones(10**5))
        left, peak = count.live, count.peak
    assert built >= 60 * size and left <= 5 * size and peak <= built + 5 * size and y.requires_grad


AT_EXIT = """
import threading
import numpy as np
import gradnerve as gn
from helpers import chain, leaf

class Stop(BaseException):
    pass

def stop():
    raise Stop

def by_hand(function):
    out = gn.Tensor(1.0, _prev=(chain(x, 1000),))
    out._backward = function
    return out * 1

x, reached = leaf(1.0), threading.Event()
whole = chain(x, 10**5)
failed, waits = by_hand(stop), by_hand(lambda: (reached.set(), threading.Event().wait()))
try:
    failed.backward()
except Stop as error:
    kept = error  # and with it the frames of the sweep
threading.Thread(target=waits.backward, daemon=True).start()
reached.wait()
gn.whole = whole
x.register_hook(lambda g: x)
values = gn.asarray(np.ones(10**5)) * 2
"""


def test_interpreter_exit_with_live_graph():
    """A whole graph, one that failed half way, and one that a daemon thread is in the middle of."""
    process(AT_EXIT)


# ---- rules -----------------------------------------------------------------------------------------------------------------


@sized
@needs_proc
@alone
def test_memory_per_node_is_flat():
    """At most 400 bytes a node, whether there are a hundred thousand or three million."""
    found = []
    for n in 10**5, 10**6, 3 * 10**6:
        before = pages()[1]
        y = chain(leaf(1.0), n)
        found.append((pages()[1] - before) / n)
        assert y.requires_grad
        del y
    assert max(found) < 400 and found[2] < 1.3 * found[1], found

def test_no_unsafe_mathematics():
    """No flag with which a compiler may take NaN, infinities, denormal numbers or the order of sums for unimportant, and no machine's own."""
    tree = ast.parse((Path(HERE).parent / "setup.py").read_text())
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert "-ffp-contract=off" in strings
    wrong = "-ffast-math -Ofast -funsafe-math-optimizations -ffinite-math-only -fassociative-math -freciprocal-math -march=native /fp:fast"
    assert not strings & set(wrong.split())


# ---- what holds each case --------------------------------------------------------------------------------------------------

ROWS = {
    "deep_chain_backward_1e6": "test_backward.py::test_deep_chain_backward_1e6",
    "deep_destroy_unused_1e6": "test_backward.py::test_deep_destroy_unused_1e6",
    "deep_small_stack_thread": "test_backward.py::test_deep_small_stack_thread",
    "wide_fanout_1e6": "test_backward.py::test_wide_fanout_1e6",
    "diamond_2pow60": "test_backward.py::test_diamond_2pow60",
    "same_tensor_1000_times": "test_backward.py::test_same_tensor_1000_times",
    "buffered_branches": "test_backward.py::test_buffered_branches",
    "concatenate_1e5": "test_backward.py::test_concatenate_1e5",
    "deep_repr": "test_backward.py::test_deep_repr",
    "backward_accumulates": "test_backward.py::test_backward_accumulates",
    "backward_twice_same_graph": "test_backward.py::test_backward_twice_same_graph test_backward.py::test_backward_twice_retained",
    "backward_through_freed": "test_backward.py::test_backward_through_freed test_backward.py::test_backward_through_retained",
    "nonscalar_no_seed": "test_backward.py::test_nonscalar_no_seed",
    "seed_wrong_shape": "test_backward.py::test_seed_wrong_shape",
    "seed_wrong_dtype": "test_backward.py::test_seed_wrong_dtype test_hostile_data.py::test_object_dtype",
    "backward_constant": "test_backward.py::test_backward_constant",
    "no_grad_restores": "test_backward.py::test_no_grad_restores",
    "no_grad_thread_local": "test_backward.py::test_no_grad_thread_local test_threads_graphs.py::test_modes_are_of_a_thread",
    "mutate_in_place": "test_mutation.py::test_mutate_in_place test_reliability.py::test_mutate_in_place",
    "mutate_prior_alias": "test_mutation.py::test_mutate_prior_alias",
    "mutate_intermediate": "test_mutation.py::test_mutate_intermediate test_reliability.py::test_mutate_in_place",
    "mutate_output_saved_by_op": "test_mutation.py::test_mutate_output_saved_by_op test_reliability.py::test_mutate_in_place",
    "mutate_source_array": "test_mutation.py::test_mutate_source_array test_mutation.py::test_mutate_source_of_a_view",
    "rebind_data": "test_mutation.py::test_rebind_data test_mutation.py::test_rebind_data_before_use",
    "grad_not_shared": "test_mutation.py::test_grad_not_shared "
                       "test_mutation.py::test_grad_not_shared_after_more_passes test_operations.py::test_hygiene",
    "grad_of_broadcast_is_owned": "test_mutation.py::test_grad_of_broadcast_is_owned",
    "grad_assign_wrong_shape": "test_mutation.py::test_grad_assign_wrong_shape",
    "setitem_tensor": "test_mutation.py::test_setitem_tensor test_mutation.py::test_setitem_tensors_in_a_list",
    "view_then_write": "test_mutation.py::test_view_then_write test_mutation.py::test_write_through_view",
    "ops_do_not_mutate_inputs": "test_mutation.py::test_ops_do_not_mutate_inputs test_operations.py::test_hygiene",
    "int_requires_grad": "test_tensor.py::test_requires_grad_makes_floats",
    "bool_requires_grad": "test_tensor.py::test_requires_grad_makes_floats",
    "complex": "test_tensor.py::test_complex_gradient_is_steepest_ascent test_tensor.py::test_complex_output_needs_a_seed",
    "object_dtype": "test_hostile_data.py::test_object_dtype",
    "str_struct_datetime_dtype": "test_tensor.py::test_data_without_gradient",
    "ragged_list": "test_tensor.py::test_ragged_list",
    "longdouble": "test_programs.py::test_longdouble_keeps_its_digits",
    "float16_float32_kept": "test_tensor.py::test_inexact_dtypes_are_kept test_tensor.py::test_python_scalars_are_weak",
    "mixed_precision_grad_dtype": "test_tensor.py::test_grad_has_the_dtype_of_its_tensor",
    "byteswapped": "test_tensor.py::test_byte_order_becomes_native test_hostile_data.py::test_byteswapped",
    "strided_layouts": "test_operations.py::test_strides_make_no_difference test_hostile_data.py::test_strided_layouts",
    "noncontiguous_matmul": "test_hostile_data.py::test_noncontiguous_matmul",
    "read_only_input": "test_hostile_data.py::test_read_only_input test_hostile_data.py::test_strided_layouts",
    "unaligned_input": "test_hostile_data.py::test_strided_layouts test_hostile_data.py::test_noncontiguous_matmul",
    "memmap_input": "test_hostile_data.py::test_memmap_input",
    "masked_array": "test_tensor.py::test_masked_array",
    "zero_size": "test_operations.py::test_values test_operations.py::test_first_derivative test_operations.py::test_ties",
    "max_of_empty": "test_operations.py::test_errors",
    "zero_d": "test_tensor.py::test_backward_of_one_element test_tensor.py::test_tutorial_loop_on_scalars",
    "unbroadcast": "test_operations.py::test_first_derivative",
    "shape_mismatch_message": "test_tensor.py::test_errors_teach test_operations.py::test_errors",
    "bad_axis": "test_tensor.py::test_errors_teach test_operations.py::test_errors",
    "int_overflow_shapes": "test_hostile_data.py::test_int_overflow_shapes test_hostile_data.py::test_counting_up_to_the_largest_integer",
    "max_ndim": "test_hostile_data.py::test_max_ndim",
    "hostile_sequence": "test_hostile_data.py::test_hostile_sequence test_hostile_data.py::test_what_contains_itself_says_so",
    "index_oob": "test_operations.py::test_errors test_tensor.py::test_errors_teach",
    "index_oob_array": "test_hostile_data.py::test_index_oob_array",
    "index_int_min": "test_operations.py::test_errors test_hostile_data.py::test_index_oob_array",
    "index_duplicates": "test_operations.py::test_ties",
    "index_pathological": "test_operations.py::test_first_derivative test_operations.py::test_values",
    "index_bad_types": "test_operations.py::test_errors test_tensor.py::test_setitem_errors",
    "iteration_terminates": "test_tensor.py::test_len_iteration_and_in",
    "ndarray_on_the_left": "test_tensor.py::test_operators_on_both_sides test_tensor.py::test_matmul_on_both_sides",
    "numpy_ufunc_on_tensor": "test_operations.py::test_values "
                             "test_tensor.py::test_what_is_out_of_scope_says_so_when_called test_names.py::test_every_public_name_has_a_group",
    "store_into_ndarray": "test_tensor.py::test_ndarray_stores_no_tracked_tensor test_tensor.py::test_ndarray_takes_no_tensor_in_place",
    "nan_inf_propagate": "test_hostile_data.py::test_nan_inf_propagate",
    "denormals_kept": "test_process.py::test_denormals_kept test_reliability.py::test_no_unsafe_mathematics",
    "global_state_untouched": "test_process.py::test_global_state_untouched test_hostile_calls.py::test_global_state_untouched_by_everything",
    "div_log_edge": "test_hostile_data.py::test_div_log_edge",
    "sqrt_at_zero": "test_operations.py::test_ties",
    "abs_at_zero": "test_operations.py::test_ties",
    "norm_at_zero": "test_operations.py::test_ties",
    "pow_edges": "test_operations.py::test_ties",
    "pow_exponent_grad": "test_operations.py::test_ties",
    "max_ties": "test_operations.py::test_ties",
    "maximum_ties": "test_operations.py::test_ties",
    "prod_with_zeros": "test_operations.py::test_ties",
    "saturation_stable": "test_operations.py::test_ties test_operations.py::test_values",
    "float32_accumulation": "test_hostile_data.py::test_float32_accumulation",
    "large_argument_trig": "test_hostile_data.py::test_large_argument_trig",
    "custom_raises": "test_backward.py::test_custom_raises",
    "custom_raises_leaf_grad_consistent": "test_backward.py::test_custom_raises_leaf_grad_consistent",
    "failed_backward_all_or_nothing": "test_backward.py::test_failed_backward_all_or_nothing",
    "custom_wrong_grad_shape": "test_backward.py::test_custom_wrong_grad_shape test_backward.py::test_by_hand_wrong_grad_shape",
    "custom_wrong_grad_count": "test_backward.py::test_custom_wrong_grad_count",
    "custom_returns_none": "test_backward.py::test_custom_returns_none",
    "reentrant_backward": "test_backward.py::test_reentrant_backward test_backward.py::test_reentrant_backward_onto_the_same_leaf",
    "forward_error_leaves_state": "test_backward.py::test_forward_error_leaves_state",
    "huge_broadcast": "test_process.py::test_huge_broadcast",
    "memory_error_in_kernel": "test_process.py::test_memory_error_in_kernel test_process.py::test_memory_error_in_backward "
                              "test_process.py::test_one_failing_allocation test_hostile_calls.py::test_one_failing_allocation",
    "keyboard_interrupt": "test_process.py::test_keyboard_interrupt test_reliability.py::test_keyboard_interrupt_in_gradients",
    "uninitialised_object": "test_process.py::test_uninitialised_object test_hostile_calls.py::test_uninitialised_public_object",
    "reinit_live_tensor": "test_process.py::test_reinit_live_tensor test_process.py::test_reinit_live_leaf",
    "gc_stress": "test_process.py::test_gc_stress",
    "freed_by_refcount": "test_process.py::test_freed_by_refcount",
    "threads_independent": "test_threads_graphs.py::test_ten_thousand_calls_of_anything",
    "threads_shared_leaf": "test_threads_graphs.py::test_a_shared_leaf_gets_the_exact_sum_also_while_others_look",
    "threads_same_graph": "test_threads_graphs.py::test_one_graph_swept_by_four_threads test_threads_graphs.py::test_one_graph_kept_for_four_threads",
    "fork": "test_reliability.py::test_fork test_threads.py::test_fork_leaves_the_helpers_behind",
    "subinterpreter": "test_reliability.py::test_subinterpreter",
    "free_threaded_build": "test_threads_graphs.py::test_importing_switches_the_gil_on",
    "pickle_leaf": "test_interop.py::test_pickle",
    "pickle_mid_graph": "test_reliability.py::test_copies_mid_graph",
    "deepcopy_mid_graph": "test_reliability.py::test_copies_mid_graph",
    "deepcopy_leaf": "test_reliability.py::test_deepcopy_leaf",
    "load_evil_pickle": "test_pytorch_files.py::test_evil_pickles_run_nothing_and_take_no_memory "
                        "test_storage.py::test_arrays_of_objects_are_refused_and_run_nothing",
    "load_corrupt": "test_storage.py::test_no_damage_to_our_files_goes_unseen test_pytorch_files.py::test_no_damage_goes_unseen",
    "leak_train_loop": "test_leaks.py::test_leaves_nothing",
    "leak_without_gc": "test_leaks.py::test_leaves_nothing",
    "leak_forward_only": "test_leaks.py::test_leaves_nothing",
    "leak_on_errors": "test_leaks.py::test_leaves_nothing",
    "cycle_through_custom": "test_cycles.py::test_one_collection_frees_all test_cycles.py::test_three_hundred_of_a_megabyte",
    "cycle_attribute": "test_reliability.py::test_cycle_attribute",
    "refcount_of_inputs": "test_leaks.py::test_leaves_nothing",
    "memory_freed_after_backward": "test_reliability.py::test_memory_freed_after_backward",
    "interpreter_exit_with_live_graph": "test_reliability.py::test_interpreter_exit_with_live_graph",
}


def test_every_case_has_a_test():
    assert len(ROWS) == 116
    for file in {name.partition("::")[0] for named in ROWS.values() for name in named.split()}:
        found = {node.name for node in ast.parse(Path(HERE, file).read_text()).body if isinstance(node, ast.FunctionDef)}
        for case, named in ROWS.items():
            wanted = {name.partition("::")[2] for name in named.split() if name.startswith(f"{file}::")}
            assert wanted <= found, f"{case}: {file} has no {wanted - found}"
