"""Slides shared by processes; `test_files` has what one does."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("tifffile")

TASK = """
import os, signal, sys
from pathlib import Path
import jax
from cellrec_jax import errors, multihost
from cellrec_jax.io.console import Console
from cellrec_jax.predict.slide import files, grid, many, rows
from cellrec_jax.predict.slide.options import SlideOptions
from tests.predict.slide import fakes

multihost.join(sys.argv[1])
folder = Path(sys.argv[2])
grid.TILE_PX = 384
predictor, quiet = fakes.predictor(), Console(quiet=True)
is_second = jax.process_index() == 1
find, place = rows.find, files._place

def predict(name):
    paths = [folder / "a.tif", folder / "b.tif"]
    return many.predict_slides(predictor, paths, folder / name, quiet, SlideOptions())

def cut(work, name, *args):
    if is_second and name == "a.tif":
        raise errors.DataError("lost")
    return place(work, name, *args)

def stopped(*args):
    for number, found in enumerate(find(*args)):
        if is_second and number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        yield found

if jax.process_count() == 1:
    assert predict("one")[:2] == ((), 0)
else:
    files._place = cut
    assert predict("two")[:2] == (("lost",), 0)
    files._place = place
    rows.find = stopped
    assert predict("stopped")[:2] == ((), 143)
    rows.find = find
    for name in ("two", "stopped"):
        assert predict(name)[:2] == ((), 0)
    multihost.leave(0)
"""


@pytest.mark.slow
def test_two_processes_write_what_one_does(tmp_path, free_port):
    """Also after a slide that one of them lost, and after a signal at one."""
    from tests.predict.slide import fakes

    fakes.write_slides(tmp_path)
    command = [sys.executable, "-c", TASK]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    for count in (1, 2):
        processes = [
            subprocess.Popen(
                [*command, f"localhost:{free_port},{count},{which}", str(tmp_path)],
                env=environment,
            )
            for which in range(count)
        ]
        for process in processes:
            process.wait(timeout=300)
        assert [process.returncode for process in processes] == [0] * count
    contents = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file() and path.name not in ("predict.json", "lock")
        }
        for name in ("one", "two", "stopped")
    ]
    assert len(contents[0]) > 9
    for other in contents[1:]:
        assert other == contents[0]
