"""What is sent together: changes of a run as one, and one change in its pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from skledger.errors import ParamConflictError
from skledger.stores.model_changes import halves as model_halves
from skledger.stores.model_changes import size, together
from skledger.stores.outbox_codec import decode_change
from skledger.stores.outbox_queue import CHANGE, Entry
from skledger.stores.rest_aliases import REFERENCES
from skledger.tracking.entities import RunChange, RunStatus

__all__ = ["Group", "grouped", "halves", "merged", "names_in", "pieces", "settled", "strides"]

#: Values that one change carries at most.
LARGEST = 5000
#: The fields that hold several values, in the order in which they are sent on their own.
_MANY = ("params", "metrics", "inputs", "deleted_tags", "tags")


@dataclass(slots=True)
class Group:
    """Entries that are sent as one.

    Parameters
    ----------
    entries : list of Entry
        All of one run, or a single one that is no change of a run.
    change : RunChange or None
        What they come to.
    attempts : int
        How often it was tried since it was read from the queue, or something of it got through.
    done : set of str
        What of it the server has, by names that the forwarder chooses.
    """

    entries: list[Entry]
    change: RunChange | None
    attempts: int = 0
    done: set[str] = field(default_factory=set)

    @property
    def tries(self) -> int:
        """How often it was tried since something of it got through; by other processes, too."""
        return self.attempts + max(each.tries for each in self.entries)

    @property
    def is_retry(self) -> bool:
        """Whether the server may have some of it already."""
        return self.tries > 0

    def restart(self) -> None:
        """Count anew how often it was tried: something of it got through."""
        self.entries = [replace(each, tries=1) for each in self.entries]
        self.attempts = 0

    def makes(self) -> set[str]:
        """Return the run that it is about, and the models that it makes."""
        if self.change is None:
            return set()
        return {self.change.run_id, *(model.model_id for model in self.change.models)}

    def needs(self) -> set[str]:
        """Return the runs and models that must be there before it."""
        change = self.change
        if change is None:
            return set()
        found = {change.run_id, *change.deleted_models}
        found.update(tag.value for tag in change.tags if tag.key in REFERENCES)
        return found.union(each.model_id for each in change.model_changes)


def grouped(entries: Sequence[Entry]) -> list[Group]:
    """Put the entries of each run together, as far as nobody can tell.

    What the entries of a run add up to goes to the place of the first. An entry that may point to
    another run, or to a model, stays behind the entries before it.
    """
    groups: list[Group] = []
    last: dict[str, Group] = {}
    for entry in entries:
        change = _read(entry)
        if change is None:
            groups.append(Group([entry], None))
            last.clear()
            continue
        group = last.get(entry.run_id)
        if group is not None and group.change is not None:
            is_next = group is groups[-1]
            if (is_next or _stands_alone(change)) and _fits(group.change, change):
                group.entries.append(entry)
                group.change = merged(group.change, change)
                continue
        group = Group([entry], change)
        groups.append(group)
        last[entry.run_id] = group
    return groups


def _read(entry: Entry) -> RunChange | None:
    """Return the change that an entry is; None for anything else."""
    try:
        return decode_change(entry.body) if entry.kind == CHANGE else None
    except (ValueError, TypeError, LookupError):
        return None


def _stands_alone(change: RunChange) -> bool:
    """Whether a change means the same before the changes of other runs that precede it."""
    return not (
        change.tags
        or change.models
        or change.deleted_models
        or change.model_changes
        or change.deleted_tags
        or change.create
        or change.lifecycle_stage
    )


def _fits(first: RunChange, second: RunChange) -> bool:
    """Whether two changes can be one."""
    if second.create is not None or first.lifecycle_stage is not None:
        return False
    if second.deleted_models or (first.models and second.models):
        return False
    if first.model_changes and second.model_changes:
        try:
            together((*first.model_changes, *second.model_changes))
        except ParamConflictError:
            return False
    held: dict[str, str] = {}
    for param in (*first.params, *second.params):
        if held.setdefault(param.key, param.value) != param.value:
            return False
    return _size(first) + _size(second) <= LARGEST


def _size(change: RunChange) -> int:
    return sum(len(getattr(change, name)) for name in _MANY) + size(change.model_changes)


def merged(first: RunChange, second: RunChange) -> RunChange:
    """Return one change that does what two do."""
    deleted = set(second.deleted_tags)
    tags = {each.key: each for each in first.tags if each.key not in deleted}
    tags.update({each.key: each for each in second.tags})
    return replace(
        first,
        status=second.status or first.status,
        end_time=first.end_time if second.end_time is None else second.end_time,
        run_name=first.run_name if second.run_name is None else second.run_name,
        lifecycle_stage=second.lifecycle_stage or first.lifecycle_stage,
        metrics=(*first.metrics, *second.metrics),
        params=(*first.params, *second.params),
        tags=tuple(tags.values()),
        deleted_tags=tuple(dict.fromkeys((*first.deleted_tags, *second.deleted_tags))),
        inputs=(*first.inputs, *second.inputs),
        models=(*first.models, *second.models),
        deleted_models=(*first.deleted_models, *second.deleted_models),
        model_changes=together((*first.model_changes, *second.model_changes)),
    )


def settled(change: RunChange) -> RunChange:
    """Return a change whose run is created as RUNNING and gets its state at the end."""
    create = change.create
    if create is None or create.status == RunStatus.RUNNING:
        return change
    return replace(
        change,
        create=replace(create, status=RunStatus.RUNNING, end_time=None),
        status=change.status or create.status,
        end_time=create.end_time if change.end_time is None else change.end_time,
    )


def pieces(change: RunChange) -> Iterator[tuple[str, RunChange]]:
    """Yield a change in parts, each with a name, that the server can take one by one.

    The end of the run comes last, so that a run which has ended on the server is whole.
    """
    bare = RunChange(change.run_id)
    if change.create is not None:
        yield "create", replace(bare, create=change.create, tags=change.tags)
    for name in _MANY:
        if getattr(change, name) and not (name == "tags" and change.create is not None):
            yield name, replace(bare, **{name: getattr(change, name)})
    for model in change.models:
        yield f"model {model.model_id}", replace(bare, models=(model,))
    for model_id in change.deleted_models:
        yield f"no model {model_id}", replace(bare, deleted_models=(model_id,))
    for each in together(change.model_changes):
        yield f"change of {each.model_id}", replace(bare, model_changes=(each,))
    rest = _end_of(change)
    if rest != bare:
        yield "end", rest


def strides(change: RunChange) -> Iterator[tuple[str, RunChange]]:
    """Yield a change in as few parts as possible: its body, each model, and what comes then."""
    if not change.models:
        yield "all", change
        return
    bare = RunChange(change.run_id)
    body = replace(
        change,
        models=(),
        model_changes=(),
        status=None,
        end_time=None,
        run_name=None,
        lifecycle_stage=None,
    )
    if body != bare:
        yield "body", body
    yield from (each for each in pieces(change) if each[1].models)
    yield from (each for each in pieces(change) if each[1].model_changes)
    if (rest := _end_of(change)) != bare:
        yield "end", rest


def names_in(name: str, change: RunChange) -> set[str]:
    """Return the names of the pieces that a part of a change is made of, and its own."""
    if name == "body":
        small = {
            each for each, piece in pieces(change) if not (piece.models or piece.model_changes)
        }
        return {name, *small} - {"end"}
    return {name}


def _end_of(change: RunChange) -> RunChange:
    return RunChange(
        change.run_id,
        status=change.status,
        end_time=change.end_time,
        run_name=change.run_name,
        lifecycle_stage=change.lifecycle_stage,
    )


def halves(piece: RunChange) -> tuple[RunChange, RunChange] | None:
    """Return a piece in two, or None when it is a single value."""
    for each in piece.model_changes:
        parts = model_halves(each)
        if parts is None:
            return None
        one, other = (replace(piece, model_changes=(part,)) for part in parts)
        return one, other
    for name in _MANY:
        values = getattr(piece, name)
        if len(values) > 1:
            middle = len(values) // 2
            return (
                replace(piece, **{name: values[:middle]}),
                replace(piece, **{name: values[middle:]}),
            )
    return None
