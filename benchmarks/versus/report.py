"""The page `docs/benchmarks.md` and its chart, from the files that `versus_torch.py --json` wrote.

``python -m benchmarks.versus.report FILE [FILE ...]``. Several runs of a row are combined by their median.
"""

import json
import pathlib
import re
import statistics
import sys

from .goals import BESIDE_OTHERS, GOALS, NOT_REACHED

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def combine(files):
    """Records by (name, threads, peer); numbers of several runs are their medians."""
    found = {}
    for file in files:
        for record in json.loads(pathlib.Path(file).read_text(encoding="utf-8")):
            found.setdefault((record["name"], record.get("threads"), record.get("peer")), []).append(record)
    return {key: merge(records) for key, records in found.items()}


def merge(records):
    merged = dict(records[0], runs=len(records))
    for key, value in records[0].items():
        if isinstance(value, float):
            merged[key] = statistics.median(r[key] for r in records)
    return merged | ({"agrees": all(r["agrees"] for r in records)} if "agrees" in merged else {})


def comparison(records):
    """The table of computation, grouped."""
    lines = ["| | threads | minicv | PyTorch | ratio | channels_last | ratio | error | |", "|---" * 9 + "|"]
    for r in records:
        rate = f"{r['gflops']:.0f} GF/s" if r["gflops"] else f"{r['gbytes']:.0f} GB/s" if r["gbytes"] else ""
        ratios = [f"**{r[k]:.2f}**" if r[k] <= 1 else f"{r[k]:.2f}" for k in ("ratio", "ratio_cl")]
        if not r["agrees"]:
            ratios = ["void", "void"]
        lines.append(f"| {r['name']} | {r['threads']} | {ms(r['ours_s'])} | {ms(r['torch_s'])} | {ratios[0]} | "
                     f"{ms(r['torch_cl_s'])} | {ratios[1]} | {r['error']:.0e} | {rate} |")
    return lines


def ms(seconds):
    return f"{seconds * 1e3:.3g} ms"


def goals(rows):
    """The table of goals: reached where the worst row of a goal keeps it."""
    lines = ["| goal | PyTorch: goal | worst row | channels_last: goal | worst row | |", "|---|---|---|---|---|---|"]
    for goal in GOALS:
        own = [r for r in rows if re.fullmatch(goal.rows, r["name"]) and r["threads"] in goal.threads and r["agrees"]]
        if not own:
            continue
        cells, missed = [], False
        for limit, key in ((goal.ratio, "ratio"), (goal.ratio_cl, "ratio_cl")):
            worst = max(own, key=lambda r, key=key: r[key])
            cells += [f"{limit:g}" if limit else "", f"{worst[key]:.2f} ({worst['name']}, {worst['threads']} thr)"]
            missed |= bool(limit) and worst[key] > limit
        verdict = "reached" if not missed else f"not reached: {NOT_REACHED.get(goal.what, 'no profile yet')}"
        lines.append(f"| {goal.what} | {' | '.join(cells)} | {verdict} |")
    return lines


def means(rows):
    for threads in sorted({r["threads"] for r in rows}):
        own = [r for r in rows if r["threads"] == threads and r["agrees"]]
        values = [statistics.geometric_mean(r[k] for r in own) for k in ("ratio", "ratio_cl")]
        yield (f"- {threads} thread{'s' * (threads > 1)}: geometric mean over {len(own)} rows **{values[0]:.2f}** "
               f"against PyTorch's default layout, **{values[1]:.2f}** against channels_last")


def runs_and_load(rows):
    """How far the numbers can be trusted: on an idle machine the load is that of the benchmark itself, about 1."""
    runs, loads = min(r["runs"] for r in rows), [r["load"] for r in rows]
    return f"Median of {runs} run{'s' * (runs > 1)}; load average {min(loads):.1f} to {max(loads):.1f}."


def chart(rows, path):
    """Bars of the one-thread ratios; left of 1 minicv is faster."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from minicv.plot import PALETTE, figure_style
    rows = [r for r in rows if r["threads"] == 1 and r["agrees"]][::-1]
    with figure_style():
        figure, ax = plt.subplots(figsize=(8, 0.19 * len(rows) + 1), layout="constrained")
        for shift, key, colour, label in ((0.2, "ratio", PALETTE[0], "PyTorch"),
                                          (-0.2, "ratio_cl", PALETTE[1], "PyTorch channels_last")):
            ax.barh([i + shift for i in range(len(rows))], [r[key] for r in rows], 0.4, color=colour, label=label)
        ax.set(yticks=range(len(rows)), yticklabels=[r["name"] for r in rows], xscale="log",
               ylim=(-0.6, len(rows) - 0.4), xlabel="time of minicv / time of PyTorch, 1 thread")
        ax.tick_params(axis="y", labelsize=6)
        ax.axvline(1, color="0.3", linewidth=1)
        ax.set_xticks([0.05, 0.1, 0.25, 0.5, 1, 2, 4], ["0.05", "0.1", "0.25", "0.5", "1", "2", "4"])
        ax.legend(loc="lower right")
        figure.savefig(path, metadata={"Date": None})


def page(records):
    rows = [r for r in records.values() if "ratio_cl" in r]
    peers = [r for r in records.values() if "peer" in r]
    others = [r for r in records.values() if "ratio_cl" not in r and "peer" not in r]
    peak = {key: max(r["peak"][key] for r in rows) for key in ("gflops", "gbytes")}
    lines = ["# minicv beside PyTorch on one CPU", "",
             "Generated by `python -m benchmarks.versus.report` from what `benchmarks/versus_torch.py --json` wrote.",
             "A ratio is time of minicv / time of PyTorch 2.13 (oneDNN, MKL) on the same machine in the same run,",
             "turn by turn; below 1 minicv is faster. *Error* is the largest difference of any result, relative to the",
             "largest number in it; \"f\" is the forward pass, \"f+b\" forward and backward.",
             f"The machine: register tile {peak['gflops']:.0f} GF/s on one core, c = a + b out of the cache "
             f"{peak['gbytes']:.0f} GB/s. {runs_and_load(rows)}", "", *means(rows), "",
             "![Bars of the ratios](benchmarks.svg)", "", "## Goals", "", *goals(rows), "", "## All rows", ""]
    for group in dict.fromkeys(r["group"] for r in rows):
        lines += [f"### {group.capitalize()}", "", *comparison([r for r in rows if r["group"] == group]), ""]
    if peers:
        lines += ["## Beside other libraries", "", "| | peer | minicv | peer's | ratio |", "|---|---|---|---|---|"]
        lines += [f"| {r['name']} | {r['peer']} | {ms(r['ours_s'])} | {ms(r['peer_s'])} | {r['ratio']:.2f} |"
                  for r in peers]
        lines += ["", *(f"- {note}" for note in BESIDE_OTHERS)]
    if others:
        lines += ["", "## Start and memory (outside every mean)", "", "| | |", "|---|---|"]
        lines += [f"| {r['name']} | {r['seconds']:.2f} s |" if "seconds" in r else
                  f"| {r['name']} | {r['ours']:.0f} MiB, PyTorch {r['torch']:.0f} MiB: ratio {r['ratio']:.2f} |"
                  for r in others]
    return "\n".join(lines) + "\n"


def main(files):
    records = combine(files)
    chart([r for r in records.values() if "ratio_cl" in r], DOCS / "benchmarks.svg")
    (DOCS / "benchmarks.md").write_text(page(records), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
