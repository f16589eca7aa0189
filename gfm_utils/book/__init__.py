"""The book: run the chapters (papermill), build the pages, make them work offline."""

from gfm_utils.book.batch import BatchReport, run
from gfm_utils.book.chapter import Chapter, open_chapter
from gfm_utils.book.driver import BuildReport, build
from gfm_utils.book.headline import recorded_differences

__all__ = ["BatchReport", "BuildReport", "Chapter", "build", "open_chapter", "recorded_differences", "run"]
