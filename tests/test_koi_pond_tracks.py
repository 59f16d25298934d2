"""Sightings joined to tracks, on swimmers drawn on paper."""

import numpy as np
import pytest

from learned_envs.evaluation.koi_pond.reader import ROOM, Sightings
from learned_envs.evaluation.koi_pond.tracker import ESTABLISHED, Tracker
from learned_envs.evaluation.koi_pond.tracks import PATIENCE, Track, mended

FRAMES = 60


def straight(begin, velocity):
    """Places (60, 2) of a fish that swims straight, velocity in pixels a frame."""
    return np.array(begin, float) + np.arange(FRAMES)[:, None] * np.array(velocity)


def sightings(fish):
    """One pond whose fish, pairs of places (60, 2) and varieties (60,), are seen unless NaN."""
    centre = np.full((FRAMES, 1, ROOM, 2), np.nan, np.float32)
    variety = np.full((FRAMES, 1, ROOM), -1)
    for i, (places, coats) in enumerate(fish):
        centre[:, 0, i] = places
        variety[:, 0, i] = np.where(np.isnan(places[:, 0]), -1, coats)
    nothing = np.zeros((FRAMES, 1, ROOM), np.float32)
    return Sightings(
        centre=centre, variety=variety, heading=nothing, shown=nothing, sure=nothing,
        cover=np.zeros((FRAMES, 1, 64, 64), np.float32),
    )  # fmt: skip


def tracks(*fish, piece=FRAMES):
    tracker, seen = Tracker(), sightings(fish)
    for begin in range(0, FRAMES, piece):
        now = slice(begin, begin + piece)
        parts = {name: getattr(seen, name)[now] for name in Sightings.__dataclass_fields__}
        tracker.watch(Sightings(**parts), 0)
    return tracker.tracks()


def test_every_swimmer_is_one_track_from_end_to_end():
    found = tracks((straight((20, 20), (2, 1)), 3), (straight((200, 60), (-1, 2)), 5))
    assert [(t.start, t.end, t.coat(0, FRAMES)) for t in found] == [(0, 59, 3), (0, 59, 5)]


def test_tracks_do_not_depend_on_how_a_rollout_is_cut():
    fish = (straight((20, 20), (2, 1)), 3), (straight((60, 20), (1, 1)), 5)
    for one, other in zip(tracks(*fish), tracks(*fish, piece=7), strict=True):
        np.testing.assert_array_equal(one.centre, other.centre)
        np.testing.assert_array_equal(one.frame, other.frame)


def test_fish_that_pass_closely_keep_their_tracks():
    found = tracks((straight((20, 60), (4, 0)), 3), (straight((256, 74), (-4, 0)), 5))
    assert [set(t.variety) for t in found] == [{3}, {5}]


def test_a_fish_that_changes_its_coat_remains_one_track():
    (found,) = tracks((straight((20, 60), (2, 0)), np.where(np.arange(FRAMES) < 30, 3, 8)))
    assert (found.start, found.end) == (0, 59)
    assert (found.coat(0, 30), found.coat(30, 60)) == (3, 8)


@pytest.mark.parametrize("unseen", [1, 5, PATIENCE - 1])
def test_a_fish_unseen_for_less_than_a_second_is_still_the_same(unseen):
    places = straight((20, 60), (2, 0))
    places[20 : 20 + unseen] = np.nan
    assert len(tracks((places, 3))) == 1


def test_a_fish_that_jumps_is_two_tracks():
    places = straight((20, 60), (2, 0))
    places[30:] += (0, 90)
    assert [(t.start, t.end) for t in tracks((places, 3))] == [(0, 29), (30, 59)]


def test_a_startled_fish_is_followed():
    places = np.concatenate([straight((60, 60), (2, 0))[:30], np.zeros((30, 2))])
    places[30:] = places[29] + np.cumsum(np.tile([-9.0, -3.0], (30, 1)), 0)
    assert len(tracks((np.clip(places, 4, 250), 3))) == 1


def test_a_fish_doubled_for_a_moment_and_lost_is_one_track():
    first, second = straight((20, 60), (2, 0)), straight((20, 60), (2, 0)) + (10, 0)
    first[33:] = np.nan
    second[:30] = np.nan
    (found,) = tracks((first, 3), (second, 3))
    assert (found.start, found.end) == (0, 59)
    assert (np.diff(found.frame) > 0).all()


def test_a_flicker_is_no_fish():
    places = straight((20, 60), (2, 0))
    places[ESTABLISHED - 1 :] = np.nan
    assert tracks((places, 3)) == []


def passing(coats, other_coats):
    """Two tracks that meet at frame 30, where each goes on as the other would have."""
    frame = np.arange(FRAMES)
    early = (frame < 30)[:, None]
    one, other = straight((40, 60), (2, 0)), straight((160, 70), (-2, 0))
    return [
        Track(frame=frame, centre=np.where(early, a, b), variety=coat, slot=frame)
        for a, b, coat in ((one, other, coats), (other, one, other_coats))
    ]


def test_tracks_that_exchange_their_coats_while_they_touch_are_exchanged_back():
    changing = np.where(np.arange(FRAMES) < 30, 3, 5)
    found = mended(passing(changing, 8 - changing))
    assert [(t.coat(0, 25), t.coat(35, 60)) for t in found] == [(3, 3), (5, 5)]
    np.testing.assert_allclose(found[0].centre[-1], straight((40, 60), (2, 0))[-1])


def test_a_coat_that_changes_at_a_contact_stays_changed():
    changing = np.where(np.arange(FRAMES) < 30, 3, 5)
    found = mended(passing(changing, np.full(FRAMES, 5)))
    assert [t.coat(40, 60) for t in found] == [5, 5]
    assert [t.coat(0, 20) for t in found] == [3, 5]
