#!/bin/sh
# Installs a release of crew after checking its checksum.
#
#   CREW_REPOSITORY=OWNER/REPO scripts/install.sh [VERSION [FOLDER]]
#
# VERSION is a release such as 0.2.0, or `latest` (default). FOLDER is where the program goes
# (default: ~/.local/bin). CREW_DOWNLOADS replaces https://github.com/$CREW_REPOSITORY/releases.
set -eu
version=${1:-latest} folder=${2:-$HOME/.local/bin}
releases=${CREW_DOWNLOADS:-https://github.com/${CREW_REPOSITORY:?set it to OWNER/REPO}/releases}

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

case $(uname -s) in
  Linux) system=unknown-linux-musl ;;
  Darwin) system=apple-darwin ;;
  *) fail "no release for $(uname -s); build it with cargo" ;;
esac
case $(uname -m) in
  x86_64 | amd64) machine=x86_64 ;;
  aarch64 | arm64) machine=aarch64 ;;
  *) fail "no release for $(uname -m); build it with cargo" ;;
esac

fetch() { curl -fsSL --retry 3 --max-time 120 "$@"; }

if [ "$version" = latest ]; then
  # The page of the latest release is a redirect to its tag.
  page=$(fetch -I -o /dev/null -w '%{url_effective}' "$releases/latest") ||
    fail "cannot find the latest release at $releases"
  version=${page##*/v}
fi
version=${version#v}
case $version in
  [0-9]*) ;;
  *) fail "not a version: $version" ;;
esac
name=crew-$version-$machine-$system
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for file in "$name.tar.gz" SHA256SUMS; do
  fetch -o "$work/$file" "$releases/download/v$version/$file" ||
    fail "cannot download $file of version $version from $releases"
done
expected=$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\.tar\.gz\$/\1/p" "$work/SHA256SUMS")
if command -v sha256sum > /dev/null; then
  actual=$(sha256sum "$work/$name.tar.gz")
else
  actual=$(shasum -a 256 "$work/$name.tar.gz")
fi
[ -n "$expected" ] || fail "SHA256SUMS does not list $name.tar.gz"
[ "${actual%% *}" = "$expected" ] || fail "the checksum of $name.tar.gz is wrong"
tar -xzf "$work/$name.tar.gz" -C "$work"
mkdir -p "$folder"
# Renamed in one step: crew may be running.
cp "$work/$name/crew" "$folder/.crew-$$"
mv -f "$folder/.crew-$$" "$folder/crew"
"$folder/crew" --version
