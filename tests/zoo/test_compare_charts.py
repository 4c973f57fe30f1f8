"""Names in the chart of accuracy against time: none lies on another, however close their points."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from zoo.ui.compare_charts import CHARTS, Spot, _box, _box_of_point, labels


def test_names_of_close_points_never_touch_each_other_or_a_point() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 6, 12):
        spots = [
            Spot(f"timm/network_{n}_with_a_long_name.x", rng.uniform(30, 60), rng.uniform(30, 60), 12)
            for n in range(count)
        ]
        found = labels(spots, [spot.id for spot in spots])
        for chart in CHARTS:
            names = [_box(spot, found[spot.id], chart) for spot in spots if spot.id in found]
            points = [_box_of_point(spot, chart) for spot in spots]
            for one, other in [*combinations(names, 2), *((name, point) for name in names for point in points)]:
                assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_two_backbones_at_one_place_are_both_named() -> None:
    spots = [
        Spot("embedded/tf_efficientnet_lite0", 40.0, 50.0, 12),
        Spot("embedded/tf_efficientnet_lite1", 40.5, 50.4, 12),
    ]
    assert len(labels(spots, [spot.id for spot in spots])) == 2
