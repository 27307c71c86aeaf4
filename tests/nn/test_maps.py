"""Halves of networks, put together, are the networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.nn import deeplab, fcrn, maps, res_unet, unet

WHOLE = {
    "fcrn_a": fcrn.FCRN(2, "a", 2),
    "fcrn_b": fcrn.FCRN(2, "b", 2),
    "unet": unet.UNet(2, 2),
    "res_unet": res_unet.ResUNet(2, 2),
    "deeplab": deeplab.DeepLabV3Plus(2, "tiny", 2),
}
SIZE_HW = (13, 22)


def _halves(network):
    return maps.halves(network, width=2, backbone="tiny", norm="group")


def _apply(network, encoder, decoder, image):
    parts = _halves(network)
    features = parts.encoder.apply({"params": encoder}, image, False)
    return parts.decoder(2).apply({"params": decoder}, features, SIZE_HW, False)


def _split(network, params):
    """Encoder's and decoder's parameters of a whole network."""
    if network == "deeplab":
        return params["encoder"], params["decoder"]
    first = {"fcrn_a": 7, "fcrn_b": 7}.get(network)
    if first is None:
        downs = {name for name in params if name.startswith("down")}
        return (
            {name: params[name] for name in downs},
            {name: params[name] for name in params.keys() - downs},
        )
    number = {name: int(name[4:]) for name in params if name != "output"}
    encoder = {name: params[name] for name, i in number.items() if i < first}
    decoder = {f"conv{i - first}": params[n] for n, i in number.items() if i >= first}
    return encoder, decoder | {"output": params["output"]}


@pytest.mark.slow
@pytest.mark.parametrize("network", maps.NETWORKS)
def test_halves_are_the_network(network, rng):
    whole = WHOLE[network]
    image = jnp.asarray(rng.normal(size=(1, *SIZE_HW, 3)), jnp.float32)
    params = jax.jit(whole.init)(jax.random.key(0), image)["params"]
    expected = jax.jit(lambda p, x: whole.apply({"params": p}, x))(params, image)
    encoder, decoder = _split(network, params)
    found = jax.jit(lambda e, d, x: _apply(network, e, d, x))(encoder, decoder, image)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_unknown_networks_are_refused():
    with pytest.raises(ValueError, match="unet or res_unet"):
        maps.halves("segnet")
