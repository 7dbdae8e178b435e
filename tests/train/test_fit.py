"""The loop: learns, repeats, resumes bit by bit from anywhere, stops cleanly, notices divergence.

Rows C10-C17 of the fault catalogue.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from minicv.autograd import no_grad
from minicv.errors import ArgError, CheckpointError, DivergenceError
from minicv.nn.losses import cross_entropy
from minicv.optim import SGD
from minicv.train import Run, fit, load_checkpoint
from minicv.train.progress import silent

from .conftest import batch_loss, make_task


def weights(task):
    return {**task["model"].state_dict(), **{f"ema{i}": a for i, a in enumerate(task["ema"].averages)}}


def assert_same_run(a, b):
    for name, values in weights(a).items():
        np.testing.assert_array_equal(values, weights(b)[name], err_msg=name)
    assert a["optimizer"].param_groups[0]["lr"] == b["optimizer"].param_groups[0]["lr"]


class Stopped(Exception):
    """Stands for the end of the process in the middle of a step."""


def stop_after(steps):
    """A loss that ends the run at its given call."""
    count = iter(range(10**6))

    def loss(model, batch):
        if next(count) == steps:
            raise Stopped
        return batch_loss(model, batch)
    return loss


def test_training_learns(task):
    history = fit(loss=batch_loss, epochs=8, **task)
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert len(history.losses) == 8 * len(task["loader"]) and history.last["epoch"] == 8


def test_same_seed_same_bytes_other_seed_other_bytes():
    runs = [make_task(seed) for seed in (0, 0, 1)]
    for run in runs:
        fit(loss=batch_loss, epochs=2, **run)
    assert_same_run(runs[0], runs[1])
    assert not np.array_equal(runs[0]["model"].body[0].weight.data, runs[2]["model"].body[0].weight.data)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stops", [[1], [7], [3, 4, 9], [2, 5, 1, 3, 4]])
def test_resumed_training_is_bit_identical(tmp_path, optimizer, stops):
    """C12: stopped at any step, also in the middle of an epoch, also several times."""
    whole = make_task(optimizer=optimizer)
    record = fit(loss=batch_loss, epochs=4, **whole)
    for steps in stops:
        with pytest.raises(Stopped):
            fit(loss=stop_after(steps), epochs=4, checkpoint=tmp_path / "run.ckpt", save_every=1, resume=True,
                **make_task(optimizer=optimizer))
    resumed = make_task(optimizer=optimizer)
    record2 = fit(loss=batch_loss, epochs=4, checkpoint=tmp_path / "run.ckpt", save_every=1, resume=True, **resumed)
    assert_same_run(whole, resumed)
    assert record2.losses == record.losses and record2.rows == record.rows


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    task = make_task()
    fit(loss=batch_loss, epochs=2, checkpoint=tmp_path / "run.ckpt", **task)
    again = make_task()
    fit(loss=batch_loss, epochs=2, checkpoint=tmp_path / "run.ckpt", resume=True, **again)
    assert_same_run(task, again)


def test_random_stream_of_the_loss_is_resumed(tmp_path):
    """C12: a generator of the caller's own."""
    def noisy(rng, stop=None):
        count = iter(range(10**6))

        def loss(model, batch):
            if next(count) == stop:
                raise Stopped
            x = batch["x"] + rng.normal(0, 0.1, batch["x"].shape).astype(np.float32)
            return cross_entropy(model(x), batch["label"])
        return loss
    whole, rng = make_task(), np.random.default_rng(5)
    fit(loss=noisy(rng), rng=rng, epochs=2, **whole)
    rng = np.random.default_rng(5)
    with pytest.raises(Stopped):
        fit(loss=noisy(rng, 6), rng=rng, epochs=2, checkpoint=tmp_path / "a", save_every=1, **make_task())
    resumed, rng = make_task(), np.random.default_rng(77)
    fit(loss=noisy(rng), rng=rng, epochs=2, checkpoint=tmp_path / "a", save_every=1, resume=True, **resumed)
    assert_same_run(whole, resumed)


def test_divergence_names_step_rate_and_first_bad_tensor(task, tmp_path):
    """C13: and the checkpoint still holds finite weights."""
    def exploding(model, batch):
        if len(record) == 6:
            with no_grad():
                model.body[4].weight *= np.float32(np.inf)
        record.append(0)
        return batch_loss(model, batch)
    record = []
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match=r"step 6.*lr.*body\.4\.weight.*last finite"):
        fit(loss=exploding, epochs=3, checkpoint=tmp_path / "run.ckpt", save_every=1, **task)
    saved = load_checkpoint(tmp_path / "run.ckpt")
    assert saved["step"] == 6 and all(np.isfinite(a).all() for a in saved["model"].values())


def test_weights_that_are_not_finite_are_never_saved(task, tmp_path):
    run = Run(task["model"], task["loader"], task["optimizer"], checkpoint=tmp_path / "run.ckpt")
    run.save()
    good = (tmp_path / "run.ckpt").read_bytes()
    with no_grad():
        task["model"].body[0].bias *= np.float32(np.nan)
    with pytest.raises(DivergenceError, match=r"body\.0\.bias"):
        run.save()
    assert (tmp_path / "run.ckpt").read_bytes() == good


def test_checkpoint_path_is_tried_before_the_first_step(task, tmp_path):
    """C10."""
    def never(model, batch):
        pytest.fail("a step was made")
    with pytest.raises(CheckpointError):
        fit(loss=never, epochs=1, checkpoint=tmp_path / "missing" / "run.ckpt", **task)


def test_checkpoint_of_another_setup_is_refused(tmp_path):
    """C9."""
    task = make_task()
    fit(loss=batch_loss, epochs=1, checkpoint=tmp_path / "run.ckpt", **task)
    other = make_task(optimizer="adamw")
    before = {k: v.copy() for k, v in other["model"].state_dict().items()}
    with pytest.raises(CheckpointError, match="SGD"):
        fit(loss=batch_loss, epochs=2, checkpoint=tmp_path / "run.ckpt", resume=True, **other)
    bare = make_task()
    bare["ema"] = None
    with pytest.raises(CheckpointError, match="other options"):
        fit(loss=batch_loss, epochs=2, checkpoint=tmp_path / "run.ckpt", resume=True, **bare)
    after = other["model"].state_dict()
    assert before.keys() == after.keys() and all(np.array_equal(before[k], after[k]) for k in before)


def test_falling_back_to_the_previous_checkpoint_is_said(tmp_path):
    """C5."""
    path = tmp_path / "run.ckpt"
    fit(loss=batch_loss, epochs=2, checkpoint=path, **make_task())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"run\.ckpt' is damaged or missing; going on from .*run\.ckpt\.prev"):
        history = fit(loss=batch_loss, epochs=2, checkpoint=path, resume=True, **make_task())
    assert len(history) == 2


def test_damaged_checkpoint_is_not_silently_restarted(task, tmp_path):
    (tmp_path / "run.ckpt").write_bytes(b"junk" * 100)
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        fit(loss=batch_loss, epochs=1, checkpoint=tmp_path / "run.ckpt", resume=True, **task)


def test_validation_leaves_model_and_random_streams_untouched(task):
    """C15."""
    def validate(model):
        assert not model.body[3].training
        return {"accuracy": float((model(task["loader"].dataset.arrays()["x"]).data.argmax(1) == 0).mean())}
    plain = make_task()
    fit(loss=batch_loss, epochs=2, **plain)
    history = fit(loss=batch_loss, epochs=2, validate=validate, **task)
    assert_same_run(plain, task)
    assert len(history["accuracy"]) == 2 and task["model"].training


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_log_holds_a_row_per_epoch(task, tmp_path, suffix):
    fit(loss=batch_loss, epochs=3, log=tmp_path / f"log{suffix}", **task)
    lines = (tmp_path / f"log{suffix}").read_text().splitlines()
    if suffix == ".jsonl":
        assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    else:
        assert lines[0].startswith("epoch,step,lr,loss") and len(lines) == 4


def test_log_that_cannot_be_written_costs_one_warning(task, tmp_path):
    """C17."""
    with pytest.warns(UserWarning, match="goes on without the log") as caught:
        fit(loss=batch_loss, epochs=3, log=tmp_path / "no" / "log.csv", **task)
    assert len(caught) == 1


def test_idle_training_is_worth_a_warning(task):
    """C14."""
    task["scheduler"] = None
    task["optimizer"].param_groups[0]["lr"] = 0.0
    with pytest.warns(UserWarning, match="learning rates"):
        fit(loss=batch_loss, epochs=1, **task)
    with pytest.warns(UserWarning, match="gradients of the first step are zero"):
        fit(loss=lambda m, b: batch_loss(m, b) * 0.0, epochs=1, **make_task())


def test_named_losses_are_summed_and_recorded(task):
    def two(model, batch):
        ce = batch_loss(model, batch)
        return {"ce": ce, "decay": sum((p * p).sum() for p in model.parameters()) * 1e-4}
    history = fit(loss=two, epochs=2, **task)
    for row in history.rows:
        assert row["loss"] == pytest.approx(row["ce"] + row["decay"], rel=1e-5)


@pytest.mark.parametrize("wrong, match", [
    (dict(epochs=0), "epochs is 0"), (dict(epochs=1, resume=True), "checkpoint is None"),
    (dict(epochs=1, log="x.txt"), "expected .csv or .jsonl")])
def test_bad_arguments_are_refused(task, wrong, match):
    with pytest.raises(ArgError, match=match):
        fit(loss=batch_loss, **task, **wrong)


def test_clipping_limits_the_step(task):
    task["scheduler"], task["optimizer"] = None, SGD(task["model"].parameters(), lr=1.0)
    before = [p.data.copy() for p in task["model"].parameters()]
    loader = task["loader"]
    one = [next(iter(loader))]

    class Once:
        dataset = loader.dataset
        state_dict, load_state_dict = loader.state_dict, loader.load_state_dict

        def __iter__(self):
            return iter(one)
    fit(loss=batch_loss, epochs=1, clip_norm=0.01, **{**task, "loader": Once()})
    moved = sum(((p.data - b) ** 2).sum() for p, b in zip(task["model"].parameters(), before, strict=True))
    assert moved ** 0.5 <= 0.01 * (1 + 1e-4)


def test_first_ctrl_c_finishes_and_saves_the_step(task, tmp_path):
    """C11."""
    def interrupted(model, batch):
        calls.append(0)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return batch_loss(model, batch)
    calls = []
    with pytest.raises(KeyboardInterrupt):
        fit(loss=interrupted, epochs=5, checkpoint=tmp_path / "run.ckpt", **task)
    assert load_checkpoint(tmp_path / "run.ckpt")["step"] == 3 == len(calls)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    whole, resumed = make_task(), make_task()
    fit(loss=batch_loss, epochs=2, **whole)
    fit(loss=batch_loss, epochs=2, checkpoint=tmp_path / "run.ckpt", resume=True, **resumed)
    assert_same_run(whole, resumed)


def test_training_works_in_another_thread(task):
    """Signals cannot be caught there; the loop must not try."""
    thread = threading.Thread(target=lambda: fit(loss=batch_loss, epochs=1, **task))
    thread.start()
    thread.join()
    assert task["optimizer"].steps == len(task["loader"])


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from train.conftest import make_task, batch_loss
from minicv.train import fit
task = make_task()
print("R", flush=True)
fit(loss=batch_loss, epochs=30, checkpoint=sys.argv[1], save_every=1, resume=True, **task)
import hashlib
print(hashlib.sha256(b"".join(a.tobytes() for a in task["model"].state_dict().values())).hexdigest(), flush=True)
"""


def run_script(path, kill_after=None, sig=signal.SIGKILL):
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    child = subprocess.Popen([sys.executable, "-c", SCRIPT.format(tests=tests), str(path)], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**os.environ, "PYTHONPATH": os.path.dirname(tests)})
    child.stdout.readline()
    if kill_after is not None:
        time.sleep(kill_after)
        child.send_signal(sig)
    out, err = child.communicate()
    return child.returncode, out.strip(), err


def test_killed_and_resumed_process_ends_with_the_same_weights(tmp_path):
    """C1 and C12 together: SIGKILL twice, then to the end."""
    code, whole, err = run_script(tmp_path / "whole.ckpt")
    assert code == 0, err
    for seconds in (0.1, 0.25):
        run_script(tmp_path / "killed.ckpt", seconds)
    assert run_script(tmp_path / "killed.ckpt")[1] == whole


@pytest.mark.slow
def test_random_signals_never_change_the_result(tmp_path):
    """C11: 50 interruptions by SIGINT and SIGTERM."""
    rng = np.random.default_rng(0)
    whole = run_script(tmp_path / "whole.ckpt")[1]
    for i in range(50):
        code, out, err = run_script(tmp_path / "run.ckpt", rng.uniform(0, 0.1), (signal.SIGINT, signal.SIGTERM)[i % 2])
        assert code in (0, 1, 130, 143, -signal.SIGINT, -signal.SIGTERM), (code, err)
    assert run_script(tmp_path / "run.ckpt")[1] == whole


def test_bar_shows_every_batch(task):
    seen = []

    def bar(iterable, desc=""):
        seen.append(desc)
        return silent(iterable)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(loss=batch_loss, epochs=2, progress=bar, **task)
    assert seen == ["epoch 1/2", "epoch 2/2"]
