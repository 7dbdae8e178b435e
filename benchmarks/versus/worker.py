"""One side in a process of its own: reads commands as JSON lines, answers with JSON lines.

    {"prepare": ROW}            build it, run it twice, find how often to run for one sample
    {"sample": null}            seconds of a call, averaged over one sample
    {"result": FILE}            write what it computes to an .npz file
    {"peak": null}              GF/s of the register tile and GB/s of a sum of large arrays (ours only)
    {"rss": ROW}                MiB that a row needs at most, beyond what was there
"""

import json
import resource
import sys
import time

import numpy as np

from .rows import load
from .sides import side

SAMPLE_SECONDS = 0.02


class Worker:
    def __init__(self, name, threads):
        self.side, self.rows, self.work, self.calls = side(name, threads), load(), None, 1

    def prepare(self, name):
        self.work = None                               # the last row's memory goes first
        self.work = self.rows[name].make(self.side)
        self.work.run()
        seconds = self.seconds(1)
        self.calls = max(1, int(np.ceil(SAMPLE_SECONDS / seconds)))
        return {"flops": self.work.flops, "bytes": self.work.bytes}

    def seconds(self, calls):
        start = time.perf_counter()
        for _ in range(calls):
            self.work.run()
        return (time.perf_counter() - start) / calls

    def sample(self, _):
        return self.seconds(self.calls)

    def result(self, path):
        np.savez(path, *self.work.result())

    def rss(self, name):
        """Growth of the peak over three runs of the row."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.work = self.rows[name].make(self.side)
        for _ in range(3):
            self.work.run()
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    def peak(self, _):
        return {"gflops": tile_speed(), "gbytes": sum_speed()}


def best(call, n=20):
    times = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def tile_speed():
    """GF/s of one core on the register tile: a convolution without border, long enough that nothing else counts."""
    from minicv.kernels import conv2d
    x, w = np.ones((1, 64, 58, 58), np.float32), np.ones((64, 64, 3, 3), np.float32)
    return 2 * 56 * 56 * 64 * 9 * 64 / best(lambda: conv2d(x, w, algo="direct")) / 1e9


def sum_speed():
    """GB/s of c = a + b on arrays far larger than the caches: two reads and a write."""
    a = np.ones(2**24, np.float32)
    b, c = a.copy(), a.copy()
    return 3 * a.nbytes / best(lambda: np.add(a, b, out=c)) / 1e9


def main():
    worker = Worker(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        (command, argument), = json.loads(line).items()
        try:
            answer = {"answer": getattr(worker, command)(argument)}
        except Exception as error:                     # reported by the driver, which goes on with the next row
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
