"""The registry of corpora, ``data/corpora.yaml``: what it holds, validated."""

import os
import sys
import sysconfig
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from gfm_utils.corpora.segments import Kind
from gfm_utils.errors import GfmError, unknown
from gfm_utils.files import cache_dir

Format = Literal["fasta", "fastq", "text", "csv", "tsv", "parquet", "mediawiki"]
#: A name that stays inside the folder that it is put into.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(_Strict):
    """A file inside a wheel of Python's index or a Debian package, or several; nothing of it is installed."""

    type: Literal["wheel", "deb"]
    package: str = Field(pattern=r"^[A-Za-z0-9]")
    version: str = Field(pattern=r"^[A-Za-z0-9.+:~_!-]+$")
    member: str = Field(pattern=r"^[^/]", description="path inside the package, or a glob")
    platform: str | None = Field(None, description="platform tag, for a wheel that has one")

    @property
    def is_glob(self) -> bool:
        """Whether the member may stand for several files."""
        return "*" in self.member or "?" in self.member

    def __str__(self) -> str:
        return f"{self.type} {self.package} {self.version}, {Path(self.member).name}"


class UrlSource(_Strict):
    """A file on the web."""

    type: Literal["url"]
    url: str = Field(pattern=r"^(?i:https?)://")

    def __str__(self) -> str:
        return self.url


class HubSource(_Strict):
    """A data set of the Hugging Face hub, streamed (extra ``hub``)."""

    type: Literal["hub"]
    dataset: str
    config: str | None = None
    data_files: str | None = Field(None, description="glob of files inside the data set")
    split: str = "train"
    field: str = Field("text", description="the field that holds the text or the sequence")
    revision: str | None = Field(None, description="branch, tag or commit; null: main, as it is at the first use")

    def __str__(self) -> str:
        return f"hub {self.dataset}" + (f" {self.config}" if self.config else "")


class _Checked(_Strict):
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="null: trust on first use")
    size: int | None = Field(None, gt=0, description="bytes of the file")


class SourceFile(_Checked):
    """A file beside the corpora of the registry: an annotation (GFF3), or what a user gives the address of."""

    file: FileName = Field(description="name of the file in the cache")
    sources: tuple[Annotated[PackageSource | UrlSource, Field(discriminator="type")], ...] = Field(min_length=1)


class Entry(_Checked):
    """One corpus of the registry."""

    kind: Kind
    label: str | None = Field(None, description="short name in figures of many corpora")
    group: str | None = Field(None, description="kingdom, or sort of text, in tables of many corpora")
    relatives: str | None = Field(None, description="shared name of kin and of translations, which count as one")
    description: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    terms: str | None = Field(None, description="what the licence forbids or asks for, said before a download")
    citation: str = Field(min_length=1)
    format: Format
    sources: tuple[Annotated[PackageSource | UrlSource | HubSource, Field(discriminator="type")], ...] = Field(
        min_length=1, description="tried in order, all giving the same file"
    )
    file: FileName | None = Field(None, description="name of the file in the cache; null for the hub")
    encoding: str = "utf-8"
    column: str | None = Field(None, description="column of a CSV or Parquet file")
    translate: bool = Field(False, description="protein: the file holds coding sequences of DNA")
    repairs: tuple[Literal["lost-quotes"], ...] = ()
    annotation: SourceFile | None = Field(
        None, description="of DNA: where its genes lie; of text: the class of each word"
    )

    def announce(self, name: str) -> None:
        """Say on standard error what the licence forbids or asks for, if the registry says so."""
        if self.terms is not None:
            print(f"{name}: {self.licence}, {self.terms}", file=sys.stderr)

    @property
    def hub(self) -> HubSource | None:
        """The hub source, if this corpus is streamed."""
        source = self.sources[0]
        return source if isinstance(source, HubSource) else None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        packages = [source for source in self.sources if isinstance(source, PackageSource)]
        kinds = {"fasta": ("dna", "protein"), "fastq": ("dna",)}.get(self.format, ("text",))
        notes = self.annotation
        for wrong, reason in (
            (len(self.sources) > 1 and any(isinstance(source, HubSource) for source in self.sources),
             "a hub source stands alone in 'sources'"),
            (not self.hub and not self.file, "'file' is needed for a corpus that is downloaded"),
            (packages and not self.sha256, "'sha256' is needed for a file of a package"),
            (any(source.is_glob for source in packages) and not str(self.file).endswith(".zip"),
             "'file' must end in .zip where 'member' is a glob"),
            (self.kind not in kinds and not self.hub and not self.column,
             f"format {self.format!r} does not give kind {self.kind!r}"),
            (self.translate and (self.kind, self.format) != ("protein", "fasta"),
             "'translate' is for protein, of coding sequences in FASTA"),
            (notes and (self.kind == "protein" or notes.file == self.file),
             "'annotation' is for DNA and text, and needs a 'file' of its own"),
        ):  # fmt: skip
            if wrong:
                raise ValueError(reason)
        return self


_ENTRIES = TypeAdapter(Annotated[dict[FileName, Entry], Field(min_length=1)])


def registry() -> dict[str, Entry]:
    """Every corpus by its name, in the order of the file.

    Read from ``$GFM_REGISTRY`` if set, else ``data/corpora.yaml`` of the repository, else the copy that a wheel
    installs under ``share/gfm_utils``.

    Raises:
        GfmError: the registry is missing, is not YAML, or an entry does not fit: names the entry and the field.
    """
    installed = Path(sysconfig.get_path("data")) / "share" / "gfm_utils" / "corpora.yaml"
    usual = (Path(__file__).parents[2] / "data" / "corpora.yaml", installed)
    candidates = [Path(given)] if (given := os.environ.get("GFM_REGISTRY")) else usual
    for path in candidates:
        if path.is_file():
            return dict(_entries(path, path.read_text(encoding="utf-8")))
    raise GfmError(f"no registry of corpora at {candidates[0]}; set GFM_REGISTRY to the path of corpora.yaml")


class _Loader(yaml.SafeLoader):
    """A reader of YAML that refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node."""
        keys = [self.construct_object(key) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice[0]!r} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


@lru_cache(maxsize=4)
def _entries(path: Path, text: str) -> dict[str, Entry]:
    """Every corpus of a registry of that text, which is parsed once a process."""
    try:
        return _ENTRIES.validate_python(yaml.load(text, _Loader))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise GfmError(f"{path} is not valid YAML ({reason}); mend the file") from None
    except ValidationError as error:
        first = error.errors()[0]
        name, *steps = first["loc"] or ("?",)
        where = ".".join(map(str, steps)) or "the entry itself"
        raise GfmError(f"{path}, corpus {name!r}, field {where}: {first['msg']}") from None


def find(name: str) -> Entry:
    """The registry's entry of that name.

    Raises:
        GfmError: no corpus has that name.
    """
    entries = registry()
    if name not in entries:
        raise unknown("corpus", name, entries, hint="or the path of a file")
    return entries[name]


def cached_path(name: str, entry: Entry | SourceFile) -> Path | None:
    """Where the file of a corpus, or of its annotation, stands once fetched; None for a streamed corpus."""
    return None if entry.file is None else cache_dir() / "corpora" / name / entry.file


def status() -> list[dict[str, Any]]:
    """One row a corpus: name, kind, size (bytes, or null), licence, source, description, and whether it is cached.

    Raises:
        GfmError: the registry does not validate.
    """
    places = {name: cached_path(name, entry) for name, entry in registry().items()}
    return [
        {
            "name": name, "kind": entry.kind, "size": entry.size, "licence": entry.licence,
            "cached": (place := places[name]) is not None and place.is_file(), "source": str(entry.sources[0]),
            "description": entry.description,
        }
        for name, entry in registry().items()
    ]  # fmt: skip
