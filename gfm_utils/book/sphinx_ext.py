"""Sphinx extension of the book: pages that ask the network for nothing."""

from typing import Any

from gfm_utils.book.offline import VEGA_BUNDLE

_CHART = "altair-viz-"
_THEBE = ("THEBE_JS_URL", "sphinx-thebe")


def offline_page(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Load the local Vega bundle on pages that hold a chart, and no page's live-code scripts.

    Jupyter Book 1 always adds sphinx-thebe, which points at a CDN.
    """
    del pagename, templatename, doctree
    if _CHART in context.get("body", ""):
        app.add_js_file(VEGA_BUNDLE)
    scripts = context.get("script_files")
    if scripts is not None:
        scripts[:] = [script for script in scripts if not _is_thebe(script)]


def _is_thebe(script: Any) -> bool:
    text = f"{getattr(script, 'filename', '')} {getattr(script, 'attributes', {}).get('body', '')}"
    return any(word in text for word in _THEBE)


def setup(app: Any) -> dict[str, Any]:
    """Entry point that Sphinx calls; the late priority lets every other extension add its scripts first."""
    app.connect("html-page-context", offline_page, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
