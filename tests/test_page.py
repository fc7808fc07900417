"""The page, in a browser that nobody looks at: what it shows is what the bundle draws."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import AUTOENCODER, INGREDIENTS, TAGS, write_autoencoder, write_bundle
from helpers.commands import HANGS
from helpers.servers import free_ports, serving, started, wait_until
from PIL import Image

from ms_gan.delivery import web_page
from ms_gan.delivery.bundle import Bundle
from ms_gan.latents import interpolate
from ms_gan.sampling import seeded_inputs

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.usefixtures("device"),
    pytest.mark.skipif(
        not (BROWSER and DRIVER),
        reason="the page is tested in Chromium, which is not here (on Debian: apt install chromium chromium-driver)",
    ),
]

FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync --window-size=1200,1400"
MORE_FLAGS = "--disable-background-networking --disable-component-update --disable-dev-shm-usage"
PIXELS = """
const canvases = [...document.querySelectorAll(arguments[0])];
return canvases.map(canvas => [canvas.width, canvas.height,
  ...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]);
"""
VALID = "return document.getElementById(arguments[0]).checkValidity()"
ASKED = "return performance.getEntriesByType('resource').length"
SET = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}));"


class Page:
    """The page in a browser."""

    def __init__(self, driver, url):
        self.driver = driver
        self.driver.get(url)
        ready = "return [...document.querySelectorAll('button')].every(button => !button.disabled)"
        self.until(lambda: self.driver.execute_script(ready), HANGS, lambda: self.text("#error"))

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def text(self, selector):
        return self.find(selector).text

    def set(self, **values):
        for name, value in values.items():
            self.driver.execute_script(SET, self.find(f"#{name}"), str(value))

    def draw(self):
        self.find("#ask button:not([type])").click()

    def walk(self):
        self.find("#walk button").click()

    def pixels(self, selector):
        """What canvases show: N×C×H×W in [0, 1], with all of their four channels."""
        canvases = self.driver.execute_script(PIXELS, selector)
        return np.array(
            [np.reshape(rest, (height, width, 4)).transpose(2, 0, 1) / 255 for width, height, *rest in canvases]
        )

    def shows(self, selector, expected, seconds=HANGS):
        """Wait until canvases show these images, to half a step of a pixel's 255."""
        expected = np.broadcast_to(expected, (len(expected), 3, *expected.shape[2:]))

        def agree():
            found = self.pixels(selector)
            right = found.shape == (len(expected), 4, *expected.shape[2:]) and (found[:, 3] == 1).all()
            return right and np.abs(found[:, :3] - expected).max() <= 0.51 / 255

        self.until(agree, seconds, lambda: f"{selector} still differs; {self.text('#error')}")

    def says(self, selector, words):
        self.until(lambda: words in self.text(selector), HANGS, lambda: self.text(selector))

    def until(self, condition, seconds, told):
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, told()
            time.sleep(0.05)

    def complaints(self):
        """What the browser's console holds since it was last asked; that these tests read pixels it need not say."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if "readback operations using getImageData" not in entry["message"]
        ]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="the page is tested through selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS.split(), *MORE_FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield started
    started.quit()


def opened(driver, server):
    """A test's page, which leaves no complaint in the browser's console."""
    page = Page(driver, server.url)
    yield page
    assert page.complaints() == []


@pytest.fixture(scope="module")
def bundle(conditional_folder):
    return Bundle(conditional_folder, "onnx")


@pytest.fixture(scope="module")
def server(bundle, tmp_path_factory):
    with serving(bundle.folder, tmp_path_factory.mktemp("server") / "log", "--format", "onnx") as started:
        yield started


@pytest.fixture
def page(driver, server):
    yield from opened(driver, server)


@pytest.fixture(scope="module")
def tagged(device, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tags") / "bundle"
    return Bundle(write_autoencoder(folder, "latent.distribution=uniform", formats=("onnx",)))


@pytest.fixture(scope="module")
def tagged_server(tagged, tmp_path_factory):
    log = tmp_path_factory.mktemp("tags_server") / "log"
    with serving(tagged.folder, log, "--max-batch", 4) as started:
        yield started


@pytest.fixture
def tags_page(driver, tagged_server):
    yield from opened(driver, tagged_server)


def images_of(bundle, seed, count, label):
    labels = np.repeat(np.int32([label]), count, 0)
    return bundle.draw(seeded_inputs(bundle.latent, count, seed, labels))


def walk_of(bundle, start, end, label):
    first, last = (seeded_inputs(bundle.latent, 1, seed)[0][0] for seed in (start, end))
    latents = interpolate(bundle.latent.distribution, first, last, 11)
    return bundle.draw((latents, np.repeat(np.int32([label]), 11, 0)))


def test_it_opens_with_images_of_the_first_label(page, bundle, server, tmp_path):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    assert page.text("#title") == page.driver.title == "acgan, step 1,234"
    assert "trained on noise; 100 numbers make a latent; drawn as onnx" in page.text("#about")
    names = [option.text for option in page.driver.find_elements("css selector", "#class option")]
    assert names == list("0123456789") and not page.find("#tags").is_displayed()
    assert page.find("#images canvas").get_attribute("aria-label") == "image 1 of seed 1, label 0"
    asked = page.driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert asked and all(name.startswith(server.url) for name in asked), "nothing comes from elsewhere"
    page.driver.save_screenshot(str(tmp_path / "page.png"))
    assert (tmp_path / "page.png").stat().st_size > 5000


def test_the_same_seed_and_label_show_the_same_images(page, bundle):
    for seed, count, label in ((5, 4, 0), (6, 3, 0), (6, 3, 7), (5, 4, 0), (2**32 - 1, 1, 9)):
        page.set(seed=seed, num=count, **{"class": label})
        page.draw()
        page.shows("#images canvas", images_of(bundle, seed, count, label))
    assert not np.array_equal(images_of(bundle, 6, 3, 0), images_of(bundle, 6, 3, 7))


def test_another_label_and_another_seed_are_drawn_at_once(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.set(**{"class": 4})
    page.shows("#images canvas", images_of(bundle, 1, 16, 4))
    page.find("#another").click()
    seed = int(page.find("#seed").get_attribute("value"))
    assert seed != 1 and 0 <= seed < 2**32
    page.shows("#images canvas", images_of(bundle, seed, 16, 4))


def test_the_walk_leads_from_one_seed_to_the_other(page, bundle):
    page.set(start=3, end=8, **{"class": 2})
    page.walk()
    expected = walk_of(bundle, 3, 8, 2)
    page.shows("#along canvas", expected)
    for end, seed in ((0, 3), (-1, 8)):
        np.testing.assert_allclose(expected[[end]], images_of(bundle, seed, 1, 2), atol=1e-5)
    page.set(**{"class": 5})
    page.shows("#along canvas", walk_of(bundle, 3, 8, 5))
    page.shows("#images canvas", images_of(bundle, 1, 16, 5))


def test_the_slider_moves_along_the_walk(page, bundle):
    from selenium.webdriver.common.keys import Keys

    assert page.text("#where") == ""
    page.walk()
    expected = walk_of(bundle, 1, 2, 0)
    page.shows("#along canvas", expected)
    page.shows("#here", expected[:1])
    slider = page.find("#place")
    for place in (1, 2, 3):
        slider.send_keys(Keys.ARROW_RIGHT)
        page.shows("#here", expected[[place]])
        assert page.text("#where") == f"0.{place} of the way"
    slider.send_keys(Keys.END)
    page.shows("#here", expected[[10]])
    assert page.text("#where") == "1.0 of the way"
    page.driver.find_elements("css selector", "#along canvas")[6].click()
    page.shows("#here", expected[[6]])
    page.shows("#along canvas.here", expected[[6]])
    assert slider.get_attribute("value") == "6"


def test_what_the_server_refuses_is_shown_and_goes_away(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.driver.execute_script("document.getElementById('num').removeAttribute('max')")
    page.set(num=65)
    page.draw()
    page.says("#error", "the request asks for 65 images; this server takes at most 64 at once")
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    complaints = page.complaints()
    assert len(complaints) == 1 and "400" in complaints[0], complaints
    page.set(num=2)
    page.draw()
    page.shows("#images canvas", images_of(bundle, 1, 2, 0))
    assert page.text("#error") == ""


def test_what_cannot_be_asked_is_not_asked(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    for name, value in (("seed", 2**32), ("seed", ""), ("seed", 1.5), ("num", 0), ("num", 65), ("num", "")):
        before = page.find(f"#{name}").get_attribute("value")
        page.set(**{name: value})
        for button in ("#ask button:not([type])", *(["#another"] if name == "num" else [])):
            asked = page.driver.execute_script(ASKED)
            page.find(button).click()
            assert not page.driver.execute_script(VALID, "ask"), (name, value)
            assert page.driver.execute_script(ASKED) == asked
        page.set(**{"seed": 1, name: before})
    for value in (-1, 2**32, "", 0.5):
        page.set(end=value)
        page.walk()
        assert not page.driver.execute_script(VALID, "walk"), value
    assert page.pixels("#along canvas").size == 0
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    assert page.text("#error") == ""


def test_a_label_that_the_contract_does_not_have_is_not_sent(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.driver.execute_script("document.getElementById('class').append(new Option('cat'))")
    asked = page.driver.execute_script(ASKED)
    page.set(**{"class": "cat"})
    page.says("#error", "Choose from the list")
    assert page.driver.execute_script(ASKED) == asked
    page.set(**{"class": 4})
    page.shows("#images canvas", images_of(bundle, 1, 16, 4))
    assert page.text("#error") == ""


def test_a_server_that_is_gone_is_told_of(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.driver.set_network_conditions(offline=True, latency=0, throughput=0)
    try:
        page.draw()
        page.says("#error", "The server does not answer: it has ended, or cannot be reached.")
        page.walk()
        page.says("#walk-error", "The server does not answer")
    finally:
        page.driver.delete_network_conditions()
    page.draw()
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    assert page.text("#error") == "" and "does not answer" in page.text("#walk-error"), "each of its own"
    assert all("ERR_INTERNET_DISCONNECTED" in complaint for complaint in page.complaints())


FETCH = """
const fetched = window.fetch, late = arguments[0];
let asked = 0;
window.fetch = async (...given) => {
  const isLate = asked++ < 1;
  const answer = late.status && isLate ? new Response("<p>", {status: late.status}) : await fetched(...given);
  if (isLate) await new Promise(done => setTimeout(done, late.milliseconds || 0));
  return answer;
};
"""


def test_an_answer_that_cannot_be_read_is_told_of(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.driver.execute_script(FETCH, {"status": 502})
    page.draw()
    page.says("#error", "The server's answer, of status 502, cannot be read.")
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.draw()
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    assert page.text("#error") == ""


@pytest.mark.parametrize("status", [None, 502])
def test_a_late_answer_does_not_overtake_a_newer_one(status, page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.driver.execute_script(FETCH, {"status": status, "milliseconds": 1500})
    for seed in (5, 6):
        page.set(seed=seed, num=3)
        page.draw()
    page.shows("#images canvas", images_of(bundle, 6, 3, 0))
    time.sleep(2)
    page.shows("#images canvas", images_of(bundle, 6, 3, 0), seconds=0)
    assert page.text("#error") == ""


def test_while_it_draws_it_says_so_and_then_what_it_shows(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    assert (
        page.text("#said") == "16 images of seed 1, label 0"
        and page.find("#images").get_attribute("aria-busy") == "false"
    )
    page.driver.execute_script(FETCH, {"milliseconds": 1500})
    page.set(seed=7, num=1)
    page.draw()
    page.says("#said", "drawing…")
    assert page.find("#images").get_attribute("aria-busy") == "true"
    page.shows("#images canvas", images_of(bundle, 7, 1, 0))
    page.says("#said", "1 image of seed 7, label 0")
    assert page.find("#images").get_attribute("aria-busy") == "false"
    page.walk()
    page.says("#walk-said", "the walk from seed 1 to seed 2, label 0")


def test_what_is_under_way_does_not_answer_for_a_label_that_cannot_be_drawn(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.driver.execute_script(FETCH, {"milliseconds": 1500})
    page.set(num=3)
    page.draw()
    page.set(seed="")
    page.set(**{"class": 4})
    page.says("#error", "Nothing new is drawn")
    time.sleep(2)
    page.says("#error", "Nothing new is drawn")
    page.shows("#images canvas", images_of(bundle, 1, 16, 0), seconds=0)
    assert page.find("#images").get_attribute("aria-busy") == "false"


def test_a_label_is_chosen_without_being_led_to_another_field(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.set(seed="")
    page.driver.execute_script("document.getElementById('class').focus()")
    page.set(**{"class": 4})
    page.says("#error", "Nothing new is drawn: a number above is missing or wrong.")
    assert page.driver.execute_script("return document.activeElement.id") == "class"
    page.set(seed=1)
    page.draw()
    page.shows("#images canvas", images_of(bundle, 1, 16, 4))
    assert page.text("#error") == ""


def test_a_late_walk_does_not_overtake_a_newer_one(page, bundle):
    page.shows("#images canvas", images_of(bundle, 1, 16, 0))
    page.driver.execute_script(FETCH, {"milliseconds": 1500})
    for start in (5, 6):
        page.set(start=start)
        page.walk()
    page.shows("#along canvas", walk_of(bundle, 6, 2, 0))
    time.sleep(2.5)
    page.shows("#along canvas", walk_of(bundle, 6, 2, 0), seconds=0)
    page.shows("#here", walk_of(bundle, 6, 2, 0)[:1], seconds=0)


def test_tags_are_boxes_to_tick(tags_page, tagged):
    page = tags_page
    nothing = [0, 0, 0]
    page.shows("#images canvas", images_of(tagged, 1, 4, nothing))
    assert not page.find("#classes").is_displayed() and page.text("#chosen") == "nothing"
    boxes = page.driver.find_elements("css selector", "#tags input[type=checkbox]")
    assert [box.get_attribute("value") for box in boxes] == list(INGREDIENTS)
    boxes[3].click()
    boxes[1].click()
    assert page.text("#chosen") == "cheese, onion" and all(box.is_enabled() for box in boxes)
    page.shows("#images canvas", images_of(tagged, 1, 4, [2, 4, 0]))  # drawn as soon as it is chosen
    boxes[0].click()
    assert [box.is_enabled() for box in boxes] == [True, True, False, True, False], "an image has at most three"
    page.set(num=2)
    page.draw()
    page.shows("#images canvas", images_of(tagged, 1, 2, [1, 2, 4]))
    boxes[1].click()
    assert all(box.is_enabled() for box in boxes)
    assert not page.find("#place").is_displayed() and not page.find("#here").is_displayed(), "there is no walk yet"
    page.walk()
    page.shows("#along canvas", walk_of(tagged, 1, 2, [1, 4, 0]))  # four at a time
    assert page.find("#place").is_displayed() and page.find("#here").is_displayed()


# without a server

WEB = os.environ.get(web_page.VARIABLE)
without_a_server = [
    pytest.mark.slow,
    pytest.mark.skipif(not WEB, reason=f"{web_page.VARIABLE} names no folder of onnxruntime-web"),
]
DRAWN = "return {shape: drawn.image.shape, data: Array.from(drawn.image.data)}"
SMALL = {
    "plain": ("mlp", ("generator.widths=[16, 32]",)),
    "classes": ("rpgan", ("generator.widths=[16, 32]", "data.classes=10")),
    "clusters": ("rpgan", ("generator.widths=[16, 32]",)),
    "tags in colour": ("rpgan_residual", (*TAGS, "generator.widths=[8, 6, 4]")),
    "tags, int8": ("rpgan_residual", (*TAGS, "generator.widths=[8, 6, 4]"), "int8"),
    "one tag": ("rpgan_residual", (TAGS[0], "data.max_tags=1", "generator.widths=[8, 6, 4]")),
    "an autoencoder": ("cvae_early", (*AUTOENCODER, *TAGS)),
    "uniform": ("mlp", ("generator.widths=[16, 32]", "latent.distribution=uniform")),
    "a sphere": ("mlp", ("generator.widths=[16, 32]", "latent.distribution=sphere")),
}


@pytest.fixture(params=SMALL)
def hosted(request, driver, tmp_path):
    """A bundle behind a host of files alone, and its page."""
    name, settings, *weights = SMALL[request.param]
    folder = tmp_path / "site" / "a bundle"
    bundle = write_bundle(folder, name, *settings, weights=(*weights, "float32")[0], web_runtime=Path(WEB))
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", tmp_path / "site"]
    with started(command, tmp_path / "log", PYTHONUNBUFFERED="1") as process:
        wait_until(lambda: "Serving HTTP" in (tmp_path / "log").read_text(), process, tmp_path / "log")
        page = Page(driver, f"http://127.0.0.1:{port}/a%20bundle/")
        yield page, Bundle(bundle, "onnx")
        assert page.complaints() == []
        asked = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert all(name.startswith(f"http://127.0.0.1:{port}/") for name in asked), "it works without a network"


class TestWithoutAServer:
    pytestmark = without_a_server

    def test_the_browser_draws_the_images_of_infer(self, hosted):
        page, bundle = hosted
        names = bundle.label_names
        for seed, count in ((1, 16), (4294967295, 64), (7, 1)):
            page.set(seed=seed, num=count)
            chosen = [names.label("" if names.max_tags else names.names[0])] * count if names else None
            page.draw()
            page.until(lambda n=count: len(page.pixels("#images canvas")) == n, HANGS, lambda: page.text("#error"))
            due = bundle.draw(seeded_inputs(bundle.latent, count, seed, chosen and np.array(chosen)))
            page.shows("#images canvas", due)
            found = page.driver.execute_script(DRAWN)
            difference = np.abs(np.reshape(np.float32(found["data"]), found["shape"]) - due).max()
            assert difference <= 1e-5, "as an export is proved"
        targets = page.driver.execute_cdp_cmd("Target.getTargets", {})["targetInfos"]
        assert "worker" in {target["type"] for target in targets}, "drawing does not hold the page up"

    def test_it_walks_and_shows_where_the_slider_is(self, hosted):
        page, bundle = hosted
        names, latent = bundle.label_names, bundle.latent
        page.set(start=3, end=5)
        page.walk()
        ends = [seeded_inputs(latent, 1, seed)[0][0] for seed in (3, 5)]
        latents = interpolate(latent.distribution, *ends, 11)
        labels = [names.label("" if names.max_tags else names.names[0])] * 11 if names else None
        due = bundle.draw((latents, np.array(labels, np.int32)) if names else (latents,))
        page.shows("#along canvas", due)
        page.set(place=10)
        page.driver.execute_script("document.getElementById('place').dispatchEvent(new Event('input'))")
        page.shows("#here", due[10:])


def test_a_page_without_onnxruntime_web_says_how_to_get_it(driver, conditional_folder, tmp_path):
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", conditional_folder]
    with started(command, tmp_path / "log", PYTHONUNBUFFERED="1") as process:
        wait_until(lambda: "Serving HTTP" in (tmp_path / "log").read_text(), process, tmp_path / "log")
        driver.get(f"http://127.0.0.1:{port}/")
        wait_until(lambda: driver.find_element("id", "error").text, process, tmp_path / "log")
        said = driver.find_element("id", "error").text
        assert said == (
            "onnxruntime-web is not beside this page. Add it: python -m ms_gan export BUNDLE --page. "
            "Reload this page to try again."
        )
        driver.get_log("browser")  # it complains of the file that is not there


@pytest.fixture
def site(driver, tmp_path):
    """Open the page of a bundle behind a host of files that is changed first; return what it says is wrong."""

    def wrong(change):
        name, settings = SMALL["classes"]
        folder = write_bundle(tmp_path / "site", name, *settings, web_runtime=Path(WEB))
        change(folder)
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", folder]
        with started(command, tmp_path / "log", PYTHONUNBUFFERED="1") as process:
            wait_until(lambda: "Serving HTTP" in (tmp_path / "log").read_text(), process, tmp_path / "log")
            driver.get(f"http://127.0.0.1:{port}/")
            wait_until(lambda: driver.find_element("id", "error").text, process, tmp_path / "log")
            driver.get_log("browser")  # it complains of what was changed
            return driver.find_element("id", "error").text

    return wrong


class TestWhatIsWrongWithASite:
    pytestmark = without_a_server

    def test_a_damaged_model_is_not_drawn_of(self, site):
        def damage(folder):
            file = folder / "generator" / "1" / "generator.onnx"
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)

        assert "generator.onnx is damaged, or of another bundle: its SHA-256" in site(damage)

    def test_a_model_that_is_not_there_is_named(self, site):
        said = site(lambda folder: (folder / "generator" / "1" / "generator.onnx").unlink())
        assert said.startswith("generator/1/generator.onnx cannot be loaded, status 404. Copy the whole bundle.")

    def test_what_the_runtime_says_of_a_model_is_passed_on(self, site):
        def replace(folder):
            (folder / "generator" / "1" / "generator.onnx").write_bytes(b"no ONNX")
            contract = json.loads((folder / "contract.json").read_text())
            contract["files"]["generator/1/generator.onnx"]["sha256"] = hashlib.sha256(b"no ONNX").hexdigest()
            (folder / "contract.json").write_text(json.dumps(contract))

        said = site(replace)
        assert said.startswith("onnxruntime-web does not start with generator/1/generator.onnx (")
        assert "undefined" not in said


def test_a_picture_of_the_images_can_be_downloaded(page, bundle, driver, tmp_path):
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.set(seed=5, num=7)
    page.draw()
    page.until(lambda: len(page.pixels("#images canvas")) == 7, HANGS, lambda: page.text("#error"))
    shown = page.pixels("#images canvas")
    page.find("#download").click()
    file = tmp_path / f"{bundle.contract.recipe}_0_seed_5.png"
    page.until(file.exists, HANGS, lambda: str(list(tmp_path.iterdir())))
    picture = np.asarray(Image.open(file).convert("RGBA")) / 255
    side = 28 * 3
    assert picture.shape == (3 * side + 12, 3 * side + 12, 4), "seven images make three rows of three"
    for index, image in enumerate(shown):
        top, left = index // 3 * (side + 6), index % 3 * (side + 6)
        assert np.array_equal(picture[top : top + side : 3, left : left + side : 3].transpose(2, 0, 1), image)
