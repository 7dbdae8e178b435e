"""All pages of the book as {file name: text}."""

import api
import equations
import errata
import figures
import landing
import lessons
import systems

COPIED = {"docs/parity.md": "parity.md", "docs/benchmarks.md": "benchmarks.md", "docs/review.md": "review.md",
          "docs/glossary.md": "glossary.md", "docs/three_versions.md": "three_versions.md",
          "CONVENTIONS.md": "conventions.md", "CHANGELOG.md": "changelog.md"}


def all_pages(root):
    """Everything: what is copied, what is generated, and the lessons."""
    course, books = (root / "COURSE.md").read_text(encoding="utf-8"), notebooks(root)
    titles, home = landing.chapters(course), api.documented()
    found = {target: (root / source).read_text(encoding="utf-8") for source, target in COPIED.items()}
    found |= {f"lessons/{path.stem}.ipynb": lesson(path, home, figures.words(root, path)) for path in books}
    found |= api.pages() | systems.pages(root, books, titles)
    found |= {"equations.md": equations.table(books, home), "errata.md": errata.page(books, titles),
              "figures.md": figures.table(root, books, titles)}
    found["index.md"] = landing.page(course, books, systems.catalog.load())
    return found


def lesson(path, home, figure_words):
    """A lesson with a line under each equation and a place for each experiment and figure."""
    notes = {e.number: equations.note(e, home) for e in equations.of_lesson(path)}
    return lessons.staged(path, notes, systems.experiments(path), figure_words)


def notebooks(root):
    """The lessons in the order of the course."""
    return sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
