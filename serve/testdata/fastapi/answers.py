"""Writes answers.json: what the tutorial's FastAPI app answers to good and bad requests.

Made with Python 3.11.7, fastapi 0.165.0, starlette 1.10.0, pydantic 2.14.3, httpx 0.28.
Run: pip install fastapi httpx && python answers.py > answers.json
The model is replaced by a constant: only the shapes and the bytes around it are compared.
"""

import json

from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

app = FastAPI()


class Text(BaseModel):
    text: str


@app.get("/")
def status():
    return {"status": "ok"}


@app.post("/predict")
def predict(request: Text):
    return [{"label": "negative", "score": 0.5}]


JSON = "application/json"
CASES = [
    ("status", "GET", "/", None, ""),
    ("status by HEAD", "HEAD", "/", None, ""),
    ("status by POST", "POST", "/", JSON, "{}"),
    ("unknown path", "GET", "/nothing", None, ""),
    ("predict by GET", "GET", "/predict", None, ""),
    ("predict by PUT", "PUT", "/predict", JSON, '{"text":"a"}'),
    ("good", "POST", "/predict", JSON, '{"text":"a"}'),
    ("empty text", "POST", "/predict", JSON, '{"text":""}'),
    ("extra field", "POST", "/predict", JSON, '{"text":"a","more":1}'),
    ("charset", "POST", "/predict", "application/json; charset=utf-8", '{"text":"a"}'),
    ("json suffix", "POST", "/predict", "application/vnd.api+json", '{"text":"a"}'),
    ("upper case type", "POST", "/predict", "Application/JSON", '{"text":"a"}'),
    ("byte order mark", "POST", "/predict", JSON, '\ufeff{"text":"a"}'),
    ("missing field", "POST", "/predict", JSON, "{}"),
    ("missing field, others echoed in order", "POST", "/predict", JSON, '{"z":1,"a":[1.0,1e5,-0,1e16,1e-5,0.0001,null,true,false],"é":"\\u00e9\\n\\"\\u007f"}'),
    ("duplicate keys", "POST", "/predict", JSON, '{"b":1,"a":2,"b":3}'),
    ("big integer", "POST", "/predict", JSON, '{"text":123456789012345678901234567890}'),
    ("wrong type", "POST", "/predict", JSON, '{"text":123}'),
    ("null", "POST", "/predict", JSON, '{"text":null}'),
    ("object", "POST", "/predict", JSON, '{"text":{"a":"b"}}'),
    ("boolean", "POST", "/predict", JSON, '{"text":true}'),
    ("body is a list", "POST", "/predict", JSON, '["a"]'),
    ("body is a string", "POST", "/predict", JSON, '"a"'),
    ("body is a number", "POST", "/predict", JSON, "1.50"),
    ("body is null", "POST", "/predict", JSON, "null"),
    ("empty body", "POST", "/predict", JSON, ""),
    ("no body, no type", "POST", "/predict", None, ""),
    ("no type", "POST", "/predict", None, '{"text":"a"}'),
    ("plain text", "POST", "/predict", "text/plain", '{"text":"a"}'),
    ("form", "POST", "/predict", "application/x-www-form-urlencoded", "text=a"),
    ("broken type", "POST", "/predict", "json", '{"text":"a"}'),
    ("invalid UTF-8", "POST", "/predict", JSON, b'{"text":"\xff"}'),
    ("lone surrogate escape", "POST", "/predict", JSON, '{"text":1,"a":"\\ud83d\\ude00"}'),
]
BAD = [
    '{"text": }', "{", "{ ", "[", "[1", "[1,", "[1,]", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{"a":1 "b"', "{a:1}", "{'a':1}", '{"a" 1}', "tru", "nul", "-", "01", "1.", "1e",
    '"abc', '"a\\', '"a\\x"', '"a\\u12"', '"a\\u12g4"', '"a\\u1234', '"a\tb"', '"é\n"', "{} {}", " ", "\n\n{", '{"é":}', '{"text":"a"}x', "]", ",", '{"a":[1,2}', '{"a":1]', "+1", ".5", "--1", '{"text":"a",\n "b": nope}', '"\\', '{"text":"\U0001f600" x}',
    '"\\ud83d\\u12g4"', '"\\ud83dx', "\x0c{}", "#", "\u00a0{}",
]
CASES += [(f"bad JSON {body!r}", "POST", "/predict", JSON, body) for body in BAD]
CASES += [("very deep", "POST", "/predict", JSON, "[" * 100_000)]


def answer(client, name, method, path, content_type, body):
    headers = {} if content_type is None else {"content-type": content_type}
    sent = body if isinstance(body, bytes) else body.encode()
    response = client.request(method, path, headers=headers, content=sent or None)
    case = {"name": name, "method": method, "path": path, "content_type": content_type}
    case["body"] = {"hex": sent.hex()} if isinstance(body, bytes) else body
    case["status"] = response.status_code
    case["allow"] = response.headers.get("allow")
    case["answer_type"] = response.headers.get("content-type")
    case["answer"] = response.text
    return case


client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
print(json.dumps([answer(client, *case) for case in CASES if len(case[4]) < 5000], indent=1, ensure_ascii=True))
