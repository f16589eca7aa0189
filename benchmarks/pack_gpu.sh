#!/usr/bin/env bash
# Pack what a GPU machine lacks that has torch and transformers alone, and no network: wheels and the two corpora.
#
#   bash benchmarks/pack_gpu.sh     here: makes .gpu (22 MiB, ignored by git)
#   bash .gpu/run.sh                there, in a copy of the repository with .gpu: benchmarks/gpu.py, whose options it takes
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON_THERE=${PYTHON_THERE:-3.12}
CACHE=${GFM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gfm_utils}
WHEELS='annotated-types backports-zstd ftfy mwparserfromhell platformdirs pooch pydantic pydantic-core pydivsufsort
  pyppmd typing-inspection typing-extensions wcwidth'

rm -rf .gpu
mkdir -p .gpu/wheels .gpu/cache/corpora
pins=()
for name in $WHEELS; do
  pin=$(grep -iE "^${name//-/[-_.]}==" constraints.txt || true)
  pins+=("${pin:-$name}")
done
platforms=()  # pip takes a wheel of exactly one of these, not of an older system
for minor in 39 36 34 31 28 27 24 17 12 5; do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
for year in 2014 2010 1; do platforms+=(--platform "manylinux${year}_x86_64"); done
.venv/bin/python -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: \
  --implementation cp --python-version "$PYTHON_THERE" "${platforms[@]}" -d .gpu/wheels "${pins[@]}"  \
  2> >(grep -v "is ignored: it is neither a file nor a directory" >&2)

.venv/bin/gfm fetch news tair10-chr1 > /dev/null
for file in news/NewsArticles.zip tair10-chr1/tair10-chr1.fna.gz; do
  mkdir -p ".gpu/cache/corpora/$(dirname "$file")"
  cp "$CACHE/corpora/$file" ".gpu/cache/corpora/$file"
done
git describe --always --dirty=+ --exclude '*' > .gpu/commit

cat > .gpu/run.sh << 'RUN'
#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3} SITE=${SITE:-/tmp/gpu-site}
"$PYTHON" -m pip install -q --disable-pip-version-check --no-index --no-deps --no-compile --upgrade \
  --target "$SITE" .gpu/wheels/*.whl
export PYTHONPATH=$SITE:$PWD HF_HUB_OFFLINE=1 GFM_CACHE=${GFM_CACHE:-$PWD/.gpu/cache} GFM_COMMIT=$(cat .gpu/commit)
exec "$PYTHON" benchmarks/gpu.py "$@"
RUN
echo "$(find .gpu/wheels -name '*.whl' | wc -l) wheels, $(du -sm .gpu | cut -f1) MiB in .gpu"
