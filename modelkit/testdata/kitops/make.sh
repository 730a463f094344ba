#!/bin/sh
# Makes the ModelKits in `layout/` with the real kit, from the files in `tree/`. Made with kit v1.15.0.
#
#   KIT=path/to/kit sh make.sh
#
# The manifests hold the time at which they were made, so a new run gives other digests.
set -eu
cd "$(dirname "$0")"
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KITOPS_HOME="$work/home"
mkdir -p "$KITOPS_HOME"
touch "$KITOPS_HOME/disable-update-notifications"

# The files, and a bundle that is a ZIP archive with a manifest.json.
rm -rf tree layout
mkdir -p tree/model tree/code/deep tree/data tree/docs tree/prompts
printf 'weights of the model' >tree/model/weights.safetensors
printf '{"model_type": "bert"}' >tree/model/config.json
printf '#!/bin/sh\nexec true\n' >tree/code/run.sh
chmod 755 tree/code/run.sh
printf 'print("deep")\n' >tree/code/deep/ünïcode.py
printf 'text,label\ngood,1\n' >tree/data/train.csv
printf 'left out\n' >tree/data/scratch.tmp
printf '# Model card\n' >tree/docs/README.md
printf 'You are helpful.\n' >tree/prompts/system.prompt.md
printf '**/*.tmp\n' >tree/.kitignore
python3 - <<'EOF'
import zipfile
info = zipfile.ZipInfo("manifest.json", date_time=(1980, 1, 1, 0, 0, 0))
with zipfile.ZipFile("tree/tool.mcpb", "w") as bundle:
    bundle.writestr(info, '{"name": "tool"}')
EOF

rest='code:
  - path: ./code/
datasets:
  - name: train
    path: data
docs:
  - path: docs/README.md
    description: Model card
prompts:
  - path: prompts/system.prompt.md
'
head='manifestVersion: 1.0.0
package:
  name: golden
  version: 1.2.3
  license: Apache-2.0
  authors: [First Author, Second]
model:
  name: golden-model
  path: model/weights.safetensors
  framework: transformers
  format: safetensors
  parameters:
    accuracy: 0.5
    labels: [a, "true", 3]
  parts:
    - name: config
      path: ./model/config.json
      type: config
'
files='code:
  - path: code/run.sh
  - path: code/deep/ünïcode.py
datasets:
  - name: train
    path: data/train.csv
docs:
  - path: docs/README.md
prompts:
  - path: prompts/system.prompt.md
'
server='mcpServers:
  - name: tool
    path: tool.mcpb
'
child='manifestVersion: 1.0.0
package:
  name: child
model:
  path: golden:tar
code:
  - path: code
docs:
  - path: docs/README.md
'

pack() { # TAG KITFILE OPTION...
    tag=$1
    printf '%s' "$2" >"$work/Kitfile"
    shift 2
    "$KIT" pack tree --file "$work/Kitfile" --tag "golden:$tag" "$@" >&2
}
pack tar "$head$rest"
pack server "$head$rest$server"
pack gzip "$head$rest" --compression gzip
pack gzip-fastest "$head$rest" --compression gzip-fastest
pack zstd "$head$rest" --compression zstd
pack raw "$head$files$server" --layer-format raw
pack raw-zstd "$head$files" --layer-format raw --compression zstd
pack modelpack "$head$rest" --use-model-pack
pack modelpack-raw "$head$files" --use-model-pack --layer-format raw
pack empty 'manifestVersion: 1.0.0
'
pack child "$child"

# kit keeps its tags in files of its own; a plain image layout has them in its index.
mkdir layout
cp -r "$KITOPS_HOME/storage/blobs" "$KITOPS_HOME/storage/oci-layout" layout/
chmod -R u=rwX,go=rX layout
python3 - "$KITOPS_HOME/storage" <<'EOF'
import glob, json, sys
manifests = []
for path in glob.glob(sys.argv[1] + "/*-tags.json"):
    for tag, descriptor in sorted(json.load(open(path)).items()):
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": "golden:" + tag}
        manifests.append(descriptor)
json.dump({"schemaVersion": 2, "manifests": manifests}, open("layout/index.json", "w"), indent=1)
EOF
