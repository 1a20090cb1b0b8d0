from lumina_core.data.caches.manifest import differences


def test_differences_name_another_modality_first_and_a_hash_last():
    made = {"modality": "image", "autoencoder": {"sha256": "a", "scale": 1}, "dtype": "float32"}
    own = {"modality": "audio", "autoencoder": {"sha256": "b", "scale": 2}, "dtype": "float32"}
    assert list(differences(made, own)) == [
        "modality is image, not audio",
        "autoencoder.scale is 1, not 2",
        "autoencoder.sha256 is a, not b",
    ]
