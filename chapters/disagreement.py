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
# # Disagreement
#
# **Question.** Do equally good models, trained on the same data in the same order, say the same about a masked token?
#
# **Answer**, from this run:
#
# ```{glue:md} answer
# :format: myst
# ```

# %% tags=["remove-cell"]
import importlib.util

if importlib.util.find_spec("gfm_utils") is None:
    # %pip install -q "gfm_utils @ git+https://github.com/gfm-book/gfm-book"
    pass

# %% tags=["parameters", "hide-input"]
profile = "quick"
conditions = ["news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4"]
runs_dir = "../runs"
results_dir = "../_build/results"
seed = 42

# %%
from gfm_utils import analyses, figures
from gfm_utils.book import answers, open_chapter

chapter = open_chapter("disagreement", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## Method
#
# For each masked test token every member $m$ of an ensemble gives a distribution $p_m$ over the same vocabulary.
#
# - The *Jensen–Shannon distance* {cite:p}`lin1991,endres2003` of two of them is
#   $\sqrt{\mathrm{JS}(p, q)}$ with $\mathrm{JS}(p, q) = H\!\left(\tfrac{p+q}{2}\right) - \tfrac{H(p)+H(q)}{2}$ in bits: 0 if they are equal, 1 if they share no token.
# - *Top-p* looks at the likeliest tokens alone: the fewest that hold a share $p$ of the probability are kept and rescaled {cite:p}`holtzman2020`.
# - The *mutual information* between prediction and member {cite:p}`houlsby2011`, $H(\bar p) - \frac1n \sum_m H(p_m)$, splits the uncertainty of the whole ensemble into what each member admits and what comes from not knowing which member to believe.
# - *Top-1 agreement* is the share of tokens for which two members name the same likeliest token.
#   Two members that both always named the commonest token would agree always, so it stands beside the agreement that two independent members with the same preferences would have.
#
# Two controls are drawn in the same figures: the *untrained* members, and *unrelated tokens*, the distance between one member's prediction for a token and another's for a different token.
#
# Pairs are not independent: five members make ten pairs.
# Intervals leave out one member with all its pairs at a time {cite:p}`arvesen1969`.

# %% mystnb={"figure": {"caption": "Jensen–Shannon distance between members, against the share of the probability kept. Solid: trained, with 95 % intervals over members; dashed: untrained; dotted: predictions for unrelated tokens. Click a condition in the legend to see it alone.", "name": "fig-top-p"}}
table = analyses.disagreement(chapter.ensembles, chapter.profile, seed)
figures.top_p_chart(table)

# %% [markdown]
# ## Reading it
#
# The right end of {numref}`fig-top-p` is the distance of the whole distributions, the left end that of the favourites alone.
# The two ends answer different questions.
# Two near-uniform distributions are close to each other *because* they are near-uniform, so at the right end a corpus of high entropy tends to show *less* disagreement, not more.
# At the left end only the likeliest tokens are left, and small differences decide which these are: any pair of flat distributions looks far apart there, trained or not.
# A solid line says something about learning only where it keeps its distance from both the dashed and the dotted one.

# %% mystnb={"figure": {"caption": "Share of masked tokens for which two members have the same likeliest token, with 95 % intervals over members. Pale: untrained. Black tick: the level of chance, from how often each member names each token.", "name": "fig-agreement"}}
figures.agreement_chart(table)

# %%
figures.overview(table, "js_distance", "js_distance_mismatched", "mutual_information", "top1_agreement", digits=4)

# %% [markdown]
# ## Pair by pair
#
# One pair far from the others would be a member that went astray; choose a condition and a top-p in {numref}`fig-pairs`.

# %% mystnb={"figure": {"caption": "Jensen–Shannon distance of every pair of trained members, by their seeds.", "name": "fig-pairs"}}
figures.pair_chart(table)

# %% tags=["remove-output"]
chapter.save(table)
chapter.answer(answers.disagreement_answer(table))

# %% [markdown]
# ## Caveats
#
# - "Higher entropy, more disagreement" is not one statement: it depends on whether one asks about whole distributions, about favourites, or about the disagreement relative to what was learned.
# - Our top-p keeps the token that crosses the threshold; the paper's code drops it, which makes the left end of the curve rise further.
# - The members differ by initial weights alone; other orders of the data, or other masks, would add disagreement of their own.
#
# **What would change our mind.** If the curves for DNA stayed above those for text at full mass too, and clear of both controls, the paper's second claim would hold without a choice of definition.
#
# ## Exercises
#
# 1. At which top-p do text and DNA change places in {numref}`fig-top-p`?
# 2. Divide the mutual information by the context gain of the chapter on predictions.
#    Which corpus disagrees more per bit learned?
