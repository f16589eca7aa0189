"""Entropy, disagreement and the limits of genomic foundation models: the tools behind the book.

The sub-packages import in one direction only:
``corpora -> tokens -> {entropy, ensembles} -> measures -> claims -> figures -> book -> cli``.
The modules beside this file (``errors``, ``files``, ``tables``, ``profiles``) know of none of them.
"""

__version__ = "1.0.0"
