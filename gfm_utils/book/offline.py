"""The two JavaScript libraries of the pages, from Python packages, so that no page asks the network."""

import importlib.metadata
import importlib.util
import json
import shutil
from pathlib import Path

from gfm_utils.errors import GfmError
from gfm_utils.files import atomic

VEGA_BUNDLE = "vega-bundle.js"
_EXPORT = "window.vega = vega; window.vegaLite = vegaLite; window.vegaEmbed = vegaEmbed;"
MATHJAX = "tex-svg-full.js"  # every TeX extension and every glyph in one file: nothing is loaded later


def copy_vega(cache: Path, folder: Path) -> None:
    """Write ``vega-bundle.js``: Vega, Vega-Lite and Vega-Embed in the versions that Altair's charts ask for.

    Altair's HTML loads each library from a CDN unless ``VEGA_DEBUG`` says that it is there in that version.

    Args:
        cache: folder that keeps the bundle between builds (making it takes seconds).
        folder: where to put it.
    """
    import altair
    import vl_convert

    versions = {
        "vega_version": altair.VEGA_VERSION,
        "vegalite_version": altair.VEGALITE_VERSION,
        "vegaembed_version": altair.VEGAEMBED_VERSION,
    }
    made_by = importlib.metadata.version("vl-convert-python")
    kept = cache / f"{'-'.join(versions.values())}-{made_by}.js"
    if not kept.is_file():
        bundle = vl_convert.javascript_bundle(_EXPORT, ".".join(altair.VEGALITE_VERSION.split(".")[:2]))
        with atomic(kept) as temporary:
            temporary.write_text(
                f"(function () {{\n{bundle}\n}})();\n"
                f"window.VEGA_DEBUG = Object.assign(window.VEGA_DEBUG || {{}}, {json.dumps(versions)});\n",
                encoding="utf-8",
            )
    shutil.copyfile(kept, folder / VEGA_BUNDLE)


def copy_mathjax(folder: Path) -> None:
    """Write ``mathjax/tex-svg-full.js``, MathJax 3 as the distribution ``sphinx-mathjax-offline`` holds it.

    Raises:
        GfmError: the distribution is not installed.
    """
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise GfmError("the formulas need the package sphinx-mathjax-offline; install it with pip")
    (folder / "mathjax").mkdir(exist_ok=True)
    shutil.copyfile(Path(spec.origin).parent / "static" / "mathjax" / MATHJAX, folder / "mathjax" / MATHJAX)
