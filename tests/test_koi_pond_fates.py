"""What becomes of fish, on tracks drawn on paper."""

import numpy as np
import pytest

from learned_envs.evaluation.koi_pond.fates import (
    Passages,
    fates,
    kept_coats,
    passages,
    touching,
    under,
)
from learned_envs.evaluation.koi_pond.tracks import Track

FRAMES = 300
OPEN = np.zeros((256, 256), bool)


def track(begin, end, at, velocity=(0.5, 0.0), coat=3):
    """A fish seen from frame `begin` to `end`, there at first; `coat` is one or one a frame."""
    frame = np.arange(begin, end + 1)
    centre = np.array(at) + (frame - begin)[:, None] * np.array(velocity)
    variety = np.broadcast_to(coat, frame.shape)
    return Track(frame=frame, centre=centre, variety=variety, slot=np.zeros_like(frame))


WHOLE = track(0, 299, (20, 20), coat=1)


def happened(*tracks, pads=OPEN):
    found = fates(tracks, FRAMES, pads)
    return {
        name: getattr(found, name)
        for name in ("vanished", "teleported", "merged", "appeared")
        if getattr(found, name)
    }


def test_nothing_happens_to_fish_that_are_there_from_first_to_last():
    assert happened(WHOLE, track(0, 299, (200, 200))) == {}


def test_fish_minutes_are_counted():
    assert fates([WHOLE, WHOLE, WHOLE], FRAMES, OPEN).minutes == pytest.approx(1.0)


def test_a_fish_seen_no_more_vanished():
    assert happened(WHOLE, track(0, 120, (100, 100))) == {"vanished": 1}


def test_a_fish_lost_in_the_last_second_is_not_judged():
    assert happened(WHOLE, track(0, 290, (100, 100))) == {}


def test_a_fish_that_turns_up_far_away_teleported():
    assert happened(track(0, 120, (50, 50)), track(125, 299, (180, 180))) == {"teleported": 1}


def test_a_fish_that_fades_in_before_it_fades_out_teleported():
    assert happened(track(0, 120, (50, 50)), track(112, 299, (180, 180))) == {"teleported": 1}


def test_another_fish_that_turns_up_is_no_teleport():
    found = happened(track(0, 120, (50, 50)), track(125, 299, (180, 180), coat=7))
    assert found == {"vanished": 1, "appeared": 1}


def test_a_fish_that_vanishes_touching_another_merged():
    found = happened(track(0, 120, (100, 100)), track(0, 299, (100, 116), coat=7))
    assert found == {"vanished": 1, "merged": 1}


def test_a_fish_that_comes_out_from_under_a_pad_did_not_vanish():
    pads = OPEN.copy()
    pads[90:130, 150:180] = True
    gone, back = track(0, 120, (100, 100)), track(150, 299, (185, 100))
    assert happened(gone, back, pads=pads) == {}
    assert happened(gone, back) == {"vanished": 1}


def test_a_fish_that_stays_under_a_pad_vanished():
    assert happened(track(0, 120, (100, 100)), pads=~OPEN) == {"vanished": 1}


def test_coats_are_kept_by_fish_that_are_there_and_look_the_same():
    changed = track(0, 299, (60, 60), coat=np.where(np.arange(FRAMES) < 100, 2, 5))
    lost = track(0, 120, (100, 100), coat=4)
    ponds = [WHOLE, changed, lost]
    assert kept_coats(ponds, 90) == Passages(fish=3, unharmed=3)
    assert kept_coats(ponds, 200) == Passages(fish=3, unharmed=1)


def test_a_fish_that_is_found_again_where_it_may_be_keeps_its_coat():
    gone = track(0, 120, (100, 100), coat=4)
    assert kept_coats([gone, track(140, 299, (175, 100), coat=4)], 200).unharmed == 1
    assert kept_coats([gone, track(140, 299, (175, 100), coat=5)], 200).unharmed == 0


def test_a_fish_does_not_live_on_in_another():
    gone = track(0, 120, (100, 100), coat=4)
    neighbour = track(0, 299, (100, 110), coat=4)
    assert kept_coats([gone, neighbour], 200) == Passages(fish=2, unharmed=1)


def passed(fish, begin, end):
    return passages([fish], FRAMES, lambda t: (t.frame >= begin) & (t.frame <= end))


def test_a_fish_that_goes_on_as_it_was_is_unharmed():
    assert passed(WHOLE, 100, 120) == Passages(fish=1, unharmed=1)


def test_a_fish_that_does_not_come_out_is_harmed():
    assert passed(track(0, 110, (20, 20)), 100, 120) == Passages(fish=1, unharmed=0)


def test_a_fish_that_comes_out_as_another_is_harmed():
    fish = track(0, 299, (20, 20), coat=np.where(np.arange(FRAMES) < 110, 2, 5))
    assert passed(fish, 100, 120) == Passages(fish=1, unharmed=0)


def test_a_passage_cut_short_by_the_end_is_not_counted():
    assert passed(WHOLE, 280, 299) == Passages()


def test_fish_touch_where_their_centres_are_close():
    one, other = track(0, 100, (50, 50), (1, 0)), track(0, 100, (150, 50), (0, 0), coat=5)
    np.testing.assert_array_equal(touching(one, [one, other]), np.arange(101) > 76)


def test_a_fish_is_under_a_pad_where_there_is_one():
    pads = OPEN.copy()
    pads[40:60, 10:20] = True
    np.testing.assert_array_equal(under(pads, np.array([[15, 50], [50, 15]])), [True, False])
