"""Speech: a published network of voice activity detection runs on our layers, and shows what it listens for.

What one learns: a network that others trained is a file of named arrays, and thirty lines that say what to do with them; a convolution
whose filters are waves is a spectrum; a network that hears 32 ms at a time and remembers gives the same numbers for a whole recording in
one call; and what an autograd engine adds to it: the gradient of its verdict by the sound shows what it listens for, at which times and
pitches, and finds a noise, as soft as that of a quiet room, in which it hears voices all the time.

The weights are Silero's (github.com/snakers4/silero-vad), under the MIT license; the package of that name brings them to your machine.
Only its files are read: it is not imported, and needs no PyTorch here. Without a recording, espeak-ng speaks, or else vowels are made up.

Needs matplotlib and the weights: pip install 'gradnerve[examples]' and pip install --no-deps silero-vad
Better with: apt install espeak-ng (brew install espeak-ng); pip install onnxruntime, which runs Silero's own network to compare with
Run: python examples/17_speech.py [recording.wav] [--picture speech.png] [--short]
Read next: 18_sentences.py, a published network that reads.
"""

import argparse
import shutil
import subprocess
import tempfile
import wave
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np

import gradnerve as gn
from gradnerve import nn

F = nn.functional

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

RATE, CHUNK, CONTEXT = 16_000, 512, 64  # samples a second; samples that are judged at once, and those before them that are heard as well
WINDOW, HOP = 256, 128  # of the spectrum: 16 ms, every 8 ms
BINS = WINDOW // 2 + 1
SPEECH, PAUSE = 0.5, 0.35  # speech begins with a probability above the one, and may end with one below the other
LONGEST_PAUSE, SHORTEST_SPEECH, MARGIN = RATE // 10, RATE // 4, 480  # samples
BLOCK = 4096  # chunks in one call: two minutes, which bounds the memory
SHOWN = 30  # seconds that are drawn

VOWELS = {"a": (730, 1090, 2440), "e": (530, 1840, 2480), "i": (270, 2290, 3010), "o": (570, 840, 2410), "u": (300, 870, 2240)}  # formants in Hz
SENTENCES = (
    ("en-us", "A gradient says which way is up."),
    ("en-gb+f3", "Every derivative is one line of NumPy."),
    ("de", "Das Netz hört nur auf Stimmen."),
)

NAMES_IN_ONNX = {"stft_conv.weight": "stft.forward_basis_buffer", "lstm_cell": "decoder.rnn", "final_conv": "decoder.decoder.2"}
NAMES_IN_ONNX |= {f"conv{k + 1}": f"encoder.{k}.reparam_conv" for k in range(4)}


# --- the network -----------------------------------------------------------------------------------------------------


class Detector(nn.Module):
    """The probability of speech in each of some consecutive chunks, and the state that the next call goes on from."""

    def __init__(self):
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * BINS, WINDOW, stride=HOP, bias=False)  # cosines, then sines, of 0 to 8000 Hz
        self.conv1 = nn.Conv1d(BINS, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def spectra(self, chunks):
        """How loud each pitch is: from (chunks, CONTEXT + CHUNK) to (chunks, BINS, 4)."""
        waves = self.stft_conv(F.pad(chunks, (0, 64), mode="reflect")[:, None])
        return np.hypot(waves[:, :BINS], waves[:, BINS:])

    def logits(self, spectra, state=None):
        """log(p / (1 - p)) for the probability p of speech, (chunks,), and the state; what comes of one chunk is a step of the sequence."""
        x = spectra
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(layer(x))
        heard, state = self.lstm_cell(x[:, :, 0], state)
        return self.final_conv(F.relu(heard)[:, :, None])[:, 0, 0], state

    def forward(self, chunks, state=None):
        logits, state = self.logits(self.spectra(chunks), state)
        return F.sigmoid(logits), state


def weights_folder():
    """Where the package silero-vad has its files; it is found, but not imported."""
    package = find_spec("silero_vad")
    if package is None:
        raise SystemExit("this example needs Silero's weights: pip install --no-deps silero-vad")
    return Path(package.submodule_search_locations[0]) / "data"


def load():
    """The detector with Silero's weights; what they call a cell is our layer for a whole sequence, whose only layer is number 0."""
    arrays = gn.load(weights_folder() / "silero_vad_16k.safetensors")
    detector = Detector()
    detector.load_state_dict({name + "_l0" * name.startswith("lstm_cell."): array for name, array in arrays.items()})
    return detector.requires_grad_(False).eval()


def chunks_of(sound):
    """The chunks of a sound (n,), each after the end of the one before it: (chunks, CONTEXT + CHUNK); silence is before and after it."""
    padded = F.pad(sound, (CONTEXT, -len(sound) % CHUNK))
    rows = lambda x: x.reshape(-1, CHUNK)
    return np.concatenate([rows(padded[:-CONTEXT])[:, :CONTEXT], rows(padded[CONTEXT:])], 1)


def listen(detector, sound):
    """The probability of speech in each chunk of a whole recording: as many chunks in one call as memory allows."""
    state, found = None, []
    with gn.no_grad():
        for chunks in np.split(chunks_of(sound), range(BLOCK, len(sound) // CHUNK, BLOCK)):
            p, state = detector(chunks, state)
            found.append(p.data)
    return np.concatenate(found)


def stream(detector, sounds):
    """The same as the sound comes in, CHUNK samples at a time."""
    context, state = np.zeros(CONTEXT, np.float32), None
    for sound in sounds:
        with gn.no_grad():
            p, state = detector(np.concatenate([context, sound])[None], state)
        context = sound[-CONTEXT:]
        yield p.item()


# --- sounds ----------------------------------------------------------------------------------------------------------


def read(path):
    """A WAV file of whole numbers of 8 to 32 bits, its channels averaged: samples between -1 and 1 at RATE."""
    try:
        with wave.open(str(path)) as file:
            channels, width, rate, frames = file.getparams()[:4]
            samples = np.frombuffer(file.readframes(frames), np.uint8).reshape(-1, width)
    except (wave.Error, EOFError) as error:
        raise SystemExit(f"{path}: {error}; ffmpeg -i {path} -ar 16000 -ac 1 -c:a pcm_s16le new.wav makes one that can be read") from None
    if width == 1:
        samples = samples ^ 128  # the only width without a sign
    padded = np.zeros((len(samples), 4), np.uint8)
    padded[:, 4 - width :] = samples
    return resampled(padded.view("<i4").reshape(-1, channels).mean(1) / 2**31, rate)


def resampled(sound, rate):
    """The sound at RATE: its spectrum, cut off or filled up with zeros."""
    n = round(len(sound) * RATE / rate)
    return (np.fft.irfft(np.fft.rfft(sound), n) * (n / len(sound))).astype(np.float32)


def spoken(voice, sentence):
    """What espeak-ng says, without the silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-w", path, sentence], check=True)
        sound = read(path)
    loud = np.flatnonzero(abs(sound) > 0.02)
    return sound[loud[0] : loud[-1]]


def tone(seconds, pitches, fade, overtones=8):
    """A chord of strings that are plucked, or whatever else is a sum of fading overtones."""
    t = np.arange(int(seconds * RATE)) / RATE
    waves = sum(np.sin(2 * np.pi * pitch * k * t) / k for pitch in pitches for k in range(1, overtones + 1))
    return (0.3 * waves / abs(waves).max() * np.exp(-t / fade)).astype(np.float32)


def vowels(letters, pitch, seconds=0.15):
    """A voice without espeak-ng: overtones of a pitch that falls, as loud as the resonances of a mouth make them that glides on."""
    t = np.arange(round(seconds * len(letters) * RATE)) / RATE
    resonances = np.array([np.interp(t / seconds - 0.5, range(len(letters)), peaks) for peaks in zip(*map(VOWELS.get, letters), strict=True)])
    tune = pitch * (1.1 - 0.2 * t / t[-1])
    phase, sound = 2 * np.pi * np.cumsum(tune) / RATE, 0
    for k in range(1, 30):
        strength = 1 / (1 + ((k * tune - resonances) / 90) ** 2)
        sound = sound + np.sin(k * phase) * (np.array([1, 0.5, 0.25]) @ strength)
    return (0.4 * sound / abs(sound).max() * (0.2 + 0.8 * abs(np.sin(np.pi * t / seconds)))).astype(np.float32)


def scene(rng, short):
    """Sentences, and between them what is no voice: the sound (n,), and of each piece its name, begin and end in samples."""
    if shutil.which("espeak-ng"):
        voices = [("speech", spoken(*sentence)) for sentence in SENTENCES]
    else:
        print("espeak-ng, which would speak sentences, is not installed (apt install espeak-ng, brew install espeak-ng): synthetic vowels instead")
        voices = [("vowels", vowels("aiueoaiueo", pitch)) for pitch in (110, 200, 140)]
    voices = voices[:1] if short else voices
    others = [
        ("guitar", tone(1.2, (196, 247, 294, 392), fade=0.5)),
        ("noise", 0.1 * rng.normal(size=RATE)),
        ("telephone", tone(1.2, (440, 480), fade=9, overtones=1)),
    ]
    pieces, at = [], RATE // 2
    for pair in zip(voices, others, strict=False):
        for name, piece in pair:
            pieces.append((name, piece, at))
            at += len(piece) + RATE // 2
    sound = 0.002 * rng.normal(size=at)  # a quiet room
    for _, piece, start in pieces:
        sound[start : start + len(piece)] += piece
    return sound.astype(np.float32), [(name, start, start + len(piece)) for name, piece, start in pieces]


# --- what it hears ---------------------------------------------------------------------------------------------------


def segments(probabilities, length):
    """Where speech begins and ends, in samples, as Silero's own program has it: pairs, of a sound of `length` samples."""
    found, start, quiet = [], None, None  # quiet: where a pause begins that may become the end
    for at, p in zip(range(0, length, CHUNK), probabilities, strict=True):
        if p >= SPEECH:
            start, quiet = at if start is None else start, None
        elif p < PAUSE and start is not None:
            quiet = at if quiet is None else quiet
            if at - quiet >= LONGEST_PAUSE:
                found.append((start, quiet))
                start = quiet = None
    if start is not None:
        found.append((start, length))
    found = [(start, end) for start, end in found if end - start > SHORTEST_SPEECH]
    return [(max(0, start - MARGIN), min(length, end + MARGIN)) for start, end in found]


def attention(detector, sound):
    """The loudness of each pitch (BINS, frames), and by how much each (BINS, chunks), made louder, raises the log-odds of speech.

    The latter is the derivative by the logarithm of the loudness, of the sum over all chunks: what a sound does to later ones is in it.
    """
    with gn.no_grad():
        spectra = detector.spectra(chunks_of(sound)).data
    gradient = gn.grad(lambda spectra: detector.logits(spectra)[0].sum())(spectra).data
    return spectra.transpose(1, 0, 2).reshape(BINS, -1), (spectra * gradient).sum(2).T


def ghosts(detector, sound, loudness=0.002, steps=15):
    """A noise of no more than `loudness` in which the network hears voices: steps up the gradient of the log of its probabilities."""
    probability = lambda noise: F.logsigmoid(detector.logits(detector.spectra(chunks_of(sound + noise)))[0]).sum()
    noise, velocity = np.zeros_like(sound), 0
    for _ in range(steps):
        gradient = gn.grad(probability)(noise).data
        velocity = 0.7 * velocity + gradient / abs(gradient).mean()
        noise = np.clip(noise + loudness / 7 * np.sign(velocity), -loudness, loudness)
    return noise


# --- Silero's own ----------------------------------------------------------------------------------------------------


def place_in_onnx(file, name, length):
    """Where the bytes of an ONNX file have the numbers of an array: after its name (tag 0x42) and their length (0x4a, 7 bits a byte)."""
    for ours, theirs in NAMES_IN_ONNX.items():
        name = name.replace(ours, theirs)
    name = f"model.{name}".encode()
    start = file.index(bytes([0x42, len(name), *name, 0x4A])) + len(name) + 3
    while file[start] & 128:  # all bytes of the length but its last
        start += 1
    return slice(start + 1, start + 1 + length)


def by_onnx_runtime(onnxruntime, file, sound):
    """The probabilities (chunks,) that an ONNX file gives, one chunk after the other, as Silero's own program runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(bytes(file), options)
    state, found = np.zeros((2, 1, 128), np.float32), []
    for chunk in chunks_of(sound):
        p, state = session.run(None, {"input": chunk[None], "state": state, "sr": np.array(RATE)})
        found.append(p.item())
    return np.array(found)


def twin():
    """Silero's own network as an ONNX file with the weights that `load` takes: those it comes with are of another training (issue 768)."""
    file = bytearray((weights_folder() / "silero_vad_16k_op15.onnx").read_bytes())
    for name, array in gn.load(weights_folder() / "silero_vad_16k.safetensors").items():
        file[place_in_onnx(file, name, array.nbytes)] = array.tobytes()
    return file


# --- the whole -------------------------------------------------------------------------------------------------------


def draw(sound, pieces, found, probabilities, haunted, maps, path):
    """The sound and its segments, the probability, the loudness of all pitches, and what in it speaks for and against speech."""
    figure, axes = plt.subplots(4, 1, figsize=(11, 8.5), sharex=True, layout="constrained", height_ratios=[1, 1, 1.8, 1.8])
    above, middle, *below = axes
    for each in (above, middle):
        for start, end in found:
            each.axvspan(start / RATE, end / RATE, color="C2", alpha=0.2, linewidth=0)
    above.plot(np.arange(len(sound)) / RATE, sound, color="0.25", linewidth=0.3)
    for name, start, end in pieces:
        above.text((start + end) / 2 / RATE, 1.04, name, transform=above.get_xaxis_transform(), ha="center")
    above.set(ylabel="sound", yticks=[], xlim=(0, len(sound) / RATE))
    above.set_title("What a network hears; shaded: what it takes for speech" + "\n" * bool(pieces))

    times = (np.arange(len(probabilities)) + 0.5) * CHUNK / RATE
    middle.plot(times, haunted, color="C3", linewidth=0.8, label="with a noise of 1/500 of full scale that follows the gradient")
    middle.plot(times, probabilities, color="k", linewidth=1.2, label="as recorded")
    middle.set(ylabel="probability\nof speech", ylim=(-0.03, 1.03))
    middle.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, fontsize="small", frameon=False, borderaxespad=0)

    loudness, gradient = maps
    decibels, limit = 20 * np.log10(loudness / loudness.max() + 1e-5), np.percentile(abs(gradient), 99)
    texts = ("loudness in dB", "log-odds of speech\nby log of loudness")
    looks = ({"cmap": "magma", "vmin": -70, "vmax": 0}, {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit})
    for each, values, text, look in zip(below, (decibels, gradient), texts, looks, strict=True):
        starts = np.linspace(0, len(times) * CHUNK / RATE, values.shape[1] + 1)
        shown = each.pcolormesh(starts, (np.arange(BINS + 1) - 0.5) * RATE / WINDOW / 1000, values, rasterized=True, **look)
        figure.colorbar(shown, ax=each, label=text, pad=0.01)
        each.set_yscale("function", functions=(lambda f: np.log1p(f / 0.7), lambda y: 0.7 * np.expm1(y)))  # as the ear has it: mel
        each.set(ylabel="pitch in kHz", ylim=(0, RATE / 2000), yticks=[0.25, 0.5, 1, 2, 4, 8], yticklabels=["¼", "½", "1", "2", "4", "8"])
    below[1].set(xlabel="seconds (red: the louder this is, the more it is speech; blue: the less)")
    figure.savefig(path, dpi=150)


def spoken_chunks(pieces, length):
    """Which chunks of the scene have their middle in a sentence."""
    middles = np.arange(0, length, CHUNK) + CHUNK // 2
    return sum((start <= middles) & (middles < end) for name, start, end in pieces if name in ("speech", "vowels")) > 0


def timed(what, sound, probabilities_of):
    """The probabilities that a function of the sound gives; prints how much faster than the sound they come."""
    start = perf_counter()
    probabilities = np.array(probabilities_of(sound))
    seconds = perf_counter() - start
    print(f"  {what:<15} {seconds:7.3f} s, {len(sound) / RATE / seconds:6,.0f} times as fast as it sounds")
    return probabilities


def main():
    parser = argparse.ArgumentParser(description="Find the speech in a recording, by Silero's weights and our layers.")
    parser.add_argument("recording", nargs="?", help="a WAV file (default: espeak-ng speaks, between other sounds)")
    parser.add_argument("--picture", default="speech.png", help="where the picture goes (default: speech.png)")
    parser.add_argument("--short", action="store_true", help="only one sentence, or the first seconds of the recording")
    options = parser.parse_args()

    detector, rng = load(), np.random.default_rng(0)
    sound, pieces = (read(options.recording), []) if options.recording else scene(rng, options.short)
    sound = sound[: 5 * RATE] if options.short else sound
    print(f"parameters: {sum(p.size for p in detector.parameters()):,}")
    print(f"{len(sound) / RATE:.1f} s of sound in chunks of {1000 * CHUNK // RATE} ms:")
    probabilities = timed("in one call", sound, lambda sound: listen(detector, sound))
    streamed = timed("as it comes in", sound, lambda sound: list(stream(detector, np.pad(sound, (0, -len(sound) % CHUNK)).reshape(-1, CHUNK))))
    print(f"  largest difference between both: {abs(streamed - probabilities).max():.1e}")

    found = segments(probabilities, len(sound))
    print("", "speech from        to   seconds", *(f"{a / RATE:11.2f} {b / RATE:9.2f} {(b - a) / RATE:9.2f}" for a, b in found), sep="\n")
    if pieces:
        print(f"chunks judged right: {np.mean((probabilities >= SPEECH) == spoken_chunks(pieces, len(sound))):.1%}")

    shown = sound[: SHOWN * RATE]
    before, noise = probabilities[: len(chunks_of(shown))], ghosts(detector, shown)
    haunted, random = (listen(detector, shown + n) for n in (noise, rng.permutation(noise)))
    shares = [f"{np.mean(p >= SPEECH):.0%}" for p in (before, random, haunted)]
    print("\nspeech in {} of the chunks; with a noise of 1/500 of full scale in {}; with one that follows the gradient in {}".format(*shares))
    draw(shown, pieces, found, before, haunted, attention(detector, shown), options.picture)
    print(f"picture: {options.picture}")
    try:
        import onnxruntime
    except ImportError:
        print("pip install onnxruntime, and this compares with Silero's own network")
    else:
        print(f"largest difference from the ONNX twin: {abs(by_onnx_runtime(onnxruntime, twin(), sound) - probabilities).max():.1e}")


if __name__ == "__main__":
    main()
