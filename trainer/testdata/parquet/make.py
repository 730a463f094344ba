"""Writes the Parquet files of this folder: `pip install pyarrow==26.0.1 && python make.py`.

`named.parquet` is as Hugging Face's `datasets` writes a column of class labels; `plain.parquet` as pandas writes texts.
"""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet

HERE = Path(__file__).parent
TEXTS = ["a wonderful film", "boring, ünd slow", "the cast is brilliant"]


def main():
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["negative", "positive"], "_type": "ClassLabel"},
    }
    schema = pyarrow.schema(
        [("id", pyarrow.int32()), ("text", pyarrow.string()), ("label", pyarrow.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    named = pyarrow.table({"id": [1, 2, 3], "text": TEXTS, "label": [1, 0, 1]}, schema=schema)
    pyarrow.parquet.write_table(named, HERE / "named.parquet", compression="snappy")
    plain = pyarrow.table({"review": pyarrow.array(TEXTS).dictionary_encode(), "stars": ["good", None, "good"]})
    pyarrow.parquet.write_table(plain, HERE / "plain.parquet", compression="zstd", row_group_size=2)


if __name__ == "__main__":
    main()
