"""A window that shows what is done to it. It prints its colours each time it has shown them.

The left half is red while W is down, greener with each press of Space and bluer to the right of the
pointer; the right half is white while the left button is down.
"""

import os

os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

import pygame  # noqa: E402

SIZE = WIDTH, HEIGHT = 320, 240
GREENER = 32


def main() -> None:
    pygame.display.init()
    window = pygame.display.set_mode(SIZE, pygame.NOFRAME)
    red = green = blue = white = 0
    while True:
        event = pygame.event.wait()
        down = event.type in (pygame.KEYDOWN, pygame.MOUSEBUTTONDOWN)
        if event.type in (pygame.KEYDOWN, pygame.KEYUP) and event.key == pygame.K_w:
            red = 255 * down
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_SPACE:
            green = (green + GREENER) % 256
        elif event.type == pygame.MOUSEMOTION:
            blue = 255 * event.pos[0] // WIDTH
        elif event.type in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
            white = 255 * down
        window.fill((red, green, blue))
        window.fill((white, white, white), (WIDTH // 2, 0, WIDTH // 2, HEIGHT))
        pygame.display.flip()
        print(red, green, blue, white, flush=True)


if __name__ == "__main__":
    main()
