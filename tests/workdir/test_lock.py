"""One run at a time: refused, told by whom, and free again after a kill."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading

from etils import epath
import pytest

from cellrec_jax import errors, run
from cellrec_jax.workdir import lock

HOLD = (
    "import sys, time; from etils import epath; from cellrec_jax.workdir import lock\n"
    "with lock.hold(epath.Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(600)"
)


def test_another_process_is_refused_until_the_first_is_killed(
    tiny_experiment, tmp_path
):
    """Nothing that the first one has made is removed by the refusal."""
    workdir = tmp_path / "new" / "run"
    command = [sys.executable, "-c", HOLD, str(workdir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        (workdir / "config.json").write_text("{}")
        host = socket.gethostname()
        with pytest.raises(errors.RunError, match=rf"process {first.pid} on {host}"):
            run.train_and_evaluate(tiny_experiment, workdir)
        assert {path.name for path in workdir.iterdir()} == {"config.json", lock.FILE}
        first.kill()
    with lock.hold(epath.Path(workdir)):
        assert (workdir / lock.FILE).read_text().startswith(f"process {os.getpid()} ")
    assert [path.name for path in workdir.iterdir()] == ["config.json"]


def _fail_inside(folder):
    with lock.hold(folder):
        raise ZeroDivisionError


def test_it_is_held_once_and_given_back_after_an_error(tmp_path):
    folder = epath.Path(tmp_path)
    with pytest.raises(ZeroDivisionError):
        _fail_inside(folder)
    with (
        lock.hold(folder),
        pytest.raises(errors.RunError, match="or give another --output"),
        lock.hold(folder, "give another --output"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_who_waits_comes_next(tmp_path):
    folder, order = epath.Path(tmp_path), []

    def follow():
        with lock.wait_for(folder):
            order.append("second")

    with lock.wait_for(folder):
        thread = threading.Thread(target=follow)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert not list(tmp_path.iterdir())


def test_a_file_that_its_holder_removes_meanwhile_is_made_anew(tmp_path, monkeypatch):
    """Opened, then removed by the one who ends, then locked: no lock of any file."""
    flock, path = fcntl.flock, tmp_path / lock.FILE

    def late(number, how):
        if calls.append(how) or len(calls) == 1:
            path.unlink()
        flock(number, how)

    calls = []
    monkeypatch.setattr(fcntl, "flock", late)
    with lock.hold(epath.Path(tmp_path)):
        assert len(calls) == 2
        assert path.exists()
        with pytest.raises(errors.RunError), lock.hold(epath.Path(tmp_path)):
            pass


@pytest.fixture
def another_user(monkeypatch):
    """Opens files that are there as who may only read them does: root may write all."""
    opened = os.open

    def of_other(path, flags, *rest):
        if flags & os.O_RDWR and os.path.exists(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, *rest)

    return lambda: monkeypatch.setattr(os, "open", of_other)


def test_another_users_run_is_refused(tmp_path, another_user):
    with lock.hold(epath.Path(tmp_path)):
        another_user()
        mine = f"process {os.getpid()} "
        with (
            pytest.raises(errors.RunError, match=mine),
            lock.hold(epath.Path(tmp_path)),
        ):
            pass
        assert (tmp_path / lock.FILE).exists()


def test_what_another_users_killed_run_left_is_replaced(tmp_path, another_user):
    path = tmp_path / lock.FILE
    path.write_text("process 1 on nowhere")
    another_user()
    with lock.hold(epath.Path(tmp_path)):
        assert path.read_text().startswith(f"process {os.getpid()} ")
    assert not path.exists()


@pytest.mark.parametrize("number", [37, 95])  # ENOLCK, EOPNOTSUPP of Linux
def test_where_nothing_can_be_locked_nothing_is(tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock.hold(epath.Path(tmp_path)), lock.hold(epath.Path(tmp_path)):
        (tmp_path / "file").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_object_store_has_no_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = epath.Path("gs://bucket/run")
    assert lock._open(place) == (None, "")
    assert not list(tmp_path.iterdir())
