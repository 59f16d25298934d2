"""A pilot for Airstriker, trained on the real game by PPO, for recordings of skilled play.

`python docs/fly_airstriker.py --steps 200000 --out pilot.zip --plot pilot.svg`, then
`learned-envs record airstriker --policy pilot.zip --seed 1 --out recordings/airstriker`.
Needs the extras `retro` and `rl`.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from learned_envs.clients.stable_baselines import make_vec


class Scores(BaseCallback):
    """Keeps the score of every game that ends, and at which step."""

    def __init__(self) -> None:
        super().__init__()
        self.games: list[tuple[int, float]] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" not in info:
                continue
            self.games.append((self.num_timesteps, info["episode"]["r"]))
            if len(self.games) % 20 == 0:
                latest = np.mean([score for _, score in self.games[-20:]])
                print(f"{self.num_timesteps:,} steps: {latest:.0f} points a game", flush=True)
        return True


def train(steps: int, out: Path, games: int = 8) -> list[tuple[int, float]]:
    """Trains a pilot, saves it, and returns the score of each game with the step at its end."""
    real = VecMonitor(make_vec("Real-Airstriker-v0", games))
    env = VecNormalize(real, norm_obs=False, gamma=0.97)  # rewards of about 1
    pilot = PPO(
        "CnnPolicy", env, n_steps=128, batch_size=256, n_epochs=3, learning_rate=3e-4,
        ent_coef=0.01, gamma=0.97, seed=0, device="cpu",
        policy_kwargs={"features_extractor_kwargs": {"features_dim": 128}},
    )  # fmt: skip
    scores = Scores()
    pilot.learn(steps, callback=scores)
    pilot.save(out)
    env.close()
    return scores.games


def plot(games: list[tuple[int, float]], path: Path) -> None:
    """Draws scores over steps, and their mean over 40 games."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    step, score = np.array(games).T
    figure, axes = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot(step, score, ".", color="0.7", markersize=3, label="a game")
    if len(score) >= 40:
        mean = np.convolve(score, np.ones(40) / 40, "valid")
        axes.plot(step[39:], mean, color="C0", label="mean of 40 games")
    axes.set(xlabel="steps on the real game", ylabel="score")
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=Path("pilot.zip"))
    parser.add_argument("--plot", type=Path, default=Path("pilot.svg"))
    given = parser.parse_args()
    plot(train(given.steps, given.out), given.plot)
