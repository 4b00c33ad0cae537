"""The charges of one instance in FOCUS: of the same hours as its report by model."""

from __future__ import annotations

from bisect import bisect_right
from typing import Callable, Sequence

from ...config import Instance
from ...ledger.known_usage import PricedSpans, Span, join_spans
from ...ledger.models_window import ModelsWindow
from .focus import FocusWriter
from .group_usage import group_usage
from .key_rows import key_rows
from .line_adder import LineAdder
from .periods import split_hours
from .query_hours import QueriedHours
from .report_options import View


def write_charges(
    instance: Instance, queried: QueriedHours, view: View, now_ms: int, write: Callable[[str], None]
) -> None:
    """Write the rows of all models. Keys are read one by one: the hours of all would need too much memory."""
    known, window, kept = queried.known, queried.window, queried.asked.kept
    if known is None or not queried.reports or not isinstance(window, ModelsWindow):
        return
    common = LineAdder(group_usage(instance, "model", known, "", now_ms), view.size == "hour").common(
        kept.start, kept.end
    )
    runs = join_spans(common)
    parts = list(split_hours(kept, view.size, instance.zone()))
    writer, listed = FocusWriter(instance, window.account.project_id, write), window.keys()
    for api_id, priced in known.priced.items():
        keys = (
            (key.dimensions, _within(runs, window.read_key(key).priced[key.dimensions]))
            for key in listed
            if key.dimensions.api_id == api_id
        )
        writer.write_model(api_id, key_rows({span: priced[span] for span in common if span in priced}, keys, parts))


def _within(runs: Sequence[Span], spans: PricedSpans) -> PricedSpans:
    """Return the spans that lie within the hours of the models."""
    starts = [run.start for run in runs]

    def is_within(span: Span) -> bool:
        i = bisect_right(starts, span.start) - 1
        return i >= 0 and span.until <= runs[i].until

    return {span: priced for span, priced in spans.items() if is_within(span)}
