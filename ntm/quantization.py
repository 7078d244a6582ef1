"""Layers that `quantize` of a model has changed and no configuration of their own describes."""

import keras

# The entry for them in a configuration.
QUANTIZED = "quantized"


def found(layers):
    """What `quantize` has made of layers, as an entry of a configuration; empty if nothing.

    Args:
        layers: dict of name to layer.
    """
    quantized = {
        name: {
            "dtype": keras.dtype_policies.serialize(layer.dtype_policy),
            "quantization_config": keras.saving.serialize_keras_object(
                getattr(layer, "quantization_config", None)
            ),
        }
        for name, layer in layers.items()
        if layer.quantization_mode
    }
    return {QUANTIZED: quantized} if quantized else {}


def restore(layers, quantized):
    """Makes layers that are not built yet what `found` has found them to be."""
    for name, kept in quantized.items():
        kept = keras.saving.deserialize_keras_object(kept)
        layers[name].dtype_policy = kept["dtype"]
        layers[name].quantization_config = kept["quantization_config"]
