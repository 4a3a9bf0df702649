"""The least that scores one image with ONNX Runtime, the default recipe's way; onnx_detector.py
writes the files.

python onnx_score.py MODEL.onnx CONSTANTS.npz IMAGE
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
k = np.load(sys.argv[2])
side = session.get_inputs()[0].shape[2]
image = Image.open(sys.argv[3]).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
x = np.clip((np.asarray(image, np.float32) - k["low"]) * (255 / (k["high"] - k["low"])), 0, 255)
x = ((x - k["mean"]) / k["std"]).transpose(2, 0, 1)[None].astype(np.float32)
t16, t32, y16, y32 = (a[0].reshape(a.shape[1], -1) for a in session.run(None, {"input": x}))
t16 = (t16 - k["mean16"]) / k["deviation16"]
t32 = (t32 - k["mean32"]) / k["deviation32"]
z16, z32 = (
    ((((t - y) ** 2).mean(0)) - k[f"square_mean{n}"]) / k[f"square_deviation{n}"]
    for n, t, y in ((16, t16, y16), (32, t32, y32))
)
cosines = 1 - (t32 * y32).sum(0) / np.sqrt((t32**2).sum(0) * (y32**2).sum(0))
a = (z16.reshape(side // 16, -1) + np.kron(z32.reshape(side // 32, -1), np.ones((2, 2)))).max()
c = ((cosines - k["cosine_mean"]) / k["cosine_deviation"]).max()
print(
    (a - k["largest_square_mean"]) / k["largest_square_deviation"]
    + (c - k["largest_cosine_mean"]) / k["largest_cosine_deviation"]
)
