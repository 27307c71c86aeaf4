import subprocess
import sys

import pytest

from cellrec_jax.bench import skip_missing


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        ("ModuleNotFoundError: No module named 'h5py'", "h5py"),
        ("E   ModuleNotFoundError: No module named 'PIL.Image'", "PIL"),
        ("ModuleNotFoundError: No module named 'cellrec_jax.gone'", ""),
        ("ModuleNotFoundError: No module named 'cellrec_jax'", ""),
        ("ImportError: cannot import name 'a'", ""),
    ],
)
def test_the_missing_package(error, missing):
    assert skip_missing.missing_package(error) == missing


def test_only_other_packages_are_skipped(tmp_path):
    (tmp_path / "test_a.py").write_text("import no_such_package")
    (tmp_path / "test_b.py").write_text("def test(): pass")
    flags = ["-q", "-rs", "-p", "no:cacheprovider", "-c", "/dev/null"]
    plugin = ["-p", "cellrec_jax.bench.skip_missing"]

    def ran():
        return subprocess.run(
            [sys.executable, "-m", "pytest", *flags, *plugin, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    done = ran()
    assert done.returncode == 0, done.stdout
    assert "no_such_package is not installed" in done.stdout
    (tmp_path / "test_a.py").write_text("import cellrec_jax.no_such_module")
    assert ran().returncode != 0
