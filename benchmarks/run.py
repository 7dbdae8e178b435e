"""Run the benchmark classes: ``python benchmarks/run.py [--only PATTERN] [--json FILE]``.

A suite is a class in `bench_*.py` with asv's shape: `params`, `param_names`, `setup`, `time_*` methods. Each
is called until 0.2 s have passed, at least five times, after one call to warm up; the median is printed as a
JSON line with versions and thread counts. `track_*` methods return a number of their own, such as a ratio.
Times depend on the machine: compare lines of one run, never with a number from elsewhere.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import os
import pathlib
import statistics
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
BUDGET, REPEATS = 0.2, 5
KINDS = ("time_", "track_")


def suites():
    """(file name, class) of every suite."""
    for path in sorted(HERE.glob("bench_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, value in vars(module).items():
            if isinstance(value, type) and any(n.startswith(KINDS) for n in vars(value)):
                yield f"{path.stem}.{name}", value


def measure(call):
    """Median seconds of a call."""
    call()
    times, start = [], time.perf_counter()
    while len(times) < REPEATS or time.perf_counter() - start < BUDGET:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return statistics.median(times), len(times)


def rows(pattern):
    """One dict per suite, method and parameter combination."""
    for name, suite in suites():
        for method in [n for n in vars(suite) if n.startswith(KINDS)]:
            for values in itertools.product(*getattr(suite, "params", [])):
                settings = dict(zip(getattr(suite, "param_names", []), values, strict=True))
                label = f"{name}.{method}" + "".join(f" {k}={v}" for k, v in settings.items())
                if pattern in label:
                    one = suite()
                    if hasattr(one, "setup"):
                        one.setup(*values)
                    call = functools.partial(getattr(one, method), *values)
                    found = dict(zip(("seconds", "n"), measure(call), strict=True)) if method.startswith("time_") else (
                        {"value": call()})
                    yield {"name": label} | found


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--only", default="", metavar="PATTERN", help="names that contain it")
    ask.add_argument("--json", metavar="FILE", help="write all rows there, too")
    args = ask.parse_args()
    found, load = [], os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    for row in rows(args.only):
        row |= {"numpy": np.__version__, "cores": os.cpu_count(), "load": load,
                "threads": os.environ.get("OMP_NUM_THREADS", "default")}
        found.append(row)
        print(json.dumps(row), flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
