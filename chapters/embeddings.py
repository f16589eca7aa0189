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
# # Embeddings
#
# **Question.** Do models that differ in their first random weights alone agree on which tokens are alike, and on what a token means in its context?
#
# :::{admonition} Answer
# :class: tip
#
# **Of the ten tokens nearest to a token, two models of English share {glue:md}`shared_text` and two models of DNA {glue:md}`shared_dna`; by chance it would be {glue:md}`chance_text` and {glue:md}`chance_dna`.**
# That is of {term}`embeddings <embedding>`, before any context is read, and how common tokens are has a part in it: in this run models of English in random order, which know nothing else, share {glue:md}`frequencies_text`, and models of English as it is {glue:md}`here_text`.
# In the last layer, where the context counts, the overlap {term}`beyond chance` is {glue:md}`layer_text` on English and {glue:md}`layer_dna` on DNA.
# (From {glue:md}`source`.)
# :::
#
# ```{glue:md} numbers
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
from itertools import combinations

import numpy as np

from gfm_utils import figures, measures
from gfm_utils.book import open_chapter, recorded_differences

chapter = open_chapter("embeddings", profile, conditions, runs_dir, results_dir, seed)

# %% mystnb={"figure": {"caption": "Of the ten nearest neighbours of a token's embedding, how many two models share, with 95 % intervals over members; filled: trained, open: untrained. Strokes: chance. In random order only the frequencies of tokens can be learned.", "name": "fig-overlap"}}
table = measures.static_embeddings(chapter.ensembles)
frequencies = measures.static_embeddings([measures.shuffled_control(chapter.ensembles, chapter.profile)])
figures.overlap_chart(table, frequencies)

# %% [markdown]
# ## How embeddings are compared
#
# The (static) {term}`embedding` of a token is its row of the input embedding matrix, before any context is seen.
# Two members cannot be compared number by number: turning all the embeddings of a model leaves what it computes unchanged as long as the rest of the model turns with them.
# So one compares what a rotation keeps.
#
# - *Top-k overlap*: the k nearest neighbours of a token by cosine, in one member and in the other, as sets $A$ and $B$; their Jaccard index $|A \cap B| / |A \cup B|$, averaged over tokens.
#   From the same sets comes the number of *shared neighbours*, $|A \cap B|$, of {numref}`fig-overlap`.
#   Two random sets of $k$ among $n - 1$ tokens have a hypergeometric intersection, which gives the chance level exactly.
#   It is far from zero for large $k$, so the *corrected* overlap, (overlap - chance) / (1 - chance), puts chance at 0 and the same sets at 1.
# - *Local Spearman correlation*: do two members order the similarities of a token to its neighbours alike?
#   Over the $k$ tokens of $A$, then over those of $B$, averaged, with ties at their average rank; chance is 0.
#   The paper's reference code uses $A$ twice, so its value depends on which member comes first; it is shown for comparison under its own name.
# - *Procrustes disparity* {cite:p}`schonemann1966`: the residual after the best shift, scale and rotation, as a share of the whole; 0 is the same shape.
#   The *cosine after alignment* is that of each rotated vector with its aim.
# - *CKA* {cite:p}`kornblith2019`: $\mathrm{HSIC}(K, L) / \sqrt{\mathrm{HSIC}(K, K)\,\mathrm{HSIC}(L, L)}$ of the two kernel matrices, linear, or Gaussian with the median distance as its width (RBF); 1 is the same up to rotation and scale.
#   With few tokens and many dimensions even unrelated matrices score well above 0, so here it is *debiased* {cite:p}`song2012,nguyen2021`: around 0 for unrelated members.
#
# Tokens that never occur in training are left out, and so are the special tokens; {numref}`fig-alignment` shows what they would change.

# %% [markdown]
# ## More or fewer neighbours
#
# In {numref}`fig-neighbourhoods` the distance of a solid line from its dashed one is what members have learned in common about which tokens are alike.
# The grey line is the baseline of token frequencies alone.

# %% mystnb={"figure": {"caption": "Agreement about nearest neighbours between members, beyond chance; choose the measure below. Solid: trained, with 95 % intervals over members; dashed: untrained. Grey: members that were trained on text in random order, which can learn token frequencies and nothing else.", "name": "fig-neighbourhoods"}}
figures.neighbourhood_chart(table, frequencies)

# %% [markdown]
# Choose a token, and see its nearest neighbours in each member: a shaded neighbour is one that other members have, too.

# %% mystnb={"figure": {"caption": "The nearest neighbours of a token in each trained member; choose one of the commonest tokens below. A space is written ␣.", "name": "fig-explorer"}}
figures.neighbour_explorer(measures.nearest_tokens(chapter.ensembles))

# %% [markdown]
# ## The shape of all embeddings
#
# {numref}`fig-alignment` compares whole sets of embeddings.
# The paper's reference code compares all rows of the matrix, those of special tokens and of tokens that never occur among them.
# Tokens that never occur are targets that are never right, and training pushes their rows far out in one direction, in every member.
# So a handful of special tokens can make much of the agreement, that of linear CKA above all, where other tokens agree little.

# %% mystnb={"figure": {"caption": "Shape of the whole set of embeddings, compared between members on the tokens that occur in training, or on all rows of the matrix as in the paper's reference code; choose below. Filled: trained, open: untrained; bars are 95 % intervals over members.", "name": "fig-alignment"}}
figures.alignment_chart(table)

# %% [markdown]
# ## Common and rare tokens
#
# Each band of {numref}`fig-bands` holds a third of the tokens of the training part: few different ones are *frequent*, many are *rare*.
# Embeddings of rare tokens have moved less from their random start.

# %% mystnb={"figure": {"caption": "Agreement between members by token frequency; choose the measure below. Neighbours are sought among all tokens, shapes are compared within a band. Dashed: untrained.", "name": "fig-bands"}}
figures.band_chart(table)

# %% [markdown]
# ## From layer to layer
#
# The hidden state of a token after a layer is its *contextual embedding*: it depends on the tokens around it.
# We read test windows with nothing masked, and look at the states after the embeddings (which know no context) and after every layer of the encoder, for single tokens and for windows (the mean of their tokens).
# What needs all of them is streamed through second moments; what needs pairs uses a seeded sample, the same in all members.
#
# **Shape**, of each member by itself, with $\lambda$ the eigenvalues of the covariance matrix and $u$ the states scaled to length 1:
#
# - *Effective rank* {cite:p}`roy2007`: $\exp(-\sum_i p_i \log p_i)$ with $p_i = \lambda_i / \sum_j \lambda_j$, and *participation ratio* {cite:p}`gao2017`: $(\sum_i \lambda_i)^2 / \sum_i \lambda_i^2$; both count the directions in use, from 1 to the width.
# - *Anisotropy* {cite:p}`ethayarajh2019`: the mean cosine of two states; 0 if directions are spread evenly, 1 if all are the same.
# - *Uniformity* {cite:p}`wang2020`: $\log \mathrm{E} \exp(-2 |u - u'|^2)$; the lower, the more evenly the states fill the sphere.
# - *Spread of distances*: the standard deviation of the distances $|h - h'|$ of two states $h$, at the length that the model gives them.
#
# **Agreement** between two members:
#
# - *Debiased linear CKA* {cite:p}`kornblith2019,song2012,nguyen2021`: 1 if the states are the same up to rotation and scale, around 0 if unrelated.
# - *Overlap of nearest neighbours*: of the 10 nearest other tokens of the sample by cosine, the Jaccard index between members, with chance at 0; each different token is in the sample once, so that no word is its own neighbour.
#
# Two controls go with every number: the untrained members, and the embeddings, which see no context.

# %% mystnb={"figure": {"caption": "Hidden states at each layer: how far two members agree about them, and their shape; choose measure and unit below. Solid: trained, with 95 % intervals over members; dashed: untrained.", "name": "fig-layers"}}
layers = measures.contextual_embeddings(chapter.ensembles, chapter.profile)
figures.layer_chart(layers)

# %% [markdown]
# The measures of shape in {numref}`fig-layers` say how many directions the states of a model use, those of agreement whether another member uses them in the same way.
# Untrained members are far from zero in CKA: wherever the same token occurs its states are alike, in every member, whatever the weights.
# The overlap of neighbours compares different tokens only, and there untrained members are near chance.
# What training adds is the distance between a solid line and its dashed one.
#
# The debiased linear CKA of two layers of one member, mean over members: a layer that changes nothing has 1 with the one before, and an encoder that hardly uses the context stays close to its embeddings.

# %%
figures.overview(layers, "layer_cka", axis="layers")

# %% [markdown]
# ## The paper's definitions
#
# The paper's reference code looks at the last layer alone, at windows alone (the mean over all their tokens), and at windows with 15 % of the tokens masked, each token by itself.
# Some of its formulas differ, too:
#
# - its *effective rank* is of the singular values of the centred states, $p_i = \sqrt{\lambda_i} / \sum_j \sqrt{\lambda_j}$, which counts weak directions for more and so is never smaller;
# - its *anisotropy* is $|\mathrm{E} u|$, the length of the mean direction; ours is the mean cosine of two different states, which the paper's code has as `avgcosim`, and which is about the square of it;
# - its *L2 alignment* is $\mathrm{E} |u_A - u_B|^2$ of the directions $u_A$ and $u_B$ that two members give the same states: without a rotation it is about 2 for members whose axes have nothing to do with each other, however alike they are, so that this book has no such measure;
# - its *neighbour alignment* is the share of the 10 nearest that two members have in common, without its level of chance;
# - its *linear CKA* is the biased one, above 0 for unrelated members.
#
# Those of the next table are the paper's, on its inputs; {numref}`fig-layers` has ours, of windows without masks.

# %%
paper = ["effective_rank_authors", "anisotropy_authors", "anisotropy", "uniformity", "pairwise_dist_std"]
paper += ["neighbour_alignment_authors", "alignment_l2_authors", "linear_cka"]
figures.overview(layers, *(f"pooled_{name}" for name in paper), axis="layer_masked")

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
whole = chapter.save(table, layers)
chapter.headline(
    whole, shared="topk_shared", chance="topk_shared:null", bare="topk_shared:untrained",
    layer="tokens_alignment", cka="tokens_cka", bare_cka="tokens_cka:untrained",
)  # fmt: skip
chapter.say(frequencies, frequencies="topk_shared")
chapter.say(table, here="topk_shared")

# %% [markdown]
# ## By hand
#
# How many of a token's ten nearest neighbours two members of the first condition share, from the embeddings in their checkpoints: cosines, a sort, and the number of tokens that are in both lists, averaged over tokens and pairs.

# %%
first = chapter.ensembles[0]
seen = np.flatnonzero(first.store.counts("train")[5:]) + 5  # tokens that occur, without special ones
models = (model.get_input_embeddings().weight.detach().double().cpu().numpy() for model in first.models())
units = (rows[seen] / np.linalg.norm(rows[seen], axis=1, keepdims=True) for rows in models)
near = [np.argsort(2 * np.eye(len(unit)) - unit @ unit.T, axis=1)[:, :-1][:, :10, None] for unit in units]
shared = np.mean([(one == other.mT).sum((1, 2)).mean() for one, other in combinations(near, 2)])
few = len(seen) < 12  # then every other token is a neighbour, and the table has no such row
assert few or np.isclose(shared, measures.estimate_of(table, "topk_shared", first.condition).interval.value)
print(f"{first.condition}: {shared:.4f} of ten")

# %% [markdown]
# ## Caveats
#
# - The untrained members are the baseline, not zero; read every number against it.
# - Embeddings of rare tokens have moved little from their random start, so that corpora with many rare tokens look less stable; compare conditions within a band of {numref}`fig-bands`.
# - A band of few tokens in many dimensions can be rotated onto anything: its Procrustes disparity is low even for untrained members.
# - The embedding matrix is also the decoder: it is shaped by what a token is predicted *from*, not only by what it means as input.
# - The last layer serves the output head: its shape says as much about the predictions as about the sequence.
# - Effective rank and participation ratio are of the covariance matrix, in which a few directions of large variance hide many small ones.
# - Members read the same windows, and a part of their agreement is that of the inputs; the untrained members show how much.
#
# **What would change our mind.** If longer training brought the neighbours that DNA's models share up to those of English, at equal distance from chance, instability would be a matter of budget; a difference around zero meets that for this way of cutting.
# If the members of a DNA ensemble agreed in their last layer as far as those of English do, disagreement would be a matter of the output head; differences above zero meet that, with the untrained members not subtracted.
# [The chapter on longer training](training) adds that the first takes the right optimiser.

# %%
recorded_differences("topk_shared", "topk_overlap_corrected", "tokens_cka", "contextual_cka", "tokens_alignment")

# %% [markdown]
# ## Exercises
#
# 1. At $k = 1$, how likely is it by chance that two members name the same nearest neighbour, with a vocabulary of 256 and of 4,096?
# 2. Load two members and align them by `scipy.linalg.orthogonal_procrustes`.
#    Which tokens fit worst?
# 3. Add a constant vector to every hidden state: which of the five measures of shape change, and why?
# 4. Compare windows with tokens in {numref}`fig-layers`.
#    Which do members agree on more, and what does averaging do to a token that is guessed differently?
#
# :::{dropdown} Solutions
# 1. One of $n - 1$ other tokens is the nearest: $1/255 = 0.39$ % and $1/4095 = 0.024$ %.
#    At $k = 10$ the expected number that is shared is $k^2 / (n - 1)$, {glue:md}`chance_text` of ten here.
# 2. The rare ones are to be expected: a row that is seldom read or predicted gets few gradients and stays near its random start, which differs between members.
#    {numref}`fig-bands` shows the same by frequency.
# 3. Effective rank, participation ratio and spread of distances stay, for they are about differences between states.
#    Anisotropy goes to 1 and uniformity to 0 as the constant grows, for all directions become that of the constant.
# 4. Read the two levels in the last layer: tokens have a CKA of {glue:md}`cka_text` on English and {glue:md}`cka_dna` on DNA (untrained {glue:md}`bare_cka_text` and {glue:md}`bare_cka_dna`).
#    In the mean of a window one token among many hardly counts, and what all share, such as which tokens the window holds, counts for more.
# :::
