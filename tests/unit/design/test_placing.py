"""Where each image falls: inside its sensor, apart from its neighbours, each in one exposure."""

import numpy as np
import pytest

from labonn.design import lay_out, load_design, place_tiles, sensor_room

PITCH_UM, TAP_UM = 884.0, 26.0


@pytest.mark.parametrize(
    ("sensor_um", "exposures"),
    [((3726.0, 3726.0), 1), ((3535.0, 3726.0), 2), ((1800.0, 2700.0), 4), ((884.0, 884.0), 16)],
)
def test_tiles_of_an_exposure_lie_side_by_side_on_the_sensor(sensor_um, exposures):
    design = load_design("mnist-mono").model_copy(update={"exposures": 16})
    layout = lay_out(design.optic)
    room = sensor_room(design, layout, tap_um=TAP_UM, tile_pitch_um=PITCH_UM, sensor_um=sensor_um)
    tiles = place_tiles(layout, room, tile_pitch_um=PITCH_UM)
    assert room.exposures == exposures
    assert {tile.exposure for tile in tiles} == set(range(exposures))
    assert [(tile.kernel, tile.sign) for tile in tiles] == [(one.kernel, one.sign) for one in layout.sub_apertures]
    for exposure in range(exposures):
        centres = np.array([tile.sensor_um for tile in tiles if tile.exposure == exposure])
        assert len(centres) <= room.tiles_per_frame
        assert np.all(np.abs(centres) + PITCH_UM / 2 <= np.array(sensor_um) / 2 + 1e-9)
        np.testing.assert_allclose(centres.mean(axis=0), 0, atol=1e-9)
        apart = np.abs(centres[:, None] - centres[None]).max(axis=-1)[~np.eye(len(centres), dtype=bool)]
        assert apart.size == 0 or apart.min() >= PITCH_UM - 1e-9
