"""Ensembles beside those of a run, of few members each, with which its numbers are compared."""

from collections.abc import Sequence

from gfm_utils.ensembles import STATES, Ensemble, State, plan_ensembles, train_planned, without_layers
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition

#: Members of a control.
CONTROL_MEMBERS = 3
#: State of members that have embeddings and a head, and no transformer layers.
NO_LAYERS = "no layers"


def first_of_text(ensembles: Sequence[Ensemble]) -> Ensemble:
    """The first ensemble of text, or else the first: text has the most to learn from context."""
    return next((ensemble for ensemble in ensembles if ensemble.store.kind == "text"), ensembles[0])


def trained_beside(ensembles: Sequence[Ensemble], wanted: Sequence[tuple[Condition, Profile]]) -> list[Ensemble]:
    """A few members of conditions at profiles, trained in the folder and with the seed of a run.

    All are trained at once, for processes take seconds to start.
    """
    runs_dir, seed = ensembles[0].store.path.parents[1], ensembles[0].spec.data_seed
    planned = [
        plan_ensembles([condition], size, runs_dir, seed, min(CONTROL_MEMBERS, size.members))[0]
        for condition, size in wanted
    ]
    train_planned(planned)
    return planned


def shuffled_control(ensembles: Sequence[Ensemble], profile: Profile) -> Ensemble:
    """A few members trained on one condition's tokens in random order: only frequencies can be learned.

    The condition is the first of text, or else the first; the budget is that of the run's profile.
    """
    return trained_beside(ensembles, [shuffled_wanted(ensembles, profile)])[0]


def shuffled_wanted(ensembles: Sequence[Ensemble], profile: Profile) -> tuple[Condition, Profile]:
    """Condition and profile of ``shuffled_control``."""
    return Condition.parse(first_of_text(ensembles).condition).transformed("shuffle"), profile


def no_layers_control(ensembles: Sequence[Ensemble], profile: Profile) -> list[Ensemble]:
    """A few members without transformer layers: no prediction of theirs can depend on another token.

    Each condition has one, with the width of the run's members, their batches and their budget.
    """
    return trained_beside(ensembles, no_layers_wanted(ensembles, profile))


def no_layers_wanted(ensembles: Sequence[Ensemble], profile: Profile) -> list[tuple[Condition, Profile]]:
    """Condition and profile of each ensemble of ``no_layers_control``."""
    size = profile.changed(preset=without_layers(profile.preset))
    return [(Condition.parse(one), size) for one in dict.fromkeys(ensemble.condition for ensemble in ensembles)]


def states_of(ensemble: Ensemble, no_layers: Sequence[Ensemble]) -> list[tuple[str, Ensemble, State]]:
    """What is compared in a condition: name of the state, whose members, and in which state of theirs."""
    states: list[tuple[str, Ensemble, State]] = [(state, ensemble, state) for state in STATES]
    return states + [(NO_LAYERS, other, "trained") for other in no_layers if other.condition == ensemble.condition]
