"""The Trainer: it does what a loop written by hand does, and an interrupted run that is resumed ends in the same bits."""

import contextlib
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import gradnerve as gn
from gradnerve import data, nn, optim
from gradnerve.fit import Callback, EarlyStopping, History, SaveBest, Trainer, accuracy

F = nn.functional
PACKAGE = str(Path(gn.__file__).parents[1])


def problem(n=70):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    return data.TensorDataset(x, (x[:, 0] * x[:, 1] > 0).astype(np.int64))


def network(dropout=0.0):
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 2))


def same_bits(a, b):
    for (name, x), (other, y) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert name == other
        np.testing.assert_array_equal(x, y)


def numbers(history):
    return [{name: x for name, x in row.items() if name != "seconds"} for row in history.rows]


def test_it_does_what_the_loop_does():
    found = []
    for by_hand in (True, False):
        gn.manual_seed(3)
        model = network(dropout=0.3)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        scheduler = optim.lr_scheduler.StepLR(optimizer, 2)
        loader = data.DataLoader(problem(), batch_size=16, shuffle=True)
        if by_hand:
            for _ in range(4):
                for x, y in loader:
                    optimizer.zero_grad()
                    F.cross_entropy(model(x), y).backward()
                    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
                    optimizer.step()
                scheduler.step()
        else:
            Trainer(model, F.cross_entropy, optimizer, scheduler=scheduler, clip_norm=0.5, progress=False).fit(loader, epochs=4)
        found.append(model)
    same_bits(*found)


def test_the_history_has_means_over_examples():
    """Of batches of different sizes, for training as it went on, for validation with the model in evaluation mode."""
    gn.manual_seed(0)
    model, held_out = network(0.5), problem(37)
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics={"accuracy": accuracy}, progress=False)
    history = trainer.fit(data.DataLoader(problem(), batch_size=16), epochs=1, validation=data.DataLoader(held_out, batch_size=16))
    assert all(module.training for module in model.modules())
    model.eval()
    x, y = held_out.tensors
    np.testing.assert_allclose(history["validation loss"], float(F.cross_entropy(model(x), y)), rtol=1e-6)
    np.testing.assert_allclose(history["validation accuracy"], np.mean(model(x).data.argmax(1) == np.asarray(y)))
    assert history["lr"] == [0.0]
    assert set(history.names()) == {"epoch", "loss", "accuracy", "validation loss", "validation accuracy", "lr", "seconds"}


def test_evaluation_leaves_frozen_layers_in_their_mode():
    model = network()
    model[1].eval()
    Trainer(model, F.cross_entropy, optim.SGD(model.parameters()), progress=False).evaluate(data.DataLoader(problem(), batch_size=7))
    assert [module.training for module in model] == [True, False, True, True, True]


@pytest.mark.parametrize("accumulate", [2, 3])
def test_accumulated_gradients_are_those_of_one_large_batch(accumulate):
    """Also where the last batch is smaller, and where the last step has fewer batches."""
    models = []
    for size, parts in ((8, accumulate), (8 * accumulate, 1)):
        gn.manual_seed(1)
        model = nn.Linear(6, 2, dtype=np.float64)
        model.unused = nn.Parameter(np.ones(2))
        optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
        trainer = Trainer(model, F.cross_entropy, optimizer, accumulate=parts, clip_norm=0.3, progress=False)
        trainer.fit([(x.data.astype(float), y) for x, y in data.DataLoader(problem(61), batch_size=size)], epochs=3)
        models.append(model)
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-12)
    assert models[0].unused.data.tolist() == [1, 1]


def test_schedules_by_step_and_by_plateau():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    loader = data.DataLoader(problem(), batch_size=35)
    falling = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    Trainer(model, F.cross_entropy, optimizer, scheduler=falling, schedule="step", progress=False).fit(loader, 3)
    assert optimizer.param_groups[0]["lr"] == 0.5**6
    optimizer = optim.SGD(model.parameters(), lr=1e-9)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1.0)
    history = Trainer(model, F.cross_entropy, optimizer, scheduler=plateau, progress=False).fit(loader, 4)
    assert history["lr"] == pytest.approx([1e-9, 1e-9, 1e-9, 1e-9])  # reduced by less than ReduceLROnPlateau's eps counts as not reduced
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.9)
    history = Trainer(model, F.cross_entropy, optimizer, scheduler=plateau, progress=False).fit(loader, 4)
    assert history["lr"] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])


# -------------------------------------------------------------------------------------------------------- exact resume

SCRIPT = """
import random, signal, sys
import numpy as np
import gradnerve as gn
from gradnerve import data, nn, optim
from gradnerve.fit import EarlyStopping, Trainer, accuracy
from test_fit import network, problem

class Noisy:
    '''A dataset that draws from everywhere.'''
    def __init__(self):
        self.rng, self.rows, self.taken = np.random.default_rng(11), problem(), 0
    def __len__(self):
        return len(self.rows)
    def __getitem__(self, k):
        self.taken += 1
        if self.taken == stop:
            print("waiting", flush=True)
            sys.stdin.readline()  # for a signal
        x, y = self.rows[k]
        return x.data + np.float32(0.1 * (self.rng.normal() + np.random.normal() + random.gauss(0, 1))), y

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
folder, stop, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
gn.manual_seed(1); np.random.seed(2); random.seed(3)
noisy, model = Noisy(), network(dropout=0.2)
model[3].generator = np.random.default_rng(4)
optimizer = optim.AdamW([{"params": model[0].parameters(), "lr": 0.05}, {"params": [*model[1].parameters(), *model[4].parameters()]}], lr=0.01)
scheduler = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3)
trainer = Trainer(model, nn.functional.cross_entropy, optimizer, metrics={"accuracy": accuracy}, scheduler=scheduler, clip_norm=1.0, accumulate=2,
                  callbacks=[EarlyStopping("validation accuracy", patience=100)], checkpoint=f"{folder}/run.npz", keep=[noisy.rng], progress=False)
history = trainer.fit(data.DataLoader(noisy, batch_size=16, shuffle=True), epochs=5,
                      validation=data.DataLoader(problem(20), batch_size=20), resume=resume)
rows = [{**row, "seconds": 0} for row in history.rows]
gn.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": rows}, f"{folder}/end.npz")
"""


def start(folder, stop, resume=""):
    """Train in a process of its own, up to the example that is the one of this number to be taken, or if it is 0, to the end."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([PACKAGE, str(Path(__file__).parent)]), "GRADNERVE_THREADS": "2"}
    command, pipe = [sys.executable, "-c", SCRIPT, str(folder), str(stop), resume], subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT and SIGKILL")
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_an_interrupted_run_that_is_resumed_ends_in_the_same_bits(tmp_path, blow):
    whole, resume = start(tmp_path / "whole", 0), ""
    for stop in (100, 150):  # in the second epoch, and after that was done again, in the fourth
        broken = start(tmp_path / "broken", stop, resume)
        assert broken.stdout.readline() == "waiting\n", broken.stderr.read()
        broken.send_signal(blow)
        _, errors = broken.communicate(timeout=60)
        assert broken.returncode != 0
        if blow == signal.SIGINT:
            assert "run.npz has the state before it: fit(..., resume=True) goes on" in errors
            assert [path.name for path in (tmp_path / "broken").iterdir()] == ["run.npz"]
        resume = "resume"
    for process in (start(tmp_path / "broken", 0, resume), whole):
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    one, other = (gn.load(tmp_path / name / "end.npz") for name in ("whole", "broken"))
    assert one["history"] == other["history"]
    assert len(one["history"]) == 5
    for name, array in one["model"].items():
        np.testing.assert_array_equal(array, other["model"][name])
    for k, state in one["optimizer"]["state"].items():
        np.testing.assert_array_equal(state["exp_avg_sq"], other["optimizer"]["state"][k]["exp_avg_sq"])


def trainer_of(folder, **options):
    gn.manual_seed(0)
    model = network(dropout=0.2)
    options = {"progress": False, "checkpoint": folder / "run.npz", **options}
    return Trainer(model, F.cross_entropy, optim.SGD(model.parameters(), lr=0.05, momentum=0.9), **options)


@pytest.mark.parametrize("stop", [None, 1, 2, 4, 5])
def test_a_program_with_two_calls_goes_on_in_the_one_that_was_interrupted(tmp_path, stop):
    """Also if all epochs are done, and if nothing was interrupted."""
    loader = data.DataLoader(problem(), batch_size=16, shuffle=True)

    def calls(trainer):
        trainer.fit(loader, 2, resume=True)
        trainer.optimizer = optim.Adam(trainer.model.parameters())
        trainer.fit(loader, 3, resume=True)
        return trainer

    def interrupt(trainer, row):
        if row["epoch"] == stop:
            raise KeyboardInterrupt

    whole = calls(trainer_of(tmp_path, checkpoint=tmp_path / "whole.npz"))
    assert whole.history["epoch"] == [1, 2, 3, 4, 5]
    broken = trainer_of(tmp_path, callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt) if stop else contextlib.nullcontext():
        calls(broken)
    with pytest.warns(match="is from call 2 of fit; call 1 was finished and is passed over") if stop not in (1, 2) else contextlib.nullcontext():
        again = calls(trainer_of(tmp_path, callbacks=[lambda trainer, row: None]))
    assert numbers(again.history) == numbers(whole.history)
    same_bits(again.model, whole.model)


def test_an_unfinished_checkpoint_is_not_lost_without_resume(tmp_path):
    loader, path = data.DataLoader(problem(), batch_size=16, shuffle=True), tmp_path / "run.npz"

    def interrupt(trainer, row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer_of(tmp_path, callbacks=[interrupt]).fit(loader, 4)
    kept = path.read_bytes()
    with pytest.warns(match=r"run.npz \(epoch 2 of 4\) was there already, and is now .*run.npz.bak; resume=True goes on"):
        trainer = trainer_of(tmp_path)
        trainer.fit(loader, 1)
    assert (tmp_path / "run.npz.bak").read_bytes() == kept
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.fit(loader, 1)  # it is its own, and the next one is finished
        trainer_of(tmp_path).fit(loader, 1)
    path.write_bytes(b"something else")
    with pytest.warns(match=r"run.npz \(no checkpoint\) was there already"):
        trainer_of(tmp_path).fit(loader, 1)
    assert (tmp_path / "run.npz.bak").read_bytes() == b"something else"


def test_resume_without_a_file_starts(tmp_path):
    history = trainer_of(tmp_path).fit(data.DataLoader(problem(), batch_size=16), 1, resume=True)
    assert len(history) == 1


def test_errors_in_a_batch_say_which_epoch_and_how_to_go_on(tmp_path):
    batches = [(np.ones((4, 6), np.float32), np.array([0, 1, 0, 1]))]
    trainer = trainer_of(tmp_path)
    trainer.fit(batches, 1)
    with pytest.raises(ValueError, match="Linear") as raised:
        trainer.fit([(np.ones((4, 5), np.float32), np.array([0, 1, 0, 1]))], 1)
    assert f"in epoch 2 of 2; {tmp_path / 'run.npz'} has the state before it: fit(..., resume=True) goes on" in "\n".join(raised.value.__notes__)
    with pytest.raises(FloatingPointError, match="the loss of batch 1 is nan"):
        trainer.fit([(np.full((4, 6), np.nan, np.float32), np.array([0, 1, 0, 1]))], 1)


def test_an_error_in_a_callback_leaves_the_state_before_the_epoch(tmp_path):
    loader = data.DataLoader(problem(), batch_size=16, shuffle=True)
    whole = trainer_of(tmp_path, checkpoint=None)
    whole.fit(loader, 3)

    def fail(trainer, row):
        if row["epoch"] == 2:
            raise RuntimeError("disk is full")

    with pytest.raises(RuntimeError) as raised:
        trainer_of(tmp_path, callbacks=[fail]).fit(loader, 3)
    assert "in epoch 2 of 3; " in raised.value.__notes__[-1]
    resumed = trainer_of(tmp_path)
    resumed.fit(loader, 3, resume=True)
    assert numbers(resumed.history) == numbers(whole.history)
    same_bits(resumed.model, whole.model)


def test_an_interruption_in_the_first_epoch_does_not_bring_an_older_run_back(tmp_path):
    loader = data.DataLoader(problem(), batch_size=16, shuffle=True)
    trainer_of(tmp_path).fit(loader, 3)
    stopped = trainer_of(tmp_path, metrics={"accuracy": lambda output, target: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        stopped.fit(loader, 2)
    resumed = trainer_of(tmp_path)
    assert resumed.fit(loader, 2, resume=True)["epoch"] == [1, 2]


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path):
    loader = data.DataLoader(problem(), batch_size=16)
    trainer_of(tmp_path).fit(loader, 1)
    other = trainer_of(tmp_path)
    other.optimizer = optim.SGD([*other.model.parameters()][1:], lr=0.1, momentum=0.9)
    before = other.model.state_dict()
    with pytest.raises(ValueError, match=r"the loaded state has groups of \[6\] parameters"):
        other.fit(loader, 2, resume=True)
    for name, array in other.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_checkpoint_of_another_trainer_is_refused(tmp_path):
    loader = data.DataLoader(problem(), batch_size=16)
    trainer_of(tmp_path).fit(loader, 1)
    with pytest.raises(ValueError, match="it has model, optimizer SGD, and wanted are model, optimizer SGD, callback 0 and 1 generators"):
        trainer_of(tmp_path, callbacks=[EarlyStopping("loss")]).fit(loader, 2, resume=True)
    other = trainer_of(tmp_path)
    other.optimizer = optim.Adam(other.model.parameters())
    with pytest.raises(ValueError, match="it has model, optimizer SGD, and wanted are model, optimizer Adam"):
        other.fit(loader, 2, resume=True)
    gn.save(nn.Linear(2, 2).state_dict(), tmp_path / "run.npz")
    with pytest.raises(ValueError, match="not a checkpoint of such a Trainer: it has weight, bias, and wanted are the parts of a Trainer"):
        trainer_of(tmp_path).fit(loader, 2, resume=True)


# ------------------------------------------------------------------------------------------------------------ callbacks


class Given(Trainer):
    """Its validation loss is what it is told."""

    def evaluate(self, data):
        return {"loss": self.told[len(self.history)]}


def test_early_stopping_goes_back_to_the_best_model(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.__class__, trainer.told = Given, [5.0, 3.0, 2.0, 2.5, 2.4, 2.3, 1.0]
    seen = []
    trainer.callbacks = [lambda trainer, row: seen.append(trainer.model.state_dict()), EarlyStopping(patience=3), SaveBest(tmp_path / "best.npz")]
    history = trainer.fit(data.DataLoader(problem(), batch_size=16), 10, validation=[None])
    assert history["validation loss"] == [5.0, 3.0, 2.0, 2.5, 2.4, 2.3]
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, seen[2][name])
    for name, array in gn.load(tmp_path / "best.npz").items():
        np.testing.assert_array_equal(array, seen[2][name])


def test_callbacks_see_the_trainer_and_may_stop_it(tmp_path):
    seen = []

    class Mine(Callback):
        def epoch_end(self, trainer, row):
            seen.append(row["epoch"])
            trainer.stop = row["epoch"] == 2

        def fit_end(self, trainer):
            seen.append("end")

    trainer_of(tmp_path, callbacks=[Mine()]).fit(data.DataLoader(problem(), batch_size=16), 10)
    assert seen == [1, 2, "end"]


def test_an_unknown_number_to_monitor_is_named(tmp_path):
    loader = data.DataLoader(problem(), batch_size=16)
    with pytest.raises(ValueError, match="EarlyStopping: there is no 'F1' in the history; there are epoch, loss, lr, seconds"):
        trainer_of(tmp_path, callbacks=[EarlyStopping("F1")]).fit(loader, 1)
    with pytest.raises(ValueError, match=r"fit: SaveBest waits for 'validation loss': pass fit\(..., validation=batches\), or"):
        trainer_of(tmp_path, callbacks=[SaveBest("best.npz")]).fit(loader, 1)


def test_what_losses_gives_is_shown(tmp_path):
    class Mine(Trainer):
        def losses(self, batch):
            return (self.model(batch["x"]) ** 2).mean(), {"size": float(len(batch["x"]))}

    model = nn.Linear(6, 1)
    history = Mine(model, None, optim.SGD(model.parameters()), progress=False).fit(data.DataLoader({"x": problem().tensors[0].data}, 40), 2)
    assert history["size"] == pytest.approx([(40 * 40 + 30 * 30) / 70] * 2)


def test_tensors_among_the_numbers_keep_no_graph(tmp_path):
    class Mine(Trainer):
        def losses(self, batch):
            loss = (self.model(batch) ** 2).mean()
            return loss, {"half": loss / 2}

    model = nn.Linear(6, 1)
    rows = Mine(model, None, optim.SGD(model.parameters()), progress=False).fit(data.DataLoader(problem().tensors[0].data, 35), 1).rows
    assert type(rows[0]["half"]) is float


# -------------------------------------------------------------------------------------------------------- what is seen


def test_progress_is_shown_with_the_numbers(tmp_path, capsys):
    pytest.importorskip("tqdm")
    trainer_of(tmp_path, progress=True, metrics={"accuracy": accuracy}).fit(data.DataLoader(problem(), batch_size=16), 2)
    shown = capsys.readouterr().err
    assert "epoch 1/2" in shown and "epoch 2/2: 100%" in shown
    assert "loss=" in shown and "accuracy=" in shown


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_does_not_change_the_numbers(tmp_path, workers):
    pytest.importorskip("tqdm")
    loader = data.DataLoader(problem(), batch_size=16, shuffle=True, num_workers=workers)
    histories = [numbers(trainer_of(tmp_path, progress=progress).fit(loader, 2)) for progress in (False, True)]
    assert histories[0] == histories[1]


def test_without_tqdm_there_is_a_line_for_each_epoch(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    trainer_of(tmp_path, progress=True).fit(data.DataLoader(problem(), batch_size=16), 2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "loss=" in lines[0] and "lr=0.05" in lines[0]


def test_the_history_is_a_table_and_a_picture(tmp_path):
    history = History([{"epoch": 1, "loss": 2.0, "validation loss": 2.5, "lr": 0.1}, {"epoch": 2, "loss": 0.125, "lr": 0.01}])
    assert repr(history).split() == "epoch loss validation loss lr 1 2 2.5 0.1 2 0.125 0.01".split()
    assert history[-1] == [*history][1] == {"epoch": 2, "loss": 0.125, "lr": 0.01}
    with pytest.raises(KeyError, match="no 'accuracy'; it has epoch, loss, validation loss, lr"):
        history["accuracy"]
    pytest.importorskip("matplotlib")
    figure = history.plot(tmp_path / "history.png")
    assert [axes.get_title() for axes in figure.axes] == ["loss", "lr"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["loss", "validation loss"]
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"gradnerve\[viz\]"):
        History([{"epoch": 1, "loss": 2.0}]).plot()


@pytest.mark.parametrize("options, error, words", [
    ({"schedule": "batch"}, ValueError, "schedule must be 'epoch' or 'step', not 'batch'"),
    ({"accumulate": 0}, ValueError, "accumulate must be at least 1, not 0"),
    ({"accumulate": 2.5}, TypeError, "accumulate must be a whole number, not 2.5"),
    ({"metrics": [accuracy]}, TypeError, r"is a dict of functions by name, such as \{'accuracy': gn.fit.accuracy\}, not \[<function accuracy"),
    ({"metrics": {"accuracy": 0.5}}, TypeError, "metrics is a dict of functions"),
    ({"scheduler": optim.lr_scheduler.StepLR(optim.SGD(nn.Linear(1, 1).parameters()), 1)}, ValueError, "StepLR, is one of another optimizer"),
])  # fmt: skip
def test_bad_options(tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        trainer_of(tmp_path, **options)


def test_optimizers_that_do_not_fit():
    with pytest.raises(ValueError, match="the optimizer has none of the parameters of this Linear; was it made for another model"):
        Trainer(nn.Linear(2, 1), F.mse_loss, optim.SGD(nn.Linear(2, 1).parameters()))
    model = nn.Linear(2, 1)
    with pytest.raises(TypeError, match=r"LBFGS .* needs a closure; write its loop by hand"):
        Trainer(model, F.mse_loss, optim.LBFGS(model.parameters()))


@pytest.mark.parametrize("loss, words", [(lambda output, target: float((output**2).sum()), "is a float"),
                                         (lambda output, target: (output**2).detach().sum(), "is a constant"),
                                         (lambda output, target: output[:, 0] - target, r"is of shape \(16,\)")])  # fmt: skip
def test_bad_losses(tmp_path, loss, words):
    trainer = trainer_of(tmp_path)
    trainer.loss = loss
    with pytest.raises(TypeError, match=f"fit: the loss of batch 1 {words}; it must be one number, a Tensor computed from the model's parameters"):
        trainer.fit(data.DataLoader(problem(), batch_size=16), 1)


def test_batches_that_can_be_read_once(tmp_path):
    batches = [(np.ones((4, 6), np.float32), np.array([0, 1, 0, 1]))]
    assert len(trainer_of(tmp_path).fit(iter(batches), 1)) == 1
    with pytest.raises(TypeError, match="data is an iterator, list_iterator, which ends with the first of 2 epochs"):
        trainer_of(tmp_path).fit(iter(batches), 2)
    with pytest.raises(TypeError, match="validation is an iterator, generator"):
        trainer_of(tmp_path).fit(batches, 2, validation=(b for b in batches))
    with pytest.raises(TypeError, match=r"fit: epochs must be a whole number, not 1.5"):
        trainer_of(tmp_path).fit(batches, 1.5)


def test_resume_needs_a_checkpoint_and_data_needs_batches(tmp_path):
    with pytest.raises(ValueError, match=r"resume needs the file of a checkpoint: Trainer\(..., checkpoint='run.npz'\)"):
        trainer_of(tmp_path, checkpoint=None).fit([], 1, resume=True)
    with pytest.raises(ValueError, match="the data has no batches"):
        trainer_of(tmp_path).fit([], 1)


def test_early_stopping_goes_on_from_its_state():
    stopper, other = (EarlyStopping("x", patience=2, mode="max") for _ in range(2))
    stopper.best, stopper.waited, stopper.model = 3.0, 1, {"weight": np.ones(2)}
    other.load_state_dict(stopper.state_dict())
    assert (other.best, other.waited) == (3.0, 1) and other.model["weight"].tolist() == [1.0, 1.0]
    best = SaveBest("x")
    best.load_state_dict({"best": 5.0, "waited": 2})
    assert (best.best, best.waited) == (5.0, 2)
    with pytest.raises(ValueError, match="'min' or 'max', not 'most'"):
        EarlyStopping(mode="most")
