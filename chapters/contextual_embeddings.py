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
# # Contextual embeddings
#
# **Question.** What do the hidden states look like from layer to layer, and do members of an ensemble agree on them?
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

chapter = open_chapter("contextual_embeddings", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## Method
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
# - *Squared distance after rotation*: $\min_R \mathrm{E} |R u_A - u_B|^2$ of the directions that two members A and B give the same states, over all rotations $R$ {cite:p}`schonemann1966`; from 0, the same, to 4.
#   Without the rotation it would be about the order and the signs of the axes, which every member has by chance.
#
# Two controls go with every number: the untrained members, and the embeddings, which see no context.

# %% mystnb={"figure": {"caption": "Shape of the hidden states at each layer; choose measure and unit below. Solid: trained, with 95 % intervals over members; dashed: untrained.", "name": "fig-layer-shape"}}
table = measures.contextual_embeddings(chapter.ensembles, chapter.profile)
figures.layer_shape_chart(table)

# %% [markdown]
# ## What we see
#
# {numref}`fig-layer-shape` says how many directions the states of a model use, and {numref}`fig-layer-agreement` whether another member uses them in the same way.
# Untrained members are far from zero in CKA: wherever the same token occurs its states are alike, in every member, whatever the weights.
# The overlap of neighbours compares different tokens only, and there untrained members are near chance.
# So what training adds is the distance between a solid line and its dashed one.

# %% mystnb={"figure": {"caption": "Agreement between members at each layer; choose measure and unit below. Solid: trained, with 95 % intervals over members; dashed: untrained.", "name": "fig-layer-agreement"}}
figures.layer_agreement_chart(table)

# %% [markdown]
# A layer that changes nothing has a CKA of 1 with the one before.
# {numref}`fig-layer-cka` compares the layers of one member with each other: an encoder that hardly uses the context stays close to its embeddings.

# %% mystnb={"figure": {"caption": "Debiased linear CKA between the layers of one member, mean over members; choose the models below.", "name": "fig-layer-cka"}}
figures.layer_cka_chart(table)

# %%
figures.overview(table, "linear_cka_debiased", axis="layer")

# %% [markdown]
# ## The paper's definitions
#
# The paper's reference code looks at the last layer alone, at windows alone (the mean over all their tokens), and at windows with 15 % of the tokens masked, each token by itself.
# Some of its formulas differ, too:
#
# - its *effective rank* is of the singular values of the centred states, $p_i = \sqrt{\lambda_i} / \sum_j \sqrt{\lambda_j}$, which counts weak directions for more and so is never smaller;
# - its *anisotropy* is $|\mathrm{E} u|$, the length of the mean direction; ours is the mean cosine of two different states, which the paper's code has as `avgcosim`, and which is about the square of it;
# - its *L2 alignment* is $\mathrm{E} |u_A - u_B|^2$ without a rotation, about 2 for members whose axes have nothing to do with each other, however alike they are;
# - its *neighbour alignment* is the share of the 10 nearest that two members have in common, without its level of chance;
# - its *linear CKA* is the biased one, above 0 for unrelated members.
#
# {numref}`fig-authors-contextual` changes the formula first and then the inputs, so that one sees which of the two a difference comes from.

# %% mystnb={"figure": {"caption": "Windows at the last layer: as in this book, by the formula of the paper's reference code, and by that on windows with 15 % of the tokens masked; choose the measure below. Filled: trained, with 95 % intervals over members; open: untrained.", "name": "fig-authors-contextual"}}
figures.authors_chart(table)

# %% tags=["remove-output"]
chapter.save(table)
chapter.answer(answers.with_recorded_runs(answers.contextual_answer, table))

# %% [markdown]
# ## Caveats
#
# - The last layer serves the output head, so its shape says as much about the predictions as about the text.
# - Effective rank and participation ratio are of the covariance matrix, so a few directions of large variance hide many small ones.
# - Members read the same windows, so a part of their agreement is the agreement of the inputs; the untrained members show how much.
#
# **What would change our mind.** If the members of a DNA ensemble agreed in their last layer as far beyond the untrained ones as those of a text ensemble do, disagreement would be a matter of the output head, and not of what the models represent.
# Differences above zero meet that, though the untrained members are not subtracted: then the members of DNA agree further than those of text.

# %%
answers.recorded_differences("tokens_cka", "contextual_cka", "tokens_alignment")

# %% [markdown]
# ## Exercises
#
# 1. Add a constant vector to every state: which of the five measures of shape change, and why?
# 2. Compare windows with tokens in {numref}`fig-layer-agreement`.
#    Which do members agree on more, and what does averaging do to the token that is guessed differently?
