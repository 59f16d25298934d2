"""The autoencoder of a pretrained latent diffusion model, taken from the diffusers library."""

import json

from torch import Tensor

from learned_envs.models.codecs.codec import ImageCodec, Kept
from learned_envs.models.configuration import configuration
from learned_envs.models.pretrained import described, diffusers, weights

_KIND = "AutoencoderKL"


@configuration
class PretrainedAutoencoderConfig:
    """Which autoencoder; made by `pretrained_autoencoder`.

    Attributes:
        name: Folder or hub id that its weights come from.
        architecture: Its shape as diffusers describes it, in JSON.
        place: Folder within `name`, where that is a whole pipeline.
    """

    name: str
    architecture: str
    place: str = ""

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
        name: A folder that diffusers saved it to, or a hub id (`stabilityai/sd-vae-ft-mse`), or
            those of a pipeline that has one.

    Raises:
        ValueError: If there is none of that name, or it is of another kind.
        gymnasium.error.DependencyNotInstalled: If diffusers is missing.
    """
    shape, place = described(_KIND, name, "vae")
    return PretrainedAutoencoderConfig(name=name, architecture=json.dumps(shape), place=place)


class PretrainedAutoencoder(ImageCodec):
    """See the module's docstring. A latent is its posterior's mean, scaled to about unit variance.

    Attributes:
        factor: Pixels of an image along the side of one place of the latent.
    """

    def __init__(self, config: PretrainedAutoencoderConfig, image_size: tuple[int, int]):
        super().__init__()
        shape = json.loads(config.architecture)
        self.config, self.factor = config, config.factor
        height, width = image_size
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"images of {height}x{width} must be divisible by {self.factor}, the autoencoder's "
                "shrinking"
            )
        self.latent_shape = shape["latent_channels"], height // self.factor, width // self.factor
        self.lattice = None
        self._scale = shape.get("scaling_factor") or 1.0
        self._shift = shape.get("shift_factor") or 0.0
        self.network = diffusers().AutoencoderKL.from_config(shape).requires_grad_(False)

    def fetch(self) -> None:
        """Fills in the pretrained weights.

        Raises:
            ValueError: If they are not to be had, or of another shape.
        """
        found = weights(_KIND, self.config.name, self.config.place)
        try:
            self.network.load_state_dict(found)
        except RuntimeError as error:
            raise ValueError(
                f"the weights of {self.config.name} do not fit the shape that it had: {error}"
            ) from error

    def encode(self, images: Tensor) -> Tensor:
        """See `ImageCodec.encode`."""
        mean = self.network.encode(images).latent_dist.mean
        return ((mean - self._shift) * self._scale).float()

    def decode(self, latents: Tensor, kept: Kept | None = None) -> Tensor:
        """See `Codec.decode`."""
        return self.network.decode(latents / self._scale + self._shift).sample.float()
