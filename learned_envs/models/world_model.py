"""The world model: codec, dynamics and heads behind one pure step function.

Training's closed loop, the dream environments, the exported graph, the server and the page all run
`WorldModel.step`, with its sampler inside, so that defaults cannot differ between them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from learned_envs.models.actions import ActionEncoding, PointActions, VectorActions
from learned_envs.models.codecs.autoencoder import AutoencoderConfig
from learned_envs.models.codecs.codec import Kept, to_frames, to_images
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.codecs.pretrained import PretrainedAutoencoderConfig
from learned_envs.models.codecs.sprites import SpritesConfig
from learned_envs.models.codecs.variational import VariationalAutoencoderConfig
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
from learned_envs.models.dynamics.dynamics import Noise, NoiseSpec, Prediction, State
from learned_envs.models.dynamics.latent_cnn import LatentCNNConfig
from learned_envs.models.dynamics.pointer_editor import PointerEditorConfig
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.models.dynamics.sprite_dynamics import SpriteDynamicsConfig
from learned_envs.models.heads import HeadsConfig
from learned_envs.models.metadata.predictor import MetadataConfig
from learned_envs.models.place_reward import PlaceRewardConfig

DOUBT_LEVELS = 1000
_KEPT = "kept_"

CodecConfig = (
    IdentityConfig
    | AutoencoderConfig
    | VariationalAutoencoderConfig
    | PretrainedAutoencoderConfig
    | SpritesConfig
)
DynamicsConfig = (
    SparseEditorConfig
    | PointerEditorConfig
    | DiffusionDynamicsConfig
    | LatentCNNConfig
    | SpriteDynamicsConfig
)


@configuration
class WorldModelConfig:
    """Everything needed to build a `WorldModel`.

    Attributes:
        image_size: (H, W) of the frames.
        actions: How actions are encoded.
        codec: Which codec.
        dynamics: Which family of dynamics.
        heads: Reward and termination, or None where the world has neither.
        metadata: The world's own variables, which the dynamics are told beside the action, or None.
    """

    image_size: tuple[int, int]
    actions: ActionEncoding
    codec: CodecConfig
    dynamics: DynamicsConfig
    heads: HeadsConfig | PlaceRewardConfig | None = None
    metadata: MetadataConfig | None = None

    def __post_init__(self):
        if self.metadata is not None and isinstance(self.actions, PointActions):
            raise ValueError(
                "`metadata` was given with actions that are drawn on the picture: dynamics that "
                "read these are told nothing besides"
            )

    def build(self) -> "WorldModel":
        """Builds the model with random weights."""
        return WorldModel(self)


class WorldModel(nn.Module):
    """A world that can be stepped.

    Attributes:
        config: What it was built from.
        surprises: (1000,) sorted, the surprise of held-out real one-step predictions; a step's
            doubt is its quantile among them.
        ages: How many steps ago the frames were that a start wants, oldest first: those that the
            codec had best see, or as many in a row as the dynamics look at, if those are more.
        context: How many these are.
        noise_spec: The noise that one step consumes, by name, for one row.
        state_spec: Shapes of the state's tensors, for one row.
        metadata_spec: Those among them that hold the world's variables: the last two values of
            each, and what their predictor remembers. Empty for a model that is not told any.
        kept_spec: Those among them that a step leaves as they are: what the codec keeps, its names
            behind `kept_`.
    """

    def __init__(self, config: WorldModelConfig):
        super().__init__()
        self.config = config
        self.actions = config.actions
        self.codec = config.codec.build(config.image_size)
        latent = self.codec.latent_shape
        self.metadata, told = None, config.actions
        if config.metadata is not None:
            self.metadata = config.metadata.build(latent, told.size)
            told = VectorActions(idle=(0.0,) * (told.size + config.metadata.seen))
        self.dynamics = config.dynamics.build(latent, told)
        self.heads = config.heads.build(self.codec.latent_shape) if config.heads else None
        self.surprises = nn.Buffer(torch.zeros(DOUBT_LEVELS))
        context = self.dynamics.context
        consecutive = tuple(reversed(range(context)))
        self.ages = self.codec.ages if len(self.codec.ages) > context else consecutive
        self.context = len(self.ages)
        self.noise_spec = dict(self.dynamics.noise_spec)
        self.metadata_spec: dict[str, tuple[int, ...]] = {}
        if self.codec.lattice is not None and self.codec.lattice.rounding == "stochastic":
            self.noise_spec["dither"] = NoiseSpec(latent, "uniform")
        if self.metadata is not None and config.metadata is not None:
            variables = len(config.metadata.variables)
            self.noise_spec["metadata"] = NoiseSpec((variables,), "uniform")
            self.metadata_spec = {
                "metadata": (2, variables),
                "metadata_memory": self.metadata.memory_shape,
            }
        self.kept_spec = {_KEPT + name: shape for name, shape in self.codec.kept_spec.items()}
        self.state_spec = {
            "latents": (context, *latent),
            "actions": (context - 1, told.size),
            **self.dynamics.state_spec,
            **self.metadata_spec,
            **self.kept_spec,
        }

    @property
    def span(self) -> int:
        """Frames of play in a row among which those of its ages are."""
        return self.ages[0] + 1

    @torch.no_grad()
    def start(self, frames: Tensor, actions: Tensor, metadata: Tensor | None = None) -> State:
        """Makes a state from recorded history.

        Args:
            frames: (B, k, H, W, 3) uint8, oldest first, k >= 1. The last `context` are used; a
                shorter history is padded by repeating its first frame with idle actions.
            actions: (B, k - 1, ...) raw actions between those frames.
            metadata: (B, k, V), the variables at those frames, in the order of the configuration;
                read from the frames if not given. Only a model that is told them takes any.

        Raises:
            ValueError: If the shapes do not fit the model or each other.
        """
        height, width = self.config.image_size
        if frames.ndim != 5 or frames.shape[1] < 1 or frames.shape[2:] != (height, width, 3):
            raise ValueError(
                f"frames of shape {tuple(frames.shape)} were given, expected (B, k, {height}, "
                f"{width}, 3) with k >= 1"
            )
        expected = (len(frames), frames.shape[1] - 1, *self.actions.shape)
        if tuple(actions.shape) != expected:
            raise ValueError(
                f"actions of shape {tuple(actions.shape)} were given, expected {expected}: one "
                "fewer than frames"
            )
        latents, kept = self.codec.begin(to_images(frames[:, -self.context :]))
        latents = latents[:, -self.dynamics.context :]
        codes = self.actions.encode(actions[:, actions.shape[1] - (latents.shape[1] - 1) :])
        if metadata is not None:
            expected = (*frames.shape[:2], *self.metadata_spec.get("metadata", (0, 0))[1:])
            if tuple(metadata.shape) != expected:
                raise ValueError(
                    f"metadata of shape {tuple(metadata.shape)} were given, expected {expected}: "
                    "the variables that the model is told, at every frame"
                )
            metadata = metadata[:, -latents.shape[1] :]
        return self.start_latents(latents, codes, kept, metadata)

    def start_latents(
        self, latents: Tensor, codes: Tensor, kept: Kept, metadata: Tensor | None = None
    ) -> State:
        """Makes a state from what a codec made of a history.

        Args:
            latents: (B, k, C, h, w), k <= K.
            codes: (B, k - 1, A), the encoded actions between them.
            kept: As the codec's `kept_spec` says.
            metadata: (B, k, V), the variables at them; read from them if not given.
        """
        rows, known = latents.shape[:2]
        if self.metadata is not None and metadata is None:
            metadata = self.metadata.read(latents.flatten(0, 1)).unflatten(0, (rows, known))
        missing = self.dynamics.context - latents.shape[1]
        if missing:
            idle = self.actions.idle_code().to(latents.device).expand(len(latents), missing, -1)
            first = latents[:, :1].expand(-1, missing, -1, -1, -1)
            latents, codes = torch.cat([first, latents], 1), torch.cat([idle, codes], 1)
            if metadata is not None:
                metadata = torch.cat([metadata[:, :1].expand(-1, missing, -1), metadata], 1)
        state = {"latents": latents, "actions": codes}
        if metadata is not None and self.config.metadata is not None:
            shown = self.config.metadata.show(metadata[:, 1:])
            state["actions"] = torch.cat([codes, shown], -1)
            state["metadata"] = torch.cat([metadata[:, :1], metadata], 1)[:, -2:]
            shape = self.metadata_spec["metadata_memory"]
            state["metadata_memory"] = latents.new_zeros(rows, *shape)
        for name, shape in self.dynamics.state_spec.items():
            state[name] = latents.new_zeros(len(latents), *shape)
        for before, after in pairwise(latents.unbind(1)):
            state |= self.dynamics.remember(state, before, after)
        return state | {_KEPT + name: value for name, value in kept.items()}

    def step(self, state: State, action: Tensor, noise: Noise) -> tuple[State, Prediction]:
        """Dreams one step: pure, batched, traceable, differentiable.

        Args:
            state: From `start` or a step before.
            action: (B, ...) raw actions, taking the newest frame to the next.
            noise: As `noise_spec` says, with a leading batch axis.

        Returns:
            The next state, and the prediction, rounded to the lattice, with reward and termination.
        """
        code, told = self.tell(state, self.actions.encode(action), noise)
        prediction = self.dynamics.predict(state, code, noise)
        following = self.advance(state, code, prediction, noise) | told
        return following, self.judge(state, following, prediction)

    def tell(
        self, state: State, code: Tensor, noise: Noise, given: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """What the dynamics are told of a step: the encoded action and, behind it, the variables.

        Args:
            state: Before the step.
            code: (B, A), the encoded action.
            noise: Draws the variables where more than one value may come.
            given: (B, V), values that are told in place of predicted ones, nan where those count.

        Returns:
            The code for the dynamics, and what of the next state `metadata_spec` names: the values
            told. The code as it is, and nothing, for a model that is not told any.
        """
        if self.metadata is None or self.config.metadata is None:
            return code, {}
        values, memory = self.metadata.predict(
            state["metadata"],
            state["metadata_memory"],
            state["latents"][:, -1],
            code,
            noise["metadata"],
        )
        if given is not None:
            values = torch.where(given.isnan(), values, given)
        told = torch.cat([code, self.config.metadata.show(values)], 1)
        both = torch.stack([state["metadata"][:, 1], values], 1)
        return told, {"metadata": both, "metadata_memory": memory}

    def advance(self, state: State, code: Tensor, prediction: Prediction, noise: Noise) -> State:
        """Rounds a raw prediction, leaves unedited places alone, and moves the state on.

        The world's variables stay as they were: `tell` moves them on.
        """
        previous, latent = state["latents"][:, -1], prediction.latent
        if self.codec.lattice is not None:
            latent = self.codec.lattice.round(latent, noise.get("dither"))
        if prediction.edited is not None:
            latent = torch.where(prediction.edited, latent, previous)
        return {
            **prediction.state,
            **self.dynamics.remember(state, previous, latent),
            "latents": torch.cat([state["latents"][:, 1:], latent[:, None]], 1),
            "actions": torch.cat([state["actions"][:, 1:], code[:, None]], 1),
            **{name: state[name] for name in [*self.metadata_spec, *self.kept_spec]},
        }

    def judge(self, state: State, following: State, prediction: Prediction) -> Prediction:
        """Completes a raw prediction with what the step came to: latent, reward, end and doubt."""
        previous, latent = state["latents"][:, -1], following["latents"][:, -1]
        reward = termination = None
        if self.heads is not None:
            reward, termination = self.heads(previous, latent, self.kept(following))
        metadata = {}
        if self.config.metadata is not None:
            values = following["metadata"]
            metadata = dict(zip(self.config.metadata.names, values[:, 1].unbind(1), strict=True))
            said = self.config.metadata.rewards(values[:, 0], values[:, 1])
            over = self.config.metadata.ended(values[:, 1])
            reward = reward if said is None else said
            termination = termination if over is None else over
        doubt = (prediction.surprise[:, None] > self.surprises).float().mean(1)
        return dataclasses.replace(
            prediction,
            latent=latent,
            reward=reward,
            termination=termination,
            metadata=metadata,
            doubt=doubt,
        )

    def decode(self, state: State) -> Tensor:
        """Decodes the newest latent to images (B, 3, H, W), nominally in [-1, 1]."""
        return self.codec.decode(state["latents"][:, -1], self.kept(state))

    def kept(self, state: State) -> Kept:
        """What the codec keeps in a state, under its own names."""
        return {name.removeprefix(_KEPT): state[name] for name in self.kept_spec}

    @torch.no_grad()
    def render(self, state: State) -> Tensor:
        """Decodes the newest latent to frames (B, H, W, 3) uint8."""
        return to_frames(self.decode(state))


def draw_noise(
    spec: Mapping[str, NoiseSpec], generators: Sequence[np.random.Generator]
) -> dict[str, np.ndarray]:
    """Draws one step's noise, row i from `generators[i]`: a dict of (B, ...) float32 arrays."""
    draws: dict[str, np.ndarray] = {}
    for name, item in spec.items():
        draws[name] = np.stack(
            [
                generator.standard_normal(item.shape, np.float32)
                if item.kind == "normal"
                else generator.random(item.shape, np.float32)
                for generator in generators
            ]
        )
    return draws


def training_noise(spec: dict[str, NoiseSpec], rows: int, device: torch.device) -> Noise:
    """Draws one step's noise for `rows` rows from torch's global generator."""
    return {
        name: (torch.randn if item.kind == "normal" else torch.rand)(
            rows, *item.shape, device=device
        )
        for name, item in spec.items()
    }
