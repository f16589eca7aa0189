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
# # Does it matter?
#
# **Question.** The paper ends with a doubt: training on sequence alone may not suit genomic data.
# Are the representations of these models worth anything in tasks beyond counting, and is what is more predictable also more useful?
#
# :::{admonition} Answer
# :class: tip
#
# **In telling coding from intergenic sequence, {term}`probes <probe>` of what models of DNA have learned differ by {glue:md}`gain_dna` from {term}`counting <counting (in tasks)>`; in telling the class of a hidden English word, by {glue:md}`gain_text`** (area under the curve less that of counting; untrained models: {glue:md}`bare_dna` and {glue:md}`bare_text`).
# Over all tasks of recorded runs, each once a tokenizer, models are better than counting in {glue:md}`better_dna` of DNA and {glue:md}`better_text` of English, and worse in {glue:md}`worse_dna` and {glue:md}`worse_text` (95 % intervals that exclude zero, uncorrected).
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

from gfm_utils import claims, figures
from gfm_utils.book import open_chapter

chapter = open_chapter("tasks", profile, conditions, runs_dir, results_dir, seed)
table = claims.live_tasks(chapter.ensembles, chapter.profile, seed)
recorded, about = claims.recorded_tasks()

# %% mystnb={"figure": {"caption": "What the best layer's probe gains over counting, against what the models gain from context: a point a condition, with 95 % intervals over members and blocks. Circles are models of text or DNA whose tokens were put in random order to a growing share before training, asked the same questions about the sequence as it is; other shapes are longer trainings. Short strokes: untrained models. On the dashed line a model is worth as much as counting.", "name": "fig-task-gain"}}
figures.task_gain_chart(recorded)

# %% [markdown]
# ## What is asked
#
# All stretches come from the test part, which no model has read, and what is right comes from annotation: the GFF3 file of the chromosome, and a lexicon with the commonest class of each English word {cite:p}`brill1992`.
#
# - *coding*: coding against intergenic sequence; *coding or intron*, *intron*: the other two pairs.
#   Four fifths of a stretch are of its class, and repeats are none of them.
# - *donor*, *acceptor*: the two bases at either end of an intron (GT, AG) against the same two bases elsewhere in transcripts, in reading direction.
# - *start*: the first base of a transcript against places with as much G and C.
# - *word class*: a word is hidden, and what stands around it is to tell a noun from a verb.
# - *sentence end*: what stands before a full stop is to tell whether it ends a sentence; what follows decides that and is not shown.
#
# The sequence is cut into 20 blocks, and in each there are as many stretches of either class.
#
# ## How it is measured
#
# A *probe* is a logistic regression on frozen states {cite:p}`alain2017`: the mean over a stretch, or the state of the token at its site.
# It is tested on blocks that it has not seen, and its area under the curve is taken within each block {cite:p}`hanley1982`: how often a stretch of the first class gets the higher score than one of the second.
# Which layer is read, and how strongly the probe is regularised, is chosen on the other blocks.
#
# *Counting* gets the same chance: k-mers or character n-grams of the same stretch, or the symbols next to the site one by one, whichever is better on the other blocks.
# *Untrained models* are the same networks before training: random features of the same size.
# Intervals are over members and over blocks together.
#
# Decided in advance: the primary measure is the area of the best layer's probe on *coding* above that of counting.
# The claim that training on sequence alone does not suit DNA is supported if the 95 % interval of that gain lies below 0.01, and not supported if it lies above zero.

# %% mystnb={"figure": {"caption": "Every task: trained models beside untrained ones and counting, and two checks that must be at 0.5, labels in random order and the position along the sequence alone. Bars are 95 % intervals.", "name": "fig-tasks"}}
figures.task_chart(table)

# %% [markdown]
# ## Which layer, and how many labels
#
# The first layer holds the embeddings, which know nothing of the tokens around: what is above it comes from context.

# %% mystnb={"figure": {"caption": "Probes of each layer. Dashed: untrained models. Bars are 95 % intervals over members.", "name": "fig-task-layers"}}
figures.task_layer_chart(table)

# %% [markdown]
# Representations that are learned from much sequence could help most where labels are few.

# %% mystnb={"figure": {"caption": "Probes against the number of labelled stretches that they are trained on. Dashed: untrained models; dotted: counting.", "name": "fig-task-examples"}}
figures.task_examples_chart(table)

# %% [markdown]
# ## Without any label
#
# A model that knows what a gene is should find a broken gene less likely, though nobody told it what a gene is.
# Each stretch is disrupted, and every token of it is predicted before and after, a quarter of them hidden at a time {cite:p}`salazar2020`.
# *Frame shift*: a base goes; *triplets shuffled*: triplets in random order; *splice site mutated*: other bases at the donor; *words swapped*: neighbouring words, of a stretch without the word that was hidden, as it is in the comparison, too.
# The same operation is done to a background where it breaks nothing: intergenic sequence, other GTs, text of shuffled words.
# At 0.5 the disruption costs no more in genes, or sentences, than in the background.

# %% mystnb={"figure": {"caption": "How often a disruption costs a model more in the foreground than in the background. Filled: trained, open: untrained models; bars are 95 % intervals over members.", "name": "fig-disruptions"}}
figures.disruption_chart(table)

# %% [markdown]
# ## Do members agree?
#
# Cohen's kappa is the agreement of two members' decisions in a task beyond chance {cite:p}`cohen1960`.

# %%
figures.task_agreement(table)

# %% [markdown]
# The recorded runs of {numref}`fig-task-gain`:

# %%
figures.provenance_note(*about)

# %% tags=["remove-output"]
chapter.save(table)
chapter.headline(table, gain="task_gain", bare="task_gain:untrained")
chapter.put(**figures.task_counts(recorded))

# %% [markdown]
# ## By hand
#
# What models gain over counting in the recorded tasks: the mean area under the curve of the members' probes minus that of counting.

# %%
rows = [*recorded.values()][-1].query("axis == 'task' and state in ('trained', 'counting')")
area = rows.query("metric == 'probe_auc'")
models = area.query("state == 'trained' and member.notna()").groupby(["condition", "x"])["value"].mean()
counting = area.query("state == 'counting'").set_index(["condition", "x"])["value"]
gain = rows.query("metric == 'probe_gain' and state == 'trained' and member.isna()")
by_hand = models - counting
assert np.allclose(by_hand, gain.set_index(["condition", "x"])["value"][by_hand.index])
by_hand.map("{:.4f}".format).unstack("condition", fill_value="–")

# %% [markdown]
# ## How far this answers the paper
#
# These are small models of one chromosome and of one corpus of news, and the tasks are those that an annotation gives: a gain here shows that sequence alone teaches something that counting does not, and its lack shows that these models, at this size and budget, are not worth their training.
# It leaves open what larger models, more genomes, fine-tuning instead of frozen states, and longer contexts would do, and tasks of function (expression, variants) that no annotation of genes can ask about.
#
# ## What would change our mind
#
# - A gain over counting on *coding* that grows with training and with size, towards what supervised gene finders reach.
#   What recorded runs have so far stands in {numref}`fig-task-gain`: choose *coding* below it, and compare the shapes of the runs.
# - A task that needs long context, in which models of DNA gain and counting cannot.
#   None of these is one, for their stretches fit into a window.
#
# `gfm analyse MODEL --corpus genome.fa --annotation genes.gff3 --only tasks` asks any masked language model the same questions.
