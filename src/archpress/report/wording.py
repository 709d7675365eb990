"""Numbers as a person reads them: with units, n and spread."""

from archpress.report.record import GivenRecord, LatencyRecord, LimitRecord, SpreadRecord

MISSING = "not measured"
AS_GIVEN = "as given, not trained here"


def count(value: float) -> str:
    """A whole number with thousands apart.

    >>> count(708458)
    '708,458'
    """
    return f"{value:,.0f}"


def short_count(value: float) -> str:
    """A number in three digits.

    >>> short_count(43703296), short_count(708458), short_count(512), short_count(999_999)
    ('43.7 M', '708 k', '512', '1 M')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def ratio(times: float) -> str:
    """How many times more or less.

    >>> ratio(7.6252), ratio(12_999.3)
    ('7.63', '12,999')
    """
    return f"{times:.3g}" if times < 999.5 else count(times)


def memory(size: float) -> str:
    """Bytes in the unit that suits them.

    >>> memory(200704), memory(3 * 2**20), memory(512)
    ('196.0 KiB', '3.00 MiB', '512 B')
    """
    if size >= 2**20:
        return f"{size / 2**20:.2f} MiB"
    return f"{size / 2**10:.1f} KiB" if size >= 2**10 else f"{size:.0f} B"


def percent(fraction: float) -> str:
    """A fraction in percent.

    >>> percent(0.9012)
    '90.12 %'
    """
    return f"{100 * fraction:.2f} %"


def points(fraction: float) -> str:
    """A difference of accuracies in percentage points.

    >>> points(0.005)
    '0.50 points'
    """
    return f"{100 * fraction:.2f} points"


def accuracy(spread: SpreadRecord | None) -> tuple[str, str]:
    """The value, and its n and spread.

    >>> accuracy(SpreadRecord(mean=0.9, std=0.002, n=3))
    ('90.00 % ± 0.20', 'n = 3 trainings')
    >>> accuracy(SpreadRecord(mean=0.9, n=1))
    ('90.00 %', 'n = 1 training, so no spread')
    """
    if spread is None:
        return MISSING, ""
    if spread.std is None or spread.n < 2:
        return percent(spread.mean), f"n = {spread.n} training, so no spread"
    return f"{percent(spread.mean)} ± {100 * spread.std:.2f}", f"n = {spread.n} trainings"


def as_given(record: GivenRecord) -> str:
    """Where a source's accuracy comes from.

    >>> as_given(GivenRecord(weights="0f3a", normalisation="unit")).split(";")[1]
    ' its images are normalised by the rule "unit".'
    """
    tried = ", ".join(f"{rule} {percent(value)}" for rule, value in record.tried.items())
    chosen = f", chosen on validation images ({tried})" if tried else ""
    return (
        f"The source has the weights that were given for it ({record.weights}) and was not trained "
        f'here; its images are normalised by the rule "{record.normalisation}"{chosen}.'
    )


def duration(seconds: float) -> str:
    """A time in the units that suit it.

    >>> duration(0.00123), duration(12.34), duration(150.2), duration(7384)
    ('1.23 ms', '12.3 s', '2 min 30 s', '2 h 3 min')
    """
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms" if seconds >= 0.001 else f"{1e6 * seconds:.3g} µs"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def milliseconds(value: float) -> str:
    """A time that is told in milliseconds.

    >>> milliseconds(0.61234)
    '612 µs'
    """
    return duration(value / 1e3)


def latency(measured: LatencyRecord | None) -> tuple[str, str]:
    """The median, and how it was measured."""
    if measured is None:
        return MISSING, ""
    threads = "1 thread" if measured.threads == 1 else f"{measured.threads} threads"
    return (
        duration(measured.median_seconds),
        f"IQR {duration(measured.iqr_seconds)}, n = {measured.runs} runs, "
        f"batch {measured.batch}, {threads}, {measured.device}",
    )


def limit(record: LimitRecord) -> tuple[str, str]:
    """The limit in words, and the value found.

    >>> limit(LimitRecord(name="max_parameters", limit=93000, value=92011, met=True))
    ('at most 93,000 parameters', '92,011')
    >>> limit(LimitRecord(name="max_accuracy_loss", limit=0.005, value=-0.001, met=True))
    ('at most 0.50 points of accuracy lost', '-0.10 points')
    """
    say, template = {
        "max_parameters": (count, "at most {} parameters"),
        "max_macs": (count, "at most {} multiply-adds an image"),
        "max_peak_memory": (memory, "at most {} of activations"),
        "max_latency": (milliseconds, "at most {} a pass"),
        "max_file_size": (count, "at most {} bytes of weights.safetensors"),
        "min_accuracy": (percent, "at least {} validation accuracy"),
        "max_accuracy_loss": (points, "at most {} of accuracy lost"),
    }.get(record.name, (lambda value: f"{value:g}", record.name.replace("{", "") + ": {}"))
    return template.format(say(record.limit)), (
        MISSING if record.value is None else say(record.value)
    )


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape with crosses.

    >>> shape_text((32, 28, 28))
    '32 × 28 × 28'
    """
    return " × ".join(map(str, shape))
