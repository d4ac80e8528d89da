"""Time GradNerve beside NumPy and every other library that is installed, and print each aim beside what was measured."""

import argparse
import json
import sys

from tests.benchmarks import cases, cases_of_functions, cases_of_networks, cases_of_updates, endurance, report, rivals
from tests.benchmarks.measure import measure

# name: (measure, print, aims)
LONG_RUNS = {
    "long_chain": (endurance.long_chain, report.print_chain, report.chain_aims),
    "training": (endurance.training, report.print_training, report.training_aims),
}


def parse(arguments, names):
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--case", action="append", choices=names, metavar="NAME", help=f"only this case (repeatable): {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, shorter long runs: to see that all is well")
    parser.add_argument("--json", metavar="FILE", help="also write everything that was measured to FILE")
    return parser.parse_args(arguments)


def main(arguments=None):
    by_name = {case.name: case for module in (cases, cases_of_functions, cases_of_networks, cases_of_updates) for case in module.all_cases()}
    options = parse(arguments, [*by_name, *LONG_RUNS])
    chosen = options.case or [*by_name, *LONG_RUNS]
    rounds, slot = (5, 0.005) if options.quick else (21, 0.03)

    about, versions, results, aims = report.machine(), rivals.versions(), {}, []
    report.print_machine(about, versions)
    for name in chosen:
        if name in by_name:
            case = by_name[name]
            results[name] = measure(case, rivals.runners(case), rounds, slot)
            report.print_case(case, results[name])
            aims += report.speed_aims(case, results[name])
        else:
            run, show, judge = LONG_RUNS[name]
            results[name] = run(options.quick)
            show(results[name])
            aims += judge(results[name])
        sys.stdout.flush()
    report.print_aims(aims)
    if options.json:
        with open(options.json, "w") as f:
            json.dump({"machine": about, "versions": versions, "results": results, "aims": aims}, f, indent=1)


if __name__ == "__main__":
    main()
