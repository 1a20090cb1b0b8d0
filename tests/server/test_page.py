"""The page in a real browser, before a server with the demos."""

import json
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.is_file():
    pytest.skip("no Chromium at /usr/bin/chromium", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("trimesh", reason="trimesh is not installed")

from lumina_core.server.app import build_app  # noqa: E402
from lumina_core.server.settings import ServeConfig  # noqa: E402
from lumina_multiview.hull import Mesh  # noqa: E402
from lumina_multiview.mesh_files import glb_of  # noqa: E402

SOFTWARE_GL = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
LATE = 180_000  # milliseconds; a machine with other work takes long
FIRST = "#results article:first-child "
GLB = "model/gltf-binary"
TOKEN = "not-a-word"
TURNED = 600  # milliseconds, in which what turns by itself shows another side
DECODED = 12  # pixels from a change up to which the decoder of pictures spreads it
PLAYED = """async media => { media.muted = true; await media.play();
    for (let look = 0; look < 200 && media.currentTime === 0; look += 1)
        await new Promise(resolve => setTimeout(resolve, 50));
    return media.currentTime; }"""
"""Plays a clip or a sound until it moves, at most 10 seconds."""

TURNED_BY_HAND = """async viewer => {
    for (let look = 0; look < 1000 && viewer.getCameraOrbit().theta === 0; look += 1)
        await new Promise(resolve => setTimeout(resolve, 50));
    return viewer.getCameraOrbit().theta; }"""
"""The angle of a viewer once a key has turned it, at most 50 seconds later."""


def started(**settings):
    """A server in a thread and its address; ends when the fixture that yields it ends."""
    app = build_app(ServeConfig(port=0), **settings)
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="warning"))
    socket = server.config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
    thread.start()
    while not server.started:  # until then it listens to nobody
        assert thread.is_alive()
        thread.join(0.05)

    def stop():
        app.state.line.stop()
        server.should_exit = True
        thread.join(60)
        socket.close()

    return f"http://127.0.0.1:{socket.getsockname()[1]}/", stop


@pytest.fixture(scope="module")
def address():
    url, stop = started()
    yield url
    stop()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_GL)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser):
    """A tab that has said nothing to the console and asked no other host at its end."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(LATE)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    home = page.evaluate("location.origin")
    context.close()
    # the browser itself tells of each answer that refuses
    refusals = "Failed to load resource: the server responded with a status of 4"
    assert [text for text in said if not text.startswith(refusals)] == []
    assert [url for url in asked if not url.startswith((home, "blob:", "data:"))] == []


@pytest.fixture
def page(tab, address):
    tab.goto(address)
    tab.locator(".chip").first.wait_for()
    return tab


def make(page, modality, prompt, seen, **settings):
    """Ask for something; waits until it is seen on the newest card."""
    page.locator(f"#make-{modality}").check(force=True)
    page.fill("#prompt", prompt)
    page.fill("[name='solver.num_steps']", "2")
    for key, value in settings.items():
        page.fill(f"[name='{key.replace('__', '.')}']", str(value))
    page.click("#go")
    page.locator(FIRST + seen).first.wait_for()


def test_page_shows_a_picture_and_takes_text_as_text(page):
    prompt = "a red circle <img src=x onerror='document.title=1'>"
    make(page, "image", prompt, "figure img", num_samples=2, seed=5)
    page.locator(FIRST + "figure img").nth(1).wait_for()
    assert page.locator(FIRST + "h3").text_content() == prompt
    assert page.title() == "lumina"
    size = "element => [element.naturalWidth, element.naturalHeight]"
    assert page.locator(FIRST + "figure img").first.evaluate(size) == [64, 64]
    assert page.locator(FIRST + ".actions button").count() >= 3


def test_example_fills_the_prompt(page):
    chip = page.locator(".chip").first
    chip.click()
    assert page.input_value("#prompt") == chip.text_content()


def test_a_note_stands_beside_its_result_and_offers_the_nearest_prompt(page):
    make(page, "image", "the stock market of Lisbon", "figure img")
    note = page.locator(FIRST + ".notes li", has_text="the nearest that it knows").first
    nearest = note.locator("span").text_content().rpartition("knows: ")[2].strip("'\"")
    note.locator("button").click()
    assert page.input_value("#prompt") == nearest


def test_clip_plays_in_a_loop(page):
    make(page, "video", "a red circle moving to the right", "video", modality__seconds=0.5)
    assert page.locator(FIRST + "video").evaluate(PLAYED) > 0
    assert page.locator(FIRST + "video").evaluate("video => video.loop")


def test_sound_stands_below_its_spectrogram_and_plays(page):
    make(page, "audio", "two short high beeps", "audio", modality__seconds=1)
    assert page.locator(FIRST + "img.spectrogram").evaluate("image => image.naturalWidth > 64")
    assert page.locator(FIRST + "audio").evaluate("sound => Math.round(sound.duration)") == 1
    assert page.locator(FIRST + "audio").evaluate(PLAYED) > 0


def pixels(canvas):
    return canvas.evaluate("canvas => canvas.toDataURL()")


def test_views_turn_by_themselves_until_a_key_turns_them(page):
    make(page, "multiview", "a cube, red in front and blue behind", ".turntable")
    turntable = page.locator(FIRST + ".turntable")
    changed = "([canvas, before]) => canvas.toDataURL() !== before"
    page.wait_for_function(changed, arg=[turntable.element_handle(), pixels(turntable)])
    num_views = int(turntable.get_attribute("aria-valuemax"))
    turntable.focus()
    seen = []
    for _ in range(num_views + 1):
        page.keyboard.press("ArrowRight")
        seen.append((turntable.get_attribute("aria-valuenow"), pixels(turntable)))
    assert len(set(seen)) == num_views == len({view for _, view in seen})
    assert seen[-1] == seen[0]  # once around
    page.wait_for_timeout(TURNED)
    assert pixels(turntable) == seen[-1][1]


def test_views_turn_in_three_dimensions_in_a_frame_of_another_origin(page):
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)
    data = glb_of(Mesh(corners, faces, colours), {})
    page.route("**/*as=glb", lambda route: route.fulfill(body=data, content_type=GLB))
    make(page, "multiview", "a cube, red in front and blue behind", ".turntable")
    page.locator(FIRST + "button", has_text="Show in 3-D").click()
    page.locator(FIRST + "iframe[data-shown=true]").wait_for()
    viewer = page.frame_locator(FIRST + "iframe").locator("model-viewer")
    viewer.locator(".userInput").focus()
    page.keyboard.press("ArrowLeft")
    assert viewer.evaluate(TURNED_BY_HAND) != 0
    assert viewer.evaluate("() => self.origin") == "null"
    page.locator(FIRST + "button", has_text="Show the views").click()
    page.locator(FIRST + ".turntable").wait_for()


def test_a_running_job_shows_progress_and_a_preview_until_escape_cancels_it(page):
    make(page, "image", "a red circle", "progress", solver__num_steps=500)
    page.locator(FIRST + ".state", has_text="%").wait_for()
    page.locator(FIRST + "img.preview").wait_for()  # until it is seen
    page.keyboard.press("Escape")
    page.locator(FIRST + ".state", has_text="Cancelled").wait_for()
    assert page.locator(FIRST + ".media").locator("*").count() == 0


def picture(page):
    """The newest picture: row, column, and red, green and blue."""
    read = """image => { const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext("2d"); context.drawImage(image, 0, 0);
        return [...context.getImageData(0, 0, canvas.width, canvas.height).data]; }"""
    image = page.locator(FIRST + "figure img").first
    side = image.evaluate("image => image.naturalWidth")
    values = np.array(image.evaluate(read)).reshape(-1, side, 4)
    return values[..., :3]


def test_what_is_painted_changes_and_the_rest_stays(page):
    make(page, "image", "a red circle to the left of a blue square", "figure img", seed=1)
    before = picture(page)
    page.locator(FIRST + "button", has_text="Change a part").click()
    box = page.locator("#mask").bounding_box()
    page.fill("#brush", "40")
    page.focus("#mask")
    for key in (*["ArrowRight"] * 15, "Space"):
        page.keyboard.press(key)
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.4 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    page.mouse.up()
    page.click("#mask-done")
    page.locator("#said", has_text="The mask is set").wait_for()
    painted = painted_pixels(page)
    assert 0.05 < painted.mean() < 0.3 and painted[32, 48]
    page.fill("#prompt", "a red circle to the left of a green star")
    page.click("#go")
    page.locator("#results article:nth-child(2)").wait_for()
    page.locator(FIRST + "figure img").wait_for()
    change = np.abs(picture(page) - before).mean(axis=-1)
    far = ~binary_dilation(painted, iterations=DECODED)
    assert far.mean() > 0.3
    assert change[far].mean() < 6 < 40 < change[painted].mean()


def painted_pixels(page):
    """Where the mask of the form is white."""
    read = """async input => { const bytes = await input.files[0].arrayBuffer();
        return [...new Uint8Array(bytes)]; }"""
    data = bytes(page.locator("#give-mask").evaluate(read))
    return np.asarray(Image.open(BytesIO(data)).convert("L")) > 127


def test_a_sound_is_continued_from_its_result(page):
    make(page, "audio", "a low chord", "audio", modality__seconds=1)
    page.locator(FIRST + "button", has_text="Continue").click()
    page.locator("#said", has_text="the beginning").wait_for()
    assert float(page.input_value("[name='modality.seconds']")) == pytest.approx(2, abs=0.1)
    assert page.locator("#give-sound").evaluate("input => input.files[0].name") == "audio-0.wav"


def test_history_outlives_a_reload_and_goes_on_with_the_next_seed(page):
    make(page, "image", "a blue square", "figure img", seed=7)
    page.reload()
    page.locator(FIRST + "figure img").wait_for()
    page.locator(FIRST + "button", has_text="Again with seed + 1").click()
    page.locator("#results article:nth-child(2)").wait_for()
    page.locator(FIRST + "figure img").wait_for()
    assert "seed 8" in page.locator(FIRST + "> small").text_content()
    with page.expect_download() as saved:
        page.locator(FIRST + "figure button").click()
    assert saved.value.suggested_filename == "image-8.png"
    assert b'"seed": 8' in Path(saved.value.path()).read_bytes()


def test_a_file_that_is_dropped_gives_its_settings_back(page):
    settings = {"modality.width": 96, "solver.num_steps": 2, "guidance.rule": "added"}
    found = {"modality": "image", "prompt": "a blue square", "seed": 7, "settings": settings}
    page.route("**/v1/media/read", lambda route: route.fulfill(json=found))
    page.locator("#make-audio").check(force=True)
    drop = """() => { const held = new DataTransfer();
        held.items.add(new File(["bytes"], "mine.png", { type: "image/png" }));
        document.body.dispatchEvent(
            new DragEvent("drop", { dataTransfer: held, bubbles: true, cancelable: true })); }"""
    page.evaluate(drop)
    page.locator("#said", has_text="The settings are back").wait_for()
    assert page.input_value("#prompt") == "a blue square"
    assert page.input_value("[name=seed]") == "7"
    assert page.input_value("[name='solver.num_steps']") == "2"
    assert page.input_value("[name='guidance.rule']") == '"added"'
    assert page.is_checked("#make-image")


def test_a_refusal_is_shown_in_the_server_s_words(page):
    page.locator("#make-image").check(force=True)
    page.fill("#prompt", "a red circle")
    page.fill("[name='modality.width']", "63")
    with page.expect_response("**/v1/media/image") as answer:
        page.click("#go")
    message = json.loads(answer.value.body())["error"]["message"]
    page.locator("#said", has_text=message[:40]).wait_for()
    assert page.locator("#said").text_content() == message


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone(page, scheme):
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme=scheme)
    make(page, "image", "a red circle", "figure img")
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(251, 251, 250)", "dark": "rgb(22, 24, 27)"}[scheme]


def test_the_form_is_used_by_keyboard_alone(page):
    page.locator("#make-image").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "prompt"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.type("a red circle")
    page.keyboard.press("Control+Enter")
    page.locator(FIRST + "figure img").wait_for()


def test_every_field_has_a_name_for_a_screen_reader(page):
    unnamed = """[...document.querySelectorAll("input, select, textarea")]
        .filter((each) => !each.labels[0]?.textContent.trim()).map((each) => each.id)"""
    for modality in ("image", "video", "audio", "multiview"):
        page.locator(f"#make-{modality}").check(force=True)
        assert page.evaluate(unnamed) == []


def test_the_token_is_asked_once_and_kept_in_the_tab(tab):
    url, stop = started(token=TOKEN)
    tab.goto(url)
    for given, title in (
        ("wrong", "This server asks for a token"),
        (TOKEN, "That token was refused"),
    ):
        tab.locator("#token-title", has_text=title).wait_for()
        tab.fill("#token", given)
        tab.keyboard.press("Enter")
    tab.locator(".chip").first.wait_for()
    tab.reload()
    tab.locator(".chip").first.wait_for()
    assert not tab.locator("#token-dialog[open]").count()
    stop()
