"""Joins the processes of a run, by a launcher's variables or by hand.

Who does what is told to JAX's own distributed runtime, which ends all processes when
one dies.
"""

from collections.abc import Mapping
import os
import socket
import sys
import time
from typing import NamedTuple

from cellrec_jax import errors

_WAIT_S = 300.0  # for the first process, which a scheduler may start last
_DEAD_S = 30  # without a heartbeat
_TRY_S = 0.5
_COUNTS = ("JAX_NUM_PROCESSES", "OMPI_COMM_WORLD_SIZE")
"""Variables that say how many processes there are."""


class Place(NamedTuple):
    """A process among those of a run."""

    address: str
    """HOST:PORT of the first process."""
    number: int
    """Of processes."""
    which: int
    """This one, from 0 on."""
    devices: tuple[int, ...] | None = None
    """Those that it uses of its machine's; None: all."""


def join(flag: str, wait_s: float = _WAIT_S) -> None:
    """Joins the other processes, if there are any.

    `flag` is "", where a launcher's variables may tell of some, "auto", where they
    must, or HOST:PORT,COUNT,ID. ConfigError where they do not, or no first process
    answers for `wait_s` seconds.
    """
    if not flag and not is_launched(os.environ):
        return
    place = detected() if flag in ("", "auto") else parse(flag)
    if place.number == 1:
        return
    _probe(place, wait_s)
    import jax

    # Its handler of SIGTERM would come before the loop's.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            place.address,
            place.number,
            place.which,
            local_device_ids=place.devices,
            cluster_detection_method="deactivate",
            initialization_timeout=max(1, round(wait_s)),
            heartbeat_timeout_seconds=_DEAD_S,
        )
    except RuntimeError as error:
        text = str(error).strip().splitlines()[0]
        raise errors.ConfigError(
            f"process {place.which} of {place.number}: the others did not come to "
            f"{place.address} within {wait_s:g} s ({text}); start all of them"
        ) from error


def refuse(flag: str, what: str) -> None:
    """A ConfigError where there are several processes for what one does."""
    if flag or is_launched(os.environ):
        raise errors.ConfigError(
            f"{what}: one process does it; start one, without --multihost (srun -n 1)"
        )


def leave(code: int) -> None:
    """Ends a process of several that failed at once: none waits for it any longer."""
    if (jax := sys.modules.get("jax")) and jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def is_launched(variables: Mapping[str, str]) -> bool:
    """Whether a launcher's variables tell of several processes.

    Example:
      >>> is_launched({"JAX_NUM_PROCESSES": "2"}), is_launched({"SLURM_NTASKS": "2"})
      (True, False)
    """
    if "," in variables.get("TPU_WORKER_HOSTNAMES", ""):
        return True
    counts = [variables.get(name, "") for name in _COUNTS]
    if "SLURM_STEP_NODELIST" in variables:  # not in a batch script itself
        counts.append(variables.get("SLURM_NTASKS", ""))
    return any(_number(text) > 1 for text in counts)


def parse(flag: str) -> Place:
    """A place of HOST:PORT,COUNT,ID; ConfigError if it is none.

    Example:
      >>> parse("node1:1234,2,0")
      Place(address='node1:1234', number=2, which=0, devices=None)
    """
    address, *rest = flag.split(",")
    _, _, port = address.rpartition(":")
    numbers = [_number(text) for text in (port, *rest)]
    if len(numbers) == 3 and -1 not in numbers and numbers[2] < numbers[1]:
        return Place(address, numbers[1], numbers[2])
    raise errors.ConfigError(
        f"--multihost {flag}: give HOST:PORT,COUNT,ID of the first process, how many "
        "there are and which this one is, from 0 on; or auto, by a launcher's variables"
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else -1


def detected() -> Place:
    """The place that variables tell; JAX reads those of most launchers."""
    names = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
    told = [os.environ.get(name, "") for name in names]
    if all(told):
        return parse(",".join(told))._replace(devices=_asked_devices())
    from jax._src import clusters  # no public way tells it before it connects

    try:
        address, count, index, devices = (
            clusters.ClusterEnv.auto_detect_unset_distributed_params(
                told[0] or None, None, None, _asked_devices(), None, round(_WAIT_S)
            )
        )
    except Exception as error:  # of a cluster's own servers
        raise errors.ConfigError(f"--multihost auto: {error}") from error
    if address is None or count is None or index is None:
        raise errors.ConfigError(
            "--multihost auto: no launcher's variables are set (Slurm, Open MPI, TPU, "
            f"or {', '.join(names)}); give --multihost HOST:PORT,COUNT,ID"
        )
    if os.environ.get("SLURM_NTASKS_PER_NODE") == "1":
        devices = _asked_devices()  # JAX takes one a process, also where it is alone
    return Place(address, count, index, None if devices is None else tuple(devices))


def _asked_devices() -> tuple[int, ...] | None:
    """Of JAX_LOCAL_DEVICE_IDS."""
    text = os.environ.get("JAX_LOCAL_DEVICE_IDS", "")
    return tuple(map(int, text.split(","))) if text else None


def _probe(place: Place, wait_s: float) -> None:
    """Refuses what would end in an abort: no first process, or one that is not free."""
    host, _, port = place.address.rpartition(":")
    if place.which == 0:
        with socket.socket(socket.AF_INET6) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                listener.bind(("::", int(port)))
            except OSError as error:
                raise errors.ConfigError(
                    f"{place.address}: this process cannot listen there "
                    f"({error.strerror}); name a free port of this machine"
                ) from error
        return
    until, reason = time.monotonic() + wait_s, ""
    while time.monotonic() < until:
        try:
            socket.create_connection((host.strip("[]"), int(port)), _TRY_S).close()
            return
        except OSError as error:
            reason = f" ({error.strerror or error})"
            time.sleep(_TRY_S)
    raise errors.ConfigError(
        f"process {place.which} of {place.number}: no first process answers at "
        f"{place.address} within {wait_s:g} s{reason}; start it, or mend the address"
    )
