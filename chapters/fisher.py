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
# # Fisher information
#
# **Question.** Which parts of a model do the predictions depend on: the embeddings, the transformer layers, or the head?
#
# :::{admonition} Answer
# :class: tip
#
# **The layers of the {term}`encoder` hold {glue:md}`share_text` of the {term}`Fisher information` in models of English and {glue:md}`share_dna` in models of DNA** (before training {glue:md}`bare_text` and {glue:md}`bare_dna`).
# That is no measure of how well the context is used: with the visible tokens in random order it is {glue:md}`random_text` and {glue:md}`random_dna`.
# Nor is it a property of the function that is learned: by a measure that no rescaling of weights changes, the shares are {glue:md}`invariant_text` and {glue:md}`invariant_dna`.
# {numref}`fig-fisher-flow` follows them along training.
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
import numpy as np
import torch

from gfm_utils import figures, measures
from gfm_utils.book import open_chapter, recorded_differences
from gfm_utils.ensembles import masked_windows

chapter = open_chapter("fisher", profile, conditions, runs_dir, results_dir, seed)

# %% [markdown]
# ## What Fisher information is
#
# The *Fisher information* says how strongly a model's predictions react to a small change of its parameters {cite:p}`martens2020`.
# With $g_\theta(x, y) = \nabla_\theta \left(-\ln p_\theta(y \mid x)\right)$ for a masked token $y$ in a context $x$,
#
# $$F = \mathrm{E}_x\, \mathrm{E}_{y \sim p_\theta(\cdot \mid x)}\; g\, g^\top, \qquad \operatorname{tr} F_G = \mathrm{E} \sum_{\theta \in G} g_\theta^2 .$$
#
# $\operatorname{tr} F_G$ is the trace of a group $G$ of parameters, in squared nats; its *share* is that over the trace of all parameters.
# Its trace has a plain meaning: add $\pm\varepsilon$, with a random sign, to every parameter of the group, and the predictions move by
#
# $$\mathrm{E}\, D_\mathrm{KL}\left(p_\theta \,\|\, p_{\theta \pm \varepsilon}\right) \approx \tfrac{1}{2}\, \varepsilon^2 \operatorname{tr} F_G ,$$
#
# as {numref}`fig-fisher-perturbation` shows: the points are such perturbations, and the lines are computed from gradients alone.
# The *empirical* Fisher information takes the true token for $y$; the two differ {cite:p}`kunstner2019`, and both are below.
# Every masked token has a gradient of its own, and its square is computed exactly, without being formed.
#
# The paper's code does another thing: it takes the gradient of a batch's mean loss, squares that, and divides by the number of tokens.
# Averaging before squaring keeps what tokens have in common, which is most early in training, and depends on the size of the batch.
#
# The groups of the paper are the *embeddings*, the layers of the *encoder*, and the *head*.
# One matrix plays two parts: the input embedding is also the decoder that turns hidden states into probabilities.
# Its gradient is the sum of what comes through the input and what comes through the output, so
#
# $$\|g\|^2 = \|g_\mathrm{in}\|^2 + \|g_\mathrm{out}\|^2 + 2\, g_\mathrm{in} \cdot g_\mathrm{out},$$
#
# and the paper's share of the embeddings holds all three terms.

# %% mystnb={"figure": {"caption": "How far predictions move when every parameter of a part is moved by ε up or down at random (points, mean over members), and ½ ε² tr F (lines).", "name": "fig-fisher-perturbation"}}
perturbations = measures.fisher_perturbations(chapter.ensembles, chapter.profile, seed)
figures.perturbation_chart(perturbations)

# %% [markdown]
# ## The paper's figure
#
# The paper's third claim is that models of DNA concentrate their Fisher information in the embeddings while models of text spread it over the transformer layers {cite:p}`rochkoulets2026`.
# {numref}`fig-fisher-paper` has the shares by its own computation, on this run's models.

# %% mystnb={"figure": {"caption": "Shares by the paper's groups, computed as in the paper's code, with 95 % intervals over members; choose trained members or a control below.", "name": "fig-fisher-paper"}}
shuffled = measures.shuffled_control(chapter.ensembles, chapter.profile)
no_layers = measures.no_layers_control(chapter.ensembles, chapter.profile)
table = measures.fisher_information(chapter.ensembles, chapter.profile, seed, shuffled, no_layers)
figures.share_chart(table, metric="fisher_share_paper")

# %% [markdown]
# ## The same, untangled
#
# {numref}`fig-fisher-shares` takes each masked token by itself, and takes the groups apart.
# Gradient through the *output* does not show that a model reads its input: a model that ignores all context and predicts token frequencies has it too.
# Of the input, the row of `[MASK]` is apart from those of the visible tokens.
# The cross term (*input × output*) can be negative.
#
# Four controls stand beside the trained members: the same members reading visible tokens in random order, untrained members, members trained on one condition's tokens in random order, where there is nothing to learn but frequencies, and members without layers, as in [the chapter on predictions](predictions), which can learn nothing else either.
# The last have no encoder to put Fisher information into: their points are what a model that can use no context divides between its embeddings and its head.
# Trained on tokens in random order, models of English have {glue:md}`shuffled_text` in the encoder and {glue:md}`shuffled_output_text` in the output path, models without layers {glue:md}`none_text` and {glue:md}`none_output_text` (DNA: {glue:md}`none_dna` and {glue:md}`none_output_dna`).

# %% mystnb={"figure": {"caption": "Shares of the Fisher information of single tokens, taken apart, with 95 % intervals over members; choose trained members or a control below.", "name": "fig-fisher-shares"}}
figures.share_chart(table, split_embeddings=True)

# %% [markdown]
# ## Along training
#
# {numref}`fig-fisher-flow` follows the shares from the initial weights on, {numref}`fig-fisher-trace` the whole trace.
# The controls are dashed: a random context, and members trained on shuffled tokens.
# Where the shares still move at the end, they say as much about the length of the training as about the corpus.
# [The chapter on longer training](training) follows the encoder's share further, in larger models and by another optimiser.

# %% tags=["key-figure"] mystnb={"figure": {"caption": "Share of the Fisher information in the encoder along training, with 95 % intervals over members; choose another part of the model below. Dashed: the same models with a random context; dotted: models trained on tokens in random order.", "name": "fig-fisher-flow"}}
flow = measures.fisher_flow(chapter.ensembles, chapter.profile, seed, shuffled)
figures.flow_chart(flow)

# %% mystnb={"figure": {"caption": "Trace of the Fisher information of single tokens along training, with 95 % intervals over members.", "name": "fig-fisher-trace"}}
figures.trace_chart(flow)

# %% [markdown]
# ## The same function, written down in another way
#
# Multiply the embeddings by 2: the norm after them undoes it, and dividing the head's norm by 2 undoes it for the tied decoder.
# Every prediction is as before, but gradients of the embeddings are half as large, and {numref}`fig-fisher-rescaled` shows other shares.
# The sum of $\theta^2 F_{\theta\theta}$ does not change under such a rescaling; its shares are the other choice in the figure.

# %% mystnb={"figure": {"caption": "Shares of the trained models (filled), and of the same functions with embeddings twice as large (open), of single windows; choose the plain or the invariant measure below.", "name": "fig-fisher-rescaled"}}
rescaling = measures.fisher_rescaling(chapter.ensembles, chapter.profile, seed)
figures.rescaling_chart(rescaling)

# %%
figures.overview(table, "gradient_noise_ratio", "effective_dimension")

# %% [markdown]
# The *gradient-noise ratio* is the share of $\mathrm{E}\|g\|^2$ that is variance between tokens {cite:p}`mccandlish2018`; the *effective dimension* is $(\operatorname{tr} F)^2 / \operatorname{tr} F^2$, the number of directions in which gradients point.

# %% tags=["remove-output"]
chapter.save(table, flow, rescaling, perturbations)
chapter.headline(
    table, share="fisher_share", bare="fisher_share:untrained", random="fisher_share:random_context",
    invariant="fisher_share_invariant", embeddings="embeddings_share", input="input_share",
    decoder="decoder_share", head="head_share", gain="context_gain_there",
)  # fmt: skip
chapter.say(
    table, shuffled="fisher_share:shuffled", shuffled_output="output_share:shuffled",
    none="fisher_share:no layers", none_output="output_share:no layers",
)  # fmt: skip

# %% [markdown]
# ## What a low share of the encoder says
#
# A low share does not say that context is unused: the context gain is the direct measurement, and {numref}`fig-fisher-gain` has both, on the same tokens.
# The chapter on predictions has the gain on all masked tokens.
# Nor does a high one say that it is used well: with a random context, which costs more than it gives, the encoder's share can stay as it is.
# What the share follows is how much the encoder has learned to do in this parameterisation.

# %% mystnb={"figure": {"caption": "The encoder's share against the context gain on the same tokens, of every condition in every state, with 95 % intervals over members.", "name": "fig-fisher-gain"}}
figures.gain_chart(table)

# %% [markdown]
# ## By hand
#
# The encoder's share in the first member of the first condition, by automatic differentiation: of the first and the last hidden token $x$ of each window, one after the other, the squared derivatives of $\ln p_x$ by the parameters of the layers and of the norm behind them, over those by all parameters.

# %%
first, run, model = chapter.ensembles[0], chapter.profile, next(chapter.ensembles[0].models())
masked = masked_windows(first.store, "test", first.spec.window, run.fisher_windows, run.fisher_mask, seed)[:3]
ids, at, x = (torch.from_numpy(array).to(model.device) for array in masked)
places = [(n, m) for n in range(len(ids)) for m in (0, -1)]
log_p = (model(ids[[n]]).logits[0, at[n, m]].log_softmax(-1)[x[n, m]] for n, m in places)
slopes = (torch.autograd.grad(one, [*model.parameters()]) for one in log_p)
squares = sum(np.array([float(slope.square().sum()) for slope in one]) for one in slopes)
encoder = [".layer" in name or "final_norm" in name for name, _ in model.named_parameters()]
share = squares[encoder].sum() / squares.sum()
assert np.isclose(share, measures.estimate_of(table, "fisher_share", first.condition).members[0], rtol=1e-3)
print(f"{first.condition}: {share:.4f}")

# %% [markdown]
# ## Caveats
#
# - Raw shares are not invariant, as shown; no share of parameters is a property of a corpus alone.
# - Tokens of one window are alike, so a few of each window are read; intervals over windows are in the result table (axis `group_over_sequences`).
# - Brackets are over members on one set of test windows; the shuffled control and the one without layers have fewer members.
#
# **What would change our mind.** Shares of the encoder that are equal for text and DNA at equal context gain would say that the encoder's share follows what has been learned, not the kind of sequence.
# Two chapters look: [the causal test](causal) compares text and DNA at equal gain after equal training, and [longer training](training) shows the share grow with the number of steps more than with the gain.
# Without such a match:

# %%
recorded_differences("fisher_share", "fisher_share_invariant", "fisher_share_paper", "context_gain_there")

# %% [markdown]
# ## Exercises
#
# 1. Which rescaling would give the head all of the Fisher information, and what would the loss be?
# 2. Order the conditions by context gain and by the encoder's share.
#    Is it the same order?
#
# :::{dropdown} Solutions
# 1. Multiply the embeddings by $c$ and divide the head's norm by $c$, as above.
#    Gradients of the embeddings become $c$ times smaller and those of the norm $c$ times larger: with growing $c$ the head's share goes to 1.
#    No prediction changes, and the loss stays as it is.
# 2. English gains {glue:md}`gain_text` bits per token on the tokens read here and has {glue:md}`share_text` in the encoder, DNA {glue:md}`gain_dna` and {glue:md}`share_dna`.
#    {numref}`fig-fisher-gain` has all conditions in every state; untrained members and those with a random context break the order.
# :::
