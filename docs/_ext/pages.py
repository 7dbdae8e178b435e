"""All pages of the book as {file name: text}."""

import re

import api
import lessons

COPIED = {"docs/parity.md": "parity.md", "docs/benchmarks.md": "benchmarks.md", "docs/review.md": "review.md",
          "CONVENTIONS.md": "conventions.md", "CHANGELOG.md": "changelog.md", "docs/glossary.md": "glossary.md",
          "docs/three_versions.md": "three_versions.md"}


def all_pages(root):
    """Everything: copied, generated, and the lessons."""
    found = {target: (root / source).read_text(encoding="utf-8") for source, target in COPIED.items()
             if (root / source).is_file()}
    found |= {f"lessons/{path.stem}.ipynb": lessons.staged(path) for path in notebooks(root)}
    found |= api.pages()
    found["index.md"] = index(root)
    return found


def notebooks(root):
    """The lessons in the order of the course."""
    return sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def index(root):
    """The landing page."""
    tree = "\n".join(f"lessons/{path.stem}" for path in notebooks(root))
    text = (root / "COURSE.md").read_text(encoding="utf-8")
    return (f"{text}\n\n```{{toctree}}\n:hidden:\n:caption: Lessons\n\n{tree}\n```\n\n"
            "```{toctree}\n:hidden:\n:caption: About the code\n\nconventions\nparity\nbenchmarks\nreview\nchangelog\n"
            "api/index\n```\n")
