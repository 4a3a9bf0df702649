#!/bin/sh
# From nothing to pictures of anomalies: installs what is missing, builds mkd, fetches the default
# expert, makes demonstration data, trains, evaluates, and draws. All it makes lies in build/.
set -eu
cd "$(dirname "$0")/.."
. scripts/step.sh

mkd=build/release/programs/mkd/mkd
demo=build/demo

echo "[1/6] Installing packages that are missing"
scripts/setup.sh
step "[2/6] Fetching the expert, EfficientNet-Lite0 (17 MB)" scripts/fetch-expert.sh build/expert
build() {
  cmake --preset release && cmake --build --preset release --target mkd mkd_expert
}
step "[3/6] Building mkd" build
rm -rf "$demo"
mkdir -p "$demo"
step "[4/6] Making demonstration data: fabric, with flaws in the test images" \
  "$mkd" demo-data "$demo/data"
echo "[5/6] Training on normal fabric (about a minute)"
"$mkd" train "$demo/data" -o "$demo/fabric.mkd"
echo "[6/6] Evaluating, and drawing where the flaws are"
"$mkd" eval "$demo/fabric.mkd" "$demo/data" --overlays "$demo/overlays" \
  --report "$demo/report.html" -q >"$demo/metrics.txt"

echo
cat "$demo/metrics.txt"
echo
echo "Model: $demo/fabric.mkd   Metrics: $demo/metrics.txt"
echo "Overlays, one for each test image, such as"
for kind in "$demo"/overlays/test/*/; do
  find "$kind" -name '*.overlay.png' | sort | head -n 1
done
echo "Report, for a browser: $demo/report.html"
