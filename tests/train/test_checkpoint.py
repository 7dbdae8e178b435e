"""Checkpoints: what goes in comes out, damage is recognised, nothing is ever lost.

Rows C1, C5, C6, C8, C9, C10, C18 of the fault catalogue (C6: a checkpoint is one file);
C2-C4 and C7 are proved on `atomic_write` in tests/test_files.py.
"""

import hashlib
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minicv.autograd import Tensor
from minicv.errors import CheckpointError, DTypeError
from minicv.files import npz_bytes
from minicv.train import load_checkpoint, load_latest, save_checkpoint
from minicv.train.checkpoint import decode, encode

GOLDEN = pathlib.Path(__file__).with_name("checkpoint_v1.ckpt")
STATE = {"step": 3, "lr": 0.1, "name": "net", "none": None, "flag": True, "big": 2**127 + 1, "nan": float("nan"),
         "list": [1, [2.5, "x"], {}], "w": np.arange(6, dtype=np.float32).reshape(2, 3),
         "deep": {"b": np.array(7), "empty": np.zeros((0, 4)), "mask": np.array([True, False])}}

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5),
                   hnp.arrays(st.sampled_from([np.float32, np.float64, np.int64, np.uint8]),
                              hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)))
trees = st.dictionaries(st.text(max_size=5), st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_size=4)


def same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a)


@given(trees)
def test_what_goes_in_comes_out_and_saves_to_the_same_bytes(tree):
    data = encode(tree)
    assert same(decode(data), tree)
    assert encode(decode(data)) == data


def test_state_of_every_kind_survives_a_file(tmp_path):
    save_checkpoint(tmp_path / "a.ckpt", STATE)
    assert same(load_checkpoint(tmp_path / "a.ckpt"), STATE)


def test_tuples_come_back_as_lists_and_tensors_as_arrays():
    assert decode(encode({"t": (1, 2), "x": Tensor([1.0]), 3: "int key"})) == {"t": [1, 2], "x": np.array([1.0]),
                                                                               "3": "int key"}


@pytest.mark.parametrize("value", [object(), {1.5: 0}, {"f": print}, b"bytes", 1j])
def test_values_without_a_form_are_refused_with_their_place(value):
    with pytest.raises(DTypeError, match="state"):
        encode({"outer": value})


def test_golden_file_of_version_1_still_loads():
    """C9."""
    assert same(load_checkpoint(GOLDEN), STATE)


def test_newer_format_is_refused():
    data = bytearray(encode(STATE))
    data[-44:-40] = (2).to_bytes(4, "little")
    with pytest.raises(CheckpointError, match="format version 2"):
        decode(bytes(data))


@pytest.mark.parametrize("length", [0, 1, 51, 52, 200, -1])
def test_truncated_file_is_recognised(length):
    """C5."""
    data = encode(STATE)
    with pytest.raises(CheckpointError):
        decode(data[:length])


def test_every_flipped_bit_is_recognised():
    """C5: one bit in every 7th byte."""
    data = encode(STATE)
    for at in range(0, len(data), 7):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        with pytest.raises(CheckpointError):
            decode(bytes(broken))


@pytest.mark.parametrize("content", [b"PK\x03\x04" * 30, b"\x80\x04" + b"." * 100, b"{}" * 60, os.urandom(300)])
def test_other_kinds_of_file_are_refused(content):
    with pytest.raises(CheckpointError, match="does not end like"):
        decode(content)


@pytest.mark.parametrize("tree", ['{"dict":{"a":{"array":"a7"}}}', '{"x":1}', '{"dict":3}', '{"array":[]}',
                                  "[" * 100_000, "{", '{"array":{}}'])
def test_a_sealed_file_with_a_nonsense_tree_is_refused(tree):
    """C5: the checksum is right, the content is not."""
    payload = npz_bytes({"tree": np.frombuffer(tree.encode(), np.uint8)})
    sealed = struct.pack("<8sIQ32s", b"MINICVCK", 1, len(payload), hashlib.sha256(payload).digest())
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        decode(payload + sealed)


def test_latest_falls_back_to_the_previous_good_one(tmp_path):
    """C5."""
    path = tmp_path / "a.ckpt"
    save_checkpoint(path, {"step": 1})
    save_checkpoint(path, {"step": 2})
    path.write_bytes(path.read_bytes()[:-1])
    state, used = load_latest(path)
    assert state == {"step": 1} and used.name == "a.ckpt.prev"


def test_latest_without_any_names_both_reasons(tmp_path):
    with pytest.raises(CheckpointError, match=r"a\.ckpt.*a\.ckpt\.prev"):
        load_latest(tmp_path / "a.ckpt")


@pytest.mark.parametrize("name", ["missing/a.ckpt", "", "x" * 300])
def test_impossible_path_is_a_checkpoint_error(tmp_path, name):
    """C10."""
    with pytest.raises(CheckpointError):
        save_checkpoint(tmp_path / name, STATE)


READER = """
import sys
from minicv.train import load_checkpoint
path, seen = sys.argv[1], set()
print("R", flush=True)
while 40 not in seen:
    state = load_checkpoint(path)
    assert (state["w"] == state["step"]).all()
    seen.add(state["step"])
print(len(seen), flush=True)
"""


def test_a_reader_sees_the_old_or_the_new_state_never_a_mixture(tmp_path):
    """C8."""
    path = tmp_path / "a.ckpt"
    save_checkpoint(path, {"step": 0, "w": np.full(20_000, 0)})
    reader = subprocess.Popen([sys.executable, "-c", READER, path], stdout=subprocess.PIPE, text=True)
    reader.stdout.readline()
    for step in range(1, 41):
        save_checkpoint(path, {"step": step, "w": np.full(20_000, step)})
    out, _ = reader.communicate(timeout=120)
    assert reader.returncode == 0 and int(out) >= 1


def test_neither_name_nor_content_depends_on_the_clock(tmp_path, monkeypatch):
    """C18."""
    written = []
    for year in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda year=year: year)
        folder = tmp_path / str(int(year))
        folder.mkdir()
        save_checkpoint(folder / "a.ckpt", STATE)
        written.append({p.name: p.read_bytes() for p in folder.iterdir() if p.suffix == ".ckpt"})
    assert written[0] == written[1] and list(written[0]) == ["a.ckpt"]


# kill -9 -------------------------------------------------------------------------------------------------

CHILD = """
import sys, numpy as np
from minicv.train.checkpoint import save_checkpoint, encode
path, step, size, naive = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "naive"
print("R", flush=True)
while True:
    step += 1
    state = {"step": step, "w": np.full(size, step, np.float64)}
    if naive:
        with open(path, "wb") as f:
            f.write(encode(state))
    else:
        save_checkpoint(path, state)
    print(step, flush=True)
"""


def campaign(folder, kills, saver, size=4000, seed=0):
    """Kill a saving process at random moments; after each kill the newest acknowledged state must load."""
    rnd, path, acknowledged, bad, lost = random.Random(seed), folder / "run.ckpt", 0, 0, 0
    for _ in range(kills):
        child = subprocess.Popen([sys.executable, "-c", CHILD, path, str(acknowledged), str(size), saver],
                                 stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        time.sleep(rnd.uniform(0, 0.03))
        os.kill(child.pid, signal.SIGKILL)
        seen = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        acknowledged = int(seen[-1]) if seen else acknowledged
        try:
            state = load_checkpoint(path) if saver == "naive" else load_latest(path)[0]
            lost += state["step"] < acknowledged
            bad += not (state["w"] == state["step"]).all()
            acknowledged = max(acknowledged, state["step"])
        except CheckpointError:
            bad += bool(acknowledged) or path.exists()
            path.unlink(missing_ok=True)
            acknowledged = 0
    return {"bad": bad, "lost": lost, "left": len(list(folder.iterdir()))}


def test_kill_9_while_saving_loses_nothing(tmp_path):
    """C1."""
    result = campaign(tmp_path, 15, "atomic")
    assert result["bad"] == result["lost"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("size", [10_000, 600_000])
def test_200_random_kills_lose_nothing_and_the_harness_is_not_blind(tmp_path, size):
    """C1, K8: 200 kills; the same harness must catch a naive saver."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    result = campaign(tmp_path / "a", 200, "atomic", size)
    assert result["bad"] == result["lost"] == 0
    naive = campaign(tmp_path / "b", 60, "naive", size)
    assert naive["bad"] >= 12, naive
