"""``skledger sync``: send what waits for a tracking server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from skledger.stores.outbox import Left, OutboxStore
    from skledger.stores.outbox_others import Box
    from skledger.stores.outbox_queue import Refused

__all__ = ["command"]

#: What a shell reports for a process that Ctrl-C ended.
_INTERRUPTED = 130
#: Refused things that are told one by one.
_TOLD = 20
#: Between two looks at how much is left, in seconds.
_LOOK = 0.2


@click.command("sync", short_help="Send what waits for a tracking server.")
@click.argument("uri", required=False)
@click.option("--status", is_flag=True, help="Only tell what waits, and what was refused.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="The longest it may take. Without it, as long as the server takes something.",
)
@click.option(
    "--as-me",
    is_flag=True,
    help="Also send what was booked as other users, or with other tokens: as whoever asks now.",
)
@click.option("--retry-refused", is_flag=True, help="Also send again what the server refused.")
@click.option(
    "--drop-refused",
    is_flag=True,
    help="Forget what the server refused, for good, and tell what it was; nothing is sent.",
)
@click.option(
    "--discard",
    is_flag=True,
    help="Forget everything that waits for URI, for good, such as for a wrong address; asks first.",
)
@click.option("--yes", is_flag=True, help="With --discard: do not ask.")
def command(
    uri: str | None,
    status: bool,
    timeout: float | None,
    as_me: bool,
    retry_refused: bool,
    drop_refused: bool,
    discard: bool,
    yes: bool,
) -> None:
    """Send the records and files that wait on this machine for a tracking server.

    They wait because the server did not answer, or because a process ended before it could send
    them. URI is the address of the server; without it, the tracking URI if that is a server, else
    every server that something waits for. What was booked as another user, or with another token,
    is only told of, unless --as-me is given. The exit code is 1 when something is left.
    """
    sends = status or as_me or retry_refused or timeout is not None
    if yes and not discard:
        raise click.UsageError("--yes goes with --discard.")
    if drop_refused and (sends or discard):
        raise click.UsageError("--drop-refused sends nothing and takes no other option.")
    if status and as_me:
        raise click.UsageError("--status sends nothing, so --as-me says nothing beside it.")
    if discard:
        if not uri:
            raise click.UsageError("--discard needs the URI of the server, which is not given.")
        if sends:
            raise click.UsageError("--discard sends nothing: beside it only --yes is possible.")
        _discard(_addresses(uri)[0], yes)
        return
    addresses = _addresses(uri)
    if not addresses:
        click.echo("There is nothing to do: nothing waits for any server.")
        return
    if drop_refused:
        for each in addresses:
            _drop(each)
        return
    # All of them are served, whatever becomes of the first.
    is_done = [_serve(each, status, timeout, retry_refused, as_me) for each in addresses]
    if not all(is_done):
        raise click.exceptions.Exit(1)


def _addresses(uri: str | None) -> list[str]:
    from skledger.errors import InvalidParameterError
    from skledger.stores.outbox import outboxes
    from skledger.tracking.session import get_tracking_uri

    chosen = uri or get_tracking_uri()
    if chosen.startswith(("http://", "https://")):
        return [chosen]
    if uri:
        raise InvalidParameterError(
            f"{uri!r} is not the address of a tracking server: expected http://host:5000. Only "
            "what is booked on a server may wait; everything else is written at once."
        )
    return outboxes()


def _serve(uri: str, status: bool, timeout: float | None, retry_refused: bool, as_me: bool) -> bool:
    """Send, or tell, what waits for one server; return whether nothing is left."""
    stores = _all_of(uri) if as_me else [_opened(uri)]
    store, is_done = stores[0], True
    for each in stores:
        if not status:
            from skledger.tracking.dead_runs import end_at_opening

            end_at_opening(each)
            _send(each, timeout, retry_refused)
        left = each.left()
        if each is store or not left.is_nothing:
            _tell(each, left, is_status=status)
        each.close()
        is_done = is_done and left.is_nothing
    return is_done and (as_me or not _tell_others(store))


def _all_of(uri: str) -> list[OutboxStore]:
    """Open the outbox of whoever asks, then those of others that something is left in."""
    store = _opened(uri)
    return [store, *(_opened(uri, each.folder) for each in _others(store))]


def _others(store: OutboxStore) -> list[Box]:
    from skledger.stores.outbox_others import boxes

    return boxes(store.uri, store.folder)


def _tell_others(store: OutboxStore) -> bool:
    """Tell what was booked as somebody else; return whether something was."""
    from skledger.stores.outbox_courier import waits

    found = _others(store)
    for each in found:
        told = [waits(each.records, each.files)] if each.records or each.files else []
        if each.aside:
            told.append(f"{each.aside} refused")
        click.echo(f"Booked {each.who}: {', '.join(told)}, in {each.folder}.")
    if found:
        click.echo(
            f"That is not yours to send unless you say so: `skledger sync {store.uri} --as-me` "
            "sends it, too, and it belongs to whoever asks then."
        )
    return bool(found)


def _opened(uri: str, folder: Path | None = None) -> OutboxStore:
    """Open an outbox that sends nothing by itself."""
    from skledger.stores import outbox
    from skledger.tracking.session import checked_uri

    address = checked_uri(uri) or uri
    if folder is None:
        return outbox.open_outbox(address, sends=False)
    return outbox.open_outbox(address, sends=False, folder=folder)


def _drop(uri: str) -> None:
    """Forget what one server refused, whoever booked it, and tell what it was."""
    stores = _all_of(uri)
    dropped = [thing for each in stores for thing in each.drop_refused()]
    if dropped:
        click.echo(f"Dropped {_things(dropped)} that {stores[0].uri} does not have:")
        _list(dropped, len(dropped))
    else:
        click.echo(f"There is nothing to drop: {stores[0].uri} refused nothing.")
    for each in stores:
        each.close()


def _discard(uri: str, yes: bool) -> None:
    """Forget everything that waits for one server, whoever booked it."""
    from skledger.stores.outbox_courier import waiting_text
    from skledger.stores.outbox_left import discard

    stores = _all_of(uri)
    lefts, address = [each.left() for each in stores], stores[0].uri
    for each in stores:
        each.close()
    if all(left.is_nothing for left in lefts):
        click.echo(f"There is nothing to discard: nothing waits for {address}.")
        return
    what = waiting_text(sum(each.records for each in lefts), sum(each.files for each in lefts))
    if aside := [thing for each in lefts for thing in each.aside]:
        what += f", and {_things(aside)} set aside"
    if not yes:
        click.confirm(f"Forget {what} for {address}, which no server has, for good?", abort=True)
    for store, left in zip(stores, lefts, strict=True):
        if not left.is_nothing:
            discard(store.folder)
    click.echo(f"Discarded {what}, for {address}.")


def _things(listed: Sequence[Refused]) -> str:
    return f"{len(listed)} thing{'s' if len(listed) > 1 else ''}"


def _send(store: OutboxStore, timeout: float | None, retry_refused: bool) -> None:
    before, start = store.left(), time.monotonic()
    try:
        with _progress(store) as look:
            failure = store.sync(look, timeout, retry_refused=retry_refused)
    except KeyboardInterrupt:
        click.echo("Stopped. What was sent stays sent; the rest waits.", err=True)
        raise click.exceptions.Exit(_INTERRUPTED) from None
    if failure is not None:
        click.secho(f"Error: {failure}", fg="red", err=True)
    records, files = _sent(before, store.left(), retry_refused)
    if records > 0 or files > 0:
        from skledger.cli._printing import seconds_text
        from skledger.stores.outbox_courier import waiting_text

        sent = waiting_text(records, files)
        took = seconds_text(time.monotonic() - start)
        click.echo(f"Sent {sent} to {store.uri} in {took}.")


def _sent(before: Left, after: Left, retry_refused: bool) -> tuple[int, int]:
    """Return how many records and files the server has taken."""

    def refused(left: Left) -> tuple[int, int]:
        files = sum(each.kind == "file" for each in left.refused)
        return len(left.refused) - files, files

    old, new = refused(before), refused(after)
    if not retry_refused:
        new = max(new[0] - old[0], 0), max(new[1] - old[1], 0)
        old = 0, 0
    records = before.records + old[0] - after.records - new[0]
    files = before.files + old[1] - after.files - new[1]
    return max(records, 0), max(files, 0)


@contextmanager
def _progress(store: OutboxStore) -> Iterator[Callable[[], None]]:
    """Show a bar in a terminal; give what is called after each part."""
    from skledger.cli._printing import console

    if not console().is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console(), transient=True) as bar:
        left = store.left()
        total = left.records + left.files
        task = bar.add_task(f"to {store.uri}", total=total)
        due = time.monotonic()

        def look() -> None:
            nonlocal total, due
            start = time.monotonic()
            if start < due:
                return
            now = store.left()
            # To count many files takes its time, too.
            end = time.monotonic()
            due = end + max(_LOOK, 10 * (end - start))
            total = max(total, now.records + now.files)
            bar.update(task, total=total, completed=total - now.records - now.files)

        yield look


def _tell(store: OutboxStore, left: Left, *, is_status: bool) -> None:
    """Print what is left."""
    from skledger.cli._printing import bytes_text, moment_text
    from skledger.stores.outbox_courier import waits

    if left.records or left.files:
        size = f" ({bytes_text(left.size)})" if left.files else ""
        since = f", the first since {moment_text(left.oldest)}" if left.oldest else ""
        told = waits(left.records, left.files)
        click.echo(f"{told}{size} for {store.uri}{since}, in {store.folder}.")
    elif is_status or not left.aside:
        click.echo(f"Nothing waits for {store.uri}.")
    if left.refused:
        click.echo(f"{store.uri} refused {_things(left.refused)} for good:")
        _list(left.refused)
        click.echo(
            "They are kept. When the reason is gone, `skledger sync --retry-refused` sends them; "
            "`skledger sync --drop-refused` forgets them."
        )
    if left.lost:
        files = f"{len(left.lost)} file{'s' if len(left.lost) > 1 else ''}"
        click.echo(f"{files} cannot be sent any more:")
        _list(left.lost)
        click.echo("`skledger sync --drop-refused` forgets them.")


def _list(listed: Sequence[Refused], most: int = _TOLD) -> None:
    from rich.table import Table

    from skledger.cli._printing import cell, emit

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("run", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("why", overflow="fold")
    for each in listed[:most]:
        table.add_row(cell(each.run_id[:8], "cyan"), cell(each.summary), cell(each.error))
    emit(table)
    if len(listed) > most:
        click.secho(f"and {len(listed) - most} more", dim=True)
