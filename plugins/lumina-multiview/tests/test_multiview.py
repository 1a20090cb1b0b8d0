"""The multi-view modality as a whole, on a small random autoencoder."""

import json
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lumina_core import LuminaError, SizeLimits
from lumina_core.checkpoints import model as checkpoint
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import sample
from lumina_core.testing.fixtures import tiny_words
from lumina_core.training.train_vae import AutoencoderShape, build_autoencoder
from lumina_multiview.multiview import MultiviewModality
from lumina_multiview.options import DEFAULT_VIEWS, MAX_VIEWS, MultiviewOptions
from lumina_multiview.views_files import MultiviewDecoder
from view_sets import view_matrix

CHANNELS = 4
TRAINING = ("modality.patch=[2,2]", "token_budget=1300")
SMALL = "modality.height=16 modality.width=24 modality.views=4 solver.num_steps=2 device=cpu"
CUBE = "a cube, red in front and blue behind"


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae")
    model = build_autoencoder(AutoencoderShape(CHANNELS, (8, 8, 8), 1), seed=0)
    model.register_to_config(latents_mean=[0.5] * CHANNELS, latents_std=[2.0] * CHANNELS)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def modality(vae):
    return MultiviewModality(options(), vae)


@pytest.fixture(scope="module")
def trained(tiny_checkpoint_of, vae):
    """A checkpoint of three steps."""
    return tiny_checkpoint_of("multiview", f"modality.vae={vae}", *TRAINING)


@pytest.fixture
def ask(trained, tmp_path, monkeypatch):
    """The words of a small request, in an empty folder; later words win over earlier ones."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: ["run", *at(trained), *words]


def at(folder):
    return ["+modality=multiview", f"checkpoint={folder}", *SMALL.split()]


def options(**values) -> MultiviewOptions:
    return compose_options("multiview", {"height": 16, "width": 24, "patch": [2, 2], **values})


def views(count=4, height=16, width=24, seed=0):
    """Plain views, every one another colour."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(40, 216, (count, 3, 1, 1), dtype=torch.uint8, generator=generator)
    return levels.expand(-1, -1, height, width).clone()


def write(name, count=4, **values):
    """Views of these options as a file or folder."""
    made = options(**({"views": count} | values))
    keys = ("height", "width", "views", "azimuths", "elevation")
    media = views(made.num_views, made.height, made.width)
    request = {"options": {key: getattr(made, key) for key in keys}}
    MultiviewDecoder().write(media, Path(name), request, made)
    return media


def latents_alike(vae, media, other):
    """Whether two pictures are one as the autoencoder has them."""
    coded = MultiviewModality(options(), vae).vae
    return torch.equal(coded.decode(coded.encode(media)), other)


@pytest.mark.parametrize(
    ("values", "angles"),
    [
        ({}, tuple(360 / DEFAULT_VIEWS * number for number in range(DEFAULT_VIEWS))),
        ({"views": 3}, (0.0, 120.0, 240.0)),
        ({"azimuths": [0, 90, 45.5]}, (0.0, 90.0, 45.5)),
        ({"azimuths": [-90, 360]}, (270.0, 0.0)),
        ({"azimuths": [-1e-20]}, (0.0,)),
    ],
)
def test_views_are_even_or_listed(modality, values, angles):
    wanted = options(**values)
    assert wanted.angles == angles
    assert modality.media_shape(wanted) == (len(angles), 3, 16, 24)


def test_elevation_is_one_for_all_or_one_for_each():
    assert options(views=3).elevations == (20.0, 20.0, 20.0)
    assert options(views=3, elevation=[10, 0.5, -30]).elevations == (10.0, 0.5, -30.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"views": 0}, f"modality.views is 0; set a whole number from 1 to {MAX_VIEWS}"),
        ({"views": 2, "azimuths": [0, 90]}, "both say how many views there are; leave one out"),
        ({"azimuths": []}, f"modality.azimuths lists 0 views; list 1 to {MAX_VIEWS}"),
        (
            {"azimuths": [0, 400]},
            r"azimuths is \[0.0, 400.0\]; set numbers from -360 to 360, or null",
        ),
        ({"azimuths": [float("nan")]}, r"modality.azimuths is \[nan\]"),
        ({"azimuths": 5}, r"modality.azimuths must be a list \[a,b\] or null, got 5"),
        ({"elevation": 90}, "modality.elevation is 90.0; set a number from -89 to 89"),
        ({"elevation": "high"}, r"must be a number or a list \[a,b\], got 'high'"),
        ({"views": 2, "elevation": [1, "x"]}, r"modality.elevation\[1\] must be a number, got 'x'"),
        ({"views": 3, "elevation": [1, 2]}, "modality.elevation lists 2 angles for 3 views"),
        ({"patch": [0, 2]}, "set whole numbers from 1 to"),
        ({"height": 8192, "width": 8192, "views": 5}, "ask for fewer or smaller ones"),
        ({"width": 17_000}, "modality.width is 17000"),
    ],
)
def test_options_that_describe_no_views_are_refused(values, message):
    with pytest.raises(LuminaError, match=message):
        options(**values)


def test_a_side_that_fits_no_token_is_refused(modality):
    message = "modality.height=20 is not a multiple of 8 pixels; use 16 or 24"
    with pytest.raises(LuminaError, match=message):
        modality.media_shape(options(height=20))


def test_tokens_are_the_views_and_have_no_place_in_a_row(modality):
    media = views(5)
    latent = modality.vae.encode(media)
    grid = modality.tokenizer.grid(modality.vae.latent_shape(tuple(media.shape)))
    assert (grid.frames, grid.rows, grid.columns) == (5, 2, 3)
    assert grid.step[0] == 0
    assert (grid.rows * grid.step[1], grid.columns * grid.step[2]) == (8.0, 8.0)
    tokens = modality.tokenizer.tokenize(latent)
    assert torch.equal(modality.tokenizer.detokenize(tokens, grid), latent)
    assert torch.equal(modality.vae.encode(media[2:3]), latent[:, 2:3])


def test_features_are_the_cameras_whatever_their_order(modality):
    grid = modality.tokenizer.grid((CHANNELS, 3, 4, 6))
    cameras = options(azimuths=[0, 90, 300], elevation=[20, 40, 0])
    features = modality.features(cameras, grid)
    assert features.shape == (3, modality.feature_dim)
    waves = torch.tensor(
        [
            [1, 1, 1, 1, 0, 0, 0, 0, 0],
            [0, -1, 0, 1, 1, 0, -1, 0, 1],
            [0.5, -0.5, -1, -0.5, -sqrt(3) / 2, -sqrt(3) / 2, 0, sqrt(3) / 2, -1],
        ]
    )
    assert torch.allclose(features, waves, atol=1e-5)
    turned = modality.features(options(azimuths=[300, 0, 90], elevation=[0, 20, 40]), grid)
    assert torch.equal(turned, features[[2, 0, 1]])


def test_the_camera_reaches_the_network_and_nothing_else_tells_views_apart(trained):
    cpu = torch.device("cpu")
    model = checkpoint.load(trained, "multiview", options(), device=cpu, dtype=torch.float32)
    settings = compose_sampling("multiview")
    settings = replace(settings, solver=replace(settings.solver, num_steps=2))
    weight = model.backbone.features["multiview"].weight

    def made(azimuth):
        request = Request(CUBE, "", 0, options(azimuths=[0, azimuth]))
        return sample(model, [request], settings)[0].media

    for value, is_alike in ((0.0, True), (1.0, False)):
        torch.nn.init.constant_(weight, value)
        assert torch.equal(made(45.0), made(200.0)) == is_alike


def test_files_are_fitted_to_whole_tokens_of_all_their_views(modality):
    fitted = modality.fit(views(4, 60, 90), SizeLimits(4, 4 * 24, 4.0))
    assert fitted.shape == (4, 3, 32, 48)
    message = "9 views of 24 x 16 pixels hold 54 tokens, fewer than min"
    with pytest.raises(LuminaError, match=message):
        modality.fit(views(9), SizeLimits(100, 1000, 4.0))
    with pytest.raises(LuminaError, match="its 9 views are more tokens than max_tokens=8"):
        modality.fit(views(9), SizeLimits(1, 8, 4.0))


@pytest.mark.parametrize("suffix", [".png", ".views", ".mp4", ".gif"])
def test_a_run_writes_views_that_repeat(suffix, make, capsys):
    (file,) = make(CUBE, f"out=a{suffix}", "seed=3", "modality.elevation=12.5")["files"]
    assert main(["info", f"a{suffix}", "--json"]) == 0
    request = json.loads(capsys.readouterr().out)
    assert request["prompt"] == CUBE
    assert (request["options"]["views"], request["options"]["elevation"]) == (4, 12.5)
    again = make(f"repeat=a{suffix}", f"out=again{suffix}")["files"][0]
    assert again["media_sha256"] == file["media_sha256"]
    assert again["sha256"] == file["sha256"]


def test_listed_azimuths_repeat_too(make):
    words = ["modality.views=null", "modality.azimuths=[0,200,45.5]", "modality.elevation=[1,2,3]"]
    (file,) = make(CUBE, "out=a.views", *words)["files"]
    cameras = json.loads(Path("a.views/cameras.json").read_text())["views"]
    assert [view["azimuth"] for view in cameras] == [0, 200, 45.5]
    again = make("repeat=a.views", "modality.views=null", "out=again.png")["files"][0]
    assert again["media_sha256"] == file["media_sha256"]


def test_a_grid_has_every_view(make):
    make(CUBE, "out=a.png", "modality.views=6")
    make(CUBE, "out=a.views", "modality.views=6")
    grid, folder = (MultiviewDecoder().read(Path(name)) for name in ("a.png", "a.views"))
    assert grid.shape == (6, 3, 16, 24)
    assert torch.equal(grid, folder)


def test_a_given_view_comes_back_as_the_autoencoder_has_it(make, vae):
    given = write("given.views")
    words = ["condition.view=given.views/0003.png", "condition.azimuth=-90", "modality.height=16"]
    (file,) = make(CUBE, "out=a.views", *words)["files"]
    made = MultiviewDecoder().read(Path("a.views"))
    assert latents_alike(vae, given[2:3], made[3:4])
    assert not latents_alike(vae, given[2:3], made[2:3])
    assert file["seed"] == 0
    again = make("repeat=a.views", "out=again.views", "condition.view=given.views/0003.png")
    assert again["files"][0]["media_sha256"] == file["media_sha256"]


def test_a_picture_without_an_azimuth_is_the_first_view(make, vae):
    given = write("given.views")
    make(CUBE, "out=a.views", "condition.view=given.views/0002.png")
    assert latents_alike(vae, given[1:2], MultiviewDecoder().read(Path("a.views"))[:1])


def test_a_given_folder_stands_where_its_cameras_say(make, vae):
    given = write("given.views", azimuths=[90, 0], views=None)
    make(CUBE, "out=a.views", "condition.view=given.views")
    made = MultiviewDecoder().read(Path("a.views"))
    assert latents_alike(vae, given, made[[1, 0]])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["condition.view=no.png"], "no.png is no file"),
        (["condition.azimuth=90"], "condition.azimuth says where a given view was taken"),
        (
            ["condition.view=g.views/0001.png", "condition.azimuth=400"],
            "condition.azimuth is 400.0",
        ),
        (
            ["condition.view=g.views/0001.png", "condition.azimuth=45"],
            "condition.azimuth=45.0 is none of the views to make (0, 90, 180, 270)",
        ),
        (["condition.view=g.views", "condition.azimuth=90"], "leave condition.azimuth out"),
        (["condition.view=g.views", "modality.views=3"], "has a view at azimuth 90 and elevation"),
        (["condition.view=g.views", "modality.elevation=5"], "which is none of those to make"),
        (["condition.view=g.views"], "everything is given"),
        (["condition.view=g.png"], "g.png is a grid of "),
        (["condition.view=g.views/0001.png", "modality.height=24"], "set modality.width=24"),
        (["condition.view=odd.views/0001.png"], "30 x 18 pixels, the views to make 24 x 16; scale"),
        (["condition.view=twice.views"], "has more views at azimuth 0 and elevation 20 than are"),
        (["condition.view=text.png"], "it is broken, or none of PNG, JPEG, WEBP"),
        (
            [
                "condition.view=g.views/0001.png",
                "condition.azimuth=0",
                "modality.views=null",
                "modality.azimuths=[0,0]",
                "modality.elevation=[10,30]",
            ],
            "is the azimuth of 2 views to make, at several elevations",
        ),
        (["out=a.glb", "modality.views=2"], "modality.views"),
        (["out=a.obj"], "'.obj'"),
        (["out=a.mp4", "modality.views=1"], "turntable"),
        (["modality.width=20"], "modality.width=20 is not a multiple of 8 pixels; use 16 or 24"),
    ],
)
def test_wrong_requests_are_one_line(words, message, refused, tmp_path):
    write(tmp_path / "g.views")
    write(tmp_path / "g.png")
    write(tmp_path / "odd.views", height=18, width=30)
    write(tmp_path / "twice.views", azimuths=[0, 0], views=None)
    (tmp_path / "text.png").write_text("hello")
    assert message in refused(CUBE, *words)


def test_a_picture_of_another_modality_may_be_given(make, vae):
    picture = write("given.views")[0].permute(1, 2, 0).numpy()
    info = PngInfo()
    info.add_itxt("lumina", '{"modality": "image", "options": {"height": 16, "width": 24}}')
    Image.fromarray(picture).save("image.png", pnginfo=info)
    make(CUBE, "out=a.views", "condition.view=image.png")
    given = MultiviewDecoder().read(Path("given.views"))
    assert latents_alike(vae, given[:1], MultiviewDecoder().read(Path("a.views"))[:1])


def test_a_grid_of_one_view_may_be_given(make, vae):
    given = write("one.png", views=1)
    make(CUBE, "out=a.views", "condition.view=one.png")
    assert latents_alike(vae, given, MultiviewDecoder().read(Path("a.views"))[:1])


def test_a_folder_of_nerf_may_be_given_and_repeated(make, tmp_path):
    write("given.views")
    (tmp_path / "lego" / "train").mkdir(parents=True)
    for number, name in enumerate(("0001", "0003")):
        Path(f"given.views/{name}.png").rename(f"lego/train/r_{number}.png")
    frames = [
        {"file_path": f"./train/r_{number}", "transform_matrix": view_matrix(azimuth, 20)}
        for number, azimuth in enumerate((0, 180))
    ]
    Path("lego/transforms.json").write_text(json.dumps({"frames": frames}))
    (file,) = make(CUBE, "out=a.views", "condition.view=lego")["files"]
    again = make("repeat=a.views", "out=again.views", "condition.view=lego")["files"][0]
    assert again["media_sha256"] == file["media_sha256"]


def test_views_in_a_folder_of_any_name_carry_their_request(make, capsys):
    (file,) = make(CUBE, "out=a.views")["files"]
    Path("a.views").rename("cube")
    assert main(["info", "cube", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt"] == CUBE
    assert (
        make("repeat=cube", "out=again.views")["files"][0]["media_sha256"] == file["media_sha256"]
    )


@pytest.mark.parametrize("name", ["cube/", "cube/new.png", "new.views/x.png", "cube/x/y.png"])
def test_nothing_is_written_into_views(name, make, refused):
    make(CUBE, "out=a.views")
    Path("a.views").rename("cube")
    before = sorted(Path("cube").iterdir())
    assert "one medium" in refused(CUBE, f"out={name}")
    assert sorted(Path("cube").iterdir()) == before
    assert not Path("new.views").exists()


def test_folders_of_views_train_with_their_own_cameras(vae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = Path("data")
    for number in range(3):
        name = data / ("chair" if number == 0 else f"{number}.views")
        write(f"made-{number}.views", azimuths=[0, 10 * number + 10], views=None, elevation=5)
        name.parent.mkdir(exist_ok=True)
        Path(f"made-{number}.views").rename(name)
        name.with_suffix(".txt").write_text(f"chair {number}")
    seen = []
    features = MultiviewModality.features

    def spy(self, options, grid):
        seen.append((options.angles, options.elevations))
        return features(self, options, grid)

    monkeypatch.setattr(MultiviewModality, "features", spy)
    fixed = ["train", "+modality=multiview", f"modality.vae={vae}", *tiny_words(), *TRAINING]
    words = [*fixed, "out=run", "data=folder", "data.path=data", "data.min_tokens=1"]
    assert main(words) == 0
    assert {((0, angle), (5, 5)) for angle in (10, 20, 30)} <= set(seen)
    assert main(["run", *at("run/checkpoints/step-0000003"), "chair 1", "out=a.png"]) == 0
