"""Beside OpenCV, SciPy, scikit-learn, torchvision, pycocotools: suites of `bench_*.py` that time a peer, too.

A suite takes part if it has `time_minicv` and another `time_*` method, which exists only where its peer is
installed. Calls alternate in one process on one thread; the ratio is the median of the ratios of a round.
"""

import itertools
import statistics
import time

ROUNDS = 9


def rows(suites, pattern=""):
    """One record per suite, parameters and peer."""
    for label, suite in suites:
        methods = [name for name in vars(suite) if name.startswith("time_") and name != "time_minicv"]
        if not hasattr(suite, "time_minicv") or not methods:
            continue
        for values in itertools.product(*getattr(suite, "params", [])):
            name = f"{label.split('.')[-1].removesuffix('Suite')} {' '.join(map(str, values))}".strip()
            if pattern in name:
                yield from compare(name, suite, methods, values)


def compare(name, suite, methods, values):
    one = suite()
    one.setup(*values)
    times = {method: [] for method in ("time_minicv", *methods)}
    for k in range(ROUNDS + 1):                        # the first round warms up
        for method, taken in times.items():
            start = time.perf_counter()
            getattr(one, method)(*values)
            taken += [time.perf_counter() - start] * (k > 0)
    ours = times["time_minicv"]
    for method in methods:
        ratio = statistics.median(a / b for a, b in zip(ours, times[method], strict=True))
        yield {"name": name, "peer": method.removeprefix("time_"), "ours_s": statistics.median(ours),
               "peer_s": statistics.median(times[method]), "ratio": ratio}
