"""Entropy, disagreement and the limits of genomic foundation models: the tools behind the book.

The sub-packages import in one direction only:
``corpora -> tokens -> {entropy, ensembles} -> measures -> claims -> figures -> book -> cli``.
The modules ``errors``, ``files``, ``tables`` and ``profiles`` import none of them.
"""

__version__ = "1.0.0"
