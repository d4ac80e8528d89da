"""Silero's published network of voice activity detection, run by our layers: as ONNX Runtime and PyTorch run it, chunk by chunk."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from as_torch import torch
from helpers import SANITIZED
from test_examples import EXAMPLES, assert_picture, number, python, run

import gradnerve as gn

pytest.importorskip("matplotlib", reason="the example draws: pip install 'gradnerve[examples]'")
spec = importlib.util.spec_from_file_location("speech", EXAMPLES / "17_speech.py")
speech = importlib.util.module_from_spec(spec)
spec.loader.exec_module(speech)

INSTALLED = importlib.util.find_spec("silero_vad") is not None
weights = pytest.mark.skipif(not INSTALLED, reason="needs Silero's weights: pip install --no-deps silero-vad")
voice = pytest.mark.skipif(SANITIZED or not shutil.which("espeak-ng"), reason="needs a voice, without sanitizers: apt install espeak-ng")

RECORDED = ("/usr/share/sounds/alsa/Front_Center.wav", "/usr/share/sounds/alsa/Side_Left.wav")  # apt install alsa-utils
READ = "/usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-0870.wav"  # apt install pocketsphinx-testdata

# What onnxruntime 1.32 gave for the chunks of `vowels_and_noise` with the ONNX file of silero-vad 6.2.3, into which the arrays of its
# silero_vad_16k.safetensors had been written (`speech.twin`).
WEIGHTS = "c59271c284ae9c8335d795d60e0bfdb71aaaceec578d9bd9ffc1b8153c319ea1"
REFERENCE = """
    0.021147 0.021376 0.015927 0.012892 0.013306 0.009283 0.009775 0.008495 0.930326 0.976978 0.973992 0.995055 0.998982 0.998870 0.999154
    0.998972 0.999704 0.999717 0.999588 0.999576 0.999099 0.999700 0.999573 0.998747 0.998073 0.998020 0.999683 0.999364 0.999214 0.998723
    0.998549 0.993248 0.963215 0.907702 0.717705 0.911248 0.979136 0.992529 0.993788 0.997272 0.998075 0.999248 0.999460 0.999315 0.998875
    0.998479 0.997191 0.992445 0.997725 0.997418 0.999170 0.998522 0.997845 0.999265 0.998366 0.997323 0.996426 0.995596 0.968594 0.921979
    0.682996 0.285519 0.177363
"""


def vowels_and_noise():
    """Two seconds that integers and sines compute: noise, a voice of vowels, and the voice in the noise."""
    n = np.arange(2 * speech.RATE)
    noise = n**2 * 7919 % 100_003 / 100_003 - 0.5
    sound = 0.02 * noise
    voice = speech.vowels("aiueo", 130)
    sound[4096 : 4096 + len(voice)] += voice
    sound[18_000 : 18_000 + len(voice)] += voice + 0.1 * noise[: len(voice)]
    return sound.astype(np.float32)


def sounds():
    rng = lambda: np.random.default_rng(0)
    yield pytest.param(lambda: speech.spoken("en-us", "She sells sea shells, and rounds them to even."), id="spoken", marks=voice)
    yield pytest.param(lambda: speech.spoken("de+f2", "Fünf Kilogramm, bitte!"), id="spoken in German", marks=voice)
    yield pytest.param(lambda: speech.scene(rng(), short=False)[0], id="between other sounds")
    yield pytest.param(lambda: (0.1 * rng().normal(size=speech.RATE)).astype(np.float32), id="noise")
    yield pytest.param(lambda: np.zeros(speech.RATE, np.float32), id="silence")
    for path, package in [*((path, "alsa-utils") for path in RECORDED), (READ, "pocketsphinx-testdata")]:
        missing = pytest.mark.skipif(not os.path.exists(path), reason=f"needs a recording: apt install {package}")
        yield pytest.param(lambda path=path: speech.read(path), id=Path(path).stem, marks=missing)


@pytest.fixture(scope="module")
def detector():
    if not INSTALLED:
        pytest.skip("needs Silero's weights: pip install --no-deps silero-vad")
    return speech.load()


def file_of(name):
    return speech.weights_folder() / name


# --- the published numbers -------------------------------------------------------------------------------------------


def test_the_arrays_of_the_file_are_those_of_the_layers(detector):
    """Loaded strictly; the filters of the spectrum are waves of all pitches, under a window."""
    assert sum(p.size for p in detector.parameters()) == 309_633
    filters, window = detector.stft_conv.weight.data[:, 0], np.hanning(speech.WINDOW + 1)[:-1]
    angles = 2 * np.pi / speech.WINDOW * np.outer(np.arange(speech.BINS), np.arange(speech.WINDOW))
    assert np.allclose(filters[: speech.BINS], window * np.cos(angles), atol=1e-6)
    assert np.allclose(abs(filters[speech.BINS :]), abs(window * np.sin(angles)), atol=1e-6)


def test_probabilities_that_onnx_runtime_gave(detector):
    if hashlib.sha256(file_of("silero_vad_16k.safetensors").read_bytes()).hexdigest() != WEIGHTS:
        pytest.skip("the numbers are of other weights: pip install --no-deps silero-vad==6.2.3")
    assert np.allclose(speech.listen(detector, vowels_and_noise()), np.array(REFERENCE.split(), float), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sound", list(sounds()))
def test_equal_to_onnx_runtime_on_every_chunk(detector, sound):
    """Silero's ONNX file with the weights that we load."""
    runtime = pytest.importorskip("onnxruntime", reason="compares with ONNX Runtime: pip install onnxruntime")
    sound = sound()
    assert abs(speech.listen(detector, sound) - speech.by_onnx_runtime(runtime, speech.twin(), sound)).max() < 1e-5


@pytest.mark.parametrize("sound", list(sounds()))
def test_equal_to_the_onnx_file_as_it_is(sound):
    """The weights that it comes with, in our layers."""
    if not INSTALLED:
        pytest.skip("needs Silero's weights: pip install --no-deps silero-vad")
    runtime = pytest.importorskip("onnxruntime", reason="compares with ONNX Runtime: pip install onnxruntime")
    file, detector, sound = file_of("silero_vad_16k_op15.onnx").read_bytes(), speech.Detector(), sound()
    arrays = {}
    for name, p in detector.state_dict().items():
        place = speech.place_in_onnx(file, name.removesuffix("_l0"), p.nbytes)
        arrays[name] = np.frombuffer(file[place], np.float32).reshape(p.shape)
    detector.load_state_dict(arrays)
    assert abs(speech.listen(detector, sound) - speech.by_onnx_runtime(runtime, file, sound)).max() < 1e-5


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_blocks_and_a_stream_give_the_numbers_of_one_call(detector, block, monkeypatch):
    sound = vowels_and_noise()[: 40 * speech.CHUNK]
    whole = detector(speech.chunks_of(sound))[0].data
    monkeypatch.setattr(speech, "BLOCK", block)
    assert np.allclose(speech.listen(detector, sound), whole, rtol=0, atol=1e-6)
    assert np.allclose(list(speech.stream(detector, sound.reshape(-1, speech.CHUNK))), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("length", [1, 511, 512, 513, 5 * 512 - 1])
def test_every_length_has_its_chunks(detector, length):
    chunks = speech.chunks_of(np.arange(1, length + 1, dtype=np.float32))
    assert chunks.shape == (-(-length // 512), 576)
    assert np.array_equal(chunks[:, 64:].ravel()[:length], np.arange(1, length + 1))
    assert np.array_equal(chunks[1:, :64], chunks[:-1, -64:])
    assert not chunks[0, :64].any()


# --- gradients -------------------------------------------------------------------------------------------------------


def total(detector):
    return lambda sound: detector(speech.chunks_of(sound))[0].sum()


def test_gradient_by_the_sound_is_that_of_pytorch(detector):
    """Silero's TorchScript file with the weights that we load; through all chunks and the state that they hand on."""
    theirs = torch.jit.load(str(file_of("silero_vad.jit")))
    for name, array in gn.load(file_of("silero_vad_16k.safetensors")).items():
        for ours, other in speech.NAMES_IN_ONNX.items():
            name = name.replace(ours, other)
        theirs._model.state_dict()[name].copy_(torch.from_numpy(np.array(array)))
    sound = vowels_and_noise()[: 24 * speech.CHUNK]
    leaf = torch.tensor(sound, requires_grad=True)
    theirs.reset_states()
    probabilities = torch.cat([theirs(chunk[None], speech.RATE) for chunk in leaf.split(speech.CHUNK)])
    probabilities.sum().backward()
    wanted = leaf.grad.numpy()

    value, gradient = gn.value_and_grad(total(detector))(sound)
    assert abs(value.item() - probabilities.sum().item()) < 1e-4
    assert abs(wanted).max() > 0.01
    assert np.linalg.norm(gradient.data - wanted) < 1e-4 * np.linalg.norm(wanted)


def test_gradient_by_the_sound_is_that_of_differences(detector):
    double = speech.Detector().double()
    double.load_state_dict(detector.state_dict())
    rng = np.random.default_rng(0)
    sound = vowels_and_noise()[3072 : 3072 + 10 * speech.CHUNK].astype(np.float64)
    direction, step, f = rng.normal(size=sound.shape), 1e-7, total(double)
    along = (f(sound + step * direction) - f(sound - step * direction)).item() / (2 * step)
    assert abs((gn.grad(f)(sound).data @ direction) / along - 1) < 1e-5


def test_silence_has_a_gradient(detector):
    """Where the spectrum is zero, its length has no derivative but the one that we choose: 0, not NaN."""
    gradient = gn.grad(total(detector))(np.zeros(2 * speech.CHUNK, np.float32))
    assert not gradient.data.any()


def test_attention_is_what_louder_pitches_would_do(detector):
    """The log-odds of speech, with some pitches of some chunks made a little louder and softer."""
    double = speech.Detector().double()
    double.load_state_dict(detector.state_dict())
    sound = vowels_and_noise()[: 24 * speech.CHUNK].astype(np.float64)
    loudness, effect = speech.attention(double, sound)
    frame = sound[10 * speech.CHUNK - speech.CONTEXT :][: speech.WINDOW] * np.hanning(speech.WINDOW + 1)[:-1]
    assert np.allclose(loudness[:, 4 * 10], abs(np.fft.rfft(frame)), atol=1e-4)
    place, step = np.zeros((24, speech.BINS, 1)), 1e-6
    place[9:13, 5:40] = 1
    spectra = double.spectra(speech.chunks_of(sound)).data
    louder, softer = (double.logits(spectra * (1 + sign * step * place))[0].sum().item() for sign in (1, -1))
    assert abs(effect[5:40, 9:13].sum() / ((louder - softer) / (2 * step)) - 1) < 1e-5


def test_steps_along_the_gradient_make_voices(detector):
    """In a noise, by another that is ten times softer; in any order but the gradient's it does nothing."""
    sound = 2 * vowels_and_noise()[:4096]
    noise = speech.ghosts(detector, sound)
    assert abs(noise).max() <= np.float32(0.002)
    shuffled = np.random.default_rng(0).permutation(noise)
    before, neutral, after = (speech.listen(detector, sound + added).mean() for added in (0, shuffled, noise))
    assert abs(neutral - before) < 0.02
    assert after - before > 0.3


# --- from probabilities to segments ----------------------------------------------------------------------------------


def test_segments_by_hand():
    p = [0, 0] + [0.9] * 10 + [0.1] * 3 + [0.9] + [0.4] * 9 + [0.1] * 5 + [0.9] * 3 + [0] * 6 + [0.6] * 9
    length = 512 * len(p) - 100
    #    a pause of 3 chunks does not end it, nor does 0.4; the three chunks after are too short; the last ends with the sound
    assert speech.segments(p, length) == [(2 * 512 - 480, 25 * 512 + 480), (39 * 512 - 480, length)]
    assert speech.segments([0.1] * 9, 9 * 512) == []


@weights
@pytest.mark.parametrize("seed", range(20))
def test_segments_are_those_of_silero(seed):
    _ = torch.nn  # which Silero's own program needs
    own = pytest.importorskip("silero_vad.utils_vad", reason="Silero's own program: pip install silero-vad packaging")
    rng = np.random.default_rng(seed)
    p = np.clip(0.5 + np.convolve(rng.normal(size=300), np.ones(5) / 4, "same"), 0, 1)
    length = 300 * 512 - int(rng.integers(512))
    found = own.get_speech_timestamps_from_probs(p.tolist(), sampling_rate=16_000, audio_length_samples=length)
    assert len(found) > 3
    assert speech.segments(p, length) == [(each["start"], each["end"]) for each in found]


# --- sounds ----------------------------------------------------------------------------------------------------------


def write(path, samples, width, rate=16_000):
    """A WAV file of samples (n, channels) between -1 and 1."""
    whole = np.round(samples * (2 ** (8 * width - 1) - 1)).astype("<i4")
    raw = (whole + 128 * (width == 1)).astype("<i4").view(np.uint8).reshape(*samples.shape, 4)[..., :width]
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[1], width, rate, len(samples), "NONE", ""))
        file.writeframes(raw.tobytes())
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_reads_samples_of_all_widths_and_averages_channels(width, tmp_path):
    samples = np.random.default_rng(0).uniform(-1, 1, (1000, 2))
    sound = speech.read(write(tmp_path / "sound.wav", samples, width))
    assert sound.dtype == np.float32
    assert np.allclose(sound, samples.mean(1), atol=2.0 ** (2 - 8 * width) + 1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_resampling_keeps_a_wave_and_drops_what_is_too_high(rate, tmp_path):
    t, at = np.arange(rate) / rate, np.arange(16_000) / 16_000
    low, high = np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 11_000 * t) * (rate > 22_050)
    sound = speech.read(write(tmp_path / "sound.wav", (low + high)[:, None] / 2, 2, rate))
    assert np.allclose(sound, np.sin(2 * np.pi * 440 * at) / 2, atol=1e-4)


def test_a_file_that_is_no_wave_is_named(tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(b"ID3 and so on")
    with pytest.raises(SystemExit, match=re.escape(str(path)) + ".*ffmpeg"):
        speech.read(path)


# --- the example -----------------------------------------------------------------------------------------------------


def test_example_between_other_sounds(tmp_path, detector):
    printed = run("17_speech.py", tmp_path, "--short", "--picture", "speech.png")
    assert number(printed, "parameters:") == 309_633
    assert number(printed, "largest difference between both:") < 1e-5
    assert number(printed, "chunks judged right:") > 90
    assert number(printed, "one that follows the gradient in") > 90
    assert_picture(tmp_path / "speech.png")
    if importlib.util.find_spec("onnxruntime"):
        assert number(printed, "largest difference from the ONNX twin:") < 1e-5


def test_example_of_a_recording(tmp_path, detector):
    """Stereo, of another rate: the segments are where the vowels are."""
    voice, rate = speech.vowels("aiueoaiueo", 120), 8_000
    sound = np.concatenate([np.zeros(speech.RATE), voice, np.zeros(speech.RATE)])[::2] + 1e-3 * np.random.default_rng(0).normal(size=28_000)
    write(tmp_path / "vowels.wav", np.stack([sound, sound], 1), 2, rate)
    printed = run("17_speech.py", tmp_path, "vowels.wav", "--picture", "speech.png")
    rows = re.findall(r"^ +(\d+\.\d\d) +(\d+\.\d\d) +\d+\.\d\d$", printed, re.MULTILINE)
    assert len(rows) == 1
    assert np.allclose(np.array(rows[0], float), [1.0, 2.5], atol=0.25)
    assert_picture(tmp_path / "speech.png")


def test_without_the_weights_it_says_what_to_install(tmp_path):
    hide = "import sys, runpy; sys.modules['silero_vad'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    finished = python("-c", hide, EXAMPLES / "17_speech.py", folder=tmp_path)
    assert finished.returncode == 1
    assert "pip install --no-deps silero-vad" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_without_espeak_vowels_stand_for_sentences(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing is to be run"))
    _, pieces = speech.scene(np.random.default_rng(0), short=False)
    assert [name for name, *_ in pieces] == ["vowels", "guitar", "vowels", "noise", "vowels", "telephone"]
    assert "apt install espeak-ng" in capsys.readouterr().out
