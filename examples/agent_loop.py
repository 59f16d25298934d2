"""The same agent loop on the real Breakout and on its dream: only the id differs."""

import gymnasium as gym

import learned_envs  # noqa: F401  registers the ids


def main(steps: int = 300) -> dict[str, float]:
    """Plays both worlds with a player that follows the ball, and returns the bricks broken."""
    from learned_envs import worlds

    scores = {}
    for env_id in ("Real-Breakout-v0", "Dream-Breakout-v0"):
        env = gym.make(env_id)
        player = worlds.get("breakout").make_behaviour(["careful"], seeds=[0])
        observation, _ = env.reset(seed=0)
        first, total = True, 0.0
        for _ in range(steps):
            action = player(observation[None], [first])[0]
            observation, reward, terminated, truncated, info = env.step(action)
            total += float(reward)
            first = terminated or truncated
            if first:
                observation, info = env.reset()
        scores[env_id] = total
        print(f"{env_id}: {total:.0f} bricks in {steps} steps")
        env.close()
    return scores


if __name__ == "__main__":
    main()
