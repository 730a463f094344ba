#!/usr/bin/env python3
"""Makes kubernetes.txt, flux.txt and argocd.txt, the schemas that `kit-rs gitops lint` carries.

    make.py kubernetes VERSION FOLDER                > kubernetes.txt
    make.py flux VERSION=FOLDER...                   > flux.txt
    make.py argocd VERSION FILE                      > argocd.txt

FOLDER is the Go module k8s.io/kubernetes (`go mod download -json k8s.io/kubernetes@v1.36.4`): the fields
come from its api/openapi-spec/swagger.json, the enumerations, which that leaves out, from
pkg/generated/openapi/zz_generated.openapi.go.

For Flux, a FOLDER has YAML files with the CustomResourceDefinitions of that version (what `flux install
--export` of it prints, or config/crd/bases of the modules of its controllers; where only the module with
a controller's types can be had, controller-gen makes the same of those). The versions come in order, the
newest last: its schemas are taken, and what an older one does not have is marked with the version that
brought it. For Argo CD, FILE is manifests/crds/application-crd.yaml of its module.

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
# The kinds of the Flux Operator.
OPERATOR = ["FluxInstance", "ResourceSet", "ResourceSetInputProvider"]
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


def minor(version):
    return ".".join(version.split(".")[:2])


def definitions(folder):
    """The types of a version of Flux: name -> its first line and its fields, each with type and constraints."""
    import yaml

    blocks = []
    for file in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if not document or document["kind"] != "CustomResourceDefinition":
                continue
            spec = document["spec"]
            kind, group = spec["names"]["kind"], spec["group"]
            for served in filter(lambda version: version["served"], spec["versions"]):
                api, schema = served["name"], served["schema"]["openAPIV3Schema"]
                # What must be there is a rule where the same fields are optional elsewhere.
                rules = " ".join(rule["rule"] for rule in schema.get("x-kubernetes-validations", []))
                needed = re.findall(r"has\(self\.spec\) && has\(self\.spec\.(\w+)\)", rules)
                if needed:
                    schema["properties"]["spec"].setdefault("required", []).extend(needed)
                custom(blocks, f"{kind}.{api}", schema, f"{group}/{api}", kind)
    types = {}
    for head, *fields in blocks:
        name, _, kind = head.partition(" = ")
        split = [(line.split(" ", 3) + [""])[1:4] for line in fields]
        types[name] = kind, {field: [kind_of, json.loads(extra or "{}")] for field, kind_of, extra in split}
        for field, (_, extra) in types[name][1].items():
            # Where the Flux Operator installs Flux, its kinds may be named, too.
            if field == "kind!" and "ImageUpdateAutomation" in extra.get("enum", []):
                extra["enum"] += OPERATOR
    return types


def flux(versions):
    known = [(minor(version), definitions(folder)) for version, folder in versions]
    newest, first = known[-1][1], known[0][0]

    def since(is_there):
        return next(version for version, types in known if is_there(types))

    lines, kinds = [], {kind.split(" ")[1] for kind, _ in newest.values() if kind}
    for name, (kind, fields) in newest.items():
        begun = since(lambda types: name in types)
        mark = f' {{"since":"{begun}"}}' if kind and begun != first else ""
        block = [f"{name} = {kind}{mark}" if kind else name]
        for field, (of, extra) in fields.items():
            bare = field.rstrip("!")
            has = lambda types: bare in {other.rstrip("!") for other in types.get(name, ("", {}))[1]}
            if (added := since(has)) != begun:
                extra["since"] = added
            values = {}
            for value in extra.get("enum", []) if added != known[-1][0] else []:
                came = since(lambda types: has(types) and value in allowed(types[name][1], bare))
                if came != added:
                    values[value] = came
            if values:
                extra["later"] = values
            shown = " " + json.dumps(extra, separators=(",", ":"), ensure_ascii=False) if extra else ""
            block.append(f" {field} {of}{shown}")
        lines.append(block)
    # Of what is served no more only the name is kept, with the last version that had it.
    gone = {}
    for version, types in known[:-1]:
        for name, (kind, _) in types.items():
            if kind and name not in newest and kind.split(" ")[1] in kinds:
                gone[name] = f'{name} = {kind} {{"until":"{version}"}}'
    write(f"Flux {versions[-1][0]}, and what is new in it since {versions[0][0]}", lines + [[line] for line in gone.values()])


def argocd(version, file):
    import yaml

    spec, blocks = yaml.safe_load(file.read_text())["spec"], []
    for served in spec["versions"]:
        api, schema = served["name"], served["schema"]["openAPIV3Schema"]
        # What is going on is written by the controller.
        schema["properties"]["operation"] = {"x-kubernetes-preserve-unknown-fields": True}
        kind = spec["names"]["kind"]
        custom(blocks, f"{kind}.{api}", schema, f"{spec['group']}/{api}", kind)
    write(f"Argo CD {version}", blocks)


def allowed(fields, name):
    """The values that a field may have in a version; all, where it says none."""
    extra = next(extra for field, (_, extra) in fields.items() if field.rstrip("!") == name)

    class Everything:
        def __contains__(self, _):
            return True

    return extra.get("enum", Everything())


if __name__ == "__main__":
    if sys.argv[1] == "kubernetes":
        kubernetes(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1] == "argocd":
        argocd(sys.argv[2], Path(sys.argv[3]))
    else:
        flux([(version, Path(path)) for version, _, path in (part.partition("=") for part in sys.argv[2:])])
