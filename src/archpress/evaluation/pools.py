"""Which pool trains: processes of this machine, or a cluster."""

from archpress.data import ImageData
from archpress.errors import EvaluationError
from archpress.evaluation.device import choose_device
from archpress.evaluation.evaluator import Pool
from archpress.evaluation.pool import ProcessPool, default_workers
from archpress.evaluation.ray_pool import RayPool
from archpress.evaluation.recipe import Recipe


def open_pool(
    data: ImageData,
    recipe: Recipe,
    *,
    cluster: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    time_limit: float | None = None,
    memory_limit: int | None = None,
) -> Pool:
    """A pool on this machine, or on a cluster where one is named.

    Args:
        data: to train and validate on.
        recipe: of `evaluate`.
        cluster: None, or as `connect` knows it.
        workers: trainings at once; None: as many as fit.
        device: as typed; a cluster may have another one than this machine.
        time_limit: seconds that a trial may take.
        memory_limit: bytes that a trial may add to its process.

    Raises:
        EvaluationError: as of `ProcessPool` and `RayPool`.
    """
    if cluster is None:
        return ProcessPool(
            data,
            recipe,
            workers=workers,
            device=device,
            time_limit=time_limit,
            memory_limit=memory_limit,
        )
    return RayPool(
        data,
        recipe,
        cluster=cluster,
        workers=workers,
        device=device,
        time_limit=time_limit,
        memory_limit=memory_limit,
    )


def driver_device(device: str, cluster: str | None) -> str:
    """What this process itself computes on, as torch knows it.

    Args:
        device: as typed, of the trainings.
        cluster: that has them; then this machine need not have that device.

    Raises:
        EvaluationError: there is no such device.
    """
    return choose_device(device if cluster is None or device == "cpu" else "auto")


def workers_at_once(workers: int | None, device: str, cluster: str | None) -> int | None:
    """Trainings at once; None where a cluster has as many as fit.

    Args:
        workers: as asked for.
        device: as torch knows it.
        cluster: None, or as `connect` knows it.

    Raises:
        EvaluationError: fewer than one are asked for.
    """
    if workers is not None and workers < 1:
        raise EvaluationError(f"trainings need one worker or more, not {workers}")
    if workers is None and cluster is None:
        return default_workers(device)
    return workers
