"""minicv beside PyTorch on this machine: ``python benchmarks/versus_torch.py [--only PATTERN] [--quick]``.

Three processes (minicv, PyTorch in its default layout, PyTorch channels-last) are asked in turn, so that they never
compute at the same time and slow phases of the machine hit all three alike. A ratio is the median over turns of the
ratio of one turn; below 1 minicv is faster. Results of the sides are compared; without agreement a ratio is void.
Needs the extra `peer` (torch==2.13.0, preferably a CPU build).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
if "--peers" in sys.argv:
    os.environ |= dict.fromkeys(THREADS, "1")           # before NumPy is imported

import numpy as np  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.versus.rows import load  # noqa: E402

SIDES = ("ours", "torch", "torch_cl")
TURNS, QUICK_TURNS, PAUSE = 9, 3, 0.01
AGREE = 0.15                            # median and smallest ratio of a row may differ by this, else it is repeated


class Side:
    """A worker process."""

    def __init__(self, name, threads):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        env |= dict.fromkeys(THREADS, str(threads))
        command = [sys.executable, "-m", "benchmarks.versus.worker", name, str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, command, argument=None):
        """The worker's answer; RuntimeError with its message if it failed."""
        self.process.stdin.write(json.dumps({command: argument}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["answer"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(sides, name, turns):
    """Rates and per-turn seconds of one row."""
    rates = [s.ask("prepare", name) for s in sides][0]
    times = []
    for _ in range(turns):
        times.append([])
        for s in sides:
            time.sleep(PAUSE)
            times[-1].append(s.ask("sample"))
    return rates, times


def ratios(times, other):
    """(median, smallest) ratio of ours to another side over the turns."""
    per_turn = [turn[0] / turn[other] for turn in times]
    return statistics.median(per_turn), min(per_turn)


def difference(sides):
    """Largest difference of any result of ours from PyTorch's, relative to the largest number in that result."""
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, f"{i}.npz") for i in range(2)]
        for s, file in zip(sides[:2], files, strict=True):
            s.ask("result", file)
        with np.load(files[0]) as a, np.load(files[1]) as b:
            return max(float(np.abs(a[k] - b[k]).max() / max(np.abs(b[k]).max(), 1e-30)) for k in b.files)


def one_row(sides, name, row, threads, turns, peaks):
    """The row's record."""
    for _ in range(3):
        rates, times = measure(sides, name, turns)
        ratio, lowest = ratios(times, 1)
        if abs(ratio - lowest) <= AGREE * ratio:
            break
    ratio_cl, _ = ratios(times, 2)
    ours, torch, torch_cl = (statistics.median(turn[i] for turn in times) for i in range(3))
    error = difference(sides)
    return {"name": name, "group": row.group, "threads": threads, "ours_s": ours, "torch_s": torch,
            "torch_cl_s": torch_cl, "ratio": ratio, "ratio_cl": ratio_cl, "lowest": lowest, "error": error,
            "agrees": error <= row.tolerance,
            "gflops": rates["flops"] / ours / 1e9, "gbytes": rates["bytes"] / ours / 1e9, "peak": peaks,
            "load": os.getloadavg()[0]}


def memory(threads):
    """Peak memory of the ResNet-18 training step: MiB of each side, in fresh processes."""
    found = {}
    for name in SIDES[:2]:
        side = Side(name, threads)
        found[name] = side.ask("rss", "resnet18-cifar-train")
        side.close()
    ratio = found["ours"] / found["torch"]
    return {"name": "peak memory resnet18-cifar-train", "threads": threads, **found, "ratio": ratio}


def start_up():
    """Seconds for imports, and for first results with an empty and a filled cache of kernels."""
    conv = ("import numpy as np, minicv.functional as F;"
            "F.conv2d(np.ones((1, 64, 56, 56), 'f'), np.ones((64, 64, 3, 3), 'f'))")
    step = ("from benchmarks.versus.sides import side; from benchmarks.versus.rows import load;"
            "load()['resnet18-cifar-train'].make(side('ours', 2)).run()")
    with tempfile.TemporaryDirectory() as cache:
        cases = [("import numpy", "import numpy", {}), ("import minicv", "import minicv", {}),
                 ("import torch", "import torch", {}),
                 ("first convolution, empty cache", conv, {"NUMBA_CACHE_DIR": os.path.join(cache, "a")}),
                 ("first convolution, filled cache", conv, {"NUMBA_CACHE_DIR": os.path.join(cache, "a")}),
                 ("ResNet-18 step, empty cache", step, {"NUMBA_CACHE_DIR": os.path.join(cache, "b")}),
                 ("ResNet-18 step, filled cache", step, {"NUMBA_CACHE_DIR": os.path.join(cache, "b")})]
        for name, code, env in cases:
            start = time.perf_counter()
            env = {**os.environ, "PYTHONPATH": str(ROOT)} | env
            subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=env)
            yield {"name": name, "seconds": time.perf_counter() - start}


def show(record):
    mark = "" if record["agrees"] else "   VOID: results differ"
    rates = ((record["gflops"], "GF/s"), (record["gbytes"], "GB/s"))
    rate = next((f"{value:7.1f} {unit}" for value, unit in rates if value), "")
    print(f"{record['name']:42} {record['threads']} thr {record['ours_s'] * 1e3:9.3f} ms  "
          f"ratio {record['ratio']:5.2f}  "
          f"channels_last {record['ratio_cl']:5.2f}  error {record['error']:.0e} {rate:>12}{mark}", flush=True)


class Store:
    """The JSON file, rewritten whenever a row has been measured, so that an interrupted run loses nothing."""

    def __init__(self, path, resume):
        self.path, self.records = path, []
        if path and resume and os.path.exists(path):
            self.records = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))

    def has(self, name, threads=None):
        return any(r["name"] == name and r.get("threads") == threads for r in self.records)

    def add(self, record):
        self.records.append(record)
        if self.path:
            from minicv.files import atomic_write
            atomic_write(self.path, json.dumps(self.records, indent=1).encode())


def summary(records):
    rows = [r for r in records if "ratio_cl" in r and r["agrees"]]
    for threads in sorted({r["threads"] for r in rows}):
        for key, words in (("ratio", "PyTorch"), ("ratio_cl", "PyTorch channels_last")):
            mean = statistics.geometric_mean(r[key] for r in rows if r["threads"] == threads)
            print(f"geometric mean against {words}, {threads} thread(s), {len(rows)} rows: {mean:.3f}")


def compare_with_peers(store, pattern):
    """One process on one thread; set before NumPy and the peers are imported."""
    from benchmarks.run import suites
    from benchmarks.versus.peers import rows
    for record in rows(suites(), pattern):
        store.add(record)
        print(f"{record['name']:34} {record['peer']:18} {record['ours_s'] * 1e3:9.3f} ms  "
              f"ratio {record['ratio']:5.2f}", flush=True)


def arguments():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--only", default="", metavar="PATTERN", help="rows whose name contains it")
    ask.add_argument("--threads", default="1,2", help="thread counts, default 1,2")
    ask.add_argument("--quick", action="store_true", help=f"{QUICK_TURNS} turns instead of {TURNS}")
    ask.add_argument("--json", metavar="FILE", help="write rows there as they are measured")
    ask.add_argument("--resume", action="store_true", help="skip rows that the file has")
    ask.add_argument("--peers", action="store_true", help="beside other libraries instead, whichever are installed")
    ask.add_argument("--busy", action="store_true", help="measure although other work loads the machine")
    return ask.parse_args()


def main():
    args = arguments()
    if os.getloadavg()[0] > os.cpu_count() / 2 and not args.busy:
        sys.exit(f"load average is {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors: other work would be "
                 "measured; wait, or use --busy")
    store, turns = Store(args.json, args.resume), QUICK_TURNS if args.quick else TURNS
    if args.peers:
        return compare_with_peers(store, args.only)
    rows = {name: row for name, row in load().items() if args.only in name}
    for threads in map(int, args.threads.split(",")):
        wanted = {name: row for name, row in rows.items() if not store.has(name, threads)}
        sides = [Side(name, threads) for name in SIDES] if wanted else []
        peaks = sides[0].ask("peak") if sides else {}
        for name, row in wanted.items():
            try:
                store.add(one_row(sides, name, row, threads, turns, peaks))
                show(store.records[-1])
            except RuntimeError as error:
                print(f"{name:42} {threads} thr  FAILED: {error}", flush=True)
        for s in sides:
            s.close()
    summary(store.records)
    if not args.only:
        if not store.has("peak memory resnet18-cifar-train", 1):
            store.add(memory(1))
        for record in start_up():
            if not store.has(record["name"]):
                store.add(record)
        for record in store.records:
            if "ratio_cl" not in record:
                print({k: round(v, 3) if isinstance(v, float) else v for k, v in record.items()})


if __name__ == "__main__":
    main()
