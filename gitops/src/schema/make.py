#!/usr/bin/env python3
"""Makes kubernetes.txt and flux.txt, the schemas that `kit-rs gitops lint` carries.

    make.py kubernetes VERSION FOLDER                > kubernetes.txt
    make.py flux VERSION FILE...                     > flux.txt

FOLDER is the Go module k8s.io/kubernetes (`go mod download -json k8s.io/kubernetes@v1.36.4`): the fields
come from its api/openapi-spec/swagger.json, the enumerations, which that leaves out, from
pkg/generated/openapi/zz_generated.openapi.go. FILE is a CustomResourceDefinition (config/crd/bases/*.yaml
of the modules of Flux' controllers) or, for modules that cannot be had, KIND=FILE: a JSON Schema of one
kind that is named <group>/<kind>_<version>.json (the catalogue of fluxcd/flux-schema).

What is kept of a schema is what can refuse an object; descriptions and what only controllers write
(`status`) are not. The form of a line is told in mod.rs. Needs PyYAML for definitions.
"""

import json
import re
import sys
from pathlib import Path

# Types of OpenAPI definitions that are something else than their fields.
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intstr",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "any",
}
CONSTRAINTS = ["enum", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"]


def short(name):
    """The name of a definition without what all of them begin with."""
    name = name.replace("io.k8s.apimachinery.pkg.apis.", "").replace("io.k8s.api.", "")
    name = name.replace("io.k8s.apiextensions-apiserver.pkg.apis.", "").replace("io.k8s.kube-aggregator.pkg.apis.", "")
    return name.replace("io.k8s.apimachinery.pkg.", "")


def scalar(schema):
    kind, form = schema.get("type"), schema.get("format")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), None)
    if schema.get("x-kubernetes-int-or-string") or form == "int-or-string":
        return "intstr"
    if schema.get("x-kubernetes-preserve-unknown-fields") and not schema.get("properties"):
        return "any"
    if kind == "string":
        return {"byte": "bytes", "date-time": "time"}.get(form, "string")
    if kind == "integer":
        return form if form in ("int32", "int64") else "int64"
    return {"boolean": "boolean", "number": "number", None: "any"}.get(kind)


def constraints(schema):
    found = {key: schema[key] for key in CONSTRAINTS if key in schema}
    kinds = schema.get("type")
    if schema.get("nullable") or isinstance(kinds, list) and "null" in kinds:
        found["nullable"] = True
    if "enum" in found:
        found["enum"] = [value for value in found["enum"] if value is not None]
    return " " + json.dumps(found, separators=(",", ":"), ensure_ascii=False) if found else ""


def enumerations(go):
    """(definition, field) -> the texts that it may be, from generated Go."""
    found, definition, field = {}, None, None
    for line in go.splitlines():
        if match := re.match(r"func schema_k8sio_api_(\w+?)_(v\d\w*?)_(\w+)\(", line):
            definition = "io.k8s.api.%s.%s.%s" % match.groups()
        elif line.startswith("func "):
            definition = None
        elif match := re.match(r'\t{5}"([^"]+)": \{$', line):
            field = match[1]
        elif definition and (match := re.match(r"\t+Enum: +\[\]interface\{\}\{(.*)\},$", line)):
            found[definition, field] = json.loads("[" + match[1] + "]")
    return found


def kubernetes(version, folder):
    definitions = json.loads((folder / "api/openapi-spec/swagger.json").read_text())["definitions"]
    enums = enumerations((folder / "pkg/generated/openapi/zz_generated.openapi.go").read_text())

    def kind(schema):
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/definitions/")
            target = definitions[name]
            if name in SPECIAL:
                return SPECIAL[name]
            return short(name) if "properties" in target else kind(target)
        if schema.get("type") == "array":
            return "[]" + kind(schema["items"])
        if schema.get("type") == "object":
            inner = schema.get("additionalProperties")
            return "{}" + kind(inner) if inner else "any"
        return scalar(schema)

    lines, wanted, made = [], [], set()
    for name, schema in sorted(definitions.items()):
        groups = schema.get("x-kubernetes-group-version-kind", [])
        # Lists are taken apart before; options are of requests.
        if len(groups) == 1 and "metadata" in schema.get("properties", {}) and not name.endswith("List"):
            wanted.append(name)
    kinds = set(wanted)
    while wanted:
        name = wanted.pop()
        if name in made or name in SPECIAL or "properties" not in definitions[name]:
            continue
        made.add(name)
        schema = definitions[name]
        group = schema.get("x-kubernetes-group-version-kind", [{}])[0] if name in kinds else {}
        api = "/".join(filter(None, [group.get("group"), group.get("version")]))
        block = [short(name) + (f" = {api} {group['kind']}" if group else "")]
        for field, inner in sorted(schema["properties"].items()):
            if name in kinds and field == "status":
                block.append(" status any")
                continue
            needed = "!" if field in schema.get("required", []) and field != "status" else ""
            texts = enums.get((name, field))
            extra = " " + json.dumps({"enum": texts}, separators=(",", ":")) if texts else ""
            block.append(f" {field}{needed} {kind(inner)}{extra}")
            wanted += [ref.removeprefix("#/definitions/") for ref in re.findall(r'"\$ref": "([^"]+)"', json.dumps(inner))]
        lines.append(block)
    write(f"k8s.io/kubernetes {version}", lines)


def write(source, blocks):
    print(f"# {source}; made by make.py")
    for block in sorted(blocks):
        print("\n".join(block))


def custom(blocks, name, schema, api=None, kind=None):
    """Adds the type of an object of a definition's schema, and those of what is in it."""

    def expression(path, inner):
        kinds = inner.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if scalar(inner) == "intstr" or scalar(inner) == "any" and "properties" not in inner and "object" not in kinds:
            return scalar(inner)
        if "array" in kinds:
            return "[]" + expression(path, inner.get("items", {})) + nested(inner.get("items", {}))
        if "object" in kinds:
            values = inner.get("additionalProperties")
            if inner.get("properties"):
                custom(blocks, path, inner)
                return path
            if isinstance(values, dict):
                return "{}" + expression(path, values)
            return "any"
        return scalar(inner)

    def nested(items):
        found = constraints(items).strip()
        return " " + json.dumps({"items": json.loads(found)}, separators=(",", ":")) if found and "object" not in str(items.get("type")) else ""

    block = [name + (f" = {api} {kind}" if kind else "")]
    for field, inner in sorted(schema["properties"].items()):
        if kind and field == "status":
            block.append(" status any")
        elif kind and field == "metadata":
            block.append(" metadata meta.v1.ObjectMeta")
        else:
            needed = "!" if field in schema.get("required", []) and "default" not in inner else ""
            text = expression(f"{name}.{field}", inner)
            own = constraints(inner)
            if " " in text and own:
                text, items = text.split(" ", 1)
                own = " " + json.dumps({**json.loads(own), **json.loads(items)}, separators=(",", ":"), ensure_ascii=False)
            block.append(f" {field}{needed} {text}{own}")
    blocks.append(block)


def flux(version, files):
    blocks = []
    for name, file in files:
        if file.suffix == ".json":
            group, api = file.parent.name, file.stem.rsplit("_", 1)[1]
            schema = json.loads(file.read_text())
            custom(blocks, f"{name}.{api}", schema, f"{group}/{api}", name)
            continue
        import yaml

        definition = yaml.safe_load(file.read_text())["spec"]
        name, group = definition["names"]["kind"], definition["group"]
        for served in definition["versions"]:
            if served["served"]:
                api = served["name"]
                custom(blocks, f"{name}.{api}", served["schema"]["openAPIV3Schema"], f"{group}/{api}", name)
    write(f"Flux {version}", blocks)


if __name__ == "__main__":
    if sys.argv[1] == "kubernetes":
        kubernetes(sys.argv[2], Path(sys.argv[3]))
    else:
        flux(sys.argv[2], [(name, Path(path)) for name, _, path in (file.rpartition("=") for file in sys.argv[3:])])
