"""The errata page: what common notes say, what holds, where it is shown; collected from the experiments."""

import importlib

import lessons
import systems

from minicv.experiments import catalog


def page(notebooks, titles):
    """All entries of all chapters."""
    texts = {path: lessons.boxed("\n".join(lessons.text_of(cell) for cell in lessons.load(path)["cells"]))
             for path in notebooks}
    head = ("# Where notes, papers and code differ\n\n"
            "Lecture notes are short, papers leave things out, and libraries settle on conventions. Each difference "
            "that matters for the result is a boxed remark in a lesson, and the experiment named beside it shows what "
            "holds.\n")
    return head + "".join(_chapter(n, title, texts) for n, title in titles.items() if _entries(n))


def _entries(chapter):
    try:
        return importlib.import_module(f"minicv.experiments.ch{chapter}._errata").ERRATA
    except ModuleNotFoundError:
        return {}


def _chapter(n, title, texts):
    return f"\n## Chapter {n}: {title}\n" + "".join(_entry(id, entry, texts) for id, entry in _entries(n).items())


def _entry(id, entry, texts):
    run = entry.shown_by
    shown = f"[`{run}`](#run-{run})" if run in catalog.load() else f"`{run}`"
    anchor = "remark-" + id.replace(".", "-")
    remark = next((lesson for lesson, text in texts.items() if f'id="{anchor}"' in text), None)
    place = f"remark in {lessons.anchor(remark, anchor)}, " if remark else ""
    return (f"\n**{id}.** *Often written:* {systems.plain(entry.said)}.\n\n> {systems.plain(entry.holds)}.\n\n"
            f"{{.where}}\n{place}shown by {shown}\n")
