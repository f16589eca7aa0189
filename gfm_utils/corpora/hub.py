"""Streaming from the Hugging Face hub (extra ``hub``)."""

from collections.abc import Iterator

from gfm_utils.corpora.registry import HubSource
from gfm_utils.errors import GfmError


def stream(name: str, source: HubSource, max_symbols: int | None) -> Iterator[tuple[str, str]]:
    """Records of a data set on the hub (or in a local folder of that name), until they hold ``max_symbols``.

    Args:
        name: the corpus's name, for messages.
        source: which data set, files and field.
        max_symbols: characters or bases after which to stop; None: all of it.

    Yields:
        Name and content of each record.

    Raises:
        GfmError: the package ``datasets`` is missing, the hub is out of reach, or the field does not exist.
    """
    try:
        import datasets
    except ImportError:
        raise GfmError(
            f"corpus {name!r} is streamed from the Hugging Face hub and needs the package 'datasets'; "
            "install it with pip install 'gfm_utils[hub]'"
        ) from None
    try:
        rows = datasets.load_dataset(
            source.dataset, source.config, data_files=source.data_files, split=source.split, streaming=True
        )
        taken = 0
        for number, row in enumerate(rows):
            if source.field not in row:
                raise GfmError(f"corpus {name!r} has no field {source.field!r}; it has {', '.join(row)}")
            text = row[source.field] or ""
            yield str(row.get("title") or row.get("record") or f"row-{number + 1}"), text
            taken += len(text)
            if max_symbols is not None and taken >= max_symbols:
                return
    except (OSError, ValueError, RuntimeError) as error:  # what datasets and its HTTP client raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise GfmError(
            f"corpus {name!r} could not be streamed from the hub ({reason}); check the network and try again"
        ) from None
