"""Training many networks of a design space: in this process or in others, and again from where it stopped.

Results are lines of JSON, one network each, in the order of the networks, whatever order they were finished in:
a survey on eight processes writes the bytes of one on a single process.
"""

import json
import math
from concurrent.futures import as_completed
from contextlib import closing

import numpy as np

from ..errors import ArgError, DataFormatError
from ..files import atomic_write, check_writable, read_limited
from ..nn.check import number
from .anynet import Stage


def survey(networks, score, path=None, *, executor=None, progress=None):
    """Errors of all networks: float64 (n,).

    Parameters
    ----------
    networks : list of lists of Stage
        As from `design_space.population`.
    score : function (stages, i) -> float in [0, 1]
        Trains network i and returns its error; i serves as a seed. For processes it must be a function of a module.
    path : str or Path, optional
        File of results. What it already has is not computed again, and each new result is added at once.
    executor : concurrent.futures.Executor, optional
        Where `score` runs; default here, one after the other.
    progress : function (done, n), optional
        Called after each result.

    Raises
    ------
    ArgError
        For no networks, an error outside [0, 1], and a file about other networks.
    DataFormatError
        For a file that is not one of these.

    If a score fails, those that were finished are kept in the file and the first failure is raised.
    """
    networks = [[Stage(*stage) for stage in stages] for stages in networks]
    if not networks:
        raise ArgError("survey: networks is empty, expected at least one")
    found = _stored(networks, path)
    missing = [i for i in range(len(networks)) if i not in found]
    with closing(_scores(networks, score, missing, executor)) as pairs:
        for i, error in pairs:
            error = number("survey", f"error of network {i}", error, low=0, high=1)
            found[i] = {"network": i, "stages": networks[i], "error": error}
            if path is not None:
                lines = [json.dumps(found[k], default=np.generic.item) + "\n" for k in sorted(found)]
                atomic_write(path, "".join(lines).encode())
            if progress is not None:
                progress(sum(k < len(networks) for k in found), len(networks))
    return np.array([found[i]["error"] for i in range(len(networks))])


def _scores(networks, score, missing, executor):
    """Pairs (i, error) as they are finished."""
    if executor is None:
        yield from ((i, score(networks[i], i)) for i in missing)
        return
    futures, failure = {executor.submit(score, networks[i], i): i for i in missing}, None
    try:
        for future in as_completed(futures):
            if future.cancelled():
                continue
            if future.exception() is None:
                yield futures[future], future.result()
            elif failure is None:
                failure = future.exception()
                _cancel(futures)
    finally:                    # also when the reader of these pairs gives up
        _cancel(futures)
    if failure is not None:
        raise failure


def _cancel(futures):
    for future in futures:
        future.cancel()


# The file ---------------------------------------------------------------------------------------------------------


def _stored(networks, path):
    """{i: record} of the file, after it has been compared with the networks; checks that it can be written."""
    if path is None:
        return {}
    check_writable(path)
    try:
        found = read_results(path)
    except FileNotFoundError:
        return {}
    for i, record in found.items():
        if i < len(networks) and record["stages"] != networks[i]:
            raise ArgError(f"survey: path is {str(path)!r}, whose network {i} is {record['stages']}, expected "
                           f"{networks[i]}; another survey needs another file")
    return found


def read_results(path):
    """{i: {"network": i, "stages": list of Stage, "error": float}} of a file of results.

    Raises
    ------
    DataMissingError
        If there is no such file.
    DataFormatError
        For lines that are not results, and for two results of one network.
    """
    found = {}
    for n, line in enumerate(read_limited(path).splitlines(), 1):
        record = _parse(line)
        if record is None or record["network"] in found:
            raise DataFormatError(f"read_results: line {n} of {str(path)!r} is {line[:80]!r}, expected one result "
                                  "for each network")
        found[record["network"]] = record
    return found


def _parse(line):
    """The record of a line, None if it is not one."""
    try:
        record = json.loads(line)
        i, error = record["network"], record["error"]
        stages = [Stage(*stage) for stage in record["stages"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    sound = type(i) is int and i >= 0 and type(error) in (int, float) and math.isfinite(error) and 0 <= error <= 1
    return {"network": i, "stages": stages, "error": float(error)} if sound and len(record) == 3 else None
