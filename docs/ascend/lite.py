"""Draw images with MindSpore Lite and a bundle's ONNX, without MindSpore: python lite.py BUNDLE [cpu|ascend] [COUNT]

It converts the ONNX, holds what it draws against the bundle's golden.json, and writes COUNT new images to images.npy.
Run on a CPU with mindspore-lite 2.0.0 (Python 3.7, numpy 1.21). Not run on Ascend: no device was available.
"""

import json
import sys
import tempfile
from pathlib import Path

import mindspore_lite as mslite
import numpy as np

if len(sys.argv) < 2 or not (Path(sys.argv[1]) / "contract.json").is_file():
    sys.exit("usage: python lite.py BUNDLE [cpu|ascend] [COUNT], a bundle being a folder with a contract.json")
bundle = Path(sys.argv[1])
target = sys.argv[2] if len(sys.argv) > 2 else "cpu"
count = int(sys.argv[3]) if len(sys.argv) > 3 else 4
contract = json.loads((bundle / "contract.json").read_text(encoding="utf-8"))
facts = contract["models"]["generator"]

if "onnx" not in facts["files"]:
    sys.exit(f"error: {bundle}: holds no ONNX, which MindSpore Lite converts: export its run again")

context = mslite.Context()
context.target = [target]
if target == "ascend":
    context.ascend.device_id = 0
    context.ascend.precision_mode = "enforce_fp32"  # what the contract's images were proved in

model = mslite.Model()
with tempfile.TemporaryDirectory() as folder:
    converted = str(Path(folder) / "generator")
    mslite.Converter().convert(mslite.FmkType.ONNX, str(bundle / facts["files"]["onnx"]), converted)
    model.build_from_file(f"{converted}.mindir", mslite.ModelType.MINDIR, context)


def draw(arrays):
    """Return the images, float32 in [0, 1], N×C×H×W, of a latent and perhaps a label, each by its name."""
    inputs = model.get_inputs()
    model.resize(inputs, [list(arrays[tensor.name].shape) for tensor in inputs])
    inputs = model.get_inputs()
    for tensor in inputs:
        tensor.set_data_from_numpy(arrays[tensor.name])
    return model.predict(inputs)[0].get_data_to_numpy().copy()  # it lives as long as the tensor


golden = json.loads((bundle / "golden.json").read_text(encoding="utf-8"))["generator"]
given, due = (
    {name: np.array(tensor["data"], tensor["type"]).reshape(tensor["shape"]) for name, tensor in golden[side].items()}
    for side in ("inputs", "outputs")
)
difference = np.abs(draw(given) - due["image"]).max()
print(f"differs from golden.json by {difference:.1e}; {golden['tolerance']:g} is allowed")
if not difference <= golden["tolerance"]:
    sys.exit("error: MindSpore Lite draws other images than MindSpore did")

# latents here are standard normal: see "distribution" in the contract
shapes = {tensor["name"]: (count, *tensor["shape"][1:]) for tensor in facts["inputs"]}
arrays = {"latent": np.random.default_rng(1).standard_normal(shapes["latent"], dtype=np.float32)}
if "label" in shapes:
    arrays["label"] = np.zeros(shapes["label"], np.int32)  # class 0, or no tags
image = draw(arrays)
print(image.shape, image.min(), image.max())
np.save("images.npy", image)
