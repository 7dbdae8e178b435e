"""A photograph through networks at 224 x 224, beside torchvision with the same weights: time, memory, difference.

Three processes (minicv, torchvision in its default memory layout, channels-last) read one file of weights and one
photograph and are asked in turn. Ratios are minicv / torchvision; below 1 minicv is better.
"""

import functools
import importlib.util
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
NEEDS = ("torch", "torchvision", "safetensors", "sklearn", "PIL")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
SIDES = ("minicv", "torchvision", "torchvision_channels_last")
TURNS, STARTS, PAUSE = 9, 3, 0.01


def minicv(model, weights, photograph, once):
    """A call that returns the logits. For many calls norms are folded into the convolutions first."""
    from minicv.autograd import Tensor, no_grad
    from minicv.cnn import fold_batch_norm
    from minicv.data import read_image
    from minicv.experiments import predict
    net, names = predict.network(model, weights)
    x = Tensor(predict.prepare(read_image(photograph), predict.recipe(model, names)))
    net = net if once or model.startswith("vit") else fold_batch_norm(net, x.shape)

    def run():
        with no_grad():
            return net(x).data
    return run


def torchvision(model, weights, photograph, once, *, channels_last=False):
    """The same for torchvision."""
    import torch
    from PIL import Image
    from safetensors.torch import load_file
    from torchvision.models import get_model, get_model_weights
    torch.set_num_threads(int(os.environ[THREADS[0]]))
    net = get_model(model, weights=None).eval()
    net.load_state_dict(load_file(weights))
    x = get_model_weights(model).IMAGENET1K_V1.transforms()(Image.open(photograph).convert("RGB"))[None]
    if channels_last:
        net, x = (t.to(memory_format=torch.channels_last) for t in (net, x))

    def run():
        with torch.no_grad():
            return net(x).numpy()
    return run


MAKERS = {"minicv": minicv, "torchvision": torchvision,
          "torchvision_channels_last": functools.partial(torchvision, channels_last=True)}


def write_weights(model, path):
    """Hashed weights with torchvision's names."""
    from torchvision.models import get_model

    from minicv.files import atomic_write
    from minicv.weights import safetensors_bytes
    from tests.cnn.hashed import hashed_weight
    shapes = {name: tuple(t.shape) for name, t in get_model(model, weights=None).state_dict().items()}
    state = {name: hashed_weight(name, shape) for name, shape in shapes.items()}
    atomic_write(path, safetensors_bytes({name: a.astype(np.float32 if a.dtype.kind == "f" else a.dtype)
                                          for name, a in state.items()}))


# Worker processes -------------------------------------------------------------------------------------------------


def work(side, once, *arguments):
    """One call, and print the peak of memory in MiB; or seconds of a call for each line read, and at the end logits."""
    run = MAKERS[side](*arguments, once == "once")
    logits = run()
    if once == "once":
        print(json.dumps(peak()))
        return
    run()
    print(json.dumps(None), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(json.dumps(time.perf_counter() - start), flush=True)
    print(json.dumps(logits.tolist()))


def peak():
    """Largest resident memory of this process in MiB; what `getrusage` says begins with the peak of its parent."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def start(side, once, threads, *arguments):
    env = {**os.environ, "PYTHONPATH": str(ROOT)} | dict.fromkeys(THREADS, str(threads))
    command = [sys.executable, "-m", "benchmarks.bench_predict", side, once, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT)


def ask(worker):
    """Seconds of a call in a worker."""
    time.sleep(PAUSE)
    worker.stdin.write("\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


@functools.cache
def measured(model, threads):
    """All numbers of a row."""
    from minicv.data.real import _inside
    with tempfile.TemporaryDirectory() as folder:
        weights = pathlib.Path(folder, f"{model}.safetensors")
        write_weights(model, weights)
        case = threads, model, weights, _inside("bench_predict", "sklearn", "datasets/images/china.jpg")
        return calls(*case) | starts(*case)


def calls(*case):
    """Ratios of the time of a call, median over the turns, and the largest difference of the logits."""
    workers = [start(side, "many", *case) for side in SIDES]
    for worker in workers:
        worker.stdout.readline()                        # ready
    turns = [[ask(worker) for worker in workers] for _ in range(TURNS)]
    logits = [np.array(json.loads(worker.communicate()[0])) for worker in workers]
    ratio, other = (statistics.median(turn[0] / turn[k] for turn in turns) for k in (1, 2))
    return {"ratio": ratio, "ratio_channels_last": other,
            "error": np.abs(logits[0] - logits[1]).max() / np.abs(logits[1]).max()}


def starts(*case):
    """Ratios of the time and the peak of memory of a process that starts, loads the weights and predicts once."""
    found = []
    for _ in range(STARTS):
        for side in SIDES[:2]:
            before = time.perf_counter()
            peak = json.loads(start(side, "once", *case).communicate()[0])
            found.append((time.perf_counter() - before, peak))
    seconds, memory = (statistics.median(a[k] / b[k] for a, b in zip(found[::2], found[1::2], strict=True))
                       for k in range(2))
    return {"ratio_from_start": seconds, "ratio_peak_memory": memory, "mib": [peak for _, peak in found[:2]]}


if all(importlib.util.find_spec(name) for name in NEEDS):
    class PredictSuite:
        """Predicting a photograph: ratios to torchvision in time and peak memory, and the difference of logits."""

        param_names = ["model", "threads"]
        params = [["resnet50", "vit_b_16"], [1, 2]]

        def track_ratio(self, model, threads):
            return measured(model, threads)["ratio"]

        def track_ratio_channels_last(self, model, threads):
            return measured(model, threads)["ratio_channels_last"]

        def track_ratio_from_start(self, model, threads):
            return measured(model, threads)["ratio_from_start"]

        def track_ratio_peak_memory(self, model, threads):
            return measured(model, threads)["ratio_peak_memory"]

        def track_error(self, model, threads):
            return measured(model, threads)["error"]


if __name__ == "__main__":
    work(*sys.argv[1:])
