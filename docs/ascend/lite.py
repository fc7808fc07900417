"""Draw images on Ascend with MindSpore Lite and a bundle's MindIR, without MindSpore: python lite.py BUNDLE [COUNT]

Written from the documented interface of mindspore_lite 2.6. Not run, because no Ascend device was available. A model
that was converted ahead takes only the batch sizes that it was converted for: docs/serving.md, "Ascend".
"""

import json
import sys
from pathlib import Path

import mindspore_lite as mslite
import numpy as np

bundle = Path(sys.argv[1])
count = int(sys.argv[2]) if len(sys.argv) > 2 else 4
contract = json.loads((bundle / "contract.json").read_text(encoding="utf-8"))
facts = contract["models"]["generator"]

context = mslite.Context()
context.target = ["ascend"]
context.ascend.device_id = 0
context.ascend.precision_mode = "enforce_fp32"  # what the contract's images were proved in

model = mslite.Model()
model.build_from_file(str(bundle / facts["files"]["mindir"]), mslite.ModelType.MINDIR, context)

# the contract's order is the file's; latents here are standard normal: see "distribution"
arrays = [np.random.default_rng(1).standard_normal((count, *facts["inputs"][0]["shape"][1:]), dtype=np.float32)]
if contract["labels"] is not None:
    arrays.append(np.zeros((count, *facts["inputs"][1]["shape"][1:]), np.int32))  # class 0, or no tags

inputs = model.get_inputs()
model.resize(inputs, [list(array.shape) for array in arrays])
for tensor, array in zip(inputs, arrays):
    tensor.set_data_from_numpy(array)
image = model.predict(inputs)[0].get_data_to_numpy()
print(image.shape, image.min(), image.max())  # float32 in [0, 1], N×C×H×W
np.save("images.npy", image)
