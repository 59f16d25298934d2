"""The UNet of a pretrained latent diffusion model, taught a world in two stages.

After a published experiment with a retro game and its variables: a UNet that draws pictures from
text (`SimianLuo/LCM_Dreamshaper_v7`) first learns through low-rank adapters (LoRA, Hu et al. 2021,
arXiv:2106.09685) to draw this world's frames, each alone; then it is shown the past, and told of
actions and variables. Each number that it is told is embedded as the level of noise is, and added
to that embedding; past latents come in as planes beside the noisy one (as in GameNGen, Valevski et
al. 2024, arXiv:2408.14837). What was added writes nothing at the beginning, so that the second
stage begins where the first ended. In the place of text it reads a few learned words.
"""

import json
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from learned_envs.models.actions import ActionEncoding
from learned_envs.models.configuration import configuration
from learned_envs.models.diffusion import Conditioning
from learned_envs.models.dynamics.edm_unet import FREQUENCIES, fourier_features
from learned_envs.models.pretrained import described, diffusers, schedule_of, weights

_KIND = "UNet2DConditionModel"
_WORDS = 8  # in the place of text
_ADAPTED = ("to_q", "to_k", "to_v", "to_out.0")
_UNSUPPORTED = ("class_embed_type", "addition_embed_type", "encoder_hid_dim_type")


@configuration
class PretrainedUNetConfig:
    """Which UNet, and what is added to it; made by `pretrained_unet`.

    Attributes:
        name: Folder or hub id that its weights come from.
        architecture: Its shape as diffusers describes it, in JSON.
        place: Folder within `name`, where that is a whole pipeline.
        betas: First and last variance of the noise that a step of its schedule adds; their square
            roots are evenly spaced.
        levels: Steps of its schedule.
        rank: Of the adapters on its attention.
    """

    name: str
    architecture: str
    place: str = ""
    betas: tuple[float, float] = (0.00085, 0.012)
    levels: int = 1000
    rank: int = 16

    def __post_init__(self):
        if self.rank < 1:
            raise ValueError(f"`rank` (={self.rank}) must be at least 1")

    def build(
        self, latent_shape: tuple[int, int, int], context: int, actions: ActionEncoding
    ) -> "PretrainedUNet":
        """Builds the network for latents (C, h, w) and `context` of them, with random weights."""
        return PretrainedUNet(self, latent_shape, context, actions)


def pretrained_unet(name: str, rank: int = 16) -> PretrainedUNetConfig:
    """Looks up the shape of a `UNet2DConditionModel` and its schedule of noise.

    Args:
        name: Folder that diffusers saved a pipeline or the UNet to, or a hub id.
        rank: Of the adapters.

    Raises:
        ValueError: If there is none of that name, or it is of another kind.
        gymnasium.error.DependencyNotInstalled: If diffusers is missing.
    """
    shape, place = described(_KIND, name, "unet")
    schedule = schedule_of(name)
    if needed := [option for option in _UNSUPPORTED if shape.get(option)]:
        raise ValueError(f"{name} needs {' and '.join(needed)}, which a dream cannot give it")
    if shape.get("in_channels") != shape.get("out_channels"):
        raise ValueError(
            f"{name} reads {shape.get('in_channels')} planes and writes "
            f"{shape.get('out_channels')}: a UNet that draws latents from noise alone is needed"
        )
    if schedule.get("prediction_type", "epsilon") != "epsilon":
        raise ValueError(
            f"{name} predicts {schedule['prediction_type']!r}; only UNets that predict the noise "
            "('epsilon') can be taught"
        )
    if schedule.get("beta_schedule") != "scaled_linear":
        raise ValueError(
            f"{name} has the schedule {schedule.get('beta_schedule')!r}, expected 'scaled_linear', "
            "Stable Diffusion's"
        )
    return PretrainedUNetConfig(
        name=name, architecture=json.dumps(shape), place=place, rank=rank,
        betas=(schedule["beta_start"], schedule["beta_end"]),
        levels=schedule["num_train_timesteps"],
    )  # fmt: skip


class PretrainedUNet(nn.Module):
    """See the module's docstring. Predicts the noise on latents of unit variance.

    Its own weights stay as they are; only adapters and what was added are trained.
    """

    def __init__(
        self,
        config: PretrainedUNetConfig,
        latent_shape: tuple[int, int, int],
        context: int,
        actions: ActionEncoding,
    ):
        super().__init__()
        shape: dict[str, Any] = json.loads(config.architecture)
        channels = latent_shape[0]
        if channels != shape["in_channels"]:
            raise ValueError(
                f"latents of {channels} channels were given, but {config.name} draws "
                f"{shape['in_channels']}: take the autoencoder of the same pipeline"
            )
        self.config = config
        shape["class_embed_type"] = "identity"  # adds what it is given to the level's embedding
        unet = diffusers().UNet2DConditionModel.from_config(shape)
        unet.requires_grad_(False)
        unet.add_adapter(_adapter(config.rank))
        first = unet.conv_in
        unet.conv_in = _Beside(first, context * channels)
        self.network = unet
        self.width = width = unet.time_embedding.linear_2.out_features
        numbers = 2 * FREQUENCIES * (context * actions.size + 1)
        self.tell = nn.Sequential(nn.Linear(numbers, width), nn.SiLU(), nn.Linear(width, width))
        last = self.tell[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.words = nn.Parameter(0.02 * torch.randn(1, _WORDS, shape["cross_attention_dim"]))
        low, high = config.betas
        betas = torch.linspace(low**0.5, high**0.5, config.levels) ** 2
        kept = (1 - betas).cumprod(0)
        self.register_buffer("log_sigmas", ((1 - kept) / kept).log() / 2, persistent=False)
        self.log_sigmas: Tensor

    def fetch(self) -> None:
        """Fills in the pretrained weights; what was added stays as it is.

        Raises:
            ValueError: If they are not to be had, or of another shape.
        """
        found = weights(_KIND, self.config.name, self.config.place)
        own = {_original(key): value for key, value in self.network.state_dict().items()}
        misfits = [k for k, v in found.items() if k not in own or own[k].shape != v.shape]
        if misfits:
            raise ValueError(
                f"the weights of {self.config.name} do not fit the shape that it had: "
                f"{', '.join(misfits[:3])}"
            )
        with torch.no_grad():
            for key, value in found.items():
                own[key].copy_(value)

    def forward(self, noisy: Tensor, told: Tensor, conditioning: Conditioning | None) -> Tensor:
        """Maps noisy latents (B, C, h, w), levels (B,) and conditioning to the noise (B, C, h, w).

        Without conditioning, it draws a frame alone.
        """
        words = self.words.expand(len(noisy), -1, -1)
        x = noisy
        if conditioning is None:
            embedding = noisy.new_zeros(len(noisy), self.width)
        else:
            numbers = torch.cat([conditioning.actions.flatten(1), conditioning.level[:, :1]], 1)
            features = fourier_features(numbers.flatten()).view(len(noisy), -1)
            embedding = self.tell(features)
            x = torch.cat([noisy, conditioning.context.flatten(1, 2)], 1)
        return self.network(
            x, self._time(told), encoder_hidden_states=words, class_labels=embedding
        ).sample

    def _time(self, sigma: Tensor) -> Tensor:
        """Where levels (B,) lie in its schedule: steps from 0 on, linearly between them."""
        table, level = self.log_sigmas, sigma.log()
        above = (level[:, None] >= table).sum(1).clamp(1, len(table) - 1)
        low, high = table[above - 1], table[above]
        return (above - 1 + (level - low) / (high - low)).clamp(0, len(table) - 1)


class _Beside(nn.Module):
    """A convolution that reads further planes beside its own; they add nothing at first."""

    def __init__(self, own: nn.Conv2d, planes: int):
        super().__init__()
        self.own = own
        side = own.kernel_size[0]
        self.beside = nn.Conv2d(planes, own.out_channels, side, padding=side // 2, bias=False)
        nn.init.zeros_(self.beside.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps its own planes, and perhaps the others behind them."""
        channels = self.own.in_channels
        y = self.own(x[:, :channels])
        return y if x.shape[1] == channels else y + self.beside(x[:, channels:])


def _original(key: str) -> str:
    """What diffusers calls a weight of a network that was added to."""
    return key.replace(".base_layer.", ".").replace("conv_in.own.", "conv_in.")


def _adapter(rank: int) -> Any:
    try:
        from peft import LoraConfig
    except ImportError:
        raise gym.error.DependencyNotInstalled(
            'adapters need peft: run `pip install "learned-envs[pretrained]"`'
        ) from None
    return LoraConfig(r=rank, lora_alpha=rank, target_modules=list(_ADAPTED))
