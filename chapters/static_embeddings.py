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
# # Static embeddings
#
# **Question.** Do members of an ensemble give the same tokens the same neighbours?
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
profile = "auto"
conditions = ["news@bpe256", "tair10-chr1@bpe256", "tair10-chr1@kmer4"]
runs_dir = "../runs"
results_dir = "../_build/results"
seed = 42

# %%
from gfm_utils import figures, measures
from gfm_utils.book import answers, open_chapter

chapter = open_chapter("static_embeddings", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## Method
#
# The *static embedding* of a token is its row of the input embedding matrix, before any context is seen.
# Two members cannot be compared number by number: turning all the embeddings of a model leaves what it computes unchanged as long as the rest of the model turns with them.
# So one compares what a rotation keeps.
#
# - *Top-k overlap*: the k nearest neighbours of a token by cosine, in one member and in the other, as sets $A$ and $B$; their Jaccard index $|A \cap B| / |A \cup B|$, averaged over tokens.
#   Two random sets of $k$ among $n - 1$ tokens have a hypergeometric intersection, which gives the chance level exactly.
#   It is far from zero for large $k$, so the *corrected* overlap, (overlap - chance) / (1 - chance), puts chance at 0 and the same sets at 1.
# - *Local Spearman correlation*: do two members order the similarities of a token to its neighbours alike?
#   Over the $k$ tokens of $A$, then over those of $B$, averaged, with ties at their average rank; chance is 0.
#   The paper's reference code uses $A$ twice, so its value depends on which member comes first; it is shown for comparison under its own name.
# - *Procrustes disparity* {cite:p}`schonemann1966`: what is left after the best shift, scale and rotation, as a share; 0 is the same shape.
#   The *cosine after alignment* is that of each rotated vector with its aim.
# - *CKA* {cite:p}`kornblith2019`: $\mathrm{HSIC}(K, L) / \sqrt{\mathrm{HSIC}(K, K)\,\mathrm{HSIC}(L, L)}$ of the two kernel matrices, linear, or Gaussian with the median distance as its width (RBF); 1 is the same up to rotation and scale.
#   With few tokens and many dimensions even unrelated matrices score well above 0, so here it is *debiased* {cite:p}`song2012,nguyen2021`: around 0 for unrelated members.
#
# Tokens that never occur in training are left out, and so are the special tokens; {numref}`fig-all-rows` shows what they would change.

# %% mystnb={"figure": {"caption": "Agreement about nearest neighbours between members, beyond chance; choose the measure below. Solid: trained, with 95 % intervals over members; dashed: untrained. Grey: members that were trained on text in random order, which can learn token frequencies and nothing else.", "name": "fig-neighbourhoods"}}
table = measures.static_embeddings(chapter.ensembles)
shuffled = measures.shuffled_control(chapter.ensembles, chapter.profile)
figures.neighbourhood_chart(table, baseline=measures.static_embeddings([shuffled]))

# %% [markdown]
# ## What we see
#
# In {numref}`fig-neighbourhoods` the distance of a solid line from its dashed one is what members have learned in common about which tokens are alike.
# Of that, token frequencies alone give as much as the grey line has.

# %% [markdown]
# ### Look for yourself
#
# A token of the list, and its nearest neighbours in each member: a shaded neighbour is one that other members have, too.

# %% mystnb={"figure": {"caption": "The nearest neighbours of a token in each trained member; choose one of the commonest tokens below. A space is written ␣.", "name": "fig-explorer"}}
figures.neighbour_explorer(measures.nearest_tokens(chapter.ensembles))

# %% mystnb={"figure": {"caption": "Shape of the whole set of embeddings, compared between members. Filled: trained; open: untrained. Bars are 95 % intervals over members.", "name": "fig-alignment"}}
figures.alignment_chart(table)

# %% [markdown]
# ### All rows of the matrix
#
# The paper's reference code compares all rows of the matrix, those of special tokens and of tokens that never occur among them, and takes the median of its RBF kernel over all entries of the distance matrix, the zeros of its diagonal among them.
# Tokens that never occur are targets that are never right, and training pushes their rows far out in one direction, in every member.
# So a handful of special tokens can make much of the agreement, that of linear CKA above all, where the rest agrees little: {numref}`fig-all-rows` shows how much.

# %% mystnb={"figure": {"caption": "Agreement between members on the tokens that occur in training (discs) and on all rows of the matrix, as in the paper's reference code (squares); choose trained or untrained members below.", "name": "fig-all-rows"}}
figures.all_rows_chart(table)

# %% [markdown]
# ### Common and rare tokens
#
# Each band of {numref}`fig-bands` holds a third of the tokens of the training part: few different ones are *frequent*, many are *rare*.
# Embeddings of rare tokens have moved less from their random start.

# %% mystnb={"figure": {"caption": "Agreement between members by token frequency; choose the measure below. Neighbours are sought among all tokens, shapes are compared within a band. Dashed: untrained.", "name": "fig-bands"}}
figures.band_chart(table)

# %%
figures.overview(table, "procrustes_disparity", "linear_cka", "linear_cka_debiased", "rbf_cka_debiased")

# %% [markdown]
# ## The paper's claim
#
# The primary measure is the one that the front page judges the claim by; the others test how robust it is, and in brackets stand nulls.
# The difference is that of the pair of conditions with the largest p-value, by Welch's test over members {cite:p}`welch1947`, with the spread over test windows added where a number depends on them.
# A measure speaks *for* the claim if every condition of DNA differs from every one of text in the claimed direction, each p-value at most 0.05 {cite:p}`berger1982`; *against* it if all differ the other way.
# The front page draws the verdict, which is corrected for all claims and asks first whether the models have learned enough.

# %%
figures.claims_overview(table)

# %% tags=["remove-output"]
chapter.save(table)
chapter.answer(answers.with_recorded_runs(answers.static_answer, table))

# %% [markdown]
# ## Caveats
#
# - The untrained members set the level that training starts from, not zero; read every number against it.
# - Embeddings of rare tokens have moved little from their random start, so corpora with many rare tokens look less stable; compare conditions within a band of {numref}`fig-bands`.
# - A band of few tokens in many dimensions can be rotated onto anything: its Procrustes disparity is low even for untrained members.
# - The embedding matrix is also the decoder: it is shaped by what a token is predicted *from*, not only by what it means as input.
#
# **What would change our mind.** If longer training brought the overlap for DNA up to that of text at equal distance from the chance level, instability would be a matter of budget.
# A difference around zero meets that, for this way of cutting; [the chapter on longer training](training) adds that it takes the right optimiser.

# %%
answers.recorded_differences("topk_overlap_corrected")

# %% [markdown]
# ## Exercises
#
# 1. At `k = 1`, what is the chance level for a vocabulary of 256, and of 4096?
# 2. Load two members and align them by `scipy.linalg.orthogonal_procrustes`.
#    Which tokens fit worst?
