"""What is printed: the machine, a table for every case, and each aim beside what was measured.

Read next: __main__.py.
"""

import os
import platform
import sys

FLAT_MIB = 1.0  # resident memory moves by less than this without anything being kept


def machine():
    return {"python": sys.version.split()[0], "system": platform.platform(), "processor": processor(), "cores": os.cpu_count()}


def processor():
    try:
        with open("/proc/cpuinfo") as f:
            return next(line.split(":")[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_machine(about, versions):
    print(f"{about['processor']}, {about['cores']} cores, {about['system']}, Python {about['python']}")
    print(", ".join(f"{name} {version}" for name, version in versions.items()))


def print_case(case, results):
    """One line per library: time of a step and per forward operation, and how many times gradnerve's time it took."""
    timed = "forward + backward" if case.computes in ("gradient", "network") else case.computes.replace("_", " ")
    print(f"\n{case.name}: {case.what}")
    print(f"    {timed:20}{'best':>14}{'per operation':>16}{'x gradnerve':>14}{'of best':>10}")
    for name, row in sorted(results.items(), key=lambda item: item[1]["ratio"]):
        print(f"    {name:20}{row['best_us']:11,.1f} µs{row['us_per_operation']:13,.3f} µs{row['ratio']:14.2f}{row['ratio_of_best']:10.2f}")


def print_chain(result):
    print(f"\nlong_chain: y = y * c, {result['nodes']:,} nodes built, differentiated, freed")
    print(f"    {'ns per node':20}{'build':>10}{'backward':>10}{'free':>10}")
    for label, chain in (("10,000 nodes", result["short_ns_per_node"]), (f"{result['nodes']:,} nodes", result["long_ns_per_node"])):
        print(f"    {label:20}{chain['build']:10,.0f}{chain['backward']:10,.0f}{chain['free']:10,.0f}")
    print(f"    {result['bytes_per_node']:.0f} bytes per node; after release {result['rows_left']} rows left, "
          f"resident memory {result['resident_growth_mib']:+.1f} MiB over three more chains")


def print_training(result):
    low, high = result["rows"]
    print(f"\ntraining: {result['steps']:,} steps of MLP 2-16-16-1, batch 32, with update: {result['us_per_step']:.1f} µs per step")
    print(f"    resident memory {result['resident_growth_mib']:+.2f} MiB at the end, {result['resident_peak_mib']:+.2f} at most; "
          f"live rows between {low} and {high}")


def speed_aims(case, results):
    """Rows of the table of aims: how many times faster than each rival, wanted and measured."""
    for rival, aim in case.aims.items():
        if rival in results:
            ratio = min(results[rival]["ratio"], results[rival]["ratio_of_best"])
            yield case.name, f"faster than {rival}", f"{aim:.1f} x", f"{ratio:.2f} x", ratio >= aim


def chain_aims(result):
    ratio, growth = result["per_node_ratio"], result["resident_growth_mib"]
    yield "long_chain", "cost per node, long / short", "<= 1.5", f"{ratio:.2f}", ratio <= 1.5
    yield "long_chain", "rows left after release", "0", str(result["rows_left"]), result["rows_left"] == 0
    yield "long_chain", "resident memory after release", f"< {FLAT_MIB} MiB", f"{growth:+.2f} MiB", growth < FLAT_MIB


def training_aims(result):
    (low, high), growth = result["rows"], result["resident_growth_mib"]
    yield "training", "live rows constant", "yes", f"{low} to {high}", low == high
    yield "training", "resident memory flat", f"< {FLAT_MIB} MiB", f"{growth:+.2f} MiB", growth < FLAT_MIB


def print_aims(rows):
    print(f"\n{'case':22}{'aim':34}{'wanted':>12}{'measured':>14}   met?")
    for case, aim, wanted, measured, met in rows:
        print(f"{case:22}{aim:34}{wanted:>12}{measured:>14}   {'yes' if met else 'NO'}")
