# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Many genomes, many texts, and proteins
#
# **Question.** One text and one genome stood for all so far: does *how much can be learned from context* explain what models show across corpora of very different kinds, or is there a residual that is DNA's own?
#
# :::{admonition} Answer
# :class: tip
#
# **Across {glue:md}`corpora`, what models gain from {term}`context` explains {glue:md}`explained_js_distance` of how genomes differ in the distance between models, {glue:md}`explained_topk_overlap_corrected` in shared neighbours and {glue:md}`explained_fisher_share` in the encoder's share of the Fisher information.**
# Between kinds, predictability and nature can be separated only where some gain alike: DNA gains {glue:md}`gain_dna` bits per token, text {glue:md}`gain_text`.
# Counting forecasts the gain of a corpus that the fit has not seen within {glue:md}`error` bits per token on average (the mean of the others: {glue:md}`mean_error`).
# :::

# %% tags=["remove-cell"]
import importlib.util

if importlib.util.find_spec("gfm_utils") is None:
    # %pip install -q "gfm_utils @ git+https://github.com/gfm-book/gfm-book"
    pass

# %% tags=["parameters", "hide-input"]
profile = "auto"
conditions = ["news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4"]
runs_dir = "../runs"
results_dir = "../_build/results"
seed = 42

# %%
import numpy as np

from gfm_utils import claims, figures
from gfm_utils.book import open_chapter
from gfm_utils.provenance import recorded

chapter = open_chapter("atlas", profile, conditions, runs_dir, results_dir, seed)
table, run = recorded("atlas")

# %% [markdown]
# This chapter shows a recorded run, whatever the conditions of these pages are: many corpora cost more than a chapter should.
# One command reproduces it, and another list of corpora makes another atlas.

# %%
figures.provenance_note(run)

# %% [markdown]
# ## Equal terms
#
# Of every corpus 1.5 million symbols are taken (bases, residues or characters), and cut by byte-pair encoding into a vocabulary of 512 tokens, learned from its own training part {cite:p}`sennrich2016`.
# Each has five models of one architecture, which read the same number of tokens with seeds of their own.
# Homologous sequences and repeated passages stay on one side of the split; what remains of them in both is counted (*test windows with a stretch that stands in the training part*).
#
# ## The map

# %% mystnb={"figure": {"caption": "Every corpus: to the right, its shortest code is longer, as a share of a uniform choice of its symbols; upwards, its models gain more from the tokens around a hidden one, as a share of what guessing by token frequencies costs (drawn by their logarithm above 1 %). Bars are 95 % intervals; a name without room is in the tooltip.", "name": "fig-atlas-map"}}
figures.atlas_map(table)

# %% [markdown]
# Symbol by symbol, the four sets of proteins lie where DNA does.
# But an entropy per symbol of an alphabet of four, of twenty and of a hundred characters is not the same thing; the context gain, in bits per token of equal vocabularies, is what the models themselves could use.
#
# ## Measures against what is learned
#
# The unit is the *corpus*.
# Each primary measure $y$ is a line in the binary logarithm of the context gain $g$ (in bits per token, 0.02 where there is less), with an intercept of each kind $k$:
#
# $$y = a_k + b \log_2 g + \varepsilon .$$
#
# The difference $a_k - a_j$ is that of two kinds *at equal gain*.
# Corpora that are not independent (one organism and its kin, translations of one text) are a *family*; intervals leave out a family at a time {cite:p}`cameron2015,arvesen1969`.
# Decided in advance: the measures are the primary ones of the claims; two kinds *differ* if the line and a parabola of the same shape in both say so with one sign, after Holm's correction {cite:p}`holm1979`; they are *not separable* if fewer than three families of either lie in the range of gains that both have.

# %% mystnb={"figure": {"caption": "The primary measures against the context gain (logarithmic), a point a corpus with 95 % intervals over members, and the line of each kind. Short strokes are the null of each: the matched null of the distance, untrained members else.", "name": "fig-atlas-measures"}}
figures.atlas_chart(table)

# %%
points = claims.atlas_points(table)
figures.contrasts_table(points)

# %% [markdown]
# *Apart* is the difference of the means of two kinds, whatever they gain; *at equal gain* is the residual, with its 95 % interval over families.
# The paper has more uncertain predictions, more disagreement, fewer shared neighbours and a smaller share of the encoder in DNA.
# Here the output entropy is {glue:md}`output_entropy_share_dna` of $\log_2 V$ in DNA and {glue:md}`output_entropy_share_text` in text, the distance between models {glue:md}`js_distance_dna` and {glue:md}`js_distance_text`, shared neighbours {glue:md}`topk_overlap_corrected_dna` and {glue:md}`topk_overlap_corrected_text`, and the encoder's share {glue:md}`fisher_share_dna` and {glue:md}`fisher_share_text`.
#
# Where no corpus of two kinds gains alike, gain and kind explain the same differences, and no analysis can tell them apart.
# Within one kind they can be: the same lines once more, of all corpora and of each kind alone.
# *Twice the gain* is the slope $b$; the shares are of the variance between corpora.

# %%
figures.spread_table(points)

# %% [markdown]
# Kinds are few; each is shown as a random effect, too: how far it is predicted to lie from the line of all {cite:p}`henderson1975,patterson1971`.

# %% tags=["hide-output"]
figures.residuals_table(points)

# %% [markdown]
# ## From genome to protein
#
# One organism, four corpora: its chromosome, the mRNA of its genes, their coding sequences, and the proteins that these spell.

# %%
figures.dogma_table(points)

# %% [markdown]
# ## A forecast before anything is trained
#
# Would pre-training on a corpus learn more than counting already tells?
# `gfm forecast my/genome.fa.gz` counts for less than a minute and answers with intervals, by a line a measure that is fitted on the atlas.
# It has two predictors: what counting on both sides of a token saves (the logarithm of bits per token), and the length of the shortest code as a share of a uniform choice.
# Context gain and right guesses are forecast as logarithms, so that their intervals are factors.
# Half of an interval is Student's $t$ times the root mean squared error on families that were left out.
#
# The two were chosen among several sets of predictors by the same corpora that judge them below, which flatters them a little; the rule that judges was set before.
# It is judged on corpora that the fit has not seen, left out with their whole family, and once more with all corpora of their kind; what it has to beat is the mean of the others.
# The interval score is the width of an interval and a penalty for what lies outside {cite:p}`gneiting2007`; smaller is better.

# %% mystnb={"figure": {"caption": "Forecasts from counting alone, of corpora that were left out with their family, with 90 % intervals; on the dashed line they are right.", "name": "fig-atlas-forecast"}}
forecasts = claims.left_out(points)
figures.forecast_chart(forecasts)

# %% [markdown]
# Counting alone forecasts {glue:md}`better` measures better than the mean of the other corpora does, much of which is the gap between text and the others; fitted to DNA alone, {glue:md}`among` measures of DNA.
# Intervals of the gain that should hold 90 % of corpora hold {glue:md}`held`; of a kind that the fit has not seen they are not to be trusted, and hold {glue:md}`held_kind`, by measure.

# %%
figures.judged_table(forecasts)

# %% [markdown]
# The corpora of these pages, forecast from the others (without kin); at the size of the atlas's models, not of this run's:

# %%
here, notes = claims.forecasts(conditions, points, chapter.runs_dir, seed)
figures.forecasts_table(here, notes)

# %% [markdown]
# Where a forecast does not beat the mean of the other corpora, or no corpus of the atlas is near, `gfm forecast` says so instead of a number; between DNA and text there is such a gap.
#
# ## All corpora
#
# A click on the head of a column sorts by it.

# %%
figures.atlas_table(points)

# %% [markdown]
# Each corpus unfolds to all of its measures, beside their nulls:

# %%
figures.corpus_reports(table)

# %% tags=["remove-output"]
chapter.save(claims.forecast_rows(here))
chapter.put(**figures.atlas_numbers(points, forecasts))

# %% [markdown]
# ## By hand
#
# How much of the differences between genomes in the distance between models the context gain explains: a straight line in its binary logarithm by least squares, and one minus the variance that it leaves over the whole.

# %%
genomes = points.query("kind == 'dna' and group != 'transcript'")
x, y = np.log2(np.maximum(genomes["context_gain"], 0.02)), genomes["js_distance"]
slope, start = np.polyfit(x, y, 1)
explained = 1 - np.var(y - slope * x - start) / np.var(y)
package = claims.slopes(genomes).set_index("metric").loc["js_distance"]
assert np.allclose([slope, explained], [package["value"], package["gain_alone"]])
print(f"{explained:.1%} of the variance between {len(genomes)} genomes; twice the gain: {slope:+.4f}")

# %% [markdown]
# ## What would change our mind
#
# - Models that are larger or trained longer, whose points move to the right, and then apart by kind.
#   These are small and trained briefly: of what counting on both sides or a {term}`code` saves on hidden tokens they save {glue:md}`learned_dna` in DNA, {glue:md}`learned_protein` in protein and {glue:md}`learned_text` in text (medians over corpora).
# - Texts that gain as little as genomes do, or genomes that gain as much as texts: where no family of either kind gains alike, the line carries the whole comparison.
#   [The causal test](causal) makes such texts by mixing tokens.
# - A genome far off the line of its kind, of a kingdom that is not here.
