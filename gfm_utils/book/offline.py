"""Pages that ask the network for nothing: their JavaScript libraries come from Python packages.

As an extension of Sphinx it loads them on the book's pages.
"""

import html
import importlib.metadata
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from gfm_utils.book.pages import first_words, readable
from gfm_utils.errors import GfmError
from gfm_utils.files import atomic, cache_dir

_VEGA_BUNDLE = "vega-bundle.js"
_EXPORT = "window.vega = vega; window.vegaLite = vegaLite; window.vegaEmbed = vegaEmbed;"
#: What of MathJax does not typeset TeX in its own fonts, with MathML for screen readers: 20 of 24 MB.
_UNUSED = ("sre*", "ui", "adaptors", "mml*", "svg*", "asciimath*", "tex-*", "node*", "l*.js")
_GLOSSARY = "glossary"
#: Words in the scripts of sphinx-thebe, which Jupyter Book 1 always adds and which point at a CDN, and of MathJax.
_THEBE, _FORMULAS = ("THEBE_JS_URL", "sphinx-thebe"), ("mathjax/", "window.MathJax")


def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, in the versions that Altair's charts ask for.

    Altair's HTML loads each library from a CDN unless ``VEGA_DEBUG`` says that it is there in that version. The
    script is kept in the cache directory (making it takes seconds).
    """
    import altair
    import vl_convert

    versions = {
        "vega_version": altair.VEGA_VERSION,
        "vegalite_version": altair.VEGALITE_VERSION,
        "vegaembed_version": altair.VEGAEMBED_VERSION,
    }
    made_by = importlib.metadata.version("vl-convert-python")
    kept = cache_dir() / "vega" / f"{'-'.join(versions.values())}-{made_by}.js"
    if not kept.is_file():
        bundle = vl_convert.javascript_bundle(_EXPORT, ".".join(altair.VEGALITE_VERSION.split(".")[:2]))
        debug = f"Object.assign(window.VEGA_DEBUG || {{}}, {json.dumps(versions)})"
        with atomic(kept) as temporary:
            temporary.write_text(f"(function () {{\n{bundle}\n}})();\nwindow.VEGA_DEBUG = {debug};\n", "utf-8")
    return kept.read_text(encoding="utf-8")


def write_scripts(folder: Path) -> None:
    """Write the libraries of the book's pages: ``vega_bundle``, and MathJax 3 into the folder ``mathjax``.

    Raises:
        GfmError: the distribution ``sphinx-mathjax-offline`` is not installed.
    """
    (folder / _VEGA_BUNDLE).write_text(vega_bundle(), encoding="utf-8")
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise GfmError("the formulas need the package sphinx-mathjax-offline; install it with pip")
    source = Path(spec.origin).parent / "static" / "mathjax"
    shutil.copytree(source, folder / "mathjax", ignore=shutil.ignore_patterns(*_UNUSED))


def offline_page(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Make a page readable, and load what it uses: the Vega bundle, the game, MathJax; no live-code scripts."""
    del pagename, templatename, doctree
    if "body" in context:
        about = html.escape(first_words(context["body"]))
        if about and 'name="description"' not in context.get("metatags", ""):
            context["metatags"] = f'{context.get("metatags", "")}<meta name="description" content="{about}">\n'
        context["body"] = readable(context["body"], _terms(app.env))
    body = context.get("body", "")
    if "altair-viz-" in body:
        app.add_js_file(_VEGA_BUNDLE)
    if 'class="guess-game"' in body:
        app.add_js_file("play.js")
        app.add_css_file("play.css")
    if scripts := context.get("script_files"):  # MathJax comes with a page if any page below it has a formula
        unused = _THEBE if 'class="math' in body else (*_THEBE, *_FORMULAS)
        scripts[:] = [script for script in scripts if not _names(script, unused)]


def _terms(env: Any) -> dict[str, str]:
    """Anchor of each term of the glossary -> its definition; empty in a book without one."""
    if _GLOSSARY not in env.found_docs:
        return {}
    from docutils import nodes

    items = env.get_doctree(_GLOSSARY).findall(nodes.definition_list_item)
    return {
        f"#{name}": item.next_node(nodes.definition).astext()
        for item in items
        for term in item.findall(nodes.term)
        for name in term["ids"]
    }


def _names(script: Any, words: tuple[str, ...]) -> bool:
    text = f"{getattr(script, 'filename', '')} {getattr(script, 'attributes', {}).get('body', '')}"
    return any(word in text for word in words)


def setup(app: Any) -> dict[str, Any]:
    """Entry point that Sphinx calls; the late priority lets every other extension add its scripts first."""
    app.connect("html-page-context", offline_page, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
