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
# :::{admonition} Answer
# :class: tip
#
# **The guesses of two models trained on DNA are {glue:md}`apart_dna` apart, those of two models of English {glue:md}`apart_text`** (Jensen–Shannon distance: 0 is the same, 1 has no token in common).
# How certain models are matters: noise as certain as they are would be {glue:md}`noise_dna` and {glue:md}`noise_text` apart, so that their distance is {glue:md}`of_noise_dna` and {glue:md}`of_noise_text` of it.
# On the likeliest token two models agree in {glue:md}`same_dna` of what is possible {term}`beyond chance` on DNA and in {glue:md}`same_text` on English.
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
from gfm_utils.ensembles import predictions

chapter = open_chapter("disagreement", profile, conditions, runs_dir, results_dir, seed)

# %% tags=["key-figure"] mystnb={"figure": {"caption": "A stretch of test tokens, from top to bottom, each hidden in turn from models that see the others. Length of a bar: how uncertain they are; colour: how far apart two of them are; black mark: what the true token cost. Point at a bar to see which token each model names.", "name": "fig-along"}}
along = measures.along_windows(chapter.ensembles, chapter.profile)
figures.along_chart(along)

# %% [markdown]
# ## Method
#
# For each {term}`hidden token` of the test part every member $m$ of an {term}`ensemble <member, ensemble>` gives a distribution $p_m$ over the same vocabulary.
#
# - The *{term}`Jensen–Shannon distance`* {cite:p}`lin1991,endres2003` of two of them is
#   $\sqrt{\mathrm{JS}(p, q)}$ with $\mathrm{JS}(p, q) = H\!\left(\tfrac{p+q}{2}\right) - \tfrac{H(p)+H(q)}{2}$ in bits: 0 if they are equal, 1 if they share no token.
# - *Top-p* looks at the likeliest tokens alone: the fewest that hold a share $p$ of the probability are kept and rescaled {cite:p}`holtzman2020`.
# - The *mutual information* between prediction and member {cite:p}`houlsby2011`, $H(\bar p) - \frac1n \sum_m H(p_m)$, splits the uncertainty of the whole ensemble into what each member admits and what comes from not knowing which member to believe.
# - *Top-1 agreement* is the share of tokens for which two members name the same likeliest token, and *top-k agreement* $|A_k \cap B_k| / k$ the share that their k likeliest tokens have in common.
#   Two members that both always named the commonest token would agree always, so it stands beside its level of chance, $\frac1k \sum_v f_i(v) f_j(v)$, where $f_i(v)$ is how often member $i$ has $v$ among its first $k$: that of independent members with the same preferences.
# - *Rank-biased overlap* {cite:p}`webber2010` is $\frac{X_D}{D} \rho^D + \frac{1-\rho}{\rho} \sum_{d \le D} \frac{X_d}{d} \rho^d$ with $X_d = |A_d \cap B_d|$, extrapolated from depth $D = 50$ and with $\rho = 0.9$: the first ten ranks carry 86 % of the weight.
#
# Three controls can be drawn beside them.
#
# - *Untrained*: the members before training.
# - *No layers*: the embeddings and the head alone, trained as in [the chapter on predictions](predictions).
#   They cannot use context, so that token frequencies are all they can agree about: what members disagree about beyond this baseline is what context says.
# - *{term}`Matched null <matched null>`*: two distributions with the same probabilities as the two predictions, so with the same entropies and nuclei of the same size, but given to tokens at random.
#   It is what members as certain as these would show if their logits were noise.
#
# Pairs are not independent: five members make ten pairs.
# Intervals leave out one member with all its pairs at a time {cite:p}`arvesen1969`.

# %% mystnb={"figure": {"caption": "Jensen–Shannon distance of every pair of trained members, named by their seeds, on one scale for all conditions; below each square its mean. Choose below how much of the probability is kept, the likeliest tokens first.", "name": "fig-pairs"}}
no_layers = measures.no_layers_control(chapter.ensembles, chapter.profile)
table = measures.disagreement(chapter.ensembles, chapter.profile, seed, no_layers)
figures.pair_chart(table)

# %% [markdown]
# A row of a square that is darker than the others would be a member whose training failed.
#
# ## How much of the distribution

# %% mystnb={"figure": {"caption": "Jensen–Shannon distance between members, against the share of the probability kept. Solid: trained, with 95 % intervals over members; dashed: the control that is chosen below, of which the matched null is distributions as certain whose logits are noise. The truncation is the standard one, or that of the paper's code, which drops the token that crosses p unless it is the likeliest. Click a name to see it alone.", "name": "fig-top-p"}}
figures.top_p_chart(table)

# %% [markdown]
# ## Reading it
#
# The right end of {numref}`fig-top-p` is the distance of the whole distributions, the left end that of the favourites alone.
# The two ends answer different questions.
# Two near-uniform distributions are close to each other *because* they are near-uniform, so at the right end a corpus of high entropy tends to show *less* disagreement, not more.
# At the left end only the likeliest tokens count, and small differences decide which these are: any pair of flat distributions looks far apart there, trained or not.
# The matched null is high there for every corpus, and for a flat one it is what two noisy copies of nothing would give.
# A solid line says something about learning only where it differs from the controls: below the matched null the members share a ranking, and below members without layers they share more than token frequencies.
#
# The paper's code drops the token that crosses $p$ unless it is the likeliest; {numref}`fig-top-p` has it as the second truncation.
# A distribution whose likeliest token alone exceeds $p$ becomes that one token, and two such distributions are either the same or as far apart as can be.

# %% mystnb={"figure": {"caption": "Share of the k likeliest tokens that two trained members have in common (of one: top-1 agreement), with 95 % intervals over members. Dotted: the level of chance, from how often each member ranks each token so high.", "name": "fig-ranks"}}
figures.rank_agreement_chart(table)

# %%
metrics = ["js_distance", "js_distance_matched_null", "mutual_information"]
metrics += ["top1_agreement", "rank_biased_overlap"]
figures.overview(table, *metrics, digits=4)

# %% [markdown]
# Over test windows instead of members, resampled with all their tokens {cite:p}`efron1979`:

# %%
figures.overview(table, "js_distance", "mutual_information", "top1_agreement", axis="interval_over", digits=4)

# %% [markdown]
# ## The paper's claim
#
# The primary measure is the one that the front page judges the claim by; the others test how robust it is, and in brackets stand nulls.
# The difference is that of the pair of conditions with the largest p-value, by Welch's test over members {cite:p}`welch1947`, with the spread over test windows added where a number depends on them.
# A measure speaks *for* the claim if every condition of DNA differs from every one of text in the claimed direction, each p-value at most 0.05 {cite:p}`berger1982`; *against* it if all differ the other way.
# The front page draws the verdict, which is corrected for all claims and asks first whether the models have learned enough.

# %%
figures.claims_overview(table)

# %% [markdown]
# ## About which tokens?
#
# {numref}`fig-strata` splits the masked tokens into quarters by how often they occur in the training part and by how uncertain the members are.
# Those of DNA are also split by the GC share of their window, and by whether the reference marks them as repeats (lower case).
# Uncertainty alone moves the distance, so compare a point with the tick of its own stratum.

# %% mystnb={"figure": {"caption": "Jensen–Shannon distance between trained members at full mass by kind of token (points, with 95 % intervals over members), and the matched null of the same tokens (ticks).", "name": "fig-strata"}}
figures.strata_chart(table)

# %% [markdown]
# ## The other strand
#
# DNA has two strands, and which one a file holds is an accident.
# The same stretches of bases are hidden on both strands, and of each the first and the last base are predicted from either.
# The other strand's tokens are those that the tokenizer makes of its bases; a probability of a base is the sum over the tokens that begin (or end) with it.
# {numref}`fig-strands` asks whether the flip changes a prediction more than another seed does; an untrained member knows nothing of strands.
# A second control needs no network: tokens of BPE begin with other letters than they end with, so that token frequencies alone already give a base two different distributions.
# Where the flip changes no more than those frequencies do, the tokenizer makes the difference between the strands, not the network.
#
# In this run the other strand is {glue:md}`flip_dna` away (untrained {glue:md}`bare_flip_dna`, token frequencies alone {glue:md}`frequencies_dna`), and another seed {glue:md}`seed_dna`.

# %% mystnb={"figure": {"caption": "Jensen–Shannon distance between predictions of a hidden base from its two strands by one member, and from one strand by two members, with 95 % intervals over members.", "name": "fig-strands"}}
strands = measures.strand_disagreement(chapter.ensembles, chapter.profile, seed)
figures.strand_chart(strands)

# %% tags=["remove-output"]
whole = chapter.save(table, along, strands)
chapter.headline(
    table, apart="js_distance", noise="js_distance:null", of_noise="js_distance_of_null", same="top1_agreement",
    head="js_distance_head", bare="js_distance:untrained", bare_head="js_distance_head:untrained",
    per_bit="mutual_information_per_gain",
)  # fmt: skip
chapter.say(
    whole, flip="strand_js_distance", bare_flip="strand_js_distance:untrained",
    frequencies="strand_js_distance:null", seed="member_js_distance",
)  # fmt: skip

# %% [markdown]
# ## By hand
#
# The mean distance between members of the first condition, from their distributions: with $m = (p + q) / 2$, each place and pair has the root of $\frac{1}{2 \ln 2} \sum_v \left(p_v \ln \frac{p_v}{m_v} + q_v \ln \frac{q_v}{m_v}\right)$, which is $\mathrm{JS}(p, q)$ written as two divergences.

# %%
first, run = chapter.ensembles[0], chapter.profile
stream = predictions(first, "trained", run.test_windows, run.test_mask, seed)
pairs = (pair for one in stream for pair in combinations(one.log_p.flatten(1, 2).numpy(), 2))
triples = ((p, q, np.logaddexp(p, q) - np.log(2)) for p, q in pairs)  # of logarithms
js = [(np.exp(p) * (p - m) + np.exp(q) * (q - m)).sum(-1) / np.log(4) for p, q, m in triples]
distance = np.sqrt(np.concatenate(js).clip(0)).mean()
assert np.isclose(distance, measures.estimate_of(table, "js_distance", first.condition).interval.value, atol=1e-5)
print(f"{first.condition}: {distance:.4f}")

# %% [markdown]
# ## Caveats
#
# - "Higher entropy, more disagreement" is not one statement: it depends on whether one asks about whole distributions, about favourites, or about the disagreement relative to what was learned.
# - The matched null knows no token frequencies: a curve below it may only mean that the members have learned the same frequencies, which is what members without layers show.
# - An untrained network is no neutral control either: random weights have preferences of their own, which differ between seeds.
# - Strata and strands rest on fewer tokens than the whole, and the reference's lower case is one program's notion of a repeat.
# - The members differ by initial weights alone; other orders of the data, or other masks, would add disagreement of their own.
#
# **What would change our mind.** If DNA's models were further apart than those of English over whole distributions too, and not because their predictions are flatter, the paper's second claim would hold whatever the definition.

# %%
recorded_differences("js_distance", "js_distance_of_null", "js_distance_head")

# %% [markdown]
# ## Exercises
#
# 1. Do text and DNA change places anywhere in {numref}`fig-top-p`, and where would they if nothing had been learned?
# 2. Divide the mutual information by the context gain of the chapter on predictions.
#    Which corpus disagrees more per bit learned?
#
# :::{dropdown} Solutions
# 1. Compare the two ends: over whole distributions {glue:md}`apart_text` (English) and {glue:md}`apart_dna` (DNA), over the likeliest tokens that hold 5 % of the probability {glue:md}`head_text` and {glue:md}`head_dna`.
#    Members that have learned nothing, the untrained, are {glue:md}`bare_text` and {glue:md}`bare_dna` apart at the right end and {glue:md}`bare_head_text` and {glue:md}`bare_head_dna` at the left.
# 2. The mutual information is {glue:md}`per_bit_text` of the context gain on English and {glue:md}`per_bit_dna` on DNA.
#    Where a gain is close to zero the ratio is large and means little.
# :::
