"""Run the chapters, build the pages so that they work offline, and look at the pages in a browser."""

from gfm_utils.book.driver import BuildReport, build

__all__ = ["BuildReport", "build"]
