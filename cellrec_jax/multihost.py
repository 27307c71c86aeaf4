"""Joins the processes of a run, by a launcher's variables or by hand.

Who does what is told to JAX's own distributed runtime, which ends all processes when
one dies.
"""

from collections.abc import Mapping
import contextlib
import hashlib
import os
import socket
import sys
import threading
import time
from typing import Any, NamedTuple

from cellrec_jax import errors

_WAIT_S = 300.0  # for the others, which a person starts
_LAUNCHED_WAIT_S = 900.0  # a scheduler may start some much later
_DEAD_S = 30  # without a heartbeat
_TRY_S = 0.5
_SILENT_S = 5.0  # of the wait, before a person is told of it
_GO = b"go"
_LEAVE_S = 5.0  # in which others that fail alike end by themselves
_COUNTS: tuple[str, ...] = ("JAX_NUM_PROCESSES", "OMPI_COMM_WORLD_SIZE")
_COUNTS += ("SLURM_STEP_NUM_TASKS", "MEGASCALE_NUM_SLICES")
"""Variables that say how many processes there are, or slices of TPUs; not SLURM_NTASKS,
which a batch script has, too."""
_LISTS = ("TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES")
"""Variables that list them."""


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


def join(flag: str, wait_s: float | None = None) -> None:
    """Joins the other processes, if there are any.

    `flag` is "", where a launcher's variables may tell of some, "auto", where they
    must, or HOST:PORT,COUNT,ID. ConfigError where they do not, or not all come within
    `wait_s` seconds (5 minutes; 15 of a launcher, where it is a RunError: started
    again they may come).
    """
    if not flag and not is_launched(os.environ):
        return
    launched = flag in ("", "auto")
    place = detected() if launched else parse(flag)
    if place.number == 1:
        return
    try:
        _meet(place, wait_s or (_LAUNCHED_WAIT_S if launched else _WAIT_S))
    except errors.ConfigError as error:
        if launched:
            raise errors.RunError(str(error)) from error
        raise
    import jax

    # Its handler of SIGTERM would come before the loop's.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        place.address,
        place.number,
        place.which,
        local_device_ids=place.devices,
        cluster_detection_method="deactivate",
        heartbeat_timeout_seconds=_DEAD_S,
    )


def refuse(flag: str, what: str) -> None:
    """A ConfigError where there are several processes for what one does."""
    if flag or is_launched(os.environ):
        raise errors.ConfigError(
            f"{what}: one process does it; start one, without --multihost (srun -n 1)"
        )


def leave(code: int) -> None:
    """Ends a process of several that failed at once: none waits for it any longer."""
    if not is_joined():
        return
    import jax

    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:  # without it JAX aborts the others
        time.sleep(_LEAVE_S)
    os._exit(code)


def is_new(text: str) -> bool:
    """Whether no other process has asked this of the text before."""
    if not is_joined():
        return True
    try:
        from jax._src import distributed  # no public way keeps a text for all

        client: Any = distributed.global_state.client
        client.key_value_set(hashlib.sha256(text.encode()).hexdigest(), "said")
    except Exception as error:  # also where the first process is gone
        return "ALREADY_EXISTS" not in str(error)
    return True


def is_joined() -> bool:
    """Whether this process is one of several."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def is_launched(variables: Mapping[str, str]) -> bool:
    """Whether a launcher's variables tell of several processes.

    Example:
      >>> is_launched({"JAX_NUM_PROCESSES": "2"}), is_launched({"SLURM_NTASKS": "2"})
      (True, False)
    """
    if any("," in variables.get(name, "") for name in _LISTS):
        return True
    return any(_number(variables.get(name, "")) > 1 for name in _COUNTS)


def parse(flag: str) -> Place:
    """A place of HOST:PORT,COUNT,ID; ConfigError if it is none.

    Example:
      >>> parse("node1:1234,2,0")
      Place(address='node1:1234', number=2, which=0, devices=None)
    """
    address, *rest = flag.split(",")
    _, _, port = address.rpartition(":")
    numbers = [_number(text) for text in (port, *rest)]
    fits = len(numbers) == 3 and -1 not in numbers and numbers[2] < numbers[1]
    if fits and 0 < numbers[0] < 2**16:
        return Place(address, numbers[1], numbers[2])
    raise errors.ConfigError(
        f"--multihost {flag}: give HOST:PORT,COUNT,ID of the first process (a port to "
        "65535), how many there are and which this one is, from 0 on; or auto, by a "
        "launcher's variables"
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
                told[0] or None,
                None,
                None,
                _asked_devices(),
                None,
                round(_LAUNCHED_WAIT_S),
            )
        )
    except Exception as error:  # of a cluster's own servers
        raise errors.RunError(f"--multihost auto: {error}") from error
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


def _meet(place: Place, wait_s: float) -> None:
    """Waits until all processes are there; without one JAX would end in an abort."""
    until = time.monotonic() + wait_s
    wait = _greet if place.which else _wait_for_others
    late = threading.Timer(_SILENT_S, _say_waiting, (place, wait_s))
    late.daemon = True
    late.start()
    try:
        missing = wait(place, until)
    finally:
        late.cancel()
    if missing:
        raise errors.ConfigError(
            f"process {place.which} of {place.number}: {missing} at {place.address} "
            f"within {wait_s:g} s; start all of them, or mend the address"
        )


def _say_waiting(place: Place, wait_s: float) -> None:
    print(  # noqa: T201
        f"process {place.which} of {place.number}: waiting for the others at "
        f"{place.address}, up to {wait_s:g} s",
        file=sys.stderr,
        flush=True,
    )


def _wait_for_others(place: Place, until: float) -> str:
    """Of the first process: who did not come, in words; empty where all did."""
    there: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(_listen(place))
        while len(there) < place.number - 1:
            if time.monotonic() > until:
                absent = sorted(set(range(1, place.number)) - there.keys())
                return f"process {', '.join(map(str, absent))} did not come"
            with contextlib.suppress(OSError, ValueError):
                peer = opened.enter_context(listener.accept()[0])
                peer.settimeout(_TRY_S)
                which = int(peer.recv(20))
                if 0 < which < place.number:
                    there[which] = peer
        for peer in there.values():
            with contextlib.suppress(OSError):
                peer.sendall(_GO)
    return ""


def _listen(place: Place) -> socket.socket:
    """A socket at the first process's port; ConfigError if it is not free."""
    port = int(place.address.rpartition(":")[2])
    try:
        if not socket.has_dualstack_ipv6():
            listener = socket.create_server(("", port))
        else:
            listener = socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True
            )
    except OSError as error:
        raise errors.ConfigError(
            f"{place.address}: this process cannot listen there ({error.strerror}); "
            "name a free port of this machine"
        ) from error
    listener.settimeout(_TRY_S)
    return listener


def _greet(place: Place, until: float) -> str:
    """Of the others: why the first process did not answer; empty where it did."""
    host, _, port = place.address.rpartition(":")
    address, reason = (host.strip("[]"), int(port)), ""
    while (left := until - time.monotonic()) > 0:
        try:
            with socket.create_connection(address, _TRY_S) as first:
                first.sendall(f"{place.which}\n".encode())
                first.settimeout(left)
                if first.recv(len(_GO)) == _GO:
                    return ""
        except OSError as error:
            reason = f" ({error.strerror or error})"
        time.sleep(_TRY_S)
    return f"no first process answers{reason}"
