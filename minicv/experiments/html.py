"""Reports as HTML: self-contained, light and dark, readable without the figures."""

import html
import math

from ..plot import alt_text, embed, figure_style
from .report import number

WIDE = 8.0      # inches; such a figure has several panels

STYLE = """
:root{color-scheme:light dark;--text:#1c1e21;--soft:#5c6370;--back:#fbfbfa;--card:#fff;--line:#dcdfe4;
--accent:#0067a3;--good:#0a7a50;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--text:#e6e7ea;--soft:#a2a9b4;--back:#16181c;--card:#1f2228;
--line:#353a43;--accent:#6cb8ec;--good:#4cc38a;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.55 system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:62rem;margin:0 auto;padding:2rem 1.2rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:.2rem 0 .4rem}
h2{font-size:1.3rem;line-height:1.3;margin:0 0 .3rem}
a{color:var(--accent)}
.lead{color:var(--soft);margin:0 0 1.6rem;max-width:46rem}
.soft{color:var(--soft);font-size:.92rem;margin:.2rem 0}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.2rem 1.3rem;margin:1.4rem 0}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.95rem}
caption{text-align:left;color:var(--soft);font-size:.92rem;padding-bottom:.3rem}
th,td{text-align:left;vertical-align:top;padding:.4rem .9rem .4rem 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;font-size:.85rem;white-space:nowrap}
tr:last-child td{border-bottom:0}
td.num,th.num{text-align:right}
th:last-child,td:last-child{padding-right:.2rem}
.met{color:var(--good);font-weight:600;white-space:nowrap}
.missed{color:var(--bad);font-weight:600;white-space:nowrap}
.figures{display:flex;flex-wrap:wrap;gap:.4rem 1.4rem;align-items:flex-start}
figure{margin:.8rem 0 .3rem;flex:0 1 27rem;min-width:0}
figure.wide{flex-basis:100%}
figure img{display:block;max-width:100%;height:auto;background:#fff;border-radius:8px;padding:6px}
figcaption{color:var(--soft);font-size:.92rem;margin-top:.35rem}
code,pre{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.9em}
pre{overflow-x:auto;background:var(--back);border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem}
@media (max-width:36rem){main{padding:1.2rem .7rem 3rem}section{padding:.9rem .8rem}h1{font-size:1.5rem}}
@media print{section{break-inside:avoid}}
"""


def page(title, body):
    """A complete page around `body`, which is HTML already."""
    return (f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n'
            f'<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n')


def report_html(report):
    """Targets, figures and tables of a report as an HTML fragment, also shown by notebooks."""
    heading = f"<h3>{html.escape(report.title)}</h3>" if report.title else ""
    rows = [{"metric": name, "value": value, "expected": expected, "": Verdict(verdict)}
            for name, value, expected, verdict in metric_rows(report)]
    parts = [heading, table_html(rows), figures_html(report.figures), players_html(report.players)]
    parts += [table_html(rows, caption) for caption, rows in report.tables.items()]
    return "\n".join(part for part in parts if part)


def metric_rows(report):
    """(metric, value, expected, verdict) as text: first what has a target, then the other metrics."""
    rows = []
    for target in report.targets:
        verdict = "met" if target.passed(report.metrics) else "missed"
        verdict = "not judged" if report.preset == "smoke" else verdict
        rows.append((target.metric, number(report.metrics[target.metric]), target.condition(), verdict))
    judged = {target.metric for target in report.targets}
    for name, value in report.metrics.items():
        if name not in judged:
            rows.append((name, number(value), "", "" if math.isfinite(value) else "missed"))
    return rows


class Verdict(str):
    """The text "met" or "missed", shown in its colour."""


def table_html(rows, caption=""):
    """Rows (dicts with the same keys) as a table; numbers are aligned to the right."""
    if not rows:
        return ""
    keys = list(rows[0])
    head = "".join(f"<th{_numeric(rows[0][key])}>{html.escape(str(key))}</th>" for key in keys)
    lines = ["<tr>" + "".join(_cell(row[key]) for key in keys) + "</tr>" for row in rows]
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return (f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>'
            f'<tbody>{"".join(lines)}</tbody></table></div>')


def figures_html(figures):
    """Draw the figures ``{caption: function}`` and embed them with their captions."""
    parts = [f"{_drawn(draw, caption)}<figcaption>{html.escape(caption)}</figcaption></figure>"
             for caption, draw in figures.items()]
    return f'<div class="figures">{"".join(parts)}</div>' if parts else ""


def players_html(players):
    """Make the players ``{caption: function}`` and put each under its caption."""
    return "\n".join(f'<h3>{html.escape(caption)}</h3>{make().html()}' for caption, make in players.items())


def _drawn(draw, caption):
    """The opening tag of a figure and its image, described by its own words or else by its caption."""
    import matplotlib.pyplot as plt

    with figure_style():
        figure = draw()
    try:
        wide = figure.get_figwidth() >= WIDE            # in half a column its text would be too small to read
        alt = caption if alt_text(figure) == "figure" else None
        return ('<figure class="wide">' if wide else "<figure>") + embed(figure, alt=alt)
    finally:
        plt.close(figure)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numeric(value):
    return ' class="num"' if _is_number(value) else ""


def _cell(value):
    if isinstance(value, Verdict):
        return f'<td class="{value if value in ("met", "missed") else ""}">{html.escape(value)}</td>'
    text = number(value) if _is_number(value) else str(value)
    return f"<td{_numeric(value)}>{html.escape(text)}</td>"
