"""Names that a claim file may use: those of the catalogue and of workloads. It opens no other file."""

from __future__ import annotations

from inferatlas.catalogue import names
from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.catalogue.models import model_ids, model_names
from inferatlas.errors import UnknownName
from inferatlas.workload import workload_names


def accelerator(name: str) -> str:
    """The name, unless it is the path of a file; who loads it says whether the catalogue has it.

    Examples
    --------
    >>> accelerator("h100")
    'h100'
    >>> accelerator("/home/me/secret.yaml")
    Traceback (most recent call last):
    inferatlas.errors.UnknownName: accelerator: unknown accelerator '/home/me/secret.yaml'...
    """
    if names.is_path(name.strip()):
        raise UnknownName("accelerator", name, accelerator_ids())
    return name


def model(name: str) -> str:
    """The name of a model of the catalogue.

    Raises
    ------
    UnknownName : the catalogue has none of that name, whatever file there is.
    """
    wanted = names.slug(name)
    if wanted not in model_ids() and wanted not in model_names():
        raise UnknownName("model", name, model_names())
    return name


def workload(name: str) -> str:
    """The name of a workload.

    Raises
    ------
    UnknownName : there is none of that name.
    """
    if name.lower() not in workload_names():
        raise UnknownName("workload", name, workload_names())
    return name
