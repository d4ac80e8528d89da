"""Orbits: with which velocity does a probe arrive, after 1,000 days among the planets?

What one learns: a simulation is a function, and has derivatives like any other. The one below (Newton's law, the leapfrog rule, one
step per day) is plain NumPy and knows nothing of gradients. Through all of its steps we learn how the arrival depends on the start,
and Newton's method aims the probe at the place 60 degrees ahead of Jupiter where asteroids gather, the Trojans.

Needs matplotlib: pip install 'gradnerve[examples]'
Run: python examples/07_orbits.py [--picture orbits.png]
Read next: 08_gaussian_process.py, a likelihood that goes through linear algebra.
"""

import argparse

import numpy as np

import gradnerve as gn

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise SystemExit(f"this example needs {error.name}: pip install 'gradnerve[examples]'") from None

# The sun, the Earth, Mars, Jupiter and the probe, all on circles at first. Lengths in astronomical units, days, masses in suns.
DAYS, GRAVITY, KM = 1000, 0.01720209895**2, 149_597_870.7
MASSES = np.array([1, 3.003e-6, 3.227e-7, 9.546e-4, 0])
RADII = np.array([0, 1, 1.524, 5.203, 1.01])
ANGLES = np.radians([0, 0, 200, 20, 0])
START = (RADII * [np.cos(ANGLES), np.sin(ANGLES)]).T
VELOCITIES = (np.sqrt(GRAVITY / RADII[1:4]) * [-np.sin(ANGLES[1:4]), np.cos(ANGLES[1:4])]).T  # of the planets


def acceleration(positions, masses):
    """What all bodies together do to each: mass / distance**2, in the direction of the other body."""
    apart = positions - positions[:, None]
    squared = np.sum(apart**2, axis=2) + np.eye(len(positions))  # no body is at the distance 0 of itself
    return GRAVITY * np.sum(masses[:, None] * apart / squared[:, :, None] ** 1.5, axis=1)


def fly(launch, masses=MASSES):
    """The positions of all bodies, day by day, when the probe starts with the velocity `launch`."""
    velocities = np.vstack([np.zeros(2), VELOCITIES, launch])
    days, pull = [START], acceleration(START, masses)
    for _ in range(DAYS):
        velocities = velocities + pull / 2
        days.append(days[-1] + velocities)
        pull = acceleration(days[-1], masses)
        velocities = velocities + pull / 2
    return days


def target(positions):
    """60 degrees ahead of Jupiter, on its circle."""
    c, s = np.cos(np.pi / 3), np.sin(np.pi / 3)
    return positions[0] + np.array([[c, -s], [s, c]]) @ (positions[3] - positions[0])


def miss(launch, masses=MASSES):
    """The way from the target to the probe on the last day, in km."""
    last = fly(launch, masses)[-1]
    return KM * (last[4] - target(last))


def distance(launch, masses=MASSES):
    return np.sqrt(np.sum(miss(launch, masses) ** 2))


def draw(launches, path):
    figure, (space, progress) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", width_ratios=[2, 1])
    flights = [np.array(fly(launch)) for launch in launches]
    for body, (name, color) in enumerate({"sun": "gold", "Earth": "tab:blue", "Mars": "tab:red", "Jupiter": "tab:brown"}.items()):
        way = flights[-1][:, body]
        space.plot(*way.T, color=color, alpha=0.5)
        space.plot(*way[-1], "o", color=color, markersize=7 if body else 14)
        space.annotate(name, way[-1], xytext=(7, 7), textcoords="offset points")
    for flight in flights[1:-1]:
        space.plot(*flight[:, 4].T, color="black", alpha=0.15)
    space.plot(*flights[0][:, 4].T, "--", color="black", label="first guess")
    space.plot(*flights[-1][:, 4].T, color="black", label=f"after {len(flights) - 1} of Newton's steps")
    space.plot(*target(flights[-1][-1]), "*", color="tab:green", markersize=16, label="target, 60° ahead of Jupiter")
    space.set(aspect="equal", xlim=(-6, 7), ylim=(-2.2, 6), xlabel="astronomical units", title="1,000 days among the planets")
    space.legend(loc="lower right")
    progress.semilogy([distance(launch) for launch in launches], "o-", color="black")
    progress.set(xlabel="Newton's steps", title="distance from the target in km")
    progress.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="Aim a probe at Jupiter's Trojans.")
    parser.add_argument("--picture", default="orbits.png", help="where the orbits go (default: orbits.png)")
    options = parser.parse_args()

    far, near = RADII[3:]
    guess = np.array([0, np.sqrt(2 * GRAVITY * far / near / (far + near))])  # would just touch Jupiter's circle if the sun were alone
    more = np.array([0, 0, 0, 0.01 * MASSES[3], 0])
    by_masses = gn.grad(distance, argnums=1)(guess, MASSES).data
    print("if Jupiter were heavier by 1 %, the first guess would miss the target by more (in km):")
    print(f"    derivative through {DAYS:,} steps: {by_masses @ more:.3f}")
    print(f"    two more flights: {distance(guess, MASSES + more / 2) - distance(guess, MASSES - more / 2):.3f}")

    launches = [guess]
    for step in range(6):
        print(f"step {step}: start at {np.linalg.norm(launches[-1]) * KM / 86400:.6f} km/s, miss by {distance(launches[-1]):.3e} km")
        slopes = gn.jacobian(miss)(launches[-1]).data
        launches.append(launches[-1] - np.linalg.solve(slopes, miss(launches[-1])))
    draw(launches, options.picture)
    print(f"orbits: {options.picture}")
    print(f"distance from the target at last: {distance(launches[-1]):.1e} km")


if __name__ == "__main__":
    main()
