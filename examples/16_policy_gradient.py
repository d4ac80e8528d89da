"""Policy gradient: a cart learns by trying to swing a pole up, and to keep it there.

What one learns: no derivative leads through the world, nor through a choice. But what is chosen by chance has a probability, which has a
derivative: make likelier what went better than expected, and less likely what went worse. "Better than expected" takes a second network,
which learns what a state is worth. The loss of the first is the cross-entropy of `gn.nn` with the choices as labels, each weighted by how
much better it went. The pole hangs down at first, and the cart can only be pushed to the left or to the right, too weakly to lift the
pole at once: it must swing. The world is a few lines of NumPy that move 64 carts at once.

Needs matplotlib and tqdm: pip install 'gradnerve[examples]'
Run: python examples/16_policy_gradient.py [--seed 0] [--picture policy.png] [--short]
Read next: 17_speech.py, a published network that hears speech.
"""

import argparse
from functools import partial

import numpy as np

import gradnerve as gn
from gradnerve import nn

F = nn.functional

try:
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection
    from tqdm import tqdm
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

# The world, in SI units: a cart on a track, and on it a pole that turns freely.
GRAVITY, CART, POLE, HALF_LENGTH, FORCE, TRACK = 9.8, 1.0, 0.1, 0.5, 10.0, 2.4
TIME_STEP, STEPS_PER_CHOICE, CHOICES, CARTS = 0.02, 2, 200, 64  # 25 choices in a second, 200 in an episode
UPRIGHT = np.cos(np.radians(18))

# The learning. A choice pays most with the pole at the top, half as much at a spin of FAST (1/s), and FALL when the cart leaves the track.
UPDATES, SHORT, CHOICES_PER_UPDATE, HIDDEN = 1500, 750, 25, 32
LEARNING_RATE, LARGEST_NORM, CURIOSITY = 0.015, 0.5, 0.03
DISCOUNT, DECAY, FAST, FALL = 0.98, 0.95, 5.0, -3.0


# --- the world -------------------------------------------------------------------------------------------------------


def hanging(rng, n):
    """States (n, 4) at the start: position, velocity, angle (0: upright, pi: hanging) and angular velocity, each a little off rest."""
    return rng.uniform(-1, 1, (n, 4)) * [0.5, 0.1, 0.3, 0.1] + [0, 0, np.pi, 0]


def moved(states, right):
    """The states one time step later: the equations of Barto, Sutton and Anderson (1983) without their friction, which is tiny."""
    _, velocity, angle, spin = states.T
    sine, cosine, mass = np.sin(angle), np.cos(angle), CART + POLE
    push = (np.where(right, FORCE, -FORCE) + POLE * HALF_LENGTH * spin**2 * sine) / mass
    turning = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE * cosine**2 / mass))
    return states + TIME_STEP * np.stack([velocity, push - POLE * HALF_LENGTH * turning * cosine / mass, spin, turning], axis=1)


class World:
    """Carts that all move at once; one that leaves the track, or has had its 200 choices, starts anew.

    finished  of every episode that has ended: for how many of its choices the pole was upright
    """

    def __init__(self, rng):
        self.rng, self.states, self.finished = rng, hanging(rng, CARTS), []
        self.age, self.upright = rng.integers(0, CHOICES, CARTS), np.zeros(CARTS)  # of all ages, so that not all start at once

    def step(self, right):
        """Push all carts; what that paid, the states that it led to, which carts left the track, and which episodes have ended."""
        for _ in range(STEPS_PER_CHOICE):
            self.states = moved(self.states, right)
        position, _, angle, spin = self.states.T
        off = abs(position) > TRACK
        pay = np.where(off, FALL, (1 + np.cos(angle)) / 2 / (1 + (spin / FAST) ** 2))
        self.upright += (np.cos(angle) > UPRIGHT) & ~off
        self.age += 1
        reached, ended = self.states, off | (self.age == CHOICES)
        if ended.any():
            self.finished.extend(self.upright[ended])
            self.states = np.where(ended[:, None], hanging(self.rng, CARTS), self.states)
            self.age[ended] = self.upright[ended] = 0
        return pay, reached, off, ended


# --- the learning ----------------------------------------------------------------------------------------------------


def seen(states):
    """What the networks see of states (..., 4): five numbers (..., 5) of about -1 to 1, the same for an angle and a full turn more."""
    position, velocity, angle, spin = np.moveaxis(states, -1, 0)
    return np.stack([position / TRACK, velocity / 3, np.sin(angle), np.cos(angle), spin / 6], axis=-1).astype(np.float32)


def make_network():
    """Two networks: the policy, whose sigmoid is the probability of a push to the right, and the value of a state."""
    layers = lambda: [nn.Linear(5, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1)]
    network = nn.ModuleDict({"policy": nn.Sequential(*layers()), "value": nn.Sequential(*layers())})
    network["policy"][-1].weight.data *= 0.01  # at first it prefers nothing
    return network


def told(part, states):
    """What a part of the network says of states: an array, without a graph."""
    with gn.no_grad():
        return part(seen(states)).data[..., 0]


def chosen(rng, scores):
    """Choices by chance: True, a push to the right, with the probability sigmoid(score)."""
    return rng.random(scores.shape) < 1 / (1 + np.exp(-scores))


def play(world, rng, score):
    """Some choices of all carts: the states, the choices, and what `World.step` says of them, each with the shape (choices, carts, ...)."""
    moves = []
    for _ in range(CHOICES_PER_UPDATE):
        states = world.states
        right = chosen(rng, score(states))
        moves.append((states, right, *world.step(right)))
    return [np.array(of_all) for of_all in zip(*moves, strict=True)]


def advantages(pay, off, ended, values, values_reached):
    """How much better each choice went than the value of its state promised (generalized advantage estimation, Schulman et al., 2016).

    A mean over looking one choice ahead, two, and so on. What is off the track is worth nothing more; when only the time was up, the value
    stands for what would have come.
    """
    surprise = (1 - DISCOUNT) * pay + DISCOUNT * values_reached * ~off - values
    result, later = np.empty_like(surprise), np.zeros(CARTS)
    for k in reversed(range(len(surprise))):
        result[k] = later = surprise[k] + DISCOUNT * DECAY * later * ~ended[k]
    return result


def lessons(worth, states, right, pay, reached, off, ended):
    """What is to be learned of all choices, in a row: what was seen, what was chosen, how much that weighs, and what it was worth."""
    values = worth(states)
    gains = advantages(pay, off, ended, values, worth(reached))
    weights, targets = (gains - gains.mean()) / gains.std(), values + gains
    return seen(states).reshape(-1, 5), *(a.ravel().astype(np.float32) for a in (right, weights, targets))


def improve(network, optimizer, inputs, right, weights, targets):
    """One step of the optimizer, for both parts of the network."""
    scores, values = network["policy"](inputs)[:, 0], network["value"](inputs)[:, 0]
    choice = F.binary_cross_entropy_with_logits(scores, right, weights)
    entropy = np.mean(F.softplus(scores) - scores * F.sigmoid(scores))  # without it, the policy is soon sure of a poor choice
    loss = choice - CURIOSITY * entropy + F.mse_loss(values, targets)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), LARGEST_NORM)
    optimizer.step()


def train(network, rng, updates):
    """Train in place; returns for how many choices the pole was upright, for every episode."""
    optimizer = gn.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = gn.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=updates)
    world = World(rng)
    score, worth = (partial(told, network[part]) for part in ("policy", "value"))
    progress = tqdm(range(updates), desc="training", unit="update")
    for update in progress:
        improve(network, optimizer, *lessons(worth, *play(world, rng, score)))
        schedule.step()
        if update % 20 == 0:
            progress.set_postfix(upright=f"{np.mean(world.finished[-100:] or 0):.0f} of {CHOICES}")
    return np.array(world.finished)


# --- the picture -----------------------------------------------------------------------------------------------------


def performance(network, rng):
    """The states (n, 4) of one episode, up to the end of the track."""
    states = hanging(rng, 1)
    while len(states) < CHOICES and abs(states[-1, 0]) < TRACK:
        after, right = states[-1:], chosen(rng, told(network["policy"], states[-1:]))
        for _ in range(STEPS_PER_CHOICE):
            after = moved(after, right)
        states = np.concatenate([states, after])
    return states


def draw_curve(axes, upright):
    seconds = CHOICES * STEPS_PER_CHOICE * TIME_STEP
    bins = np.array_split(upright / CHOICES * seconds, 60)
    episodes = np.cumsum([len(some) for some in bins]) / 1000
    low, high = np.array([np.percentile(some, [10, 90]) for some in bins]).T
    axes.fill_between(episodes, low, high, alpha=0.25, linewidth=0, label="10 % to 90 % of them")
    axes.plot(episodes, [some.mean() for some in bins], label="mean of the episodes")
    axes.set(xlabel="thousand episodes", ylabel="seconds", ylim=(0, seconds), title=f"How long the pole was upright, of {seconds:.0f} s")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)


def draw_policy(axes, network, states):
    """The probability of a push to the right for a cart that rests in the middle, and the way of one episode."""
    angle, spin = np.meshgrid(np.linspace(-np.pi, np.pi, 181), np.linspace(-10, 10, 161))
    scores = told(network["policy"], np.stack([0 * angle, 0 * angle, angle, spin], axis=-1))
    image = axes.pcolormesh(np.degrees(angle), spin, 1 / (1 + np.exp(-scores)), cmap="coolwarm_r", vmin=0, vmax=1)
    axes.figure.colorbar(image, ax=axes, label="probability of a push to the right")
    way = np.stack([np.degrees((states[:, 2] + np.pi) % (2 * np.pi) - np.pi), states[:, 3]], axis=1)
    way[1:][abs(np.diff(way[:, 0])) > 180] = np.nan  # a gap where it goes over the edge of the picture
    axes.plot(*way.T, color="black", linewidth=1.2)
    axes.plot(*way[0], "o", color="black")
    axes.set(xlabel="angle (degrees; 0: upright)", ylabel="angular velocity (1/s)", xticks=range(-180, 181, 90), ylim=(-10, 10))
    axes.set_title("The policy of a cart at rest, and an episode")


def draw_strip(axes, states, title, seconds=4, scale=4):
    """The pole on its cart at equal times, from left to right: a second is as wide as the pole's length times `scale`."""
    times = STEPS_PER_CHOICE * TIME_STEP * np.arange(len(states))
    if len(states) < CHOICES:
        title += f", until the cart leaves the track after {times[-1]:.1f} s"
    shown = slice(0, round(seconds / times[1]), 3)
    angles = states[shown, 2]
    feet = np.stack([scale * times[shown], 0 * angles], axis=1)
    tips = feet + 2 * HALF_LENGTH * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    axes.add_collection(LineCollection(np.stack([feet, tips], axis=1), array=tips[:, 1], cmap="viridis", clim=(-1, 1), linewidth=2))
    axes.scatter(*tips.T, c=tips[:, 1], s=16, cmap="viridis", vmin=-1, vmax=1)
    axes.plot(*feet.T, "s", color="0.3", markersize=4)
    axes.set(xlim=(-1.2, scale * seconds + 1), ylim=(-1.15, 1.15), aspect="equal", yticks=[], title=title)
    axes.set_xticks(scale * np.arange(seconds + 1), [f"{k} s" for k in range(seconds + 1)])


def draw(network, upright, before, after, path):
    figure = plt.figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplot_mosaic([["curve", "policy"], ["before", "before"], ["after", "after"]], height_ratios=[2.2, 1, 1])
    draw_curve(axes["curve"], upright)
    draw_policy(axes["policy"], network, after)
    draw_strip(axes["before"], before, "Before learning")
    draw_strip(axes["after"], after, "After learning")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Learn by trying to swing a pole up and to balance it.")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights, the world and the choices (default: 0)")
    parser.add_argument("--picture", default="policy.png", help="where the picture goes (default: policy.png)")
    parser.add_argument("--short", action="store_true", help=f"only {SHORT} updates in place of {UPDATES:,}")
    options = parser.parse_args()

    gn.manual_seed(options.seed)
    network = make_network()
    before = performance(network, np.random.default_rng(options.seed))
    upright = train(network, np.random.default_rng(options.seed), SHORT if options.short else UPDATES)
    after = performance(network, np.random.default_rng(options.seed))
    draw(network, upright, before, after, options.picture)

    print(f"episodes: {len(upright):,} of {CHOICES} choices")
    print(f"picture: {options.picture}")
    print(f"mean choices upright of the first 100 episodes: {upright[:100].mean():.1f}")
    print(f"mean choices upright of the last 100 episodes: {upright[-100:].mean():.1f}")


if __name__ == "__main__":
    main()
