"""The table "figure of the lecture notes -> page": pages are found in the lessons, what is not found is missing."""

import tomllib

import lessons


def load(root):
    """What `docs/figures.toml` lists."""
    return tomllib.loads((root / "docs" / "figures.toml").read_text(encoding="utf-8"))


def words(root, path):
    """What announces the figures without a number in a lesson's chapter."""
    return [words for _, words in load(root)["unnumbered"].get(path.stem[0], ())]


def table(root, notebooks, titles):
    """The page, a table for each chapter."""
    listed = load(root)
    chapters = sorted({int(n) for n in listed["unnumbered"]})
    entries = {n: located(n, listed, notebooks) for n in chapters}
    missing = sum(place is None for found in entries.values() for _, _, place in found)
    total = sum(map(len, entries.values()))
    head = ("# Figures of the lecture notes\n\n"
            "The figures of the chapters that are here, drawn again by code from data that the lesson makes. "
            f"{total - missing} of {total} are there.\n")
    return head + "".join(_chapter(n, titles[n], entries[n]) for n in chapters)


def located(chapter, listed, notebooks):
    """[(number, title, link or None)] of one chapter."""
    texts = {path: [lessons.text_of(cell) for cell in lessons.load(path)["cells"] if cell["cell_type"] == "markdown"]
             for path in notebooks if path.stem.startswith(str(chapter))}
    found = [(number, title, _by_number(number, texts)) for number, title in listed["numbered"].items()
             if number.startswith(f"{chapter}.")]
    return found + [("", title, _by_words(words, texts)) for title, words in listed["unnumbered"][str(chapter)]]


def _by_number(number, texts):
    for lesson, cells in texts.items():
        if any(number in lessons.figure_numbers(cell) for cell in cells):
            return lessons.anchor(lesson, "figure-" + number.replace(".", "-"))
    return None


def _by_words(words, texts):
    """The lesson whose bold captions hold the words."""
    for lesson, cells in texts.items():
        if any(words in caption for cell in cells for caption in lessons.captions(cell)):
            return lessons.anchor(lesson, lessons.figure_place(words))
    return None


def _chapter(n, title, entries):
    lines = [f"| {number or '–'} | {said} | {place or 'missing: not drawn yet'} |" for number, said, place in entries]
    return f"\n## Chapter {n}: {title}\n\n| number | figure | page |\n|---|---|---|\n" + "\n".join(lines) + "\n"
