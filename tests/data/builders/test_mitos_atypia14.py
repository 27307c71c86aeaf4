import numpy as np
import pytest
import tifffile

pytest.importorskip("tensorflow_datasets")


def test_builds_frames_with_slides_and_pixel_sizes(build, tmp_path):
    from cellrec_jax.data.builders.mitos_atypia14 import MitosAtypia14

    for slide, rows in (("A03", "7,3,1.0\n9,9,0.2\n"), ("H03", "")):
        for folder in ("frames/x40", "mitosis"):
            (tmp_path / "in" / slide / folder).mkdir(parents=True)
        frame, table = f"frames/x40/{slide}_0.tiff", f"mitosis/{slide}_0_mitosis.csv"
        image = np.full((12, 20, 3), 200, np.uint8)
        tifffile.imwrite(tmp_path / "in" / slide / frame, image)
        (tmp_path / "in" / slide / table).write_text(rows)
    source = build(MitosAtypia14, tmp_path / "in")
    assert source.class_names == ("mitosis",)
    assert source.image_ids == ("A03/A03_0", "H03/H03_0")
    assert set(source.groups.values()) == {"03"}
    record = source.load("A03/A03_0")
    np.testing.assert_array_equal(record.points_yx, [[3.5, 7.5]])
    assert (record.mpp, record.group) == (0.2455, "03")
    assert source.load("H03/H03_0").mpp == 0.2274
