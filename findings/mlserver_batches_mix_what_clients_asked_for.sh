#!/usr/bin/env bash
# MLServer 1.7.1: where it batches requests (max_batch_size), all of a batch are computed with the parameters of all of
# them, of one name the last value, and read as the datatype of the first one.
#
# Guess, written down before: requests with other parameters or other datatypes are batched apart, or refused; each client
# gets what it asked for.
# Seen: a client without parameters gets the scale of another's, whichever comes first. A client that sends 2.5 as FP32
# gets the answer to 2, because another's INT32 came first. Status 200, no warning. So a truncation or a guidance scale
# sent as a parameter holds for strangers, too; a model that batches has to take it as an input of one row an image.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet mlserver==1.7.1 numpy==1.26.4
mkdir "$folder/models"
cat >"$folder/models/scaling.py" <<'PYTHON'
import numpy
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Scaling(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        numbers = NumpyCodec.decode_input(payload.inputs[0])
        scale = (payload.parameters.model_dump() if payload.parameters else {}).get("scale", 1)
        answer = NumpyCodec.encode_output("scaled", numpy.float64(numbers) * scale)
        return InferenceResponse(model_name=self.name, outputs=[answer])
PYTHON
echo '{"name": "scaling", "implementation": "scaling.Scaling", "max_batch_size": 2, "max_batch_time": 20}' >"$folder/models/model-settings.json"
cat >"$folder/look.py" <<'PYTHON'
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from importlib.metadata import version

folder = sys.argv[1]
places = [socket.socket() for _ in range(2)]
for place in places:
    place.bind(("127.0.0.1", 0))
http, grpc = (place.getsockname()[1] for place in places)
for place in places:
    place.close()
settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_endpoint": None, "parallel_workers": 0}
with open(os.path.join(folder, "settings.json"), "w") as file:
    json.dump(settings, file)
address = "http://127.0.0.1:{}/v2".format(http)


def ask(datatype, number, parameters, answers, client):
    numbers = {"name": "numbers", "shape": [1, 1], "datatype": datatype, "data": [number]}
    body = {"inputs": [numbers], **({"parameters": parameters} if parameters else {})}
    request = urllib.request.Request(address + "/models/scaling/infer", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        answers[client] = answer.status, json.load(answer)["outputs"][0]["data"][0]


def together(*clients):
    answers = {}
    threads = [threading.Thread(target=ask, args=(*client, answers, number)) for number, client in enumerate(clients)]
    for thread in threads:
        thread.start()
        time.sleep(1)  # the batch waits for a second request, so they come in this order
    for thread in threads:
        thread.join()
    return [answers[number] for number in range(len(clients))]


command = [os.path.join(os.path.dirname(sys.executable), "mlserver"), "start", "."]
path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
with open(os.path.join(folder, "log"), "w") as log:
    server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path})
try:
    for _ in range(120):
        try:
            urllib.request.urlopen(address + "/models/scaling/ready", timeout=5)
            break
        except OSError:
            time.sleep(0.5)
    parameters = together(("FP32", 2.5, None), ("FP32", 2.5, {"scale": 100}))
    parameters += together(("FP32", 2.5, {"scale": 100}), ("FP32", 2.5, None))
    datatypes = together(("INT32", 2, None), ("FP32", 2.5, None))
finally:
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
print("MLServer", version("mlserver"))
print("2.5 without a scale, then 2.5 with a scale of 100; the other way round:", parameters)
print("2 as INT32, beside 2.5 as FP32:", datatypes)
raise SystemExit(parameters != [(200, 250.0)] * 4 or datatypes != [(200, 2.0), (200, 2.0)])
PYTHON
"$folder/venv/bin/python" "$folder/look.py" "$folder/models"
