"""Where the time of a row goes: ``python -m benchmarks.versus.profile PATTERN [--threads N]``.

Each row is run until a second has passed, first as it is, then with a clock round every kernel and matrix product.
Printed are the share of the time of each of them, the rate of matrix products, and what is left for Python.
"""

import argparse
import re
import time

from .rows import load
from .sides import Ours

LEAST, SHARE = 1.0, 0.02                # seconds of each measurement; smaller shares are not printed


class Clock:
    """Seconds and multiply-adds by name, of the functions that it was put round, but not of those inside another."""

    def __init__(self):
        self.seconds, self.work, self.running = {}, {}, False

    def around(self, function, name, work=lambda *args: 0):
        def timed(*args, **settings):
            if self.running:
                return function(*args, **settings)
            self.running, begin = True, time.perf_counter()
            result, self.running = function(*args, **settings), False
            key = name(*args)
            self.seconds[key] = self.seconds.get(key, 0) + time.perf_counter() - begin
            self.work[key] = self.work.get(key, 0) + work(*args)
            return result
        return timed


def repeated(run):
    """(seconds of a call, number of calls)."""
    run()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() < begin + LEAST:
        run()
        count += 1
    return (time.perf_counter() - begin) / count, count


def profile(work):
    """Lines of text about one `Work`."""
    from minicv.kernels import launch, matrix, product
    plain, _ = repeated(work.run)
    clock, call, matmul = Clock(), launch.Kernel.__call__, product.matmul
    launch.Kernel.__call__ = clock.around(call, lambda kernel, *args: kernel.__name__)
    product.matmul = matrix.matmul = clock.around(
        matmul, lambda *args: "matrix product", lambda a, b, *out: a.size * b.shape[-1])
    try:
        work.run()
        clock.seconds.clear(), clock.work.clear()
        _, count = repeated(work.run)
    finally:
        launch.Kernel.__call__, product.matmul, matrix.matmul = call, matmul, matmul
    count += 1                                          # the first call of `repeated`
    yield f"{1e3 * plain:.3g} ms"
    for name, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        rate = f", {2e-9 * clock.work[name] / seconds:.0f} GF/s" if clock.work[name] else ""
        if seconds / count > SHARE * plain:
            yield f"    {seconds / count / plain:4.0%} {name}{rate}"
    yield f"    {1 - sum(clock.seconds.values()) / count / plain:4.0%} the rest"


def main():
    ask = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    ask.add_argument("pattern", help="regular expression: rows whose name it is found in")
    ask.add_argument("--threads", type=int, default=1)
    args = ask.parse_args()
    side = Ours(args.threads)
    for name, row in load().items():
        if re.search(args.pattern, name):
            print(name, *profile(row.make(side)), sep="\n")


if __name__ == "__main__":
    main()
