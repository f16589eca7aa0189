"""Members that are trained one by one in the test's own process."""

from gfm_utils.ensembles.member_job import MemberJob
from gfm_utils.ensembles.training import train_group


def train_member(spec, store, seed, path, device="cpu", said=None):
    """Train one member; the sentences that are told of it are added to ``said``."""

    def tell(what, *_):
        if said is not None and isinstance(what, str):
            said.append(what)

    for diverged in train_group([MemberJob(spec, store, seed, path)], device, tell):
        raise diverged
