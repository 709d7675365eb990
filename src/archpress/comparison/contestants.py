"""Who can take part: ours, ours with parts left out, other searches, and nets that inherit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from archpress.architecture import Architecture
from archpress.architecture.vector import to_vectors, without_global_pools
from archpress.comparison import inherited
from archpress.comparison.conditions import Conditions
from archpress.comparison.final_training import Finish, from_scratch
from archpress.errors import ArchitectureError, EvaluationError, SpaceError
from archpress.search import Arm

OURS, UNTAUGHT = "default", "no-distillation"
Kind = Literal["ours", "ablation", "baseline", "reference"]
Check = Callable[[Conditions], None]


@dataclass(frozen=True)
class Contestant:
    """One way to a small net.

    Attributes:
        name: for tables, files and the command line. Searches of this name in a folder are taken
            for its own: one that searches otherwise than before needs another.
        about: some words for people.
        kind: ours, ours with a part changed, another way to a small net, or a net to look back to.
        arm: how it searches, where it does; raises where it cannot take part.
        finish: how the net that it chose, or another, is trained at the end; None: not at all.
        has_finalists: whether its best nets get a final training each, out of its budget, after a
            semifinal where there is one, and validation chooses; else what the arm ranks first is.
        searches_as: name of the contestant whose searches it takes over; "": its own.
        needs_source: whether it cannot do without the trained source.
        spends_budget: whether it searches until the budget is spent; else it names a net at once.
    """

    name: str
    about: str
    kind: Kind
    arm: Callable[[Conditions], Arm[Architecture] | None]
    finish: Finish = from_scratch
    has_finalists: bool = False
    searches_as: str = ""
    needs_source: bool = False
    spends_budget: bool = True


def contestants() -> dict[str, Contestant]:
    """All that are known, by name."""
    known = (*_ours(), *_paper(), *_searches(), *_heirs())
    return {one.name: one for one in known}


def pick(arms: Sequence[str | Contestant]) -> list[Contestant]:
    """The contestants of these names, each once; contestants are taken as they are.

    Raises:
        EvaluationError: there is no such contestant, or none is named.
    """
    known = contestants()
    unknown = [one for one in arms if isinstance(one, str) and one not in known]
    if unknown or not arms:
        what = f"no arm is called {unknown[0]!r}" if unknown else "there is no arm to run"
        raise EvaluationError(f"{what}; known are {', '.join(known)}")
    found = [known[one] if isinstance(one, str) else one for one in arms]
    return list({one.name: one for one in found}.values())


def _ours() -> Iterable[Contestant]:
    about = "as compress: surrogate, descent and edits, in rounds; finalists, and all of them teach"
    ours = replace(of_ours(OURS, about, "ours"), has_finalists=True)
    yield replace(ours, finish=inherited.taught)
    same = replace(ours, kind="ablation", searches_as=OURS)
    yield replace(same, name=UNTAUGHT, about="the net of ours, taught by labels alone")
    about = "the net of ours, begun with slices of the trained source, not distilled"
    sliced = replace(same, name="default-inherited", about=about, needs_source=True)
    yield replace(sliced, finish=inherited.sliced)
    about = "ours, the net that the surrogate ranks first, not distilled; as are the next"
    yield of_ours("no-finalists", about, "ablation")
    yield of_ours("mutation", "ours without descent", "ablation", descent=False)
    yield of_ours("one-shot", "descent alone, learning once", "ablation", edits=False, rounds=False)


def of_ours(name: str, about: str, kind: Kind, **parts: bool) -> Contestant:
    """Our search with some parts left out, see `default_arm`."""

    def arm(conditions: Conditions) -> Arm[Architecture]:
        from archpress.compression.arms import default_arm

        return default_arm(conditions.settings, conditions.folder, **parts)

    return Contestant(name, about, kind, arm)


# The paper's arm with one thing changed: fields of `PaperSettings`.
PAPER_CHANGED: dict[str, tuple[str, dict[str, str]]] = {
    "paper": ("the paper's samples, embedding and one descent", {}),
    "paper-categorical": ("paper, types of layers as categories", {"types": "categorical"}),
    "paper-linear": ("paper, a linear head over log parameters", {"size_head": "linear"}),
    "paper-group": ("paper, group norm in the embedding", {"norm": "group"}),
}


def _paper() -> Iterable[Contestant]:
    for name, (about, changed) in PAPER_CHANGED.items():
        yield Contestant(name, about, "ablation", partial(_paper_arm, name, changed))
    near = partial(_paper_arm, "paper-near", {}, near=0.5)
    yield Contestant("paper-near", "paper, half of the samples near the source", "ablation", near)

    def flow(conditions: Conditions) -> Arm[Architecture]:
        from archpress.compression.arms import paper_flow_arm

        return paper_flow_arm(conditions.settings, conditions.folder)

    yield Contestant("paper-flow", "the paper's flow over our embedding", "ablation", flow)


def _paper_arm(
    name: str, changed: Mapping[str, Any], conditions: Conditions, near: float = 0.0
) -> Arm[Architecture]:
    from archpress.baselines.paper import paper_search

    try:
        to_vectors(without_global_pools(conditions.source))
    except ArchitectureError as error:
        raise SpaceError(f"the arm {name!r} cannot take part, leave it out: {error}") from None
    return paper_search(replace(conditions.settings.paper, **changed), near=near)


def _searches() -> Iterable[Contestant]:
    from archpress.baselines import SEARCHES
    from archpress.baselines.hand_made import COARSE, LATE, PYRAMID, HandMade, hand_made
    from archpress.baselines.reinforce import reinforce

    def contestant(name: str, make: Callable[[], Arm[Architecture]]) -> Contestant:
        about = (make.__doc__ or "search").strip().splitlines()[0].rstrip(".")
        searches = name not in {"hand-made", "narrowing"}
        return Contestant(name, about, "baseline", lambda _: make(), spends_budget=searches)

    makers = {"hand-made": hand_made, **SEARCHES, "reinforce": reinforce}

    def handwork(name: str, design: HandMade, about: str) -> Contestant:
        text = f"the hand-made net {about}"
        made = Contestant(name, text, "baseline", lambda _: hand_made(design))
        return replace(made, spends_budget=False)

    return [
        *(contestant(name, make) for name, make in makers.items()),
        handwork("hand-made-coarse", COARSE, "whose last layer reads a coarse map"),
        handwork("hand-made-late", LATE, "that reads a coarse map and pools late"),
        handwork("hand-made-pyramid", PYRAMID, "that is wide where maps are small"),
    ]


def _heirs() -> Iterable[Contestant]:
    """Of the trained source, without a search."""

    def heir(name: str, about: str, finish: Finish, arm: Check = inherited.no_search) -> Contestant:
        made = Contestant(name, about, "baseline", arm, finish, needs_source=True)
        return replace(made, spends_budget=False)

    pruned = "the trained source, pruned in steps by {}, trained on"
    about, finish = pruned.format("mean absolute weight"), partial(inherited.pruned, "l1")
    yield heir("pruning-l1", about, finish, inherited.prunes)
    about, finish = pruned.format("batch norm scale"), partial(inherited.pruned, "bn")
    yield heir("pruning-bn", about, finish, inherited.prunes)
    student = "the narrowed source, distilled from the trained source"
    yield heir("distillation", student, inherited.distilled)
    yield heir("fitnet", f"{student}, after hints", inherited.hinted)
