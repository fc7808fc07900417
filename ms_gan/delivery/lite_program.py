"""Run in a Python that has mindspore-lite: python lite_program.py MODEL.onnx INPUTS.npz OUTPUTS.npz

Version 2.0.0 needs Python 3.7, which is not ours; so this imports nothing of ms_gan, and nothing imports it.
"""

import os
import sys
import tempfile

import mindspore_lite as lite
import numpy as np

onnx, given, result = sys.argv[1:]
arrays = np.load(given)
context = lite.Context()
context.target = ["cpu"]
model = lite.Model()
with tempfile.TemporaryDirectory() as folder:
    converted = os.path.join(folder, "model")
    lite.Converter().convert(lite.FmkType.ONNX, onnx, converted)
    model.build_from_file(converted + ".mindir", lite.ModelType.MINDIR, context)
inputs = model.get_inputs()
model.resize(inputs, [list(arrays[tensor.name].shape) for tensor in inputs])
inputs = model.get_inputs()
for tensor in inputs:
    tensor.set_data_from_numpy(arrays[tensor.name])
np.savez(result, **{str(at): output.get_data_to_numpy() for at, output in enumerate(model.predict(inputs))})
