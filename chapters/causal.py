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
# # Is it the entropy?
#
# **Question.** Text and DNA differ in everything: is it their *entropy* that makes the difference between their models, or something else that is DNA's own?
#
# :::{admonition} Answer
# :class: tip
#
# **{glue:md}`lead`**
# Scrambled until its models gain as little from {term}`context` as those of DNA, English loses {glue:md}`gone_js_distance` of the gap in how far two models are apart, {glue:md}`gone_topk_overlap_corrected` of that in the neighbours that their embeddings share, and {glue:md}`gone_fisher_share` of that in the encoder's share of the Fisher information (95 % intervals; above 100 % it has gone past DNA).
# Matched by what a {term}`code` saves instead, {glue:md}`coded` is gone.
# (Recorded runs: {glue:md}`setting`; {glue:md}`dna`.)
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

chapter = open_chapter("causal", profile, conditions, runs_dir, results_dir, seed)

# %% mystnb={"figure": {"caption": "What a model has learned, not what it reads: three measures against the context gain. Circles: English as it is and with a share of its tokens scrambled; diamonds: DNA, large as it is, small where scrambled likewise; hollow: Markov chains in DNA's letters. Points have 95 % intervals over members. At DNA's gain (dotted) the blue bar is the part of the gap that is gone; the grey line is the level of untrained models.", "name": "fig-dose-main"}}
response, runs = claims.recorded_doses()
figures.hero_figure(response)

# %% tags=["remove-output"]
chapter.put(**figures.gap_numbers(response))

# %% [markdown]
# ## An intervention
#
# The paper compares corpora {cite:p}`rochkoulets2026`; a comparison cannot tell a cause from what comes along with it.
# Here one thing is changed: how well a token can be predicted from the tokens around it.
# Corpus, tokenizer, counts of tokens, model, initial weights, order of windows, masks and budget stay.
#
# - **Noise.** `noise0.3` puts 30 % of the tokens, chosen at random, in random order among themselves.
#   `shuffle` does so with all of them: from these no context can be learned, only how common each token is.
# - **A source with DNA's letters that tells much.** `markov4t0.33` is random sequence from a Markov chain of order 4 {cite:p}`shannon1948`, fitted on the genome's training part, with its probabilities raised to the power 3 and scaled to a sum of 1.
#
# Each part (training, validation, test) is transformed by itself, so that no test sequence is in training.
# The *context gain* is what a model gains over token frequencies, in bits per token: how much of the predictable it has learned to predict.
#
# ## What counts, said in advance
#
# Three measures are *primary*, one for each claim that can be tested here: Jensen–Shannon distance between members, shared nearest embeddings beyond chance, and the encoder's share of the Fisher information.
#
# 1. **Cause.** Noise takes context away from text, from DNA under each tokenizer, and from `markov4t0.33`.
#    A measure supports the paper if *all* of these contrasts move it as the paper says of more entropy, contradicts it if all move it the other way, and is {term}`undecided` otherwise {cite:p}`berger1982`.
# 2. **How much of it.** The gap between text and DNA is split in three: what is *gone* when text is scrambled until it gains as little from its context as DNA, the *baseline* that is there with all tokens in random order, from token frequencies alone, and the {term}`residual`.
#    Text at DNA's gain lies on the line between the two doses around it.
#    "Equal gain" can mean equal bits per token, per symbol (base or character), or an equal logarithm: the gap counts as more (or less) than half gone only if all three say so.
#    Where the interval of the gap includes zero there is none to explain, and nothing is divided by it.
# 3. **Members.** Doses of one corpus share the seeds of their members, and are compared member by member; text and DNA share none.
#    Errors are the jackknife's for several samples {cite:p}`arvesen1969`, with Welch's degrees of freedom {cite:p}`welch1947`; shares have Fieller's interval {cite:p}`fieller1954`.
#    The p-values of the primary measures are corrected for their number {cite:p}`holm1979`; all other measures are there to explore.
# 4. **Which training.** The longest that has all contrasts; the others are shown beside it.
#
# That outputs are near-uniform is no question here: taking the context away takes the gain away *by construction*, and the output entropy of a calibrated model is that of the token frequencies less the gain.
# It stands in the tables as a check.
#
# ## The key figure
#
# Where the points of DNA in {numref}`fig-dose-main` lie on the line of text, the measure follows what is learned from context, whatever the sequence.
# Where they lie beside it, the gain does not explain the measure.
# To the left nothing is learned; models that learned only token frequencies hardly disagree, while untrained ones do.
#
# The paper says that models of DNA disagree more; these have a Jensen–Shannon distance of {glue:md}`text_js_distance` on English, {glue:md}`beside_js_distance` on English at DNA's gain, and {glue:md}`dna_js_distance` on DNA.
# Of the nearest embeddings two models share {glue:md}`text_topk_overlap_corrected`, {glue:md}`beside_topk_overlap_corrected` and {glue:md}`dna_topk_overlap_corrected` beyond chance, and {glue:md}`shuffled_topk_overlap_corrected` of those of English in random order, where only token frequencies can be learned.
# The encoder holds {glue:md}`text_fisher_share`, {glue:md}`beside_fisher_share` and {glue:md}`dna_fisher_share` of the Fisher information.
#
# ## How much of the gap is gone, in every training
#
# *Gone* is the share of the gap between text and DNA that vanishes when text is scrambled to DNA's context gain: 100 % is all of it, more is too much, below 0 text moves away from DNA.

# %%
figures.gaps_over_training(claims.all_gap_parts(response))

# %% [markdown]
# What a model gains is not what there is to gain: text at DNA's gain can be text that models have only begun to learn.
# The same once more with text of which a *code* saves as many bits per token as of DNA, over the same tokens in random order.
# It reads from left to right, sees all that came before, and trains no network; a match on it has an error of its own.

# %%
figures.gaps_over_training(claims.all_gap_parts(response, match="code"))

# %% [markdown]
# Where a share is above 100 %, text that is as predictable as DNA lies beyond DNA: the gap is not there because DNA is less predictable than this text.
# Where it is below, models make more of what can be predicted in text than of as much in DNA.
#
# All measures in the training of the verdicts, with what each kind has and the other parts of the gap:

# %% tags=["hide-output"]
at = claims.verdict_setting(response)
figures.gap_table(claims.gap_parts(response, at))

# %% [markdown]
# ## Cause: what less predictable context does
#
# Primary measures in bold, and in brackets effects whose interval includes zero; the last column is corrected for the number of measures, the intervals are not:

# %%
figures.effects_table(claims.dose_effects(response, at))

# %% [markdown]
# ## Every measure, axis and training

# %% mystnb={"figure": {"caption": "Any measure against context gain or entropy; choose below. Entropy is exact for tokens in random order and for Markov chains whose contexts were seen often, else the length of a code (context mixing of DNA, partial matching of text), an upper bound.", "name": "fig-dose"}}
figures.dose_chart(response)

# %%
figures.provenance_note(*runs)

# %% [markdown]
# ## The same, live and small
#
# Text and DNA of this run as they are, and its text with noise: three members each, on half of the windows of its profile.
# It shows which way the measures move in models that have learned little, on any corpus; for parts of a gap there are too few doses, and a contrast of models that have learned nothing compares nothing with nothing.

# %% mystnb={"figure": {"caption": "This run: two doses of text, and DNA as it is, three members a point.", "name": "fig-dose-live"}}
live = claims.live_doses(chapter.stores, chapter.profile, chapter.runs_dir, seed)
figures.dose_chart(live)

# %% tags=["hide-output"]
now = claims.verdict_setting(live)
figures.effects_table(claims.dose_effects(live, now))

# %% tags=["remove-output"]
chapter.save(live)

# %% [markdown]
# ## Confounds
#
# Text and DNA differ in their alphabet, in how they are cut, and in how common their tokens are; and what one recipe makes of them may be the recipe's.
# For each of these there is an experiment: one thing is changed, all else stays, and five members a condition are trained at the default run's size.
# What counts is the difference between text and DNA in the three primary measures.
# A cell says how much of it remains, for DNA as BPE / as 4-mers: 100 % is as much as in the run that the experiment is compared with.
# It is *undecided* where Welch's 95 % interval over members {cite:p}`welch1947` includes zero, *turned* where it has the other sign, and *new* where there was none.
# How common tokens are cannot be made equal without touching their order; types are paired instead, one of text with one of DNA that makes up the same share of its corpus, and only these are scored.
# These are many intervals, and none is corrected for their number: one that changes says where to look and proves nothing.
# Over all experiments {glue:md}`kept_confounds` differences keep their sign.

# %%
confounds, about_confounds = recorded("confounds")
chapter.put(
    kept_confounds=figures.differences_kept(confounds), kept_less=figures.differences_kept(confounds, True)
)
figures.confounds_table(confounds)

# %% [markdown]
# A star marks DNA that gains less than half of what it gains in the standard run: there a difference that stays may be one between what is learned and what is not, and the confound is not closed.
#
# If the differences come from what can be learned from context, they must shrink where that is taken away; here {glue:md}`kept_less` keep their sign:

# %%
figures.confounds_table(confounds, predictability=True)

# %% [markdown]
# Noise takes context away but also puts tokens in place that nothing could predict; its row is scored only where noise did not touch them.
# Of sequence from a chain it is known what there is to gain where the tokens on both sides are seen: models are laid beside each other by the share of it that they gain.

# %%
figures.sources_table(confounds)

# %% [markdown]
# What a vocabulary of 4,096 tokens would do is not among the experiments: neither corpus has 2,000 occurrences of a type on average.

# %%
figures.provenance_note(about_confounds)

# %% [markdown]
# ## Is "near-uniform" a property of the tokens?
#
# One genome, eleven tokenizers: k-mers of 1 to 6 bases, and BPE with 32 to 4,096 symbols and merges.
# With longer tokens a model that reads as many *tokens* reads more *bases*; both are matched in turn.
# A model of bases that are independent of each other has 2 bits per base whatever its tokens; per token, and as a share of $\log_2 V$, the same predictions give other numbers.

# %% mystnb={"figure": {"caption": "Output distributions of one genome under k-mers and BPE, at equal numbers of tokens (solid) and of bases (dashed), with 95 % intervals over three members; strokes: what token frequencies alone give.", "name": "fig-sweep"}}
sweep, about_sweep = recorded("dose-response-tokenizers")
figures.sweep_chart(sweep)

# %% [markdown]
# Where a line runs through its strokes, the models have learned how common tokens are and nothing else: how near to uniform they are is then a property of the tokens.
# The training is short (400 steps), which makes this certain for large vocabularies, of whose tokens most are seen too seldom; only where there is a gain do the models say something of the sequence.

# %%
figures.provenance_note(about_sweep)

# %% [markdown]
# ## By hand
#
# How much of the gap in the distance between models is gone: the means over members, text at DNA's gain on the straight line between its doses, and what it has lost by then over the whole gap.

# %%
parts = claims.gap_parts(response, at).query("metric == 'js_distance'")
rows = response.query("axis == 'steps|preset' and x == @at and member.notna()")
mean = rows.pivot_table(index="condition", columns="metric", values="value")
doses = mean.filter(regex=r"^news(\+noise[\d.]+|\+shuffle)?@", axis="index").sort_values("context_gain")
text, dna = doses["js_distance"].iloc[-1], mean.loc[parts["condition"]]  # the text as it is gains most
beside = np.interp(dna["context_gain"], doses["context_gain"], doses["js_distance"])
gone = (text - beside) / (text - dna["js_distance"])
assert np.allclose(gone, parts["gone"])
print(gone.map("{:.1%}".format).to_dict())

# %% [markdown]
# ## Caveats
#
# - **It is predictability from context, not entropy as such, for two of the three.** In random order the models of text and of DNA cut alike disagree as little and keep as little Fisher information in the encoder, for there is nothing but token frequencies to be learned.
#   Their embeddings differ all the same (the column *baseline: in random order*): token frequencies stabilise embeddings by themselves.
# - **Equal gain is equal gain after equal training.** Along training the measures do not follow the gain alone: the encoder's share of DNA's models grows with the length of training far more than their gain does ([longer training](training)).
# - **Less is gone by other measures.** The rules name three; of the others that have a gap {glue:md}`kept` keep more than half of it, as the large table says.
# - **Context gain is an outcome, not the dose.** Matching on it asks whether a measure depends on the sequence in another way than through what is learned of it; it does not make text and DNA equal in all else.
#   Text at DNA's gain is text that a model is about to learn, while DNA gains as much late and slowly; the contrasts do not condition on anything.
# - **Unpredictable is not undertrained.** Context gain is what a model achieved, not what is attainable; compare the trainings.
# - **The match interpolates.** Between two doses of text a measure need not follow a straight line on any of the three scales; doses near DNA's gain keep the error small, and nothing bounds it.
# - **Disagreement is not monotonic.** It is near 0 where only token frequencies are learned, rises while context is being learned, and can fall again where it is learned well: a contrast says which way it goes between two doses, and no more.
# - **The encoder's share is mostly a step.** It rises where learning begins, and much of the contrast is between models that use context and models that do not.
# - **Noise is not DNA.** Mixed tokens leave all structure that remains in place and put holes into it; DNA's structure is weak everywhere.
#   Hidden tokens that were mixed are scored, too.
# - **Token frequencies differ between text and DNA**, and stability of embeddings depends on how often a token is seen.
#   The baseline in random order takes that out, if its part adds to the others.
# - **BPE has a grammar of its own**: not every token can follow every other, which models learn even of random bases.
# - **The trainings differ in more than their steps**: the longer ones take half the learning rates, and all of the corpora.
# - **Intervals are over members**, that is over initial weights, of one text and one genome: not over test windows, corpora, or models of the paper's size.
# - **Not blind.** Earlier runs with another recipe had shown signs of the answers before these rules were final.
# - **The sweep** varies the tokenizer of one genome at a short training, and of no text.
#
# **What would change our mind.** A measure that moves with noise in text and not in DNA would say that it is not predictability but what noise does to text; the table of effects above has none among the primary measures unless its last column says so.
# A gap that does not close at equal gain, and the less the longer models train, would say that DNA has something of its own: in the longest recorded training {glue:md}`gone_js_distance`, {glue:md}`gone_topk_overlap_corrected` and {glue:md}`gone_fisher_share` of the three gaps is gone, and {glue:md}`coded` by the match on a code, in a training that also has lower rates and reads all of the corpora.
# A second text or genome that lies elsewhere would say that it is these corpora; [the chapter on many genomes and texts](atlas) has more of both.
#
# ## Exercises
#
# 1. Add `windows16` and `reverse` to the doses: which measures should stay, and do they?
# 2. At which noise does text gain as much as DNA, and what does that say about the entropy of text in bits per token?
# 3. Put noise on other sources of known entropy, `markov2t0.4+noise0.2`: do they lie where `markov4t0.33+noise0.3` does?
# 4. Run `python benchmarks/dose_response.py --dry-run` with a genome of yours, and then without `--dry-run`.
#
# :::{dropdown} Solutions
# 1. `reverse` should change nothing: the models see both sides of a hidden token, and what precedes it becomes what follows it.
#    `windows16` keeps the order within 16 tokens, and what reaches no further than that should stay; on text the gain falls by what longer context is worth.
# 2. Read it where the line of text crosses the dotted line in {numref}`fig-dose-main`.
#    The entropy per token has risen by as much as a perfect model would lose; a real one loses what it had learned, which is less.
# 3. If gain is what counts they lie on one curve; two sources of equal entropy can differ in how soon a model learns them, which the curve of longer training shows.
# 4. `--dry-run` lists what would be trained and how long it takes.
#    A genome of the same kind should lie near DNA's points; the more of it can be predicted, the further to the right.
# :::
