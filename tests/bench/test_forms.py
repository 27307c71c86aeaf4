import jax
import numpy as np
import pytest

from cellrec_jax.bench import contestants, draws, forms, matching_step
from cellrec_jax.ops import nms


@pytest.mark.parametrize("max_kept", [7, 60])
def test_loop_equals_blocked(max_kept):
    boxes_yxyx, scores, mask = (array[0] for array in draws.boxes(300, 1))
    boxes_yxyx = boxes_yxyx * np.float32(0.1)  # crowded: fewer than 60 stay
    mask &= np.arange(300) % 7 != 0
    options = {"iou_threshold": 0.3, "max_kept": max_kept}
    (idx, kept), (loop_idx, loop_kept) = (
        jax.jit(lambda *args, form=form: form(*args, **options))(
            boxes_yxyx, scores, mask
        )
        for form in (nms.nms, forms.loop_nms)
    )
    np.testing.assert_array_equal(kept, loop_kept)
    np.testing.assert_array_equal(np.asarray(idx)[kept], np.asarray(loop_idx)[kept])


def test_two_cells_that_share_a_proposal_are_wrong():
    images = draws.scene(0, 9, 2, 1)
    apart, shared = np.array([[4, 5]]), np.array([[4, 4]])
    assert np.isfinite(forms.total_costs(apart, *images)).all()
    assert np.isnan(forms.total_costs(shared, *images)).all()
    assert forms.least_costs(*images) <= forms.total_costs(apart, *images)


def test_kernel_gradient_is_a_matrix_product_a_tap():
    x, gradient = draws.layer(5, 2, 3, 4)
    found = forms.kernel_gradient(
        x, gradient, taps=3, convolve=jax.lax.conv_general_dilated
    )
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    corner = np.einsum("bhwi,bhwo->io", wide[:, :5, 2:7], gradient)
    np.testing.assert_allclose(found[0, 2], corner, rtol=1e-4, atol=1e-4)


def test_grids_of_a_step():
    assert matching_step.grid(1280) == (32, 40)
    assert matching_step.grid(7) == (1, 7)


def test_torch_peers():
    torch = pytest.importorskip("torch")
    square = contestants.torch_with_gradient(lambda x, index: (x[index] ** 2).sum())
    value, gradient = square(torch.tensor([1.0, 2.0]), torch.tensor([1]))
    assert (float(value), gradient.tolist()) == (4.0, [0.0, 4.0])
    scores = torch.tensor([3.0, -9.0, -9.0]).requires_grad_()
    positive = torch.tensor([True, False, False])
    clipped = forms.torch_pu_risk(scores, positive, ~positive)
    assert float(clipped) == pytest.approx(0.4 * np.log1p(np.exp(-3.0)))
