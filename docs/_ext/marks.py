"""Small repairs of finished pages."""


def _one_id_each(app, doctree, name):
    """The theme wraps formulas to let wide ones scroll, and gives the wrapper the formula's id as well."""
    for wrapper in doctree.findall(lambda node: "math-wrapper" in getattr(node, "attributes", {}).get("classes", ())):
        wrapper["ids"] = []


def setup(app):
    """After the theme's own changes."""
    app.connect("doctree-resolved", _one_id_each)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
