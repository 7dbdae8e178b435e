"""All pages of the book as {file name: text}."""


import api
import equations
import lessons

COPIED = {"docs/parity.md": "parity.md", "docs/benchmarks.md": "benchmarks.md", "docs/review.md": "review.md",
          "CONVENTIONS.md": "conventions.md", "CHANGELOG.md": "changelog.md", "docs/glossary.md": "glossary.md",
          "docs/three_versions.md": "three_versions.md"}


def all_pages(root):
    """Everything: copied, generated, and the lessons."""
    found = {target: (root / source).read_text(encoding="utf-8") for source, target in COPIED.items()
             if (root / source).is_file()}
    found |= {f"lessons/{path.stem}.ipynb": lesson(path) for path in notebooks(root)}
    found |= api.pages()
    found["equations.md"] = equations.table(notebooks(root), api.documented())
    found["index.md"] = index(root)
    return found


def lesson(path):
    """A lesson with a line under each equation."""
    return lessons.staged(path, {e.number: equations.note(e, api.documented()) for e in equations.of_lesson(path)})


def notebooks(root):
    """The lessons in the order of the course."""
    return sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def index(root):
    """The landing page."""
    tree = "\n".join(f"lessons/{path.stem}" for path in notebooks(root))
    text = (root / "COURSE.md").read_text(encoding="utf-8")
    return (f"{text}\n\n```{{toctree}}\n:hidden:\n:caption: Lessons\n\n{tree}\n```\n\n"
            "```{toctree}\n:hidden:\n:caption: About the code\n\nequations\nconventions\nparity\nbenchmarks\nreview\nchangelog\n"
            "api/index\n```\n")
