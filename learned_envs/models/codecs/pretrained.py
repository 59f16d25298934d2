"""The autoencoder of a pretrained latent diffusion model, taken from the diffusers library.

Its weights come from a folder or a hub when a training begins. A checkpoint holds them with the
rest of its model, and the shape of the network beside them, so that a dream needs neither.
"""

import json
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from learned_envs.models.codecs.codec import ImageCodec, Kept
from learned_envs.models.configuration import configuration

_PRIVATE = "_"  # begins what diffusers notes of a file, not of a network


@configuration
class PretrainedAutoencoderConfig:
    """Which autoencoder; made by `pretrained_autoencoder`.

    Attributes:
        name: Folder or hub id that its weights come from.
        architecture: Its shape as diffusers describes it, in JSON.
    """

    name: str
    architecture: str

    @property
    def factor(self) -> int:
        """Pixels of an image along the side of one place of the latent."""
        return 2 ** (len(json.loads(self.architecture)["block_out_channels"]) - 1)

    def build(self, image_size: tuple[int, int]) -> "PretrainedAutoencoder":
        """Builds the codec for images (H, W), with random weights."""
        return PretrainedAutoencoder(self, image_size)


def pretrained_autoencoder(name: str) -> PretrainedAutoencoderConfig:
    """Looks up the shape of an `AutoencoderKL`.

    Args:
        name: A folder that diffusers saved it to, or a hub id (`stabilityai/sd-vae-ft-mse`).

    Raises:
        ValueError: If there is none of that name, or it is of another kind.
        gymnasium.error.DependencyNotInstalled: If diffusers is missing.
    """
    try:
        described = dict(_diffusers().AutoencoderKL.load_config(name))
    except (OSError, ValueError) as error:
        raise ValueError(f"{_unreachable(name)}: {error}") from error
    if described.get("_class_name") != "AutoencoderKL":
        raise ValueError(
            f"{name} is a {described.get('_class_name')}, expected an AutoencoderKL: of a whole "
            "pipeline give its `vae` folder"
        )
    shape = {key: value for key, value in described.items() if not key.startswith(_PRIVATE)}
    return PretrainedAutoencoderConfig(name=name, architecture=json.dumps(shape))


class PretrainedAutoencoder(ImageCodec):
    """See the module's docstring. A latent is its posterior's mean, scaled to about unit variance.

    Attributes:
        factor: Pixels of an image along the side of one place of the latent.
    """

    def __init__(self, config: PretrainedAutoencoderConfig, image_size: tuple[int, int]):
        super().__init__()
        shape = json.loads(config.architecture)
        self.factor = config.factor
        height, width = image_size
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"images of {height}x{width} must be divisible by {self.factor}, the autoencoder's "
                "shrinking"
            )
        self.latent_shape = shape["latent_channels"], height // self.factor, width // self.factor
        self.lattice = None
        self.name = config.name
        self._scale = shape.get("scaling_factor") or 1.0
        self._shift = shape.get("shift_factor") or 0.0
        self.network = _diffusers().AutoencoderKL.from_config(shape).requires_grad_(False)

    def fetch(self) -> None:
        """Fills in the pretrained weights.

        Raises:
            ValueError: If they are not to be had, or of another shape.
        """
        try:
            found = _diffusers().AutoencoderKL.from_pretrained(self.name, torch_dtype=torch.float32)
            self.network.load_state_dict(found.state_dict())
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(f"{_unreachable(self.name)}: {error}") from error

    def encode(self, images: Tensor) -> Tensor:
        """See `ImageCodec.encode`."""
        mean = self.network.encode(images).latent_dist.mean
        return ((mean - self._shift) * self._scale).float()

    def decode(self, latents: Tensor, kept: Kept | None = None) -> Tensor:
        """See `Codec.decode`."""
        return self.network.decode(latents / self._scale + self._shift).sample.float()


def _unreachable(name: str) -> str:
    return (
        f"the pretrained autoencoder {name!r} cannot be read: give a folder that holds its "
        "config.json and weights, or a hub id while the hub can be reached"
    )


def _diffusers() -> Any:
    try:
        import diffusers
    except ImportError:
        raise gym.error.DependencyNotInstalled(
            'pretrained autoencoders need diffusers: run `pip install "learned-envs[pretrained]"`'
        ) from None
    return diffusers
