"""x."""
import numpy as np
from .settings import *
from .counts import new_counts
from .maps import new_maps
from .composition import new_composition
from .seeds import new_seeds
from .matches import new_matches
from .copies import new_copies, OPINIONS
from .mixer import new_mixer
from .kernel import *

def new_model(s, n):
    room = max(16, (4 * n).bit_length())
    P = len(s.count_orders)+len(s.map_orders)+len(s.composition)+2*s.matches+(OPINIONS if s.experts else 0)
    return Model(new_counts(s.count_orders), new_maps(s.map_orders, min(s.log_slots, room)), new_composition(s.composition),
      new_seeds(s.seed_lengths, min(s.log_seeds, room), n+1 if s.tries else 0), new_matches(s.matches), new_copies(s.experts, s.seed_misses, s.most_misses),
      new_mixer(P, SITUATIONS), np.zeros((n+31)//32, np.uint64), np.zeros(2,np.uint64), np.array([s.tries,s.every],np.int64), np.array([s.rate,s.final_rate,s.half]))

def run(codes, s, dist=False):
    codes = np.ascontiguousarray(codes, np.uint8)
    m = new_model(s, len(codes)); costs = np.zeros(len(codes), np.float32)
    d = np.zeros((len(codes) if dist else 0, 4), np.float32)
    advance(m, codes, 0, len(codes), costs, d)
    return costs, d
