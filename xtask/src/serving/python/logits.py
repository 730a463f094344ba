"""Prints PyTorch's logits for texts: usage: logits.py MODEL_DIR < texts.json"""
import json, sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
net = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).eval()
with torch.inference_mode():
    def one(text):
        ids = tokenizer(text, truncation=True, return_tensors="pt", return_token_type_ids=False)
        return net(**ids).logits[0].tolist()
    print(json.dumps([one(text) for text in json.load(sys.stdin)]))
