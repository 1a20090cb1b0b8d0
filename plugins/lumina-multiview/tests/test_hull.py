"""The visual hull: known bodies come back from their outlines, whatever the views are like."""

from math import pi

import numpy as np
import pytest
import torch

from lumina_core import LuminaError
from lumina_multiview.camera import SPAN, axes
from lumina_multiview.hull import MAX_CELLS, MIN_CELLS, carve, check_views
from lumina_multiview.silhouettes import (
    MAX_HOLE,
    continued_colours,
    signed_distance,
    silhouette_of,
    values_at,
)
from lumina_multiview.vertex_colours import normals_of

DARK = (24, 24, 28)
RED, BLUE = (220, 40, 40), (40, 80, 220)
SIDE = 64
BOX = (0.5, 0.8, 1.1)  # half sides along x, y, z
SEVERAL = 8


def even(count, first=0.0):
    return tuple((first + number * 360 / count) % 360 for number in range(count))


def level(count, elevation=0.0):
    return (elevation,) * count


def places(height, width):
    """Units to the right and up of the pixels' centres."""
    pixel = SPAN / min(height, width)
    up = (height / 2 - 0.5 - torch.arange(height)) * pixel
    right = (torch.arange(width) + 0.5 - width / 2) * pixel
    return right[None, :], up[:, None]


def painted(is_object, colour, background=DARK):
    """A picture of one colour."""
    full, plain = (
        torch.tensor(part, dtype=torch.uint8)[:, None, None] for part in (colour, background)
    )
    return torch.where(is_object, full, plain)


def balls(azimuths, elevations, centre=(0.0, 0.0, 0.0), radius=1.2, size=(SIDE, SIDE), **look):
    """Views of a ball."""
    right, up = places(*size)
    views = []
    for angles in zip(azimuths, elevations, strict=True):
        x, y, _ = axes(*angles) @ torch.tensor(centre)
        is_ball = (right - x) ** 2 + (up - y) ** 2 < radius**2
        views.append(painted(is_ball, look.get("colour", RED), look.get("background", DARK)))
    return torch.stack(views)


def hits_of_box(azimuth, elevation, size):
    """Where rays meet a box about the centre: whether, and the first point, by slabs."""
    across, upward, towards = axes(azimuth, elevation)
    right, up = (part.expand(size) for part in places(*size))
    origin = right[..., None] * across + up[..., None] * upward
    half = torch.tensor(BOX)
    safe = torch.where(towards.abs() < 1e-6, 1e-6, towards)  # looked at along its side
    ends = torch.stack([(-half - origin) / safe, (half - origin) / safe])
    first, last = ends.amin(0).amax(-1), ends.amax(0).amin(-1)  # along towards
    return first < last, origin + last[..., None] * towards


def boxes(azimuths, elevations, size=(SIDE, SIDE)):
    """Views of a box, red in front and blue behind."""
    views = []
    for angles in zip(azimuths, elevations, strict=True):
        is_box, point = hits_of_box(*angles, size)
        is_front = point[..., 1] < 0
        views.append(torch.where(is_front, painted(is_box, RED), painted(is_box, BLUE)))
    return torch.stack(views)


def volume(mesh):
    a, b, c = (mesh.vertices[corner].astype(float) for corner in mesh.faces.T)
    return (a * np.cross(b, c)).sum() / 6


def check_is_a_body(mesh):
    """Closed, turned outward, in one piece, without faces of no area or vertices of no face."""
    trimesh = pytest.importorskip("trimesh")
    body = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert body.is_watertight and body.is_winding_consistent and body.body_count == 1
    assert body.volume > 0
    assert body.area_faces.min() > 0
    assert np.array_equal(np.unique(mesh.faces), np.arange(len(mesh.vertices)))
    assert mesh.vertices.dtype == np.float32 and mesh.faces.dtype == np.int64
    assert mesh.colours.dtype == np.uint8 and mesh.colours.shape == mesh.vertices.shape


def refusal(*arguments):
    with pytest.raises(LuminaError) as caught:
        carve(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("side", "error"), [(48, 0.05), (128, 0.02)])
def test_the_hull_of_a_ball_seen_from_everywhere_is_the_ball(side, error):
    count = 30
    elevations = tuple((0.0, 45.0, -45.0)[number % 3] for number in range(count))
    mesh = carve(balls(even(count), elevations, size=(side, side)), even(count), elevations)
    check_is_a_body(mesh)
    assert volume(mesh) == pytest.approx(4 / 3 * pi * 1.2**3, rel=error)
    assert np.linalg.norm(mesh.vertices, axis=1).min() > 1.2 - SPAN / side


def test_four_views_make_of_a_ball_what_its_outlines_allow():
    mesh = carve(balls(even(4), level(4), size=(128, 128)), even(4), level(4))
    check_is_a_body(mesh)
    # seen from front and side it may be the common part of two cylinders
    assert volume(mesh) == pytest.approx(16 / 3 * 1.2**3, rel=0.02)


@pytest.mark.parametrize("size", [(48, 48), (96, 96), (64, 100), (100, 64)])
def test_a_box_comes_back_to_a_pixel(size):
    mesh = carve(boxes(even(4), level(4), size), even(4), level(4))
    check_is_a_body(mesh)
    wanted = np.array(BOX)
    assert np.abs(mesh.vertices.max(0) - wanted).max() < SPAN / min(size)
    assert np.abs(mesh.vertices.min(0) + wanted).max() < SPAN / min(size)
    assert volume(mesh) == pytest.approx(8 * wanted.prod(), rel=0.1)


def test_colours_come_from_the_side_that_shows_them():
    mesh = carve(boxes(even(SEVERAL), level(SEVERAL)), even(SEVERAL), level(SEVERAL))
    front, back = mesh.vertices[:, 1] < -0.2, mesh.vertices[:, 1] > 0.2
    assert np.abs(mesh.colours[front].astype(int) - RED).max() <= 2
    assert np.abs(mesh.colours[back].astype(int) - BLUE).max() <= 2


def test_what_no_view_sees_has_the_colour_beside_it():
    mesh = carve(balls(even(4), level(4)), even(4), level(4))
    assert (mesh.colours == RED).all()  # its poles, too


@pytest.mark.parametrize("background", [DARK, (255, 255, 255), (0, 200, 0)])
def test_no_background_bleeds_in(background):
    views = balls(even(SEVERAL), level(SEVERAL), background=background)
    blurred = torch.nn.functional.avg_pool2d(views.float(), 3, 1, 1, count_include_pad=False)
    for seen in (views, blurred.to(torch.uint8)):
        mesh = carve(seen, even(SEVERAL), level(SEVERAL))
        assert np.abs(mesh.colours.astype(int) - RED).max() <= 25
        assert np.median(np.abs(mesh.colours.astype(int) - RED).max(1)) <= 1


def test_a_body_in_front_gives_no_colour_to_what_it_hides():
    """A red wall before a blue one, joined below; the front view sees the blue one nowhere."""
    count, size = 16, (96, 96)
    right, up = (part.expand(size) for part in places(*size))
    views = []
    for azimuth in even(count):
        across, _, towards = axes(azimuth, 0.0)
        depth = torch.full(size, -torch.inf)
        view = torch.tensor(DARK)[:, None, None].expand(3, *size)
        for y, colour in ((-0.7, RED), (0.7, BLUE)):
            middle = torch.tensor([0.0, y, 0.0])
            reach = 0.9 * across[0].abs() + 0.2 * across[1].abs()
            seen = ((right - across @ middle).abs() < reach) & (up.abs() < 0.8)
            nearer = seen & (depth < middle @ towards)
            depth = torch.where(nearer, middle @ towards, depth)
            view = torch.where(nearer, torch.tensor(colour)[:, None, None], view)
        base = (up < -0.6) & (up > -0.9) & (right.abs() < 1) & (depth == -torch.inf)
        view = torch.where(base, torch.tensor((90, 200, 90))[:, None, None], view)
        views.append(view.to(torch.uint8))
    mesh = carve(torch.stack(views), even(count), level(count))
    normals = normals_of(mesh.vertices, mesh.faces)
    inner = (normals[:, 1] < -0.9) & (mesh.vertices[:, 1] > 0.3) & (mesh.vertices[:, 2] > -0.4)
    assert inner.any()
    red = (np.abs(mesh.colours[inner].astype(int) - RED).sum(1) < 60).mean()
    assert red < 0.02


def test_turning_the_azimuths_turns_the_mesh():
    views = boxes(even(4), level(4))
    mesh = carve(views, even(4), level(4))
    turned = carve(views, even(4, first=90.0), level(4))
    # what was in front is at the right now: x' = -y, y' = x
    assert turned.vertices.max(0) == pytest.approx([BOX[1], BOX[0], BOX[2]], abs=SPAN / SIDE)
    assert volume(turned) == pytest.approx(volume(mesh), rel=1e-3)
    assert np.abs(turned.colours[turned.vertices[:, 0] > 0.2].astype(int) - RED).max() <= 2


def test_a_ball_aside_is_found_where_it_is():
    """Also by views whose elevations differ, which a wrong sign of any axis would shift."""
    centre, elevations = (0.4, -0.3, 0.5), (0.0, 30.0, -20.0, 50.0, -40.0, 10.0, 25.0, -5.0)
    views = balls(even(SEVERAL), elevations, centre, radius=0.7)
    mesh = carve(views, even(SEVERAL), elevations)
    check_is_a_body(mesh)
    middle = (mesh.vertices.max(0) + mesh.vertices.min(0)) / 2
    assert middle == pytest.approx(centre, abs=SPAN / SIDE)


def test_only_the_largest_body_stays():
    large = balls(even(SEVERAL), level(SEVERAL), (0.0, 0.0, 0.7), radius=0.6)
    small = balls(even(SEVERAL), level(SEVERAL), (0.0, 0.0, -0.8), radius=0.4)
    mesh = carve(torch.maximum(large, small), even(SEVERAL), level(SEVERAL))
    check_is_a_body(mesh)
    assert mesh.vertices[:, 2].min() > 0


def test_bodies_that_swap_sizes_from_view_to_view_contradict_nothing():
    views = []
    for azimuth in even(SEVERAL):
        pair = [
            balls((azimuth,), (0.0,), (x, 0.0, 0.0), radius=radius)[0]
            for x, radius in ((-0.9, 0.5 + azimuth / 3600), (0.9, 0.6 - azimuth / 3600))
        ]
        views.append(torch.maximum(*pair))
    mesh = carve(torch.stack(views), even(SEVERAL), level(SEVERAL))
    check_is_a_body(mesh)
    assert np.ptp(mesh.vertices[:, 0]) < 1.5


def test_an_object_that_the_border_cuts_goes_on_to_the_border_of_the_front_view():
    views = balls(even(4), level(4), (0.0, 0.0, -SPAN / 2), radius=1.0)
    mesh = carve(views, even(4), level(4))
    check_is_a_body(mesh)
    assert mesh.vertices[:, 2].min() == pytest.approx(-SPAN / 2, abs=SPAN / MIN_CELLS)
    assert np.ptp(mesh.vertices[:, 0]) == pytest.approx(2.0, abs=2 * SPAN / SIDE)


def test_noise_and_specks_change_little():
    generator = torch.Generator().manual_seed(0)
    views = balls(even(SEVERAL), level(SEVERAL))
    noise = torch.randint(-8, 9, views.shape, generator=generator)
    noisy = (views + noise).clamp(0, 255).to(torch.uint8)
    noisy[:, :, 1:3, 1:3] = 255
    noisy[0, :, 40, 40] = torch.tensor(DARK, dtype=torch.uint8)
    clean, found = (carve(seen, even(SEVERAL), level(SEVERAL)) for seen in (views, noisy))
    check_is_a_body(found)
    assert volume(found) == pytest.approx(volume(clean), rel=0.01)


def test_views_of_noise_give_a_body_or_one_line():
    generator = torch.Generator().manual_seed(0)
    for side in (8, 12, 17, 24):
        views = torch.randint(256, (4, 3, side, side), dtype=torch.uint8, generator=generator)
        try:
            check_is_a_body(carve(views, even(4), level(4)))
        except LuminaError as error:
            assert "\n" not in str(error)


def test_the_grid_is_bounded():
    small, large = (
        carve(balls(even(4), level(4), size=(side, side)), even(4), level(4)) for side in (16, 512)
    )
    for mesh, cells in ((small, MIN_CELLS), (large, MAX_CELLS)):
        check_is_a_body(mesh)
        assert cells / 2 < len(np.unique(mesh.vertices[:, 0].round(3))) < 40 * cells**2
        assert len(mesh.vertices) < 6 * cells**2


def test_the_same_views_give_the_same_mesh():
    views = boxes(even(SEVERAL), level(SEVERAL))
    before = views.clone()
    one, other = (carve(views, even(SEVERAL), level(SEVERAL)) for _ in range(2))
    for field in ("vertices", "faces", "colours"):
        assert np.array_equal(getattr(one, field), getattr(other, field))
    assert torch.equal(views, before)


@pytest.mark.parametrize(
    "azimuths",
    [
        even(4),
        even(3),
        even(8),
        (0.0, 90.0, 180.0),
        (0.0, 45.0, 90.0),
        (10.0, 100.0, 350.0),
        even(1000),
    ],
)
def test_views_that_spread_are_accepted(azimuths):
    check_views(azimuths, level(len(azimuths)))


def test_even_views_from_far_above_or_below_are_accepted():
    for count in (3, 4, 8):
        for elevation in (-45.0, 30.0, 49.9):
            check_views(even(count), level(count, elevation))


@pytest.mark.parametrize(
    ("azimuths", "elevation", "message"),
    [
        ((0.0,), 0.0, "of 1 different sides; a mesh needs 3 or more"),
        ((0.0, 180.0), 0.0, r"views from azimuths \[0, 180\] are of 2 different"),
        ((0.0, 90.0, 360.0, 450.0), 0.0, "of 2 different"),
        ((0.0, 1.0, 2.0), 0.0, "along one line, give or take 1 degrees; a mesh needs 40 or more"),
        ((0.0, 180.0, 1.0, 181.0), 0.0, "modality.azimuths=null with modality.views=8"),
        (tuple(float(number) for number in range(30)), 0.0, r"6, 7, \.\.\.\] at elevations"),
        (even(8), 89.0, r"elevations from 89 to 89 .*modality.elevation between -45 and 45"),
        (even(8), -60.0, "give or take 30 degrees"),
        (even(8), 50.2, "give or take 40 degrees"),
        ((0.0, 40.0, 70.0), 0.0, "give or take 35 degrees"),
    ],
)
def test_views_from_too_few_sides_are_refused(azimuths, elevation, message):
    elevations = level(len(azimuths), elevation)
    with pytest.raises(LuminaError, match=message) as caught:
        check_views(azimuths, elevations)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    views = torch.zeros(len(azimuths), 3, 8, 8, dtype=torch.uint8)
    assert refusal(views, azimuths, elevations) == str(caught.value)


def test_a_view_without_an_object_is_named():
    views = balls(even(4), level(4))
    views[2] = 24
    assert "view 3 of 4 shows nothing that stands out" in refusal(views, even(4), level(4))
    stripes = torch.arange(SIDE) * 3 // SIDE  # red, green, blue: the median is none of them
    views[2] = 255 * torch.nn.functional.one_hot(stripes).T[:, None].to(torch.uint8)
    assert "view 3 of 4 shows nothing that stands out" in refusal(views, even(4), level(4))


def test_views_of_different_places_are_refused():
    views = balls(even(4), level(4), (0.0, 0.0, 1.0), radius=0.4)
    views[1] = views[1].flip(1)  # below, while the others show it above
    assert "no body looks like all of the views" in refusal(views, even(4), level(4))


def test_as_many_angles_as_views_are_needed():
    views = balls(even(4), level(4))
    with pytest.raises(ValueError, match="4 views have 8 cameras"):
        carve(views, even(8), level(8))
    with pytest.raises(ValueError):
        carve(views, even(4), level(3))


def test_an_outline_lies_where_half_a_pixel_is_covered():
    """Of an antialiased disc, whatever its contrast."""
    right, up = (part.double() for part in places(SIDE * 8, SIDE * 8))
    covered = torch.nn.functional.avg_pool2d((right**2 + up**2 < 1.1**2).double()[None, None], 8)[0]
    for colour in (RED, (255, 255, 255), (70, 60, 50)):
        plain, full = (torch.tensor(part)[:, None, None] for part in (DARK, colour))
        view = (plain + covered * (full - plain)).round().to(torch.uint8)
        area = silhouette_of(view).sum() * (SPAN / SIDE) ** 2
        assert area == pytest.approx(pi * 1.1**2, rel=0.015)


def test_gloss_is_filled_and_a_hole_stays():
    right, up = places(SIDE, SIDE)
    radius = (right**2 + up**2).sqrt()
    for hole in (0.5 * MAX_HOLE**0.5, 3 * MAX_HOLE**0.5):
        ring = silhouette_of(painted((radius < 1) & (radius > hole), RED))
        assert ring[SIDE // 2, SIDE // 2] == (hole < MAX_HOLE**0.5)


def test_the_distance_is_that_to_the_outline():
    right, up = places(SIDE, SIDE)
    radius = (right**2 + up**2).sqrt()
    found = signed_distance((radius < 1).numpy()) * SPAN / SIDE
    assert np.abs(found - (1 - radius.numpy())).max() < SPAN / SIDE  # of a jagged outline


def test_lines_of_one_pixel_stay():
    line = np.zeros((16, 16), dtype=bool)
    line[:, 7] = True
    assert (signed_distance(line)[:, 7] > 0).all()


def test_colours_continue_over_the_background():
    right, up = places(SIDE, SIDE)
    is_object = (right.abs() < 0.8) & (up.abs() < 0.8)
    view = painted(is_object, RED)
    found = continued_colours(view, silhouette_of(view))
    assert (found == np.array(RED)[:, None, None]).all()


def test_values_between_pixels_are_bilinear_and_end_at_the_border():
    right, up = places(10, 14)
    picture = (2 * right + 3 * up).float().numpy()
    found = values_at(picture, np.float32([0.1, -0.6, 9.0]), np.float32([0.3, 0.2, 0.0]))
    pixel = SPAN / 10
    wanted = [2 * 0.1 + 3 * 0.3, -2 * 0.6 + 3 * 0.2, 2 * (7 * pixel - pixel / 2)]
    assert found == pytest.approx(wanted, abs=1e-5)
