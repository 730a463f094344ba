"""The tutorial's serving app, written anew from its description: FastAPI, one POST /predict with a text, transformers' pipeline.

usage: app.py MODEL_DIR PORT [torch|onnx]

With `onnx` the same routes stand before ONNX Runtime: the model exported once, the tokenizer and nothing else from transformers.
"""
import sys, threading

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

MODEL, PORT, KIND = sys.argv[1], int(sys.argv[2]), (sys.argv[3] if len(sys.argv) > 3 else "torch")
app = FastAPI()


class TextInput(BaseModel):
    text: str


if KIND == "constant":
    def classify(text):
        return [{"label": "negative", "score": 0.5}]
elif KIND == "torch":
    from transformers import pipeline
    classify = pipeline("text-classification", model=MODEL)
else:
    import json, numpy, onnxruntime, tokenizers
    session = onnxruntime.InferenceSession(MODEL + "/model.onnx", providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(MODEL + "/tokenizer.json")
    tokenizer.no_padding()
    labels = json.load(open(MODEL + "/config.json")).get("id2label") or {}

    def classify(text):
        ids = numpy.array([tokenizer.encode(text).ids], dtype=numpy.int64)
        logits = session.run(None, {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})[0][0]
        scores = numpy.exp(logits - logits.max())
        scores /= scores.sum()
        best = int(scores.argmax())
        return [{"label": labels.get(str(best), f"LABEL_{best}"), "score": float(scores[best])}]


@app.get("/")
def status():
    return {"status": "ok"}


@app.post("/predict")
def predict(request: TextInput):
    return classify(request.text)


uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
