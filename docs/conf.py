"""Settings of Sphinx; `build.py` copies this file beside the staged pages and runs it there."""

import sys
from pathlib import Path

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "setup.cfg").is_file())
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]

from sources import linkcode_resolve  # noqa: E402, F401

import minicv  # noqa: E402

project, author, copyright = "minicv", "the minicv authors", "the minicv authors, CC BY 4.0; code BSD-3-Clause"
version = release = minicv.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx.ext.linkcode",
              "docstrings", "marks", "sources"]
exclude_patterns = ["code"]                       # copies of the sources, to be quoted
default_role = "py:obj"                           # `name` in a docstring is a link where there is something to link to
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries = False

nb_execution_mode = "off"                         # the committed notebooks carry their outputs
nb_code_prompt_show = "Imports of this lesson"
nb_code_prompt_hide = "Hide the imports"
nb_render_text_lexer = "none"
myst_enable_extensions = ["dollarmath", "attrs_block", "attrs_inline", "deflist"]
myst_dmath_double_inline = True
myst_heading_anchors = 3

autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False                        # types are prose here: no links from the words in them
napoleon_custom_sections = [("Attributes", "params_style")]

mathjax_path = "tex-svg.js"                       # fetched by the build, nothing is loaded from elsewhere
html_theme = "furo"
html_title = "minicv: the course book"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_favicon = "_static/favicon.svg"
html_show_search_summary = False                  # summaries are fetched, which a browser refuses for files on disk
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {"footer_icons": [], "navigation_with_keys": True, "top_of_page_buttons": []}
