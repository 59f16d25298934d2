"""Plans in the dream: from one state, dreams each action a while and takes the best."""

import gymnasium as gym
import numpy as np

import learned_envs  # noqa: F401  registers the ids


def main(horizon: int = 40, decisions: int = 5) -> list[int]:
    """Plays a few decisions by dreaming ahead and returns the actions taken."""
    env = gym.make("Dream-Breakout-v0").unwrapped
    env.reset(seed=3)
    taken = []
    for _ in range(decisions):
        here = env.get_state()
        values = []
        for action in range(3):
            env.set_state(here)
            value = 0.0
            for _ in range(horizon):
                _, reward, terminated, _, info = env.step(action)
                value += float(reward)
                if terminated:
                    value -= 1
                    break
            values.append(value)
        env.set_state(here)
        best = int(np.argmax(values))
        print(f"dreamed values {values}: taking action {best}, doubt {info['doubt']:.2f}")
        env.step(best)
        taken.append(best)
    return taken


if __name__ == "__main__":
    main()
