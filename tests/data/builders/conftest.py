"""What the tests of the builders share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellrec_jax.data.readers import prepared
from cellrec_jax.data.record import Source


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Source]:
    """Builds a folder into a set and opens it."""

    def run(builder_class: Any, folder: Path, **kwargs: Any) -> Source:
        import tensorflow_datasets as tfds

        builder = builder_class(data_dir=tmp_path / "out", **kwargs)
        config = tfds.download.DownloadConfig(manual_dir=folder)
        builder.download_and_prepare(download_config=config)
        assert set(builder.info.splits) == set(builder.info.metadata["image_ids"])
        return prepared.open_prepared(builder.data_dir)

    return run
