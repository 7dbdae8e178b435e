"""T1, T2, T4: the same seed gives the same bytes in any process, whatever threads, hash seed, folder and locale."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = """
import hashlib
import numpy as np
from minicv.data import ArrayDataset, DataLoader
from minicv.experiments.ch1.digits import DigitNet, augment, loss
from minicv.kernels import deterministic
from minicv.optim import SGD
from minicv.train import fit, silent
rng = np.random.default_rng(0)
data = ArrayDataset(image=rng.random((96, 1, 8, 8), np.float32), label=rng.integers(0, 10, 96))
model = DigitNet(8, rng=1)
with deterministic():
    history = fit(model, loss, DataLoader(data, 32, shuffle=True, seed=2, transform=augment),
                  SGD(model.parameters(), lr=0.05, momentum=0.9), epochs=2, progress=silent)
digest = hashlib.sha256(repr(history.losses).encode())
for name, values in model.state_dict().items():
    digest.update(name.encode() + values.tobytes())
print(digest.hexdigest())
"""


def weights_hash(cwd, **env):
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=cwd, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **env})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_training_gives_the_same_bytes_in_every_process(tmp_path):
    runs = [weights_hash(ROOT, NUMBA_NUM_THREADS="1", PYTHONHASHSEED="0", OMP_NUM_THREADS="1"),
            weights_hash(tmp_path, NUMBA_NUM_THREADS="2", PYTHONHASHSEED="1", LC_ALL="C", TZ="Asia/Tokyo"),
            weights_hash(tmp_path, NUMBA_NUM_THREADS="3", PYTHONHASHSEED="7", OMP_NUM_THREADS="2")]
    assert len(set(runs)) == 1 and len(runs[0]) == 64, runs
